package store

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"kurir/internal/fsx/fsxtest"
)

// TestKill kills the process in the middle of the script's operations: from one call on,
// nothing more reaches the disk. The system lives on, another process opens the store and
// tells what it finds; then the power is cut. What was told before and between holds.
func TestKill(t *testing.T) {
	whole := newScript(t)
	whole.run()
	length := whole.rec.Len()
	kills := min(wantedStates(t)/15, length)
	for i := range kills {
		n := 1 + i*length/kills
		w, killed := killAt(t, n)
		if !killed {
			break
		}
		v := whole.trial(len(w.states)-1, fsxtest.All)
		v.before = w.states[len(w.states)-1]
		v.after = v.after.clone() // of another run, with other ids
		for key, b := range v.after.boxes {
			b.id = ""
			if was := v.before.boxes[key]; was != nil {
				b.id = was.id
			}
		}
		told, err := v.recover(w.dir, w.rec, "boot-1")
		if err != nil {
			t.Fatalf("killed at call %d: %v", n, err)
		}
		v.compare(told)
		for _, err := range v.errs {
			t.Errorf("killed at call %d: %v", n, err)
		}
		for _, drop := range []bool{false, true} {
			st := aState{prefix: w.rec.Len(), mode: fsxtest.Strict, drop: drop}
			c := w.rec.After(st.prefix, st.mode, 0)
			err := inState(t, c, st, func(_ testing.TB, _ *fsxtest.Crash, _ aState, dir string) error {
				return v.again(told, slices.Collect(maps.Keys(told)), st.mode).reopen(dir, "boot-2", false)
			})
			if err != nil {
				t.Errorf("killed at call %d, then the power was cut: %v\n%v", n, err, c)
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills", kills)
}

// killAt runs the script until its nth change of the disk, and kills it there.
func killAt(t *testing.T, n int) (w *script, killed bool) {
	w = newScript(t)
	faulty := fsxtest.NewFaulty(w.rec)
	faulty.Fail(n, fsxtest.Changes, fsxtest.Fault{Err: syscall.EIO, Forever: true})
	w.fs = faulty
	w.dead = func() bool { return faulty.Fired() > 0 }
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(died); !ok {
				panic(p)
			}
			killed = true
		}
		if w.s != nil && !w.s.isClosed() {
			w.s.kill()
		}
	}()
	w.run()
	return w, false
}

// TestKillBeforeSync kills the process when a mailbox is made but its name is not durable.
// The next run finds it and takes mail for it: no power cut may take that back.
func TestKillBeforeSync(t *testing.T) {
	w := newScript(t)
	faulty := fsxtest.NewFaulty(w.rec)
	w.fs = faulty
	w.open()
	w.createAccount(alice)
	a, err := w.s.Account(w.ctx, alice)
	w.must(err)
	faulty.Fail(2, func(c fsxtest.Call) bool { return c.Kind == fsxtest.SyncDir && c.Name == a.dir }, fsxtest.Fault{Err: syscall.EIO, Forever: true})
	if err := a.Create(w.ctx, "made", ""); err == nil {
		t.Fatal("CREATE said nothing of a failed sync")
	}
	w.s.kill()
	w.fs = nil
	w.open()
	w.add(alice, "made")
	w.deliver(0, alice+"/made")
	w.s.kill()
	c := w.rec.After(w.rec.Len(), fsxtest.Strict, 0)
	err = inState(t, c, aState{}, func(_ testing.TB, _ *fsxtest.Crash, _ aState, dir string) error {
		return w.trial(len(w.states)-1, fsxtest.Strict).reopen(dir, "boot-2", true)
	})
	if err != nil {
		t.Errorf("%v\n%v", err, c)
	}
}

// TestOlderIndexIsNotTrusted puts an index back from before the last clean stop.
func TestOlderIndexIsNotTrusted(t *testing.T) {
	w := newScript(t)
	w.open()
	w.createAccount(alice)
	w.append(alice, "INBOX", 2, FlagSet{})
	w.look(alice, "INBOX")
	w.restart()
	index := filepath.Join(w.dir, indexOf(t, alice))
	old, err := os.ReadFile(index)
	w.must(err)
	w.store(alice, "INBOX", AddFlags, FlagSet{Flags: Seen}, 1)
	w.append(alice, "INBOX", 1, FlagSet{})
	w.look(alice, "INBOX")
	w.must(w.s.Close())
	w.must(os.WriteFile(index, old, 0o600))
	v := w.trial(len(w.states)-1, fsxtest.All)
	if err := v.reopen(w.dir, "boot-1", true); err != nil {
		t.Error(err)
	}
}
