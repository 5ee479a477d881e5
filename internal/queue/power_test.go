package queue

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/fsx/fsxtest"
)

// TestPowerCut cuts the power after every operation of a retry that succeeds for one
// recipient and ends in a notice for another. Once Keep has returned, each gets exactly
// one message; before, each gets one at most.
func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"mail/a@local.test", "mail/who@local.test"} {
		if err := fsx.MkdirAll(fsx.OS{}, filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r := &rig{t: t, dir: dir, fail: map[string]error{"b@local.test": ErrNoRecipient}, now: time.Unix(1_800_000_000, 0)}
	r.open() // makes the database, as the recorder sees only what is there
	r.db.Close()
	rec, err := fsxtest.NewRecorder(dir, fsxtest.Database{Name: "kurir.db"})
	if err != nil {
		t.Fatal(err)
	}
	r.fs = rec
	r.open()
	if err := r.keep("who@local.test", "a@local.test", "b@local.test"); err != nil {
		t.Fatal(err)
	}
	rec.Mark("kept")
	r.now = r.now.Add(time.Minute)
	r.run()
	rec.Mark("done")
	if n := rec.Len(); n < 20 {
		t.Fatalf("only %d operations", n)
	}
	r.db.Close()

	states := rec.Every(t, []fsxtest.Mode{fsxtest.Strict, fsxtest.Journal, fsxtest.All}, 2, func(t testing.TB, c *fsxtest.Crash, dir string) {
		after := &rig{t: t, dir: dir, fail: r.fail, now: r.now.Add(time.Hour), seq: 100}
		after.open()
		defer after.db.Close()
		after.run()
		a, who := after.box("a@local.test"), after.box("who@local.test")
		if len(a) > 1 || len(who) > 1 || len(after.files()) != 0 || after.waiting() != "0 retry, 0 held" {
			t.Errorf("%v: a has %d, sender %d, files %v, %s", c, len(a), len(who), after.files(), after.waiting())
		}
		if len(c.Marks()) > 0 && (len(a) != 1 || len(who) != 1 || a[0] != testMessage) {
			t.Errorf("%v: lost: a has %q, sender %d", c, a, len(who))
		}
	})
	if states < 30 {
		t.Errorf("only %d states", states)
	}
}

// TestEachCallFails makes each call to the file system fail in turn: what was kept is
// delivered all the same, once.
func TestEachCallFails(t *testing.T) {
	for n := 1; ; n++ {
		r := newRig(t)
		faulty := fsxtest.NewFaulty(fsx.OS{})
		r.fs = faulty
		r.reopen()
		r.fail["b@local.test"] = ErrNoRecipient
		faulty.Reset()
		faulty.Fail(n, fsxtest.Changes, fsxtest.Fault{Err: syscall.ENOSPC, Partial: true})
		want := 1
		if err := r.keep("who@local.test", "a@local.test", "b@local.test"); err != nil {
			if want = 0; !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
		}
		for range 10 {
			r.now = r.now.Add(time.Hour)
			r.run()
		}
		fired := faulty.Fired()
		r.fs = nil
		r.reopen() // removes what could not be removed
		a, who := r.box("a@local.test"), r.box("who@local.test")
		if len(a) != want || len(who) != want || len(r.files()) != 0 || r.waiting() != "0 retry, 0 held" {
			t.Errorf("call %d failed: a has %d, sender %d, files %v, %s", n, len(a), len(who), r.files(), r.waiting())
		}
		if again := faulty.Resynced(); len(again) > 0 {
			t.Errorf("call %d failed: synced again: %v", n, again)
		}
		os.RemoveAll(r.dir)
		if fired == 0 {
			return
		}
	}
}
