package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/internal/fsx"
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
	away          []*offline     // what clients remember that selected it, the latest last
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

	fs   fsx.FS      // nil: rec
	dead func() bool // nil: never; true once the process counts as killed
}

// died is the panic that ends a script whose process was killed.
type died struct{}

func (w *script) step(label string, do func()) {
	w.t.Helper()
	do()
	w.alive()
	w.rec.Mark(label)
	w.states = append(w.states, w.now.clone())
	if w.t.Failed() {
		w.t.Fatalf("in the script at %q", label)
	}
}

// alive ends the script if the process has been killed: what happened since is as if it
// had not.
func (w *script) alive() {
	if w.dead != nil && w.dead() {
		panic(died{})
	}
}

func (w *script) must(err error) {
	w.t.Helper()
	if err != nil {
		w.alive()
		w.t.Fatal(err)
	}
}

func (w *script) errorf(format string, args ...any) {
	w.t.Helper()
	w.alive()
	w.t.Errorf(format, args...)
}

func (w *script) open() {
	w.t.Helper()
	fs := w.fs
	if fs == nil {
		fs = w.rec
	}
	s, err := Open(w.ctx, Options{Dir: w.dir, FS: fs, Hostname: "host.test", BootID: "boot-1", Now: ahead, NoWatch: true})
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
		w.errorf("deliver: %v %v", failed, err)
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
		var errs []error
		var texts []string
		for range n {
			text := w.text()
			texts = append(texts, text)
			wg.Go(func() {
				m, err := w.s.Stage()
				if err == nil {
					_, err = m.Write([]byte(text))
				}
				var ts []Target
				for _, t := range targets {
					ts = append(ts, Target{Address: t})
				}
				var failed []TargetError
				if err == nil {
					failed, err = w.s.Deliver(w.ctx, m, ts)
					m.Close()
				}
				mu.Lock()
				defer mu.Unlock()
				if err != nil || failed != nil {
					errs = append(errs, fmt.Errorf("deliver: %v %v", failed, err))
				}
			})
		}
		wg.Wait()
		w.must(errors.Join(errs...))
		for _, t := range targets {
			for _, text := range texts {
				b := w.now.find(t, "INBOX")
				b.msgs = append(b.msgs, promise{text: text})
			}
		}
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
		w.must(fmt.Errorf("no mailbox %s", b.name))
	}
	if b.id != "" && (b.id != g.id || b.validity != g.validity) || g.next < b.next || g.modseq < b.modseq || len(g.msgs) != len(b.msgs) {
		w.errorf("%s: got %+v\npromised %+v", b.name, g, b)
	}
	b.id, b.validity, b.next, b.modseq = g.id, g.validity, g.next, g.modseq
	b.away = append(slices.Clone(b.away), remembered(g))
	for _, m := range g.msgs {
		k := slices.IndexFunc(b.msgs, func(p promise) bool { return p.uid == m.uid })
		if k < 0 {
			k = slices.IndexFunc(b.msgs, func(p promise) bool { return p.uid == 0 && p.text == m.text })
		}
		if k < 0 || b.msgs[k].text != m.text || b.msgs[k].flags != m.flags {
			w.errorf("%s: got %+v\npromised %+v", b.name, m, b.msgs)
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
				w.errorf("modified %v", modified)
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
					w.errorf("%d of %d messages", len(r.Dest), len(at))
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
				w.errorf("nothing was expunged")
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

// newScript makes a script over a Recorder over a new directory.
func newScript(t testing.TB) *script {
	dir := memDir(t)
	rec, err := fsxtest.NewRecorder(dir, fsxtest.Database{Name: indexOf(t, alice), Lazy: true},
		fsxtest.Database{Name: indexOf(t, bob), Lazy: true}, fsxtest.Database{Name: indexOf(t, robert), Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &script{t: t, ctx: context.Background(), rec: rec, dir: dir,
		now: &promises{map[string]bool{}, map[int]*box{}, map[string][]string{}}}
	w.states = append(w.states, w.now.clone())
	return w
}

func (w *script) run() {
	w.open()
	w.first()
	w.restart()
	w.second()
	w.step("clean stop", func() { w.must(w.s.Close()) })
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

// random does n operations of which the seed decides.
func (w *script) random(seed uint64, n int) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	w.createAccount(alice)
	w.createAccount(bob)
	for range n {
		w.randomStep(rnd)
	}
}

func (w *script) randomStep(rnd *rand.Rand) {
	names := w.names(alice)
	name, other := names[rnd.IntN(len(names))], names[rnd.IntN(len(names))]
	set := FlagSet{Flags: Flags(rnd.IntN(8)) | Deleted*Flags(rnd.IntN(2)), Keywords: []string{"one", "two", "three", "four"}[:rnd.IntN(5)]}
	at := w.told(name, rnd)
	switch k := rnd.IntN(20); {
	case k < 3:
		w.deliver(set.Flags, alice)
	case k == 3 && name != "INBOX":
		w.deliver(0, alice, bob, alice+"/"+name)
	case k == 4 && len(names) < 12:
		w.create(alice, fmt.Sprintf("%s/%d", other, w.boxes))
	case k == 5 && name != "INBOX" && !strings.HasPrefix(other, name):
		if to := fmt.Sprintf("%s/%d", other, w.texts); w.now.find(alice, to) == nil {
			w.rename(alice, name, to)
		}
	case k == 6 && name != "INBOX" && len(names) > 5:
		w.delete(alice, name)
	case k == 7:
		w.append(alice, name, 1+rnd.IntN(3), set)
	case k < 10:
		w.look(alice, name)
	case k == 10 && rnd.IntN(3) == 0:
		w.restart()
	case len(at) == 0:
		w.append(alice, name, 1, set)
	case k < 13:
		w.store(alice, name, FlagOp(rnd.IntN(3)), set, at...)
	case k < 15:
		w.copy(false, alice, name, other, at...)
	case k < 18:
		w.copy(true, alice, name, other, at...)
	case slices.ContainsFunc(w.now.find(alice, name).msgs, func(p promise) bool { return strings.Contains(p.flags, "Deleted") }):
		w.look(alice, name)
		w.expunge(alice, name)
	}
}

// names lists an account's mailboxes.
func (w *script) names(account string) (names []string) {
	for _, b := range w.now.boxes {
		if b.account == account {
			names = append(names, b.name)
		}
	}
	slices.Sort(names)
	return names
}

// told gives the places of some messages whose UIDs are known.
func (w *script) told(name string, rnd *rand.Rand) (at []int) {
	for i, p := range w.now.find(alice, name).msgs {
		if p.uid != 0 && rnd.IntN(2) == 0 {
			at = append(at, i)
		}
	}
	return at
}
