package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/internal/fsx/fsxtest"
)

// promises are what clients and senders have been told so far.
type promises struct {
	accounts map[string]bool
	boxes    map[int]*box
	subs     map[string][]string // by account, sorted
}

// A box is a mailbox as promised; its number stays through a rename.
type box struct {
	account, name string
	id            string // "" if not told yet, as below
	validity      uint32
	next          UID
	modseq        ModSeq
	msgs          []promise
	told          map[UID]string // the text that each UID ever told stands for
}

// A promise is a message that somebody was told is there.
type promise struct {
	text  string
	uid   UID // 0: not told yet
	flags string
	date  int64 // 0: any
}

func (p *promises) clone() *promises {
	c := &promises{maps.Clone(p.accounts), map[int]*box{}, map[string][]string{}}
	for k, b := range p.boxes {
		n := *b
		n.msgs, n.told = slices.Clone(b.msgs), maps.Clone(b.told)
		c.boxes[k] = &n
	}
	for a, s := range p.subs {
		c.subs[a] = slices.Clone(s)
	}
	return c
}

// find gives the box of that name.
func (p *promises) find(account, name string) *box {
	for _, b := range p.boxes {
		if b.account == account && b.name == name {
			return b
		}
	}
	return nil
}

func (b *box) tell(uid UID, text string, modseq ModSeq) {
	b.told[uid] = text
	b.next, b.modseq = max(b.next, uid+1), max(b.modseq, modseq)
}

const (
	alice  = "alice@local.test"
	bob    = "bob@local.test"
	robert = "robert@local.test"
)

// A script runs operations on a store over a Recorder, and notes after each what it
// promised.
type script struct {
	t      testing.TB
	ctx    context.Context
	rec    *fsxtest.Recorder
	dir    string
	s      *Store
	now    *promises
	states []*promises // by the number of marks
	boxes  int
	texts  int
}

func (w *script) step(label string, do func()) {
	w.t.Helper()
	do()
	w.rec.Mark(label)
	w.states = append(w.states, w.now.clone())
	if w.t.Failed() {
		w.t.Fatalf("in the script at %q", label)
	}
}

func (w *script) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *script) open() {
	w.t.Helper()
	s, err := Open(w.ctx, Options{Dir: w.dir, FS: w.rec, Hostname: "host.test", BootID: "boot-1", Now: ahead, NoWatch: true})
	w.must(err)
	w.s = s
}

// text makes a message; line ends alternate between the kinds that are kept apart.
func (w *script) text() string {
	w.texts++
	end := []string{"\r\n", "\r\n", "\n", "\r\r\n"}[w.texts%4]
	return fmt.Sprintf("Subject: message %d%sX: y\r\n\r\nbody of %d%s", w.texts, end, w.texts, end)
}

func (w *script) stage(text string) *Staged {
	w.t.Helper()
	m, err := w.s.Stage()
	w.must(err)
	_, err = m.Write([]byte(text))
	w.must(err)
	return m
}

func (w *script) add(account, name string) *box {
	b := &box{account: account, name: name, told: map[UID]string{}}
	w.now.boxes[w.boxes] = b
	w.boxes++
	return b
}

func (w *script) createAccount(address string) {
	w.step("account "+address, func() {
		w.must(w.s.CreateAccount(w.ctx, address))
		w.now.accounts[address] = true
		w.now.subs[address] = []string{"INBOX"}
		w.add(address, "INBOX")
		for _, f := range defaultFolders {
			w.add(address, f)
			w.now.subs[address] = append(w.now.subs[address], f)
		}
		slices.Sort(w.now.subs[address])
	})
}

func (w *script) deliver(flags Flags, targets ...string) {
	w.step("deliver to "+strings.Join(targets, ", "), func() { w.deliverNow(w.text(), flags, targets) })
}

// deliverNow delivers to targets of the form "address" or "address/mailbox".
func (w *script) deliverNow(text string, flags Flags, targets []string) {
	m := w.stage(text)
	defer m.Close()
	var ts []Target
	for _, t := range targets {
		addr, name, _ := strings.Cut(t, "/")
		ts = append(ts, Target{Address: addr, Mailbox: name, Flags: flags})
	}
	failed, err := w.s.Deliver(w.ctx, m, ts)
	if err != nil || len(failed) > 0 {
		w.t.Errorf("deliver: %v %v", failed, err)
		return
	}
	for _, t := range ts {
		if t.Mailbox == "" {
			t.Mailbox = "INBOX"
		}
		b := w.now.find(t.Address, t.Mailbox)
		b.msgs = append(b.msgs, promise{text: text, flags: flagNames(flags, nil)})
	}
}

// deliverAtOnce delivers several messages at the same time.
func (w *script) deliverAtOnce(n int, targets ...string) {
	w.step("deliver at once", func() {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range n {
			text := w.text()
			wg.Go(func() {
				m := w.stage(text)
				defer m.Close()
				var ts []Target
				for _, t := range targets {
					ts = append(ts, Target{Address: t})
				}
				if failed, err := w.s.Deliver(w.ctx, m, ts); err != nil || failed != nil {
					w.t.Errorf("deliver: %v %v", failed, err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, t := range targets {
					b := w.now.find(t, "INBOX")
					b.msgs = append(b.msgs, promise{text: text})
				}
			})
		}
		wg.Wait()
	})
}

// on opens a mailbox and has f use it.
func (w *script) on(account, name string, f func(a *Account, m *Mailbox, b *box)) {
	w.t.Helper()
	a, err := w.s.Account(w.ctx, account)
	w.must(err)
	defer a.Close()
	m, err := a.Mailbox(w.ctx, name)
	w.must(err)
	defer m.Close()
	b := w.now.find(account, name)
	if b == nil {
		w.t.Fatalf("the script knows no %s of %s", name, account)
	}
	f(a, m, b)
}

// look selects a mailbox: all that it says is told from then on.
func (w *script) look(account string, names ...string) {
	for _, name := range names {
		w.step("select "+name, func() {
			got, err := observe(w.ctx, w.s, account, func(n string) bool { return n == name })
			w.must(err)
			w.learn(w.now.find(account, name), got.boxes[name])
		})
	}
}

// learn compares a mailbox with what was promised of it and notes what is told now.
func (w *script) learn(b *box, g *gotBox) {
	if g == nil {
		w.t.Fatalf("no mailbox %s", b.name)
	}
	if b.id != "" && (b.id != g.id || b.validity != g.validity) || g.next < b.next || g.modseq < b.modseq || len(g.msgs) != len(b.msgs) {
		w.t.Errorf("%s: got %+v\npromised %+v", b.name, g, b)
	}
	b.id, b.validity, b.next, b.modseq = g.id, g.validity, g.next, g.modseq
	for _, m := range g.msgs {
		k := slices.IndexFunc(b.msgs, func(p promise) bool { return p.uid == m.uid })
		if k < 0 {
			k = slices.IndexFunc(b.msgs, func(p promise) bool { return p.uid == 0 && p.text == m.text })
		}
		if k < 0 || b.msgs[k].text != m.text || b.msgs[k].flags != m.flags {
			w.t.Errorf("%s: got %+v\npromised %+v", b.name, m, b.msgs)
			continue
		}
		b.msgs[k].uid, b.msgs[k].date = m.uid, m.date
		b.told[m.uid] = m.text
	}
}

func (w *script) append(account, name string, n int, f FlagSet) {
	w.step("append to "+name, func() {
		w.on(account, name, func(_ *Account, m *Mailbox, b *box) {
			var list []Appending
			var texts []string
			date := time.Unix(1500000000, 0)
			for range n {
				texts = append(texts, w.text())
				st := w.stage(texts[len(texts)-1])
				defer st.Close()
				list = append(list, Appending{Message: st, Flags: f, Date: date})
			}
			uids, err := m.Append(w.ctx, list)
			w.must(err)
			for i, uid := range uids {
				b.tell(uid, texts[i], 0)
				b.msgs = append(b.msgs, promise{texts[i], uid, setNames(f), date.Unix()})
			}
		})
	})
}

// store changes the flags of the messages at some places of a mailbox.
func (w *script) store(account, name string, op FlagOp, f FlagSet, at ...int) {
	w.step("store in "+name, func() {
		w.on(account, name, func(_ *Account, m *Mailbox, b *box) {
			modified, seq, err := m.Store(w.ctx, b.uids(at), op, f, NoModSeq)
			w.must(err)
			if modified != nil {
				w.t.Errorf("modified %v", modified)
			}
			b.modseq = max(b.modseq, seq)
			for _, i := range at {
				b.msgs[i].flags = applied(b.msgs[i].flags, op, setNames(f))
			}
		})
	})
}

func (b *box) uids(at []int) (uids []UID) {
	for _, i := range at {
		uids = append(uids, b.msgs[i].uid)
	}
	return uids
}

// applied is what a change makes of flags.
func applied(flags string, op FlagOp, change string) string {
	set := map[string]bool{}
	for _, f := range strings.Fields(flags) {
		set[f] = op != SetFlags
	}
	for _, f := range strings.Fields(change) {
		set[f] = op != RemoveFlags
	}
	maps.DeleteFunc(set, func(_ string, on bool) bool { return !on })
	return strings.Join(slices.Sorted(maps.Keys(set)), " ")
}

// copy copies or moves the messages at some places.
func (w *script) copy(move bool, account, from, to string, at ...int) {
	w.step(map[bool]string{false: "copy", true: "move"}[move]+" to "+to, func() {
		w.on(account, from, func(a *Account, m *Mailbox, b *box) {
			w.on(account, to, func(_ *Account, n *Mailbox, c *box) {
				run := map[bool]func(context.Context, []UID, *Mailbox) (CopyResult, error){false: m.Copy, true: m.Move}[move]
				r, err := run(w.ctx, b.uids(at), n)
				w.must(err)
				if len(r.Dest) != len(at) {
					w.t.Errorf("%d of %d messages", len(r.Dest), len(at))
				}
				for i, uid := range r.Source {
					k := slices.IndexFunc(b.msgs, func(p promise) bool { return p.uid == uid })
					p := b.msgs[k]
					if move {
						b.msgs = slices.Delete(b.msgs, k, k+1)
					}
					p.uid = r.Dest[i]
					c.tell(p.uid, p.text, 0)
					c.msgs = append(c.msgs, p)
				}
			})
		})
	})
}

func (w *script) expunge(account, name string) {
	w.step("expunge "+name, func() {
		w.on(account, name, func(_ *Account, m *Mailbox, b *box) {
			gone, err := m.Expunge(w.ctx, nil)
			w.must(err)
			if len(gone) == 0 {
				w.t.Error("nothing was expunged")
			}
			b.msgs = slices.DeleteFunc(b.msgs, func(p promise) bool { return slices.Contains(gone, p.uid) })
		})
	})
}

func (w *script) account(address string, f func(a *Account)) {
	w.t.Helper()
	a, err := w.s.Account(w.ctx, address)
	w.must(err)
	defer a.Close()
	f(a)
}

func (w *script) create(account string, names ...string) {
	for _, name := range names {
		w.step("create "+name, func() {
			w.account(account, func(a *Account) { w.must(a.Create(w.ctx, name, "")) })
			w.add(account, name)
		})
	}
}

func (w *script) delete(account, name string) {
	w.step("delete "+name, func() {
		w.account(account, func(a *Account) { w.must(a.Delete(w.ctx, name)) })
		maps.DeleteFunc(w.now.boxes, func(_ int, b *box) bool { return b.account == account && b.name == name })
	})
}

func (w *script) rename(account, old, new string) {
	w.step("rename "+old+" to "+new, func() {
		w.account(account, func(a *Account) { w.must(a.Rename(w.ctx, old, new)) })
		if old == "INBOX" {
			b, n := w.now.find(account, "INBOX"), w.add(account, new)
			for _, p := range b.msgs {
				p.uid = 0
				n.msgs = append(n.msgs, p)
			}
			b.msgs = nil
			return
		}
		for _, b := range w.now.boxes {
			if rest, ok := strings.CutPrefix(b.name, old); ok && b.account == account && (rest == "" || rest[0] == '/') {
				b.name = new + rest
			}
		}
	})
}

func (w *script) subscribe(account, name string, on bool) {
	w.step("subscribe "+name, func() {
		w.account(account, func(a *Account) {
			if on {
				w.must(a.Subscribe(w.ctx, name))
				w.now.subs[account] = append(w.now.subs[account], name)
				slices.Sort(w.now.subs[account])
			} else {
				w.must(a.Unsubscribe(w.ctx, name))
				w.now.subs[account] = slices.DeleteFunc(w.now.subs[account], func(s string) bool { return s == name })
			}
		})
	})
}

func (w *script) renameAccount(old, new string) {
	w.step("account "+old+" becomes "+new, func() {
		w.must(w.s.RenameAccount(w.ctx, old, new))
		delete(w.now.accounts, old)
		w.now.accounts[new] = true
		w.now.subs[new] = w.now.subs[old]
		delete(w.now.subs, old)
		for _, b := range w.now.boxes {
			if b.account == old {
				b.account = new
			}
		}
	})
}

func (w *script) restart() {
	w.step("clean stop", func() { w.must(w.s.Close()) })
	time.Sleep(20 * time.Millisecond) // a later change then has another time
	w.open()
}

// record runs the whole script.
func record(t testing.TB) *script {
	dir := memDir(t)
	rec, err := fsxtest.NewRecorder(dir, fsxtest.Database{Name: indexOf(t, alice), Lazy: true},
		fsxtest.Database{Name: indexOf(t, bob), Lazy: true}, fsxtest.Database{Name: indexOf(t, robert), Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &script{t: t, ctx: context.Background(), rec: rec, dir: dir,
		now: &promises{map[string]bool{}, map[int]*box{}, map[string][]string{}}}
	w.states = append(w.states, w.now.clone())
	w.open()
	w.first()
	w.restart()
	w.second()
	w.step("clean stop", func() { w.must(w.s.Close()) })
	return w
}

// first has every operation once in a fresh account.
func (w *script) first() {
	w.createAccount(alice)
	w.createAccount(bob)
	w.deliver(0, alice)
	w.deliver(0, alice, bob)
	w.look(alice, "INBOX")
	w.append(alice, "Sent", 1, FlagSet{Flags: Seen, Keywords: []string{"$MDNSent"}})
	w.append(alice, "INBOX", 3, FlagSet{})
	w.store(alice, "INBOX", AddFlags, FlagSet{Flags: Flagged, Keywords: []string{"work", "later"}}, 0, 2)
	w.store(alice, "INBOX", SetFlags, FlagSet{Flags: Answered | Seen, Keywords: []string{"later"}}, 0, 1)
	w.copy(false, alice, "INBOX", "Archive", 0, 2)
	w.copy(true, alice, "INBOX", "Trash", 1, 2)
	w.look(alice, "INBOX", "Trash", "Archive")
	w.deliver(Seen|Flagged, alice+"/Archive")
	w.deliver(0, alice, bob, alice+"/Junk")
	w.deliverAtOnce(3, alice)
	w.look(alice, "Archive", "INBOX", "Junk")
	w.store(alice, "Archive", RemoveFlags, FlagSet{Keywords: []string{"later", "work"}}, 0, 1, 2)
	w.store(alice, "INBOX", AddFlags, FlagSet{Flags: Deleted}, 0, 3)
	w.expunge(alice, "INBOX")
	w.look(alice, "INBOX")
	w.create(alice, "a", "a/b", "a/b/c")
	w.append(alice, "a", 1, FlagSet{})
	w.append(alice, "a/b/c", 2, FlagSet{Flags: Draft})
	w.look(alice, "a", "a/b", "a/b/c")
	w.subscribe(alice, "a/b", true)
	w.rename(alice, "a", "x/y")
	w.subscribe(alice, "Junk", false)
	w.look(alice, "x/y", "x/y/b/c")
}

// second goes on after a clean stop, with what only then comes about.
func (w *script) second() {
	w.deliver(0, alice, bob)
	w.store(alice, "INBOX", AddFlags, FlagSet{Flags: Seen, Keywords: []string{"work"}}, 0)
	w.copy(true, alice, "INBOX", "INBOX", 0)
	w.look(alice, "INBOX")
	w.copy(true, alice, "x/y/b/c", "Trash", 0, 1)
	w.delete(alice, "x/y/b")
	w.create(alice, "x/y/b")
	w.append(alice, "x/y/b", 1, FlagSet{})
	w.look(alice, "x/y/b", "Trash")
	w.rename(alice, "INBOX", "old")
	w.deliver(0, alice)
	w.look(alice, "old", "INBOX")
	w.delete(alice, "Trash")
	w.renameAccount(bob, robert)
	w.look(robert, "INBOX")
	w.store(robert, "INBOX", AddFlags, FlagSet{Flags: Deleted}, 0)
	w.expunge(robert, "INBOX")
	w.append(robert, "INBOX", 1, FlagSet{})
}
