package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/relay"
)

// refuse makes the database refuse events of a kind until allow.
func (r *rig) refuse(kind string) (allow func()) {
	r.t.Helper()
	if _, err := r.db.Exec(fmt.Sprintf(`CREATE TRIGGER trouble BEFORE INSERT ON queue_event WHEN NEW.kind = '%s' BEGIN SELECT RAISE(ABORT, 'trouble'); END`, kind)); err != nil {
		r.t.Fatal(err)
	}
	return func() {
		if _, err := r.db.Exec(`DROP TRIGGER trouble`); err != nil {
			r.t.Fatal(err)
		}
	}
}

// What can't be written leaves no file: clients try again and again, and would fill the disk.
func TestRefusedLeavesNoFiles(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits = Limits{MessagesHour: 1} })
	allow := r.refuse(EventAccepted)
	e := Envelope{Sender: "alice@local.test", Recipients: []Recipient{{Address: "bob@example.net"}},
		Delivered: []Recipient{{Address: "a@local.test", Notify: relay.NotifySuccess}}}
	for range 5 {
		if _, err := r.accept(e); err == nil {
			t.Fatal("taken")
		}
	}
	if got := r.files(); len(got) != 0 || r.waiting() != nothing {
		t.Errorf("%v, %s", got, r.waiting())
	}
	allow()
	r.mustAccept(e)
	if r.run(); len(r.got()) != 1 || len(r.box("alice@local.test")) != 1 || len(r.files()) != 0 {
		t.Error(r.got(), r.files())
	}
	// Nor do notices.
	r.hosts = func(c *call) *relay.Result { return c.all(deferred(451, "4.7.1", "Later")) }
	r.submit("alice@local.test", "carol@example.net")
	allow = r.refuse(EventNotice)
	for range 5 {
		r.run()
		r.now = r.now.Add(5 * time.Hour)
		if _, err := r.q.Bounce(r.ctx, Selection{}); err == nil {
			t.Error("returned")
		}
	}
	if got := r.files(); len(got) != 1 {
		t.Errorf("%d files", len(got))
	}
	allow()
	if r.run(); len(r.box("alice@local.test")) != 2 {
		t.Error("the notice of delay did not come")
	}
	allow = r.refuse(EventLimit)
	for range 3 {
		r.send("eve@local.test", 1)
	}
	allow()
	if got := r.files(); len(got) != 4 {
		t.Errorf("%d files", len(got))
	}
}

// stubborn can't remove files of some name.
type stubborn struct {
	fsx.FS
	part string
}

func (s stubborn) Remove(name string) error {
	if strings.Contains(name, s.part) {
		return syscall.EIO
	}
	return s.FS.Remove(name)
}

// A leftover that can't be removed is no reason not to start.
func TestStubbornLeftover(t *testing.T) {
	r := newRig(t)
	for _, n := range []string{"bad", "good"} {
		if err := os.WriteFile(filepath.Join(r.dir, "queue", filePrefix+n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.fs = stubborn{fsx.OS{}, "bad"}
	r.reopen()
	if got := r.files(); len(got) != 1 || !strings.HasSuffix(got[0], "bad") || !strings.Contains(r.logged.String(), "could not be removed") {
		t.Error(got)
	}
}

// A worker that has work for hours does not make what is due meanwhile wait.
func TestDueWhileBusy(t *testing.T) {
	bubble(t, func(o *Options) { o.PerDestination = 1 }, func(t *testing.T, r *rig) {
		first := r.submit("alice@local.test", "first@big.test")
		for range 300 {
			r.submit("alice@local.test", "bob@big.test")
		}
		r.hosts = func(c *call) *relay.Result {
			time.Sleep(10 * time.Second)
			if c.m.ID == first {
				return c.all(deferred(451, "4.7.1", "Later"))
			}
			return r.take(c)
		}
		stop := r.start()
		time.Sleep(45 * time.Minute)
		stop()
		if c, _ := r.q.Waiting(r.ctx); c.Remote < 20 {
			t.Error("too little to do")
		}
		// It goes behind those that came with it, which have waited longer.
		r.q.mu.Lock()
		defer r.q.mu.Unlock()
		for _, w := range r.q.rows {
			if w.mail.id == first && !w.to.ready.has(w) {
				t.Error("what is due does not wait for its turn")
			}
		}
	})
}

// Mailboxes here do not wait for hosts that do not answer.
func TestLocalWaitsForNobody(t *testing.T) {
	bubble(t, func(o *Options) { o.InAll = 2 }, func(t *testing.T, r *rig) {
		r.hosts = func(c *call) *relay.Result {
			time.Sleep(time.Hour)
			return c.unreachable()
		}
		for n := range 20 {
			r.submit("", fmt.Sprintf("bob@d%d.test", n))
		}
		stop := r.start()
		time.Sleep(time.Second)
		for n := range 30 {
			if err := r.keep("who@local.test", fmt.Sprintf("a%d@local.test", n)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(61 * time.Second)
		if c, _ := r.q.Waiting(r.ctx); c.Local != 0 || c.Sending != 2 {
			t.Errorf("%+v", c)
		}
		time.Sleep(time.Hour)
		stop()
	})
}

// Destinations that have failed, however many, leave half of all attempts to the others.
func TestProbesLeaveRoom(t *testing.T) {
	bubble(t, func(o *Options) { o.InAll = 4 }, func(t *testing.T, r *rig) {
		start := time.Now()
		var mu sync.Mutex
		open, most := 0, 0
		r.hosts = func(c *call) *relay.Result {
			if c.destination == "good.test" {
				return r.take(c)
			}
			if time.Since(start) > time.Minute {
				mu.Lock()
				open++
				most = max(most, open)
				mu.Unlock()
				time.Sleep(10 * time.Minute)
				mu.Lock()
				open--
				mu.Unlock()
			}
			return c.unreachable()
		}
		for n := range 20 {
			r.submit("alice@local.test", fmt.Sprintf("bob@dead%d.test", n))
		}
		stop := r.start()
		time.Sleep(10 * time.Minute)
		for range 10 {
			r.submit("alice@local.test", "carol@good.test")
		}
		time.Sleep(time.Second)
		mu.Lock()
		if got := fmt.Sprint(r.got()); got != "[carol@good.test*10]" || most != 2 {
			t.Errorf("%s, %d at a time", got, most)
		}
		mu.Unlock()
		time.Sleep(4 * time.Hour)
		stop()
		var n int
		if err := r.db.QueryRow(`SELECT COUNT(*) FROM queue_destination WHERE failures >= 2`).Scan(&n); err != nil || n != 20 {
			t.Errorf("%d destinations were tried again, %v", n, err)
		}
		if r.q.probing != 0 || r.q.active != 0 {
			t.Errorf("%d probing, %d active", r.q.probing, r.q.active)
		}
	})
}

// An attempt that began before its destination was closed is part of the same failure.
func TestOneFailureIsCountedOnce(t *testing.T) {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result { return c.unreachable() }
	r.submit("alice@local.test", "bob@example.net")
	r.q.mu.Lock()
	r.q.advance(r.q.now())
	j := r.q.claim()
	j.to.failures, j.to.next = 1, r.q.now()+300_000
	r.q.close(j.to, r.q.now())
	r.q.mu.Unlock()
	r.q.work(r.ctx, r.ctx, j)
	if j.to.failures != 1 || !j.to.closed() || j.to.doomed != 0 {
		t.Errorf("%d failures", j.to.failures)
	}
	r.hosts = nil
	if r.expire(); len(r.got()) != 1 {
		t.Error(r.got())
	}
}

// An attempt that is broken off, or never got so far as to be made, says nothing about its
// destination, which stays as it is, also over a restart.
func TestFailingDestinationStaysSo(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.hosts = func(c *call) *relay.Result { return c.unreachable() }
		r.submit("alice@local.test", "bob@example.net")
		stop := r.start()
		time.Sleep(4 * time.Minute)
		failures := func() (n int) {
			if err := r.db.QueryRow(`SELECT COALESCE(SUM(failures), 0) FROM queue_destination`).Scan(&n); err != nil {
				t.Error(err)
			}
			return n
		}
		r.q.mu.Lock()
		r.hosts = func(c *call) *relay.Result {
			<-c.ctx.Done()
			return c.all(deferred(0, "4.3.2", "Stopped"))
		}
		r.q.mu.Unlock()
		time.Sleep(2 * time.Minute)
		stop()
		if n := failures(); n != 1 {
			t.Errorf("%d failures after an attempt that was broken off", n)
		}
		r.reopen()
		for _, f := range r.files() {
			os.Remove(f)
		}
		stop = r.start()
		time.Sleep(time.Minute)
		stop()
		if n := failures(); n != 1 {
			t.Errorf("%d failures after a message that could not be read", n)
		}
	})
}

// The end of Run comes just before the final dot: the message is not finished, nothing is
// marked, and nobody gets it twice.
func TestStoppedBeforeTheDot(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.hosts = func(c *call) *relay.Result {
			<-c.ctx.Done()
			return r.take(c)
		}
		id := r.submit("alice@local.test", "bob@example.net")
		stop := r.start()
		time.Sleep(time.Second)
		stop()
		var marked int
		if err := r.db.QueryRow(`SELECT COUNT(*) FROM queue_recipient WHERE marked > 0`).Scan(&marked); err != nil || marked != 0 || len(r.got()) != 0 {
			t.Errorf("%d marked, %v, %v", marked, err, r.got())
		}
		r.hosts = nil
		r.reopen()
		stop = r.start()
		time.Sleep(time.Second)
		stop()
		if got := r.kinds(id); got != "accepted sent" || len(r.got()) != 1 {
			t.Error(got, r.got())
		}
	})
}

// It comes while the mark is written: what the transport says then is what counts.
func TestStoppedWithinTheMark(t *testing.T) {
	for _, o := range []relay.Outcome{
		deferred(0, "4.3.2", "Stopped"),
		{Uncertain: true, Reply: relay.Reply{Status: "4.4.2", Text: "Stopped"}},
		{Action: relay.Sent, Reply: relay.Reply{Code: 250, Status: "2.0.0"}},
	} {
		r := newRig(t)
		id := r.submit("alice@local.test", "bob@example.net")
		work, cancel := context.WithCancel(r.ctx)
		r.hosts = func(c *call) *relay.Result {
			if err := c.before(c.ctx); err != nil {
				t.Error(err)
			}
			cancel()
			return c.all(o)
		}
		r.q.mu.Lock()
		j := r.q.claim()
		r.q.mu.Unlock()
		r.q.work(work, work, j)
		r.reopen()
		want := map[bool]string{false: "accepted sent", true: "accepted uncertain sent"}[o.Uncertain]
		r.hosts = nil
		if r.run(); r.kinds(id) != want {
			t.Errorf("%+v: %s", o, r.kinds(id))
		}
	}
}

// The order of what is ready survives the administrator's commands.
func TestOrderAfterRetry(t *testing.T) {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result { return c.unreachable() }
	var ids []string
	for range 20 {
		ids = append(ids, r.submit("alice@local.test", "bob@example.net"))
		r.now = r.now.Add(time.Second)
	}
	r.run()
	r.now = r.now.Add(time.Minute)
	if _, err := r.q.Retry(r.ctx, Selection{Filter: Filter{IDs: ids[:7]}}); err != nil {
		t.Fatal(err)
	}
	h := &r.q.destinations["example.net"].ready
	for i, x := range h.items {
		if p := h.items[max(0, (i-1)/2)]; i > 0 && h.less(x, p) {
			t.Errorf("%d of %d is out of order", i, len(h.items))
		}
	}
}

// The same id twice: the second message is refused, the first unharmed, also of one that
// has left; and a group with such a one takes the others.
func TestSameID(t *testing.T) {
	r := newRig(t)
	e := Envelope{ID: "same", Sender: "alice@local.test", Recipients: []Recipient{{Address: "bob@example.net"}}}
	r.mustAccept(e)
	var all sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for n := range 20 {
		all.Go(func() {
			e := e
			if n%2 == 0 {
				e.ID = fmt.Sprint("other", n)
			}
			if _, err := r.accept(e); err != nil {
				mu.Lock()
				refused++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	r.consistent()
	if r.run(); fmt.Sprint(r.got()) != "[bob@example.net*11]" || refused != 10 || len(r.files()) != 0 {
		t.Error(r.got(), refused, r.files())
	}
}

// postmaster of our own host name, which is no domain here, is a sender as any other: what
// can't be delivered to him ends.
func TestOurselvesAsSender(t *testing.T) {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result { return c.all(failed(0, "5.4.6", "It leads back to this server.")) }
	r.submit("postmaster@mx.local.test", "mailer-daemon@mx.local.test")
	if rounds := r.expire(); rounds > 3 || r.waiting() != nothing || len(r.files()) != 0 {
		t.Errorf("%d rounds, %s", rounds, r.waiting())
	}
	var n int
	if err := r.db.QueryRow(`SELECT COUNT(*) FROM queue_message`).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d messages, %v", n, err)
	}
}

// Waits do not overflow.
func TestBackoffIsBounded(t *testing.T) {
	for _, most := range []time.Duration{time.Hour, math.MaxInt64 - 1, math.MaxInt64} {
		for _, times := range []int{1, 2, 62, 63, 64, 1 << 40} {
			if d := backoff(5*time.Minute, most, times); d <= 0 || d > most {
				t.Errorf("%d times: %v", times, d)
			}
		}
	}
}

// Texts that a stranger has a hand in are only ever data.
func TestHostileFilters(t *testing.T) {
	r := newRig(t)
	evil := `x'; DROP TABLE queue_recipient; --`
	r.mustAccept(Envelope{ID: evil, Sender: evil, Account: evil, Client: evil, Recipients: []Recipient{{Address: evil + "@example.net"}}})
	for _, f := range []Filter{{IDs: []string{evil}}, {Sender: evil}, {Account: evil}} {
		if got, err := r.q.List(r.ctx, f); err != nil || len(got) != 1 {
			t.Error(got, err)
		}
	}
	for _, f := range []Filter{{Domain: evil}, {Error: evil}, {State: evil}, {IDs: []string{"%"}}} {
		if got, err := r.q.List(r.ctx, f); err != nil || len(got) != 0 {
			t.Error(got, err)
		}
	}
	if _, err := r.q.Drop(r.ctx, Selection{Filter: Filter{IDs: []string{strings.Repeat("'", 1<<20)}}}); !errors.Is(err, ErrNoMessage) {
		t.Error("dropped")
	}
}
