package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/relay"
)

// one selects a message.
func one(id string) Selection { return Selection{Filter: Filter{IDs: []string{id}}} }

// mixed fills a queue for the filters' sake.
func mixed(t *testing.T) *rig {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result { return c.all(deferred(451, "4.7.1", "Greylisted, come again")) }
	r.mustAccept(Envelope{ID: "m1", Sender: "alice@local.test", Account: "alice@local.test",
		Recipients: []Recipient{{Address: "bob@example.net"}, {Address: "carol@EXAMPLE.org"}}})
	r.run()
	r.now = r.now.Add(time.Hour)
	r.mustAccept(Envelope{ID: "m2", Sender: "Boss@other.test", Account: "boss@local.test", Recipients: []Recipient{{Address: "bob@example.net"}}})
	r.mustAccept(Envelope{ID: "m3", Recipients: []Recipient{{Address: "a@local.test", Account: "a@local.test", Err: context.Canceled}}})
	if n, err := r.q.Hold(r.ctx, one("m2")); n != 1 || err != nil {
		t.Error(n, err)
	}
	return r
}

func TestFilters(t *testing.T) {
	r := mixed(t)
	for _, c := range []struct {
		f    Selection
		want string
	}{
		{Selection{}, "m1/bob m1/carol m2/bob m3/a"},
		{one("m1"), "m1/bob m1/carol"},
		{Selection{Filter: Filter{IDs: []string{"m3", "m2", "m3"}}}, "m2/bob m3/a"},
		{Selection{Filter: Filter{Domain: "Example.NET"}}, "m1/bob m2/bob"},
		{Selection{Filter: Filter{Domain: "example.org"}}, "m1/carol"},
		{Selection{Filter: Filter{Domain: "(local)"}}, "m3/a"},
		{Selection{Filter: Filter{Sender: "boss@OTHER.test"}}, "m2/bob"},
		{Selection{Filter: Filter{Sender: "@local.test"}}, "m1/bob m1/carol"},
		{Selection{Filter: Filter{Sender: "<>"}}, "m3/a"},
		{Selection{Filter: Filter{Account: "alice@local.test"}}, "m1/bob m1/carol"},
		{Selection{Filter: Filter{Error: "GREYLIST"}}, "m1/bob m1/carol"},
		{Selection{Filter: Filter{Error: "4.7.1"}}, "m1/bob m1/carol"},
		{Selection{Filter: Filter{State: "held"}}, "m2/bob"},
		{Selection{Filter: Filter{State: "waiting"}}, "m1/bob m1/carol m3/a"},
		{Selection{Filter: Filter{MinAge: time.Minute}}, "m1/bob m1/carol"},
		{Selection{Filter: Filter{Limit: 2}}, "m1/bob m1/carol"},
		{Selection{Filter: Filter{IDs: []string{"m2", "m1"}, Limit: 2}}, "m1/bob m1/carol"},
		{Selection{Filter: Filter{Domain: "example.net", Sender: "<>"}}, ""},
		{Selection{Recipient: "BOB@example.net"}, "m1/bob m2/bob"},
	} {
		found, err := r.q.list(r.ctx, c.f.Filter, c.f.Recipient)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range found {
			local, _, _ := strings.Cut(e.Recipient, "@")
			got = append(got, e.ID+"/"+local)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %v, want %s", c.f, got, c.want)
		}
	}
	entries, err := r.q.List(r.ctx, Filter{Domain: "example.org"})
	if err != nil || entries[0].Attempts != 1 || entries[0].Status != "4.7.1" || entries[0].Reply != "Greylisted, come again" {
		t.Errorf("%+v, %v", entries, err)
	}
	d, err := r.q.Show(r.ctx, "m1")
	if err != nil || len(d.Recipients) != 2 || d.Account != "alice@local.test" {
		t.Errorf("%+v, %v", d, err)
	}
}

// What is held by hand waits without end; its release gives it as much time as new mail.
func TestHoldAndRelease(t *testing.T) {
	r := newRig(t)
	up := false
	r.hosts = func(c *call) *relay.Result {
		if !up {
			return c.all(deferred(450, "4.2.1", "Later"))
		}
		return r.take(c)
	}
	id := r.submit("alice@local.test", "bob@example.net", "carol@example.net")
	r.run()
	if n, err := r.q.Hold(r.ctx, Selection{Recipient: "bob@example.net"}); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := r.q.Hold(r.ctx, Selection{Recipient: "bob@example.net"}); n != 0 || err != nil {
		t.Error("held twice", n, err)
	}
	r.reopen()
	r.expire()
	if got := r.box("alice@local.test"); len(got) != 2 || strings.Contains(strings.Join(got, ""), "bob@example.net") || r.waiting() != "0 local, 0 remote, 1 held" {
		t.Errorf("%q, %s", got, r.waiting())
	}
	r.now = r.now.Add(30 * 24 * time.Hour)
	if n, err := r.q.Release(r.ctx, one(id)); n != 1 || err != nil {
		t.Error(n, err)
	}
	if next := r.run(); !next.Equal(r.now.Add(10*time.Minute)) || len(r.box("alice@local.test")) != 2 {
		t.Errorf("%v, %d notices", next.Sub(r.now), len(r.box("alice@local.test")))
	}
	if n, err := r.q.Release(r.ctx, one(id)); n != 0 || err != nil {
		t.Error("released twice", n, err)
	}
	up = true
	r.expire()
	if got := fmt.Sprint(r.got()); got != "[bob@example.net]" {
		t.Error(got)
	}
	if got := r.kinds(id); !strings.HasPrefix(got, "accepted deferred deferred held deferred") || !strings.Contains(got, "released deferred sent") {
		t.Error(got)
	}
}

// Retry tries at once, also where the destination is let be.
func TestRetry(t *testing.T) {
	r := newRig(t)
	tries := 0
	r.hosts = func(c *call) *relay.Result { tries++; return c.unreachable() }
	for range 3 {
		r.submit("alice@local.test", "bob@example.net")
	}
	held := r.submit("alice@local.test", "dan@example.net")
	if _, err := r.q.Hold(r.ctx, one(held)); err != nil {
		t.Fatal(err)
	}
	r.run()
	if r.run(); tries != 3 {
		t.Errorf("%d tries", tries) // together
	}
	r.now = r.now.Add(time.Minute)
	r.run()
	tries = 0
	if n, err := r.q.Retry(r.ctx, Selection{}); n != 3 || err != nil {
		t.Error(n, err)
	}
	next := r.run()
	if tries != 1 || !next.Equal(r.now.Add(10*time.Minute)) {
		t.Errorf("%d tries, next in %v", tries, next.Sub(r.now))
	}
	if _, err := r.q.Retry(r.ctx, Selection{}); err != nil {
		t.Error(err)
	}
	r.reopen()
	r.hosts = nil
	if r.run(); fmt.Sprint(r.got()) != "[bob@example.net*3]" {
		t.Error(r.got())
	}
}

// Drop says nothing to anybody; Bounce tells the sender.
func TestDropAndBounce(t *testing.T) {
	r := mixed(t)
	if n, err := r.q.Drop(r.ctx, Selection{Filter: one("m1").Filter, Recipient: "carol@example.org"}); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := r.q.Bounce(r.ctx, Selection{}); n != 3 || err != nil {
		t.Error(n, err)
	}
	if got := r.kinds("m1"); got != "accepted deferred deferred dropped returned notice" {
		t.Error(got)
	}
	if got := r.kinds("m2") + ", " + r.kinds("m3"); got != "accepted held returned notice, accepted returned untold" {
		t.Error(got)
	}
	r.hosts = nil
	r.run()
	got := r.box("alice@local.test")
	if len(got) != 1 || !strings.Contains(got[0], "The administrator returned it.") || !strings.Contains(got[0], "Action: failed\nStatus: 5.0.0\n") ||
		strings.Contains(got[0], "carol") || strings.Contains(got[0], "Greylisted") {
		t.Errorf("%q", got)
	}
	if fmt.Sprint(r.got()) != "[Boss@other.test]" || r.waiting() != nothing || len(r.files()) != 0 {
		t.Errorf("%v %s %v", r.got(), r.waiting(), r.files())
	}
	r.reopen()
	if r.waiting() != nothing {
		t.Error(r.waiting())
	}
}

// Many messages are dropped together.
func TestDropMany(t *testing.T) {
	r := newRig(t)
	for range 300 {
		r.submit("alice@local.test", "bob@example.net", "carol@example.net")
	}
	if n, err := r.q.Hold(r.ctx, Selection{}); n != 600 || err != nil {
		t.Error(n, err)
	}
	if n, err := r.q.Drop(r.ctx, Selection{Filter: Filter{Limit: 3}}); n != 3 || err != nil || r.waiting() != "0 local, 0 remote, 597 held" {
		t.Error(n, err, r.waiting())
	}
	if n, err := r.q.Drop(r.ctx, Selection{Filter: Filter{State: "held"}}); n != 597 || err != nil || r.waiting() != nothing || len(r.files()) != 0 {
		t.Error(n, err, r.waiting())
	}
}

// A recipient that is being tried: Hold counts if it still waits afterwards, Drop and
// Bounce leave it alone and say so.
func TestChangesWhileBusy(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.hosts = func(c *call) *relay.Result {
			time.Sleep(time.Minute)
			if c.destination == "good.test" {
				return r.take(c)
			}
			return c.all(deferred(450, "4.2.1", "Later"))
		}
		id := r.submit("alice@local.test", "a@good.test", "b@bad.test", "c@bad.test")
		if _, err := r.q.Hold(r.ctx, Selection{Recipient: "c@bad.test"}); err != nil {
			t.Fatal(err)
		}
		stop := r.start()
		synctest.Wait()
		entries, err := r.q.List(r.ctx, Filter{State: "sending"})
		if err != nil || len(entries) != 2 {
			t.Errorf("%+v, %v", entries, err)
		}
		if c, _ := r.q.Waiting(r.ctx); c.Sending != 2 {
			t.Errorf("%+v", c)
		}
		for _, f := range []func(context.Context, Selection) (int, error){r.q.Drop, r.q.Bounce} {
			if n, err := f(r.ctx, Selection{Recipient: "b@bad.test"}); n != 0 || !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "1 recipient,") {
				t.Error(n, err)
			}
		}
		if n, err := r.q.Drop(r.ctx, one(id)); n != 1 || !errors.Is(err, ErrBusy) {
			t.Error(n, err)
		}
		if n, err := r.q.Retry(r.ctx, Selection{}); n != 2 || err != nil {
			t.Error(n, err)
		}
		if n, err := r.q.Hold(r.ctx, Selection{}); n != 2 || err != nil {
			t.Error(n, err)
		}
		time.Sleep(time.Hour)
		if got := r.waiting(); got != "0 local, 0 remote, 1 held" || fmt.Sprint(r.got()) != "[a@good.test]" {
			t.Error(got, r.got())
		}
		if n, err := r.q.Release(r.ctx, Selection{}); n != 1 || err != nil {
			t.Error(n, err)
		}
		synctest.Wait()
		if n, err := r.q.Hold(r.ctx, Selection{}); n != 1 || err != nil {
			t.Error(n, err)
		}
		if n, err := r.q.Release(r.ctx, Selection{}); n != 1 || err != nil {
			t.Error(n, err)
		}
		time.Sleep(2 * time.Minute)
		if got := r.waiting(); got != "0 local, 1 remote, 0 held" {
			t.Error(got)
		}
		stop()
	})
}

func TestChangeErrors(t *testing.T) {
	r := newRig(t)
	gone := r.submit("alice@local.test", "bob@example.net")
	r.run()
	id := r.submit("alice@local.test", "bob@example.net")
	for _, f := range []func(context.Context, Selection) (int, error){r.q.Retry, r.q.Hold, r.q.Release, r.q.Drop, r.q.Bounce} {
		for _, unknown := range []string{"x", gone} {
			s := Selection{Filter: Filter{IDs: []string{id, unknown}}}
			if n, err := f(r.ctx, s); n != 0 || !errors.Is(err, ErrNoMessage) || !strings.Contains(err.Error(), unknown) {
				t.Error(n, err)
			}
		}
		if n, err := f(r.ctx, Selection{Recipient: "else@example.net"}); n != 0 || err != nil {
			t.Error(n, err)
		}
	}
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if _, err := r.q.Drop(ctx, one(id)); err == nil {
		t.Error("dropped after the end of the context")
	}
	if got := r.waiting(); got != "0 local, 1 remote, 0 held" {
		t.Error(got)
	}
	if _, err := r.q.List(ctx, Filter{}); err == nil {
		t.Error("listed after the end of the context")
	}
	r.run()
	r.db.Close()
	for _, f := range []func(context.Context, Selection) (int, error){r.q.Retry, r.q.Hold, r.q.Release, r.q.Drop, r.q.Bounce} {
		if _, err := f(r.ctx, Selection{}); err == nil {
			t.Error("no error without a database")
		}
	}
	if _, err := r.q.Show(r.ctx, id); err == nil || errors.Is(err, ErrNoMessage) {
		t.Error(err)
	}
}

// Events are removed in small steps when they are old, with messages of which nothing
// waits any more.
func TestPrune(t *testing.T) {
	r := newRig(t)
	var ids []string
	for range 700 {
		ids = append(ids, r.submit("alice@local.test", "bob@example.net"))
	}
	r.run()
	held := r.submit("alice@local.test", "bob@example.net")
	if _, err := r.q.Hold(r.ctx, one(held)); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(14*24*time.Hour - time.Minute)
	late := r.submit("alice@local.test", "bob@example.net")
	count := func() string {
		t.Helper()
		var m, e int
		if err := r.db.QueryRow(`SELECT (SELECT COUNT(*) FROM queue_message), (SELECT COUNT(*) FROM queue_event)`).Scan(&m, &e); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(m, " messages, ", e, " events")
	}
	if err := r.q.prune(r.ctx); err != nil || count() != "702 messages, 1403 events" {
		t.Error(err, count())
	}
	r.now = r.now.Add(2 * time.Minute)
	if err := r.q.prune(r.ctx); err != nil || count() != "2 messages, 1 events" {
		t.Error(err, count())
	}
	if _, err := r.q.Show(r.ctx, ids[3]); !errors.Is(err, ErrNoMessage) {
		t.Error(err)
	}
	if d, err := r.q.Show(r.ctx, held); err != nil || len(d.Recipients) != 1 {
		t.Error(d, err)
	}
	r.q.Release(r.ctx, Selection{})
	if r.run(); !slices.Equal(r.got(), []string{"bob@example.net*702"}) {
		t.Error(r.got())
	}
	if got := r.kinds(late); got != "accepted sent" {
		t.Error(got)
	}
	r.db.Close()
	if r.q.prune(r.ctx) == nil {
		t.Error("no error without a database")
	}
}
