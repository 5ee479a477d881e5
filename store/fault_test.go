package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"kurir/internal/fsx"
	"kurir/internal/fsx/fsxtest"
)

// faultTemplate makes the store that every case begins with a copy of: INBOX has UIDs 1
// to 3 and a message not taken in yet.
func faultTemplate(t *testing.T) string {
	dir := memDir(t)
	f := &faultCase{t: t, ctx: t.Context(), dir: dir, fs: fsxtest.NewFaulty(fsx.OS{})}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "queue"), 0o700))
	must(f.open())
	for _, address := range []string{alice, bob} {
		must(f.s.CreateAccount(f.ctx, address))
	}
	must(f.account(func(a *Account) error {
		return errors.Join(a.Create(f.ctx, "a", ""), a.Create(f.ctx, "a/b", ""))
	}))
	for _, name := range []string{"INBOX", "INBOX", "INBOX", "Archive", "a", "a/b"} {
		must(f.in(name, func(_ *Account, m *Mailbox) error {
			st, err := f.staged("Subject: old in " + name + fmt.Sprint(m.count.uidNext) + "\r\n\r\nold\r\n")
			if err != nil {
				return err
			}
			defer st.Close()
			flags := FlagSet{Keywords: []string{"work", name}}
			if m.count.uidNext == 2 {
				flags.Flags = Deleted
			}
			_, err = m.Append(f.ctx, []Appending{{Message: st, Flags: flags}})
			return err
		}))
	}
	st, err := f.staged("Subject: not seen yet\r\n\r\nx\r\n")
	must(err)
	_, err = f.s.Deliver(f.ctx, st, []Target{{Address: alice}, {Address: bob}})
	must(err)
	must(st.Close())
	must(f.s.Close())
	return dir
}

// newCase copies the template.
func (op *faultOp) newCase(t testing.TB, template, dir string) (*faultCase, error) {
	if err := copyTree(dir, template); err != nil {
		return nil, err
	}
	rec, err := fsxtest.NewRecorder(dir, fsxtest.Database{Name: indexOf(t, alice), Lazy: true}, fsxtest.Database{Name: indexOf(t, bob), Lazy: true})
	if err != nil {
		return nil, err
	}
	f := &faultCase{t: t, ctx: context.Background(), dir: dir, rec: rec, spill: op.spill, fs: fsxtest.NewFaulty(rec)}
	if op.apart {
		f.fs = fsxtest.NewFaulty(apartFS{rec})
	}
	return f, nil
}

func (f *faultCase) observe() (map[string]*gotAccount, error) {
	return (&trial{before: &promises{}, after: &promises{}, all: true}).observeAll(f.ctx, f.s)
}

// promised turns what was seen before an operation, or after it went well, into promises.
// Of mailboxes and messages that are not in old no id or UID is promised.
func promised(got map[string]*gotAccount, old *promises) *promises {
	p := &promises{map[string]bool{}, map[int]*box{}, map[string][]string{}}
	next := 0
	if old != nil {
		next = 1000
	}
	for _, address := range []string{alice, bob, robert} {
		g := got[address]
		if g == nil {
			continue
		}
		p.accounts[address] = true
		p.subs[address] = g.subs
		for _, b := range g.boxes {
			n, key, was := &box{account: address, name: b.name, told: map[UID]string{}}, next, (*box)(nil)
			next++
			if old == nil {
				n.id, n.validity, n.next, n.modseq = b.id, b.validity, b.next, b.modseq
			} else {
				for k, o := range old.boxes {
					if o.id == b.id {
						key, was = k, o
						n.id, n.validity, n.next, n.modseq, n.told = o.id, o.validity, o.next, o.modseq, maps.Clone(o.told)
					}
				}
			}
			for _, m := range b.msgs {
				q := promise{text: m.text, flags: m.flags}
				if (old == nil || was != nil && was.at(m.uid) != nil) && !strings.Contains(m.text, "not seen yet") {
					q.uid, q.date = m.uid, m.date
					n.told[m.uid] = m.text
				}
				n.msgs = append(n.msgs, q)
			}
			if old == nil { // the message not seen yet gets its UID later
				n.next = 1
				for uid := range n.told {
					n.next = max(n.next, uid+1)
				}
				n.modseq = 1
			}
			p.boxes[key] = n
		}
	}
	return p
}

// A faultPlan is one way to fail.
type faultPlan struct {
	fault fsxtest.Fault
	match func(fsxtest.Call) bool
	kind  error
	cut   bool // cut the power at the end
	step  int  // 1: every call; n: every nth
}

func faultPlans(t *testing.T) []faultPlan {
	reads := fsxtest.Kinds(fsxtest.Open, fsxtest.Read, fsxtest.Stat, fsxtest.FileStat, fsxtest.ReadNames)
	all := wantedStates(t) > crashStates
	plans := []faultPlan{
		{fsxtest.Fault{Err: syscall.EIO}, fsxtest.Changes, ErrUnavailable, true, 1},
		{fsxtest.Fault{Err: syscall.ENOSPC, Partial: true}, fsxtest.Changes, ErrDiskFull, all, 4},
	}
	if all {
		plans[1].step = 1
		plans = append(plans, faultPlan{fsxtest.Fault{Err: syscall.EIO}, reads, ErrUnavailable, true, 1},
			faultPlan{fsxtest.Fault{Err: syscall.EIO, Done: true}, fsxtest.Kinds(fsxtest.SyncDir, fsxtest.Rename, fsxtest.RenameNoReplace, fsxtest.Link), ErrUnavailable, true, 1})
	} else if !testing.Short() {
		plans = append(plans, faultPlan{fsxtest.Fault{Err: syscall.EIO}, reads, ErrUnavailable, false, 8})
	}
	return plans
}

// TestFaults has each call of each operation fail once in turn.
func TestFaults(t *testing.T) {
	template := faultTemplate(t)
	before := faultFree(t, template, &faultOp{do: func(*faultCase) error { return nil }}, nil)
	for _, op := range faultOps {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			after := faultFree(t, template, &op, before)
			for _, plan := range faultPlans(t) {
				if plan.fault.Done && strings.HasSuffix(op.name, "account") {
					continue
				}
				step := plan.step
				if op.long && wantedStates(t) <= crashStates {
					step *= 5
				}
				for n := 1; ; n += step {
					fired, err := op.fail(t, template, before, after, n, &plan)
					if err != nil {
						t.Fatalf("call %d, %v: %v", n, plan.fault, err)
					}
					if !fired {
						break
					}
				}
			}
		})
	}
}

// faultFree runs the operation without faults and says what there is then.
func faultFree(t *testing.T, template string, op *faultOp, before *promises) *promises {
	f, err := op.newCase(t, template, filepath.Join(memDir(t), "data"))
	if err == nil && !op.noOpen {
		err = f.open()
	}
	if err == nil {
		err = op.do(f)
	}
	if err == nil && f.s.isClosed() {
		err = f.open()
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.observe()
	f.s.Close()
	if err != nil {
		t.Fatal(err)
	}
	return promised(got, before)
}

// fail runs the operation with its nth call failing. It says whether there was such a
// call, and what was wrong.
func (op *faultOp) fail(t *testing.T, template string, before, after *promises, n int, plan *faultPlan) (fired bool, err error) {
	dir, err := os.MkdirTemp(filepath.Dir(template), "fault-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	f, err := op.newCase(t, template, filepath.Join(dir, "data"))
	if err != nil {
		return false, err
	}
	if !op.noOpen {
		if err := f.open(); err != nil {
			return false, err
		}
	}
	defer func() {
		if f.s != nil && !f.s.isClosed() {
			f.s.Close()
		}
	}()
	if op.warm {
		if _, err := f.observe(); err != nil {
			return false, err
		}
	}
	f.fs.Reset()
	f.fs.Fail(n, plan.match, plan.fault)
	first := op.do(f)
	if f.fs.Fired() == 0 {
		return false, first
	}
	call := failedCall(f.fs, n, plan.match)
	if err := op.judge(f, first, before, after, plan); err != nil {
		return true, fmt.Errorf("%v failed, the operation said %v:\n%w", call, first, err)
	}
	return true, nil
}

func failedCall(fs *fsxtest.Faulty, n int, match func(fsxtest.Call) bool) fsxtest.Call {
	for _, c := range fs.Calls() {
		if match(c) {
			if n--; n == 0 {
				return c
			}
		}
	}
	return fsxtest.Call{}
}

// judge looks at what an operation left that said first.
func (op *faultOp) judge(f *faultCase, first error, before, after *promises, plan *faultPlan) error {
	if again := f.fs.Resynced(); len(again) > 0 {
		return fmt.Errorf("synced again after a failed sync: %v", again)
	}
	if first != nil && !op.noOpen && op.name != "close" && !errors.Is(first, plan.kind) && !errors.Is(first, errPartial) {
		return fmt.Errorf("the kind is not %v", plan.kind)
	}
	if left := f.inStage(); len(left) > 0 && op.name != "create account" && failedCall(f.fs, 1, fsxtest.Kinds(fsxtest.Remove)).Kind == "" {
		return fmt.Errorf("left over: %v", left)
	}
	f.fs.Reset()
	if f.s == nil || f.s.isClosed() {
		if err := f.open(); err != nil {
			return fmt.Errorf("opening it again: %w", err)
		}
		first = nil
	}
	v := &trial{before: before, after: after, all: true}
	switch {
	case first == nil:
		v.before = after
	case op.whole && !errors.Is(first, errPartial):
		v.after = before
	}
	told, err := v.observeAll(f.ctx, f.s)
	if err != nil {
		return err
	}
	if v.compare(told); len(v.errs) > 0 {
		return errors.Join(v.errs...)
	}
	return op.retry(f, first, told, before, after, plan)
}

// inStage lists what is left in stage/.
func (f *faultCase) inStage() []string {
	return slices.DeleteFunc(leftovers(f.dir), func(p string) bool { return filepath.Dir(p) != "stage" })
}

// retry runs the operation once more, if it had failed, and checks that what was told
// then outlives the process, and a power cut.
func (op *faultOp) retry(f *faultCase, first error, told map[string]*gotAccount, before, after *promises, plan *faultPlan) error {
	final := &trial{before: after, after: after, all: true}
	if first != nil {
		err := op.do(f)
		known := slices.ContainsFunc(op.again, func(e error) bool { return errors.Is(err, e) })
		if err != nil && !known {
			return fmt.Errorf("the second attempt failed: %w", err)
		}
		if known {
			final.before = before
		}
		now, err := final.observeAll(f.ctx, f.s)
		if err != nil {
			return err
		}
		if final.compare(now); len(final.errs) > 0 {
			return fmt.Errorf("after the second attempt: %w", errors.Join(final.errs...))
		}
		if err := sameMeaning(told, now); err != nil {
			return fmt.Errorf("after the second attempt: %w", err)
		}
		told = now
	}
	f.s.kill()
	if !plan.cut {
		return f.killed(told, final)
	}
	var accounts []string
	for address := range told {
		accounts = append(accounts, address)
	}
	c := f.rec.After(f.rec.Len(), fsxtest.Strict, 0)
	err := inState(f.t, c, aState{drop: true}, func(_ testing.TB, _ *fsxtest.Crash, _ aState, dir string) error {
		v := &trial{before: final.before, after: after, told: told, toldOf: accounts, all: true}
		if err := v.reopen(dir, "boot-2", false); err != nil {
			return fmt.Errorf("after a power cut: %w\n%v", err, c)
		}
		if left := leftovers(dir); len(left) > 0 {
			return fmt.Errorf("left over after a power cut and an opening: %v", left)
		}
		return nil
	})
	return errors.Join(err, f.killed(told, final))
}

// killed opens the store again in the same boot.
func (f *faultCase) killed(told map[string]*gotAccount, final *trial) error {
	var accounts []string
	for address := range told {
		accounts = append(accounts, address)
	}
	v := &trial{before: final.before, after: final.after, told: told, toldOf: accounts, all: true}
	if err := v.reopen(f.dir, "boot-1", false); err != nil {
		return fmt.Errorf("after a kill: %w", err)
	}
	if left := leftovers(f.dir); len(left) > 0 {
		return fmt.Errorf("left over after a kill and an opening: %v", left)
	}
	return nil
}

// sameMeaning checks that no UID means something else than before, and nothing went back.
func sameMeaning(was, is map[string]*gotAccount) error {
	var errs []error
	for address, a := range was {
		if is[address] == nil {
			continue
		}
		for name, b := range a.boxes {
			c := is[address].boxes[name]
			if c == nil || c.id != b.id {
				continue
			}
			texts := map[UID]string{}
			for _, m := range b.msgs {
				texts[m.uid] = m.text
			}
			for _, m := range c.msgs {
				if text, ok := texts[m.uid]; ok && text != m.text || !ok && m.uid < b.next {
					errs = append(errs, fmt.Errorf("%s: UID %d was %q, is %q", name, m.uid, text, m.text))
				}
			}
			if c.next < b.next || c.modseq < b.modseq || c.validity != b.validity {
				errs = append(errs, fmt.Errorf("%s: %d %d %d went back to %d %d %d", name, b.validity, b.next, b.modseq, c.validity, c.next, c.modseq))
			}
		}
	}
	return errors.Join(errs...)
}
