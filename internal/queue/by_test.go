package queue

import (
	"strings"
	"testing"
	"time"

	"kurir/internal/relay"
)

// later is a host that never takes anything.
func later(c *call) *relay.Result {
	return c.all(relay.Outcome{Reply: relay.Reply{Code: 450, Status: "4.2.1", Text: "later"}})
}

// TestDeliverByReturn: RFC 2852, by-mode R: when the time is over the message is returned,
// also after a restart and a release, neither of which gives it more time.
func TestDeliverByReturn(t *testing.T) {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result {
		if !c.m.By.Return || c.m.By.Trace || c.m.Priority != 3 {
			t.Errorf("%+v", c.m)
		}
		return later(c)
	}
	at := r.now.Add(time.Hour)
	id := r.mustAccept(Envelope{Sender: "alice@local.test", By: relay.DeliverBy{At: at, Return: true}, MTPriority: 3,
		Recipients: []Recipient{{Address: "bob@example.net"}}})
	r.run()
	r.reopen()
	for _, step := range []func() (int, error){
		func() (int, error) { return r.q.Hold(r.ctx, Selection{}) }, func() (int, error) { return r.q.Release(r.ctx, Selection{}) },
	} {
		if n, err := step(); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	d, err := r.q.Show(r.ctx, id)
	if err != nil || !d.By.At.Equal(at) || d.By.Mode() != "R" || d.MTPriority != 3 || len(d.Recipients) != 1 || !d.Recipients[0].Deadline.Equal(at) {
		t.Errorf("%+v, %v", d, err)
	}
	for next := r.run(); !next.IsZero(); next = r.run() {
		if next.After(at) {
			t.Fatalf("it waits until %v", next)
		}
		r.now = next
	}
	if !r.now.Equal(at) {
		t.Errorf("it ended at %v", r.now)
	}
	if got := r.box("alice@local.test"); len(got) != 1 || !strings.Contains(got[0], "Action: failed\nStatus: 5.4.7\n") {
		t.Errorf("%q", got)
	}
}

// TestDeliverByNotify: by-mode N: the sender is told, and it goes on.
func TestDeliverByNotify(t *testing.T) {
	for _, notify := range []relay.Notify{relay.NotifyDefault, relay.NotifyNever} {
		r := newRig(t)
		r.hosts = later
		at := r.now.Add(30 * time.Minute)
		r.mustAccept(Envelope{Sender: "alice@local.test", By: relay.DeliverBy{At: at}, Recipients: []Recipient{{Address: "bob@example.net", Notify: notify}}})
		for next := r.run(); next.Before(at.Add(time.Minute)); next = r.run() {
			r.now = next
		}
		got := r.box("alice@local.test")
		if notify == relay.NotifyNever {
			if len(got) != 0 {
				t.Errorf("%q", got)
			}
			continue
		}
		if len(got) != 1 || !strings.Contains(got[0], "Action: delayed\n") || !r.now.Equal(at) {
			t.Errorf("at %v: %q", r.now, got)
		}
		if entries, err := r.q.List(r.ctx, Filter{}); err != nil || len(entries) != 1 || entries[0].Deadline.Before(at.Add(4*24*time.Hour)) {
			t.Errorf("%+v, %v", entries, err)
		}
	}
}

// TestDeliverByRelayed: RFC 2852 section 4.1.4.2 and by-trace: the sender hears where a host
// has taken it that will not tell him, or wherever, if he wants to.
func TestDeliverByRelayed(t *testing.T) {
	for _, c := range []struct {
		untimed, trace bool
		notify         relay.Notify
		told           bool
	}{
		{told: false}, {untimed: true, told: true}, {trace: true, told: true},
		{untimed: true, trace: true, notify: relay.NotifyNever, told: false},
		{untimed: true, notify: relay.NotifyFailure, told: true},
	} {
		r := newRig(t)
		r.hosts = func(call *call) *relay.Result {
			return call.all(relay.Outcome{Action: relay.Sent, Untimed: c.untimed, Reply: relay.Reply{Code: 250, Status: "2.0.0"}})
		}
		r.mustAccept(Envelope{Sender: "alice@local.test", By: relay.DeliverBy{At: r.now.Add(time.Hour), Trace: c.trace},
			Recipients: []Recipient{{Address: "bob@example.net", Notify: c.notify}}})
		r.run()
		if got := r.box("alice@local.test"); (len(got) == 1 && strings.Contains(got[0], "Action: relayed\n")) != c.told {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestMTPriority: what is more urgent goes first (RFC 6710).
func TestMTPriority(t *testing.T) {
	r := newRig(t, func(o *Options) { o.PerDestination = 1 })
	var order []string
	r.hosts = func(c *call) *relay.Result { order = append(order, c.to[0].Address[:1]); return r.take(c) }
	for _, m := range []struct {
		to       string
		priority int
	}{{"c", 0}, {"d", -9}, {"a", 9}, {"b", 1}} {
		r.mustAccept(Envelope{Sender: "alice@local.test", MTPriority: m.priority, Recipients: []Recipient{{Address: m.to + "@example.net"}}})
	}
	r.reopen()
	r.run()
	if got := strings.Join(order, ""); got != "abcd" {
		t.Error(got)
	}
}
