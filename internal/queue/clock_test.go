package queue

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kurir/internal/relay"
)

const month = 30 * 24 * time.Hour

// The clock was a month ahead and is set right: nothing waits until the month is over, and
// senders hear within the usual time, whether the server runs on or starts anew.
func TestClockSetBack(t *testing.T) {
	for _, restart := range []bool{false, true} {
		r := newRig(t)
		r.hosts = func(c *call) *relay.Result { return c.all(deferred(451, "4.7.1", "Later")) }
		r.submit("alice@local.test", "bob@example.net")
		r.run()
		r.submit("alice@local.test", "carol@example.net") // not tried yet
		r.now = r.now.Add(-month)
		began := r.now
		if restart {
			r.reopen()
		}
		tried := 0
		r.hosts = func(c *call) *relay.Result {
			if strings.HasPrefix(c.to[0].Address, "carol") && r.now.Equal(began) {
				tried++
			}
			return c.all(deferred(451, "4.7.1", "Later"))
		}
		if next := r.run(); next.After(began.Add(265 * time.Minute)) {
			t.Errorf("next after %v", next.Sub(began))
		}
		if tried != 1 {
			t.Errorf("restart %v: what was never tried is tried %d times at once", restart, tried)
		}
		r.expire()
		if d := r.now.Sub(began); d > 5*24*time.Hour || r.waiting() != nothing || len(r.box("alice@local.test")) != 4 {
			t.Errorf("restart %v: ended after %v, %s, %d notices", restart, d, r.waiting(), len(r.box("alice@local.test")))
		}
	}
}

// A destination that is let be opens again, for what waits and for what is new.
func TestClockSetBackOverClosedDestination(t *testing.T) {
	for _, restart := range []bool{false, true} {
		r := newRig(t)
		r.hosts = func(c *call) *relay.Result { return c.unreachable() }
		r.submit("alice@local.test", "bob@example.net")
		r.run()
		r.now = r.now.Add(-month)
		began := r.now
		if restart {
			r.reopen()
		}
		r.hosts = nil
		r.submit("alice@local.test", "carol@example.net")
		r.expire()
		if d := r.now.Sub(began); d > 265*time.Minute || len(r.got()) != 2 {
			t.Errorf("restart %v: %v got it after %v", restart, r.got(), d)
		}
	}
}

// The administrator has a message tried at once, whatever the clock says.
func TestClockSetBackAndRetry(t *testing.T) {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result { return c.all(deferred(451, "4.7.1", "Later")) }
	r.submit("alice@local.test", "bob@example.net")
	r.run()
	r.hosts = nil
	r.now = r.now.Add(-month)
	if n, err := r.q.Retry(r.ctx, Selection{}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if r.run(); len(r.got()) != 1 {
		t.Error("not tried")
	}
}

// A time that was asked for stays.
func TestClockSetBackAndNotBefore(t *testing.T) {
	r := newRig(t)
	at := r.now.Add(time.Hour)
	r.mustAccept(Envelope{Sender: "alice@local.test", Recipients: []Recipient{{Address: "bob@example.net"}}, NotBefore: at})
	r.run()
	r.now = r.now.Add(-24 * time.Hour)
	if next := r.run(); !next.Equal(at) || len(r.got()) != 0 {
		t.Errorf("next %v, %v", next, r.got())
	}
}

// The clock goes back by a second at the moment when a destination opens again.
func TestClockWaversAtReopening(t *testing.T) {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result { return c.unreachable() }
	r.submit("alice@local.test", "bob@example.net")
	next := r.run()
	r.hosts = nil
	r.q.mu.Lock()
	r.q.advance(next.UnixMilli())
	r.q.mu.Unlock()
	r.now = next.Add(-time.Second)
	r.run()
	r.now = next
	if r.run(); len(r.got()) != 1 {
		t.Errorf("%v, %s", r.got(), r.waiting())
	}
}

// A machine that slept notices soon that it is late.
func TestSuspended(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		var slept atomic.Int64
		r.clock = func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }
		r.hosts = func(c *call) *relay.Result { return c.all(deferred(451, "4.7.1", "Later")) }
		r.submit("alice@local.test", "bob@example.net")
		for range 6 { // the next wait is one of hours
			slept.Add(int64(4 * time.Hour))
			r.run()
		}
		r.hosts = nil
		stop := r.start()
		time.Sleep(10 * time.Second)
		slept.Add(int64(4 * time.Hour))
		time.Sleep(time.Minute)
		if len(r.got()) != 1 {
			t.Error("not tried within a minute")
		}
		stop()
	})
}

// What was counted in a future that is none counts as of now, and no longer than a day.
func TestClockSetBackAndLimits(t *testing.T) {
	for _, restart := range []bool{false, true} {
		r := newRig(t, func(o *Options) { o.Limits = Limits{MessagesHour: 2, MessagesDay: 3} })
		const eve = "eve@local.test"
		var held []string
		send := func() { held = append(held, fmt.Sprint(r.send(eve, 1) != "")) }
		send()
		send()
		send() // over
		r.now = r.now.Add(-month)
		if restart {
			r.reopen()
		}
		send() // they count
		r.now = r.now.Add(61 * time.Minute)
		send()
		send() // over the day's
		r.now = r.now.Add(23 * time.Hour)
		send()
		send()
		send() // over, a day later
		if got := strings.Join(held, " "); got != "false false true true false true false false true" {
			t.Errorf("restart %v: %s", restart, got)
		}
		r.run()
		if n := len(r.box("postmaster@local.test")); n != 2 {
			t.Errorf("restart %v: the administrator is told %d times", restart, n)
		}
	}
}
