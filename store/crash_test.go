package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kurir/internal/fsx/fsxtest"
)

// crashStates is about how many states each of the power-cut tests opens; the
// environment variable KURIR_CRASH_STATES asks for more, "all" for every one.
const crashStates = 900

func wantedStates(t testing.TB) int {
	switch v := os.Getenv("KURIR_CRASH_STATES"); {
	case v == "all":
		return 1 << 30
	case v != "":
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		return n
	case testing.Short():
		return crashStates / 10
	}
	return crashStates
}

// aState is one state of the disk to be opened.
type aState struct {
	prefix int
	mode   fsxtest.Mode
	seed   int64
	drop   bool // the indexes are gone
}

// chooseStates lists states, evenly over the history: of every prefix and every mode if
// there is room, else of fewer.
func chooseStates(length, wanted int) []aState {
	var all []aState
	for prefix := range length + 1 {
		seed := int64(prefix)
		all = append(all,
			aState{prefix, fsxtest.Strict, 0, prefix%2 == 0},
			aState{prefix, fsxtest.Journal, seed, false},
			aState{prefix, fsxtest.All, seed, prefix%5 == 0},
			aState{prefix, fsxtest.Torn, seed, false},
			aState{prefix, fsxtest.Ordered, seed, false},
			aState{prefix, fsxtest.All, seed + 1, false},
			aState{prefix, fsxtest.Torn, seed + 1, false},
		)
	}
	if len(all) <= wanted {
		return all
	}
	var some []aState
	for i := range wanted {
		some = append(some, all[i*len(all)/wanted])
	}
	return some
}

// eachState calls check with what each of the states leaves, on as many goroutines as
// there are processors, and stops at the first that fails.
func eachState(t *testing.T, rec *fsxtest.Recorder, states []aState, check func(t testing.TB, c *fsxtest.Crash, st aState, dir string) error) {
	t.Helper()
	var next, opened atomic.Int64
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !t.Failed() {
				i := int(next.Add(1)) - 1
				if i >= len(states) {
					return
				}
				st := states[i]
				c := rec.After(st.prefix, st.mode, st.seed)
				key := fmt.Sprint(c.Key(), st.drop)
				mu.Lock()
				known := seen[key]
				seen[key] = true
				mu.Unlock()
				if known {
					continue
				}
				opened.Add(1)
				if err := inState(t, c, st, check); err != nil {
					t.Errorf("%v\n%v\nindexes dropped: %v", err, c, st.drop)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d operations, %d states opened", rec.Len(), opened.Load())
}

func inState(t testing.TB, c *fsxtest.Crash, st aState, check func(t testing.TB, c *fsxtest.Crash, st aState, dir string) error) error {
	dir, err := os.MkdirTemp("/dev/shm", "state-")
	if err != nil {
		dir, err = os.MkdirTemp("", "state-")
	}
	if err != nil {
		return err
	}
	if os.Getenv("KURIR_CRASH_KEEP") == "" {
		defer os.RemoveAll(dir)
	}
	if err := c.Write(dir); err != nil {
		return err
	}
	if st.drop {
		dropIndexes(dir)
	}
	return check(t, c, st, dir)
}

func dropIndexes(dir string) {
	found, _ := filepath.Glob(filepath.Join(dir, "mail", "*", "*", "index.db*"))
	for _, f := range found {
		os.Remove(f)
	}
}

// TestPowerCut cuts the power, or kills the process, after every operation on the file
// system of a script that has all of the store's: what was acknowledged is there, once,
// and every UID means what it meant.
func TestPowerCut(t *testing.T) {
	w := newScript(t)
	w.run()
	eachState(t, w.rec, chooseStates(w.rec.Len(), wantedStates(t)), func(t testing.TB, c *fsxtest.Crash, st aState, dir string) error {
		return w.trial(len(c.Marks()), st.mode).reopen(dir, bootAfter(st.mode), st.prefix%3 == 0)
	})
}

// TestPowerCutRandom does the same for scripts of random operations. KURIR_CRASH_SEED
// is the first seed.
func TestPowerCutRandom(t *testing.T) {
	seed := uint64(1)
	if v := os.Getenv("KURIR_CRASH_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	wanted := wantedStates(t)
	scripts := min(max(wanted/crashStates, 1)*3, 100)
	for i := range uint64(scripts) {
		t.Run(fmt.Sprintf("seed %d", seed+i), func(t *testing.T) {
			w := newScript(t)
			w.open()
			w.random(seed+i, 60)
			w.s.kill()
			eachState(t, w.rec, chooseStates(w.rec.Len(), min(wanted, 10*crashStates)/5), func(t testing.TB, c *fsxtest.Crash, st aState, dir string) error {
				return w.trial(len(c.Marks()), st.mode).reopen(dir, bootAfter(st.mode), st.prefix%3 == 0)
			})
		})
	}
}

// bootAfter is the kernel's run in which a store is opened again.
func bootAfter(mode fsxtest.Mode) string {
	if mode == fsxtest.All {
		return "boot-1"
	}
	return "boot-2"
}

// trial is that of a crash after the first done steps.
func (w *script) trial(done int, mode fsxtest.Mode) *trial {
	v := &trial{before: w.states[done], after: w.states[done], both: mode == fsxtest.Strict || mode == fsxtest.Torn}
	if done+1 < len(w.states) {
		v.after = w.states[done+1]
	}
	return v
}

// TestPowerCutTwice cuts the power again while the store recovers: what it had told by
// then holds as well.
func TestPowerCutTwice(t *testing.T) {
	w := newScript(t)
	w.run()
	wanted := wantedStates(t)
	eachState(t, w.rec, chooseStates(w.rec.Len(), wanted/15), func(t testing.TB, c *fsxtest.Crash, st aState, dir string) error {
		v := w.trial(len(c.Marks()), st.mode)
		rec, err := fsxtest.NewRecorder(dir, fsxtest.Database{Name: indexOf(t, alice), Lazy: true},
			fsxtest.Database{Name: indexOf(t, bob), Lazy: true}, fsxtest.Database{Name: indexOf(t, robert), Lazy: true})
		if err != nil {
			return err
		}
		told, err := v.recover(dir, rec, bootAfter(st.mode))
		if err != nil {
			return err
		}
		for _, second := range chooseStates(rec.Len(), 15) {
			second.seed += int64(st.prefix)
			c2 := rec.After(second.prefix, second.mode, second.seed)
			boot := map[bool]string{true: bootAfter(st.mode), false: "boot-3"}[second.mode == fsxtest.All]
			err := inState(t, c2, second, func(_ testing.TB, _ *fsxtest.Crash, _ aState, dir string) error {
				return v.again(told, c2.Marks(), second.mode).reopen(dir, boot, false)
			})
			if err != nil {
				return fmt.Errorf("%w\nin the recovery: %v\nindexes dropped: %v; the recovery was of:", err, c2, second.drop)
			}
		}
		return nil
	})
}

// recover opens a store and notes, account by account, what it then tells.
func (v *trial) recover(dir string, rec *fsxtest.Recorder, boot string) (map[string]*gotAccount, error) {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir, FS: rec, Hostname: "host.test", BootID: boot, NoWatch: true})
	if err != nil {
		return nil, err
	}
	defer s.kill()
	got := map[string]*gotAccount{}
	for _, address := range []string{alice, bob, robert} {
		g, err := observe(ctx, s, address, v.opened(address))
		if errors.Is(err, ErrNoAccount) {
			continue
		}
		if err != nil {
			return nil, err
		}
		got[address] = g
		rec.Mark(address)
	}
	return got, nil
}

// again is the trial of a second crash, after accounts were told of in the recovery from
// the first.
func (v *trial) again(told map[string]*gotAccount, accounts []string, mode fsxtest.Mode) *trial {
	both := mode == fsxtest.Strict || mode == fsxtest.Torn
	return &trial{before: v.before, after: v.after, both: v.both || both, told: told, toldOf: accounts}
}

// A trial compares what a store serves after a crash with what was promised before it,
// where one operation may have been under way.
type trial struct {
	before, after *promises // acknowledged, and as it would be had that operation ended
	both          bool      // a message under way from one directory to another may be in both
	all           bool      // look at every mailbox
	told          map[string]*gotAccount
	toldOf        []string // accounts of which told was told
	errs          []error
}

func (v *trial) errorf(format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf(format, args...))
}

// opened says which mailboxes are worth a look: those that were used.
func (v *trial) opened(account string) func(string) bool {
	return func(name string) bool {
		if v.all {
			return true
		}
		for _, p := range []*promises{v.before, v.after} {
			if b := p.find(account, name); b != nil && (b.id != "" || b.next > 0 || len(b.msgs) > 0) {
				return true
			}
		}
		return name == "INBOX"
	}
}

// reopen opens the store in dir, compares, and with further goes on using it.
func (v *trial) reopen(dir, boot string, further bool) error {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir, Hostname: "host.test", BootID: boot, NoWatch: true})
	if err != nil {
		return err
	}
	defer s.Close()
	got, err := v.observeAll(ctx, s)
	if err != nil {
		return err
	}
	v.compare(got)
	for _, address := range v.toldOf {
		v.compareTold(address, got[address])
	}
	v.comeBack(ctx, s, got)
	if len(v.errs) > 0 || !further {
		return errors.Join(v.errs...)
	}
	return v.goOn(ctx, s, dir, got)
}

// compareTold compares an account with what a recovery told of it.
func (v *trial) compareTold(address string, got *gotAccount) {
	if got == nil {
		v.errorf("account %s is lost", address)
		return
	}
	for name, b := range v.told[address].boxes {
		if err := sameButNew(b, got.boxes[name], ""); err != nil {
			v.errorf("%s of %s, as told in the recovery: %w", name, address, err)
		}
	}
}

func (v *trial) observeAll(ctx context.Context, s *Store) (map[string]*gotAccount, error) {
	all := map[string]*gotAccount{}
	for _, address := range []string{alice, bob, robert} {
		got, err := observe(ctx, s, address, v.opened(address))
		if errors.Is(err, ErrNoAccount) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", address, err)
		}
		all[address] = got
	}
	return all, nil
}

// compare judges all accounts.
func (v *trial) compare(got map[string]*gotAccount) {
	for address := range v.before.accounts {
		if got[address] == nil && v.after.accounts[address] {
			v.errorf("account %s is lost", address)
		}
	}
	for address, g := range got {
		if !v.before.accounts[address] && !v.after.accounts[address] {
			v.errorf("account %s has come back", address)
		}
		if !slices.Equal(g.subs, v.before.subs[address]) && !slices.Equal(g.subs, v.after.subs[address]) {
			v.errorf("%s is subscribed to %v, not %v or %v", address, g.subs, v.before.subs[address], v.after.subs[address])
		}
	}
	used := map[*gotBox]bool{}
	var moved, stayed []string
	for _, key := range slices.Sorted(maps.Keys(v.union())) {
		b, a := v.before.boxes[key], v.after.boxes[key]
		g := match(got, b, a)
		if g == nil {
			if b != nil && a != nil {
				v.errorf("mailbox %s of %s is lost", b.name, b.account)
			}
			continue
		}
		used[g] = true
		if b != nil && a != nil && b.account == a.account && b.name != a.name {
			if g.name == a.name {
				moved = append(moved, g.name)
			} else {
				stayed = append(stayed, g.name)
			}
		}
		v.compareBox(g, b, a)
	}
	if len(moved) > 0 && len(stayed) > 0 {
		v.errorf("RENAME moved %v and left %v", moved, stayed)
	}
	for address, g := range got {
		for name, b := range g.boxes {
			if !used[b] && !(v.both && !(v.before.accounts[address] && v.after.accounts[address])) {
				v.errorf("%s has a mailbox %s that nobody made", address, name)
			}
		}
	}
	v.compareTotals(got)
}

func (v *trial) union() map[int]bool {
	keys := map[int]bool{}
	for _, p := range []*promises{v.before, v.after} {
		for k := range p.boxes {
			keys[k] = true
		}
	}
	return keys
}

// match finds the mailbox that was b and would be a.
func match(got map[string]*gotAccount, b, a *box) *gotBox {
	for _, p := range []*box{b, a} {
		if p == nil || got[p.account] == nil {
			continue
		}
		if g := got[p.account].boxes[p.name]; g != nil && (p.id == "" || g.id == p.id) {
			return g
		}
	}
	return nil
}

// counts counts messages by their text; of a box that was not opened nothing is known.
func counts(b *box) map[string]int {
	n := map[string]int{}
	if b != nil {
		for _, m := range b.msgs {
			n[m.text]++
		}
	}
	return n
}

func (v *trial) compareBox(g *gotBox, b, a *box) {
	was, will, is := counts(b), counts(a), map[string]int{}
	for _, m := range g.msgs {
		is[m.text]++
	}
	for _, text := range slices.Sorted(maps.Keys(is)) {
		if is[text] > max(was[text], will[text]) {
			v.errorf("%s: %q is there %d times, promised were %d or %d", g.name, text, is[text], was[text], will[text])
		}
	}
	for text := range was {
		if is[text] < min(was[text], will[text]) {
			v.errorf("%s: %q is lost", g.name, text)
		}
	}
	if b == nil {
		return
	}
	if b.id != "" && (g.id != b.id || b.validity != 0 && g.validity != b.validity) {
		v.errorf("%s: id %s and UIDVALIDITY %d were told, now %s and %d", g.name, b.id, b.validity, g.id, g.validity)
	}
	if g.next < b.next || g.modseq < b.modseq {
		v.errorf("%s: UIDNEXT %d and mod-sequence %d were told, now %d and %d", g.name, b.next, b.modseq, g.next, g.modseq)
	}
	v.compareMessages(g, b, a)
}

func (v *trial) compareMessages(g *gotBox, b, a *box) {
	is := map[UID]*gotMessage{}
	for i := range g.msgs {
		m := &g.msgs[i]
		is[m.uid] = m
		text, told := b.told[m.uid]
		switch {
		case told && text != m.text:
			v.errorf("%s: UID %d was %q, now %q", g.name, m.uid, text, m.text)
		case told && b.at(m.uid) == nil:
			v.errorf("%s: UID %d was expunged and is back", g.name, m.uid)
		case !told && m.uid < b.next:
			v.errorf("%s: UID %d of %q is new, but below the UIDNEXT %d told", g.name, m.uid, m.text, b.next)
		}
	}
	for i := range b.msgs {
		p := &b.msgs[i]
		var q *promise
		if a != nil {
			q = a.at(p.uid)
		}
		m := is[p.uid]
		if p.uid == 0 {
			v.compareUntold(g, p)
			continue
		}
		if m == nil {
			if q != nil {
				v.errorf("%s: UID %d (%q) is lost", g.name, p.uid, p.text)
			}
			continue
		}
		if m.flags != p.flags && (q == nil || m.flags != q.flags) {
			v.errorf("%s: UID %d has the flags %q, promised were %q", g.name, m.uid, m.flags, p.flags)
		}
		if m.flags != p.flags && m.modseq <= b.modseq {
			v.errorf("%s: the flags of UID %d changed, but its mod-sequence %d is not above %d, which was told", g.name, m.uid, m.modseq, b.modseq)
		}
		if p.date != 0 && m.date != p.date {
			v.errorf("%s: UID %d has the date %d, promised was %d", g.name, m.uid, m.date, p.date)
		}
	}
}

// compareUntold compares the flags of a message whose UID nobody knows yet.
func (v *trial) compareUntold(g *gotBox, p *promise) {
	var flags []string
	for _, m := range g.msgs {
		if m.text == p.text {
			flags = append(flags, m.flags)
		}
	}
	if len(flags) > 0 && !slices.Contains(flags, p.flags) {
		v.errorf("%s: %q has the flags %q, promised were %q", g.name, p.text, flags, p.flags)
	}
}

func (b *box) at(uid UID) *promise {
	for i := range b.msgs {
		if b.msgs[i].uid == uid {
			return &b.msgs[i]
		}
	}
	return nil
}

// compareTotals looks for messages that a move lost or doubled.
func (v *trial) compareTotals(got map[string]*gotAccount) {
	total := func(p *promises) map[string]int {
		n := map[string]int{}
		for _, b := range p.boxes {
			for text, k := range counts(b) {
				n[text] += k
			}
		}
		return n
	}
	was, will, is := total(v.before), total(v.after), map[string]int{}
	for _, g := range got {
		for _, b := range g.boxes {
			for _, m := range b.msgs {
				is[m.text]++
			}
		}
	}
	for text := range was {
		if is[text] < min(was[text], will[text]) {
			v.errorf("%q is there %d times in all, promised were %d", text, is[text], was[text])
		}
		if is[text] > max(was[text], will[text]) && !v.both {
			v.errorf("%q is there %d times in all, promised were %d or %d", text, is[text], was[text], will[text])
		}
	}
}

// goOn uses the store further, stops it cleanly and opens it under another boot: what was
// seen is as it was, with what came since.
func (v *trial) goOn(ctx context.Context, s *Store, dir string, got map[string]*gotAccount) error {
	const text = "Subject: after the crash\r\n\r\nx\r\n"
	var addresses []string
	for address := range got {
		addresses = append(addresses, address)
		for i := range 2 {
			m, err := s.Stage()
			if err != nil {
				return err
			}
			defer m.Close()
			if _, err := m.Write([]byte(text)); err != nil {
				return err
			}
			if i == 0 {
				_, err = s.Deliver(ctx, m, []Target{{Address: address}})
			} else {
				err = appendTo(ctx, s, address, m)
			}
			if err != nil {
				return err
			}
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	left := slices.DeleteFunc(leftovers(dir), func(p string) bool { // of a mailbox that was not opened
		return strings.HasPrefix(filepath.Base(p), "kurir-mailbox.") && filepath.Base(filepath.Dir(p))[0] == '.'
	})
	if len(left) > 0 {
		return fmt.Errorf("left over: %v", left)
	}
	t, err := Open(ctx, Options{Dir: dir, Hostname: "host.test", BootID: "boot-3", NoWatch: true})
	if err != nil {
		return err
	}
	defer t.Close()
	for _, address := range addresses {
		now, err := observe(ctx, t, address, v.opened(address))
		if err != nil {
			return err
		}
		for name, b := range got[address].boxes {
			if err := sameButNew(b, now.boxes[name], text); err != nil {
				return fmt.Errorf("after going on, %s of %s: %w", name, address, err)
			}
		}
	}
	return nil
}

func appendTo(ctx context.Context, s *Store, address string, m *Staged) error {
	a, err := s.Account(ctx, address)
	if err != nil {
		return err
	}
	defer a.Close()
	in, err := a.Mailbox(ctx, "INBOX")
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = in.Append(ctx, []Appending{{Message: m}})
	return err
}

// sameButNew compares a mailbox with what it was, new messages with the given text aside.
func sameButNew(was, is *gotBox, text string) error {
	if is == nil || is.id != was.id || is.validity != was.validity || is.next < was.next || is.modseq < was.modseq {
		return fmt.Errorf("was %+v, is %+v", was, is)
	}
	var old []string
	added := 0
	for _, m := range is.msgs {
		if m.text == text && m.uid >= was.next {
			added++
			continue
		}
		old = append(old, m.String())
	}
	var want []string
	for _, m := range was.msgs {
		want = append(want, m.String())
	}
	if !slices.Equal(old, want) {
		return fmt.Errorf("was\n\t%s\nis\n\t%s", strings.Join(want, "\n\t"), strings.Join(old, "\n\t"))
	}
	if text != "" && was.name == "INBOX" && added != 2 {
		return fmt.Errorf("%d of 2 new messages", added)
	}
	return nil
}

func (m *gotMessage) String() string {
	return fmt.Sprintf("%d %q %s", m.uid, m.flags, m.text)
}
