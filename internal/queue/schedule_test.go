package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/relay"
)

// bubble runs a test with a rig whose time is the bubble's.
func bubble(t *testing.T, options func(*Options), f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) {
			if options != nil {
				options(o)
			}
		})
		r.clock = time.Now
		r.reopen()
		defer func() { r.db.Close() }()
		f(t, r)
	})
}

// log notes at which age of a test something happened.
type ages struct {
	mu    sync.Mutex
	start time.Time
	all   []string
}

func (a *ages) add(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, what+age(time.Since(a.start)))
}

func (a *ages) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.all, " ")
}

func age(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return strings.Replace(s, "h0m", "h", 1)
}

// RFC 5321 section 4.5.4.1: a host that defers is tried again from 5 minutes to 4 hours
// later, for 5 days; the last attempt is at the deadline.
func TestRetrySchedule(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		a := &ages{start: time.Now()}
		r.hosts = func(c *call) *relay.Result {
			a.add("")
			return c.all(deferred(451, "4.7.1", "Greylisted"))
		}
		stop := r.start()
		r.submit("alice@local.test", "bob@example.net")
		time.Sleep(4*time.Hour + 30*time.Minute)
		if n := len(r.box("alice@local.test")); n != 1 {
			t.Errorf("%d notices after 4h30m", n)
		}
		time.Sleep(6 * 24 * time.Hour)
		stop()
		want := "0s 5m 15m 35m 1h15m 2h35m 5h15m 9h15m 13h15m 17h15m 21h15m 25h15m 29h15m 33h15m 37h15m 41h15m 45h15m 49h15m 53h15m " +
			"57h15m 61h15m 65h15m 69h15m 73h15m 77h15m 81h15m 85h15m 89h15m 93h15m 97h15m 101h15m 105h15m 109h15m 113h15m 117h15m 120h"
		if got := a.String(); got != want {
			t.Errorf("tried at %s", got)
		}
		got := r.box("alice@local.test")
		if len(got) != 2 || !strings.Contains(got[0], "Action: delayed") || !strings.Contains(got[1], "Action: failed\nStatus: 5.4.7") ||
			!strings.Contains(got[1], "451 4.7.1 Greylisted") || r.waiting() != nothing {
			t.Errorf("%q, %s", got, r.waiting())
		}
	})
}

// The notice of delay comes once, at its time, whatever happens in between.
func TestDelayNoticeOnce(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.hosts = func(c *call) *relay.Result { return c.all(deferred(451, "4.7.1", "Greylisted")) }
		stop := r.start()
		r.submit("alice@local.test", "bob@example.net", "carol@example.org")
		time.Sleep(4*time.Hour - time.Second)
		if n := len(r.box("alice@local.test")); n != 0 {
			t.Errorf("%d notices before 4h", n)
		}
		time.Sleep(2 * time.Second)
		got := r.box("alice@local.test")
		if len(got) != 1 || strings.Count(got[0], "Action: delayed") != 2 || !strings.Contains(got[0], "Will-Retry-Until: Thu, 06 Jan 2000") {
			t.Fatalf("after 4h: %q", got)
		}
		stop()
		r.reopen()
		stop = r.start()
		time.Sleep(24 * time.Hour)
		if n := len(r.box("alice@local.test")); n != 1 {
			t.Errorf("%d notices after a day and a restart", n)
		}
		stop()
	})
}

// After a long night of the server, what is late is tried before anybody is told.
func TestLateStart(t *testing.T) {
	for night, want := range map[time.Duration]int{10 * time.Hour: 0, 6 * 24 * time.Hour: 0} {
		r := newRig(t)
		r.submit("alice@local.test", "bob@example.net", "carol@example.net")
		r.now = r.now.Add(night)
		r.reopen()
		if r.run(); len(r.got()) != 2 || len(r.box("alice@local.test")) != want {
			t.Errorf("after %v: %v, %q", night, r.got(), r.box("alice@local.test"))
		}
	}
	// What still does not work is given up past its deadline, without a notice of delay.
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result { return c.unreachable() }
	r.submit("alice@local.test", "bob@example.net")
	r.submit("alice@local.test", "carol@example.net")
	r.now = r.now.Add(6 * 24 * time.Hour)
	r.reopen()
	r.run()
	got := r.box("alice@local.test")
	if len(got) != 2 || !strings.Contains(got[0], "Action: failed") || !strings.Contains(got[1], "Action: failed") || r.waiting() != nothing {
		t.Errorf("%s: %q", r.waiting(), got)
	}
}

// A destination that fails as a whole is let be as a whole: one message is tried at a
// time, the others use up no attempts, and all go when it is back.
func TestWholeDestination(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		a := &ages{start: time.Now()}
		var up atomic.Bool
		r.hosts = func(c *call) *relay.Result {
			a.add("")
			if !up.Load() {
				return c.unreachable()
			}
			return r.take(c)
		}
		stop := r.start()
		for n := range 30 {
			r.submit("alice@local.test", fmt.Sprintf("u%d@example.net", n))
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		if got := a.String(); got != "0s 5m 15m 35m" {
			t.Errorf("tried at %s", got)
		}
		// A restart goes on where it stopped.
		stop()
		r.reopen()
		stop = r.start()
		time.Sleep(2 * time.Hour)
		if got := a.String(); got != "0s 5m 15m 35m 1h15m 2h35m" {
			t.Errorf("tried at %s", got)
		}
		entries, err := r.q.List(r.ctx, Filter{Error: "could be REACHED"})
		if err != nil || len(entries) != 30 || entries[7].Attempts != 0 || age(entries[7].Due.Sub(a.start)) != "5h15m" || entries[7].Status != "4.4.1" {
			t.Errorf("%d %v %+v", len(entries), err, entries[7])
		}
		if c, _ := r.q.Waiting(r.ctx); c.Failing != 1 || !c.Oldest.Equal(a.start) {
			t.Errorf("%+v", c)
		}
		time.Sleep(time.Hour + 30*time.Minute) // 4h30m
		if got := r.box("alice@local.test"); len(got) != 30 || !strings.Contains(got[3], "None of the mail servers could be reached") {
			t.Errorf("%d notices of delay", len(got))
		}
		up.Store(true)
		time.Sleep(44 * time.Minute)
		if len(r.got()) != 0 {
			t.Errorf("tried too early: %v", r.got())
		}
		time.Sleep(2 * time.Minute)
		if len(r.got()) != 30 || r.waiting() != nothing {
			t.Errorf("%d got it, %s", len(r.got()), r.waiting())
		}
		stop()
		var n int
		if err := r.db.QueryRow(`SELECT COUNT(*) FROM queue_destination`).Scan(&n); err != nil || n != 0 || len(r.q.destinations) != 0 {
			t.Errorf("%d destinations remembered, %v", n, err)
		}
	})
}

// The deadline comes while the destination is let be.
func TestWholeDestinationUntilTheDeadline(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.hosts = func(c *call) *relay.Result { return c.unreachable() }
		stop := r.start()
		for range 3 {
			r.submit("alice@local.test", "bob@example.net")
		}
		time.Sleep(5*24*time.Hour - time.Second)
		if n := len(r.box("alice@local.test")); n != 3 {
			t.Errorf("%d notices before the deadline", n)
		}
		time.Sleep(2 * time.Second)
		if got := r.box("alice@local.test"); len(got) != 6 || !strings.Contains(got[5], "Status: 5.4.7") || r.waiting() != nothing {
			t.Errorf("%d notices, %s", len(got), r.waiting())
		}
		time.Sleep(6 * time.Hour) // and it is forgotten
		stop()
		if len(r.q.destinations) != 0 {
			t.Errorf("%d destinations remembered", len(r.q.destinations))
		}
	})
}

// Attempts that fail together, as when a host stops answering, are one failure.
func TestWholeDestinationTogether(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		a := &ages{start: time.Now()}
		r.hosts = func(c *call) *relay.Result {
			a.add("")
			time.Sleep(30 * time.Second)
			return c.unreachable()
		}
		for range 20 {
			r.submit("alice@local.test", "bob@example.net")
		}
		stop := r.start()
		time.Sleep(20 * time.Minute)
		if got := a.String(); got != "0s 0s 0s 0s 0s 5m30s 16m" {
			t.Errorf("tried at %s", got)
		}
		stop()
	})
}

// A host that takes few connections at a time gets few: the refused ones are no failure of
// the destination.
func TestNarrowHost(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		var mu sync.Mutex
		open, refused := 0, 0
		r.hosts = func(c *call) *relay.Result {
			mu.Lock()
			if open == 3 {
				refused++
				mu.Unlock()
				return c.unreachable()
			}
			open++
			mu.Unlock()
			time.Sleep(time.Second)
			res := r.take(c)
			mu.Lock()
			open--
			mu.Unlock()
			return res
		}
		for range 100 {
			r.submit("alice@local.test", "bob@example.net")
		}
		stop := r.start()
		time.Sleep(3 * time.Minute)
		stop()
		if got := fmt.Sprint(r.got()); got != "[bob@example.net*100]" || refused > 40 {
			t.Errorf("%s, %d refused", got, refused)
		}
	})
}

// A destination begins with 5 attempts at a time, and gets more while it works.
func TestWindowGrows(t *testing.T) {
	bubble(t, func(o *Options) { o.PerDestination, o.InAll = 20, 30 }, func(t *testing.T, r *rig) {
		start := time.Now()
		var mu sync.Mutex
		open := map[string]int{}
		most := map[string][]int{}
		r.hosts = func(c *call) *relay.Result {
			mu.Lock()
			open[c.destination]++
			open["all"]++
			second := int(time.Since(start).Seconds())
			for _, k := range []string{c.destination, "all"} {
				for len(most[k]) <= second {
					most[k] = append(most[k], 0)
				}
				most[k][second] = max(most[k][second], open[k])
			}
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			open[c.destination]--
			open["all"]--
			mu.Unlock()
			return r.take(c)
		}
		for n := range 200 {
			r.submit("alice@local.test", fmt.Sprintf("bob@d%d.test", n%2))
		}
		stop := r.start()
		time.Sleep(20 * time.Second)
		stop()
		if got := most["d0.test"]; got[0] != 5 || got[1] != 10 || slices.Max(got) > 20 || slices.Max(got) < 15 {
			t.Errorf("one destination: %v", got)
		}
		if got := slices.Max(most["all"]); got != 30 {
			t.Errorf("in all: %v", most["all"])
		}
	})
}

// A destination with much mail holds up no other.
func TestFairness(t *testing.T) {
	bubble(t, func(o *Options) { o.InAll = 4 }, func(t *testing.T, r *rig) {
		a := &ages{start: time.Now()}
		r.hosts = func(c *call) *relay.Result {
			time.Sleep(time.Second)
			if c.destination != "big.test" {
				a.add(c.destination + " ")
			}
			return r.take(c)
		}
		for range 1000 {
			r.submit("alice@local.test", "bob@big.test")
		}
		for n := range 8 {
			r.submit("alice@local.test", fmt.Sprintf("bob@small%d.test", n))
		}
		stop := r.start()
		time.Sleep(20 * time.Second)
		stop()
		if got := a.String(); strings.Count(got, "small") != 8 || !strings.HasSuffix(got, " 3s") {
			t.Error(got)
		}
	})
}

// The end of Run lets attempts come to their end, for a while; those broken off count for
// nothing and are made again.
func TestGrace(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.hosts = func(c *call) *relay.Result {
			d := 5 * time.Second
			if c.destination == "slow.test" {
				d = time.Minute
			}
			select {
			case <-time.After(d):
				return r.take(c)
			case <-c.ctx.Done():
				return c.unreachable()
			}
		}
		r.submit("alice@local.test", "bob@quick.test", "carol@slow.test")
		stop := r.start()
		time.Sleep(time.Second)
		began := time.Now()
		stop()
		if d := time.Since(began); d != 10*time.Second || fmt.Sprint(r.got()) != "[bob@quick.test]" {
			t.Errorf("after %v: %v", d, r.got())
		}
		r.reopen()
		entries, err := r.q.List(r.ctx, Filter{})
		if err != nil || len(entries) != 1 || entries[0].Attempts != 0 || entries[0].Due.After(time.Now()) {
			t.Errorf("%+v, %v", entries, err)
		}
		stop = r.start()
		time.Sleep(2 * time.Minute)
		stop()
		if fmt.Sprint(r.got()) != "[bob@quick.test carol@slow.test]" {
			t.Error(r.got())
		}
		began = time.Now()
		r.start()()
		if d := time.Since(began); d != 0 {
			t.Errorf("an idle Run takes %v to end", d)
		}
	})
}

// What has happened is written down as soon as the database can be written again; until
// then nobody sends it once more.
func TestDatabaseTrouble(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.hosts = func(c *call) *relay.Result {
			res := r.take(c)
			if _, err := r.db.Exec(`CREATE TRIGGER trouble BEFORE DELETE ON queue_recipient BEGIN SELECT RAISE(ABORT, 'trouble'); END`); err != nil {
				t.Error(err)
			}
			return res
		}
		stop := r.start()
		r.submit("alice@local.test", "bob@example.net")
		time.Sleep(10 * time.Minute)
		if got := fmt.Sprint(r.got(), " ", r.waiting()); got != "[bob@example.net] 0 local, 1 remote, 0 held" {
			t.Error(got)
		}
		if _, err := r.db.Exec(`DROP TRIGGER trouble`); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		stop()
		if got := fmt.Sprint(r.got(), " ", r.waiting()); got != "[bob@example.net] "+nothing {
			t.Error(got)
		}
	})
}

// A message whose mark can't be written is not finished.
func TestMarkFails(t *testing.T) {
	r := newRig(t)
	r.submit("alice@local.test", "bob@example.net")
	if _, err := r.db.Exec(`CREATE TRIGGER trouble BEFORE UPDATE OF marked ON queue_recipient WHEN NEW.marked > 0 BEGIN SELECT RAISE(ABORT, 'trouble'); END`); err != nil {
		t.Fatal(err)
	}
	if next := r.run(); len(r.got()) != 0 || !next.Equal(r.now.Add(5*time.Minute)) {
		t.Errorf("%v, %v", r.got(), next)
	}
}

// Waits differ by up to 10 % either way.
func TestJitter(t *testing.T) {
	for rnd, want := range map[float64]time.Duration{0: 270 * time.Second, 0.5: 300 * time.Second, 1: 330 * time.Second} {
		r := newRig(t, func(o *Options) { o.Rand = func() float64 { return rnd } })
		r.hosts = func(c *call) *relay.Result { return c.all(deferred(450, "4.2.1", "Later")) }
		r.submit("alice@local.test", "bob@example.net")
		if next := r.run(); next.Sub(r.now) != want {
			t.Errorf("%v: %v", rnd, next.Sub(r.now))
		}
	}
}

// An answer that did not come after the final dot: the message may have arrived, and this
// is said.
func TestUncertain(t *testing.T) {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result {
		if err := c.before(c.ctx); err != nil {
			t.Error(err)
		}
		o := deferred(0, "4.4.2", "The connection broke.")
		o.Uncertain = true
		return c.all(o)
	}
	id := r.submit("alice@local.test", "bob@example.net")
	r.run()
	if got := r.kinds(id); got != "accepted uncertain deferred" || !strings.Contains(r.logged.String(), `level=WARN msg="message may have arrived, and is sent again"`) {
		t.Errorf("%s\n%s", got, r.logged.String())
	}
	r.reopen()
	if got := r.kinds(id); got != "accepted uncertain deferred" {
		t.Errorf("marked still: %s", got)
	}
}

// A process that ended between the mark and the outcome may have sent the message.
func TestFoundMarked(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(r.ctx)
	r.hosts = func(c *call) *relay.Result {
		res := r.take(c)
		r.db.Close()
		cancel()
		return res
	}
	id := r.submit("alice@local.test", "bob@example.net", "carol@example.net")
	r.ctx = ctx
	r.run()
	r.ctx = context.Background()
	r.hosts = nil
	r.reopen()
	if got := r.kinds(id); got != "accepted uncertain uncertain" || strings.Count(r.logged.String(), "level=WARN msg=\"message may have arrived") != 2 {
		t.Errorf("%s\n%s", got, r.logged.String())
	}
	r.reopen() // it is said once
	r.run()
	if got := r.kinds(id); got != "accepted uncertain uncertain sent sent" || fmt.Sprint(r.got()) != "[bob@example.net*2 carol@example.net*2]" {
		t.Errorf("%s, %v", got, r.got())
	}
}

// Many clients, hosts that do all kinds of things, commands and a restart: with -race.
func TestConcurrency(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.First, o.LocalFirst, o.Most = 5*time.Millisecond, 5*time.Millisecond, 50*time.Millisecond
		o.Limits = Limits{MessagesHour: 50}
	})
	r.clock = time.Now
	r.reopen()
	var n int
	r.hosts = func(c *call) *relay.Result {
		r.mu.Lock()
		n++
		k := n
		r.mu.Unlock()
		switch k % 7 {
		case 0:
			return c.unreachable()
		case 1, 2:
			return c.all(deferred(451, "4.7.1", "Greylisted"))
		case 3:
			return c.all(failed(550, "5.1.1", "No such user"))
		}
		return r.take(c)
	}
	stop := r.start()
	var clients sync.WaitGroup
	for client := range 8 {
		clients.Go(func() {
			for n := range 25 {
				account := fmt.Sprintf("u%d@local.test", client%4)
				_, err := r.accept(Envelope{Sender: account, Account: account, Recipients: []Recipient{
					{Address: fmt.Sprintf("x%d@d%d.test", n, n%3)}, {Address: "b@local.test", Account: "b@local.test"}}})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Go(func() {
		for n := range 40 {
			s := Selection{Filter: Filter{Domain: fmt.Sprintf("d%d.test", n%3)}}
			for _, f := range []func(context.Context, Selection) (int, error){r.q.Hold, r.q.Release, r.q.Retry, r.q.Bounce} {
				if _, err := f(r.ctx, s); err != nil && !errors.Is(err, ErrBusy) {
					t.Error(err)
				}
			}
			if _, err := r.q.List(r.ctx, Filter{}); err != nil {
				t.Error(err)
			}
			r.waiting()
		}
	})
	clients.Wait()
	if _, err := r.q.Release(r.ctx, Selection{}); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(30 * time.Second); r.waiting() != nothing && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
		if _, err := r.q.Release(r.ctx, Selection{}); err != nil {
			t.Error(err)
		}
	}
	stop()
	if r.waiting() != nothing || len(r.files()) != 0 || len(r.q.mails) != 0 || len(r.q.timers.items) != 0 || r.q.active != 0 {
		t.Errorf("%s, %d files", r.waiting(), len(r.files()))
	}
	if n := len(r.box("b@local.test")); n != 200 {
		t.Errorf("b has %d messages", n)
	}
}
