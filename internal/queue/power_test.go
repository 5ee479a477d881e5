package queue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/fsx/fsxtest"
	"kurir/internal/relay"
)

// scene is one message to all kinds of recipients: at a host that takes it, one that
// refuses it, one that defers it first; a mailbox here that takes it, and one that is
// gone; one that has it already and wants that reported. Its sender gets three reports.
func (r *rig) scene() {
	r.fail["b@local.test"] = ErrNoRecipient
	r.hosts = func(c *call) *relay.Result {
		switch {
		case c.destination == "bad.test":
			if err := c.before(c.ctx); err != nil {
				return c.all(deferred(0, "4.3.0", err.Error()))
			}
			return c.all(failed(554, "5.7.1", "Spam"))
		case c.destination == "later.test" && r.now.Before(time.Unix(1_800_000_300, 0)):
			return c.all(deferred(451, "4.7.1", "Greylisted"))
		}
		return r.take(c)
	}
}

func sceneEnvelope() Envelope {
	return Envelope{Sender: "who@local.test", Account: "who@local.test",
		Recipients: []Recipient{{Address: "bob@good.test"}, {Address: "dan@bad.test"}, {Address: "carol@later.test"},
			{Address: "team@local.test", Account: "a@local.test", Err: errors.New("busy")},
			{Address: "team@local.test", Account: "b@local.test", Err: errors.New("busy")}},
		Delivered: []Recipient{{Address: "c@local.test", Notify: relay.NotifySuccess}}}
}

// rounds are the times at which the scene goes on.
func (r *rig) rounds() {
	r.run()
	r.now = r.now.Add(time.Minute)
	r.run()
	r.now = r.now.Add(10 * time.Minute)
	r.run()
}

// end lets the scene come to its end, and says what each has got: other hosts, with what
// they had taken before, a's mailbox, and the sender's reports.
func (r *rig) end(before ...string) string {
	r.rounds()
	r.now = r.now.Add(2 * time.Hour)
	r.run()
	got := append(r.got(), before...)
	slices.Sort(got)
	reports := map[string]int{}
	for _, text := range r.box("who@local.test") {
		for _, about := range []string{"dan@bad.test", "team@local.test", "c@local.test"} {
			if strings.Contains(text, "Final-Recipient: rfc822; "+about) {
				reports[about]++
			}
		}
	}
	return fmt.Sprint(got, " a:", len(r.box("a@local.test")), " ", reports, " ", len(r.files()), " files, ", r.waiting())
}

const sceneEnd = "[bob@good.test carol@later.test] a:1 map[c@local.test:1 dan@bad.test:1 team@local.test:1] 0 files, " + nothing

// fair says whether an end is one of a message that was accepted, or may have been: all
// have got it once, or nobody has; a second time at another host only if it was said.
func (r *rig) fair(end string, accepted bool) bool {
	for _, a := range []string{"bob@good.test", "carol@later.test"} {
		twice := strings.Contains(end, a+" "+a) || strings.Contains(end, a+"*2")
		var n int
		if err := r.db.QueryRow(`SELECT COUNT(*) FROM queue_event WHERE kind = $1 AND recipient = $2`, EventUncertain, a).Scan(&n); err != nil {
			r.t.Fatal(err)
		}
		if twice && n > 0 {
			end = strings.Replace(strings.Replace(end, a+" "+a, a, 1), a+"*2", a, 1)
		}
	}
	return end == sceneEnd || !accepted && end == "[] a:0 map[] 0 files, "+nothing
}

// TestScene is the scene without any mishap.
func TestScene(t *testing.T) {
	r := newRig(t)
	r.scene()
	id := r.mustAccept(sceneEnvelope())
	if end := r.end(); end != sceneEnd {
		t.Error(end)
	}
	if got := r.kinds(id); got != "accepted delivered notice sent failed notice deferred delivered failed notice sent" {
		t.Error(got)
	}
}

// TestPowerCut cuts the power after every operation of the scene. Once Commit has
// returned, each gets what is his; before, all do or nobody does.
func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"mail/a@local.test", "mail/who@local.test"} {
		if err := fsx.MkdirAll(fsx.OS{}, filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Unix(1_800_000_000, 0)
	r := &rig{t: t, ctx: t.Context(), dir: dir, fail: map[string]error{}, now: start}
	r.open() // makes the database, as the recorder sees only what is there
	r.db.Close()
	rec, err := fsxtest.NewRecorder(dir, fsxtest.Database{Name: "kurir.db"})
	if err != nil {
		t.Fatal(err)
	}
	r.fs = rec
	r.open()
	r.scene()
	r.onTake = func(c *call) {
		for _, to := range c.to {
			rec.Mark("sent " + to.Address)
		}
	}
	r.mustAccept(sceneEnvelope())
	rec.Mark("accepted")
	r.rounds()
	rec.Mark("done")
	if n := rec.Len(); n < 60 {
		t.Fatalf("only %d operations", n)
	}
	r.db.Close()

	states := rec.Every(t, []fsxtest.Mode{fsxtest.Strict, fsxtest.Journal, fsxtest.All}, 2, func(t testing.TB, c *fsxtest.Crash, dir string) {
		after := &rig{t: t, ctx: t.Context(), dir: dir, fail: map[string]error{}, now: start, seq: 100}
		after.scene()
		after.open()
		defer after.db.Close()
		var before []string
		accepted := false
		for _, m := range c.Marks() {
			if a, ok := strings.CutPrefix(m, "sent "); ok {
				before = append(before, a)
			}
			accepted = accepted || m == "accepted"
		}
		if end := after.end(before...); !after.fair(end, accepted) {
			t.Errorf("%v: accepted %v: %s", c, accepted, end)
		}
	})
	if states < 60 {
		t.Errorf("only %d states", states)
	}
}

// TestEachCallFails makes each call to the file system fail in turn: what was accepted
// comes to the same end.
func TestEachCallFails(t *testing.T) {
	for n := 1; ; n++ {
		r := newRig(t)
		faulty := fsxtest.NewFaulty(fsx.OS{})
		r.fs = faulty
		r.reopen()
		r.scene()
		faulty.Reset()
		faulty.Fail(n, fsxtest.Changes, fsxtest.Fault{Err: syscall.ENOSPC, Partial: true})
		_, err := r.accept(sceneEnvelope())
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		accepted := err == nil
		r.rounds()
		for range 10 {
			r.now = r.now.Add(time.Hour)
			r.run()
		}
		fired := faulty.Fired()
		r.fs = nil
		r.reopen() // removes what could not be removed
		end := r.end()
		// A report of success is no reason to refuse a message.
		end = strings.Replace(end, "map[dan", "map[c@local.test:1 dan", 1)
		if accepted && end != sceneEnd || !r.fair(end, accepted) {
			t.Errorf("call %d failed: accepted %v: %s", n, accepted, end)
		}
		if again := faulty.Resynced(); len(again) > 0 {
			t.Errorf("call %d failed: synced again: %v", n, again)
		}
		r.db.Close()
		os.RemoveAll(r.dir)
		if fired == 0 {
			if n < 40 {
				t.Errorf("only %d calls", n)
			}
			return
		}
	}
}

// TestKill stops the process before and after each operation of the scene. After a restart
// all come to the same end.
func TestKill(t *testing.T) {
	uncertain := 0
	for at := 0; ; at++ {
		for _, then := range []bool{false, true} {
			r := newRig(t)
			r.db.Close()
			r.kill = &killer{at: -1}
			r.open()
			r.scene()
			r.kill.n, r.kill.at, r.kill.then = 0, at, then
			_, err := r.acceptFast(sceneEnvelope())
			accepted := err == nil
			r.rounds()
			killed := r.kill.done
			r.reopen()
			if end := r.end(); !r.fair(end, accepted) {
				t.Fatalf("killed at %d (then %v), accepted %v: %s", at, then, accepted, end)
			}
			if strings.Contains(r.logged.String(), "the server stopped while it was being sent") {
				uncertain++
			}
			r.db.Close()
			os.RemoveAll(r.dir)
			if !killed {
				if at < 30 || uncertain != 8 {
					t.Errorf("%d operations seen, %d times uncertain", at, uncertain)
				}
				return
			}
		}
	}
}

// acceptFast is accept with a message whose file is not written through the killer.
func (r *rig) acceptFast(e Envelope) (Receipt, error) {
	k, err := r.q.Keep(received{fsx.OS{}, r.dir, testMessage})
	if err != nil {
		return Receipt{}, err
	}
	return k.Commit(r.ctx, e)
}
