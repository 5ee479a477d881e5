package queue

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"kurir/internal/relay"
)

// send accepts a message of an account to n others and says why it is held.
func (r *rig) send(account string, n int) (held string) {
	r.t.Helper()
	e := Envelope{Sender: account, Account: account, Client: "submission from [192.0.2.1]",
		Recipients: []Recipient{{Address: "b@local.test", Account: "b@local.test", Err: errors.New("busy")}}}
	for k := range n {
		e.Recipients = append(e.Recipients, Recipient{Address: fmt.Sprintf("u%d@example.net", k)})
	}
	receipt, err := r.accept(e)
	if err != nil {
		r.t.Fatal(err)
	}
	return receipt.Held
}

func TestLimits(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Limits = Limits{MessagesHour: 3, MessagesDay: 5, RecipientsHour: 10, RecipientsDay: 25}
	})
	const eve = "eve@local.test"
	expect := func(n int, want string) {
		t.Helper()
		if got := r.send(eve, n); got != want {
			t.Errorf("%d recipients: %q, want %q", n, got, want)
		}
	}
	for range 20 {
		expect(0, "") // recipients here count for nothing
	}
	expect(11, "limit: more than 10 recipients an hour")
	expect(4, "")
	expect(4, "") // what is held does not count
	expect(3, "limit: more than 10 recipients an hour")
	expect(2, "")
	expect(1, "limit: more than 3 messages an hour")
	if got := r.send("alice@local.test", 9); got != "" {
		t.Errorf("another account: %q", got)
	}
	r.now = r.now.Add(59 * time.Minute)
	expect(1, "limit: more than 3 messages an hour")
	r.now = r.now.Add(time.Minute)
	r.reopen() // forgets nothing
	expect(10, "")
	r.now = r.now.Add(time.Hour)
	expect(6, "limit: more than 25 recipients a day")
	expect(5, "")
	expect(1, "limit: more than 5 messages a day")
	r.reopen()
	expect(1, "limit: more than 5 messages a day")
	r.now = r.now.Add(23 * time.Hour)
	expect(1, "") // all but the last have left the day
	if n := len(r.q.limits.accounts[eve].minutes); n != 2 {
		t.Errorf("%d minutes remembered", n)
	}
}

func TestNoLimits(t *testing.T) {
	r := newRig(t)
	for range 10 {
		if got := r.send("eve@local.test", 5); got != "" {
			t.Error(got)
		}
	}
	r = newRig(t, func(o *Options) { o.Limits = Limits{MessagesHour: 1} })
	for range 3 { // mail from outside, and notices
		if receipt, err := r.accept(Envelope{Recipients: []Recipient{{Address: "a@b.test"}}}); err != nil || receipt.Held != "" {
			t.Error(receipt, err)
		}
	}
}

// A message that could not be written counts for nothing.
func TestLimitGivenBack(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits = Limits{MessagesHour: 1} })
	bob := []Recipient{{Address: "bob@example.net"}}
	r.mustAccept(Envelope{ID: "x", Recipients: bob})
	if _, err := r.accept(Envelope{ID: "x", Account: "a@local.test", Recipients: bob}); err == nil {
		t.Fatal("an id was used twice")
	}
	if got := r.send("a@local.test", 1); got != "" {
		t.Error(got)
	}
}

// The administrator is told once a day and account, in a message that says what to do.
func TestAdminIsTold(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits = Limits{MessagesHour: 1} })
	r.send("eve@local.test", 2)
	for range 3 {
		r.send("eve@local.test", 2)
	}
	r.reopen()
	r.send("eve@local.test", 2)
	r.now = r.now.Add(time.Minute)
	r.run()
	got := r.box("postmaster@local.test")
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	for _, want := range []string{"Return-Path: <>\nFrom: Mail Delivery System <MAILER-DAEMON@mx.local.test>\nTo: <postmaster@local.test>\n",
		"Subject: Mail of eve@local.test is held: over the limit\n", "\nAuto-Submitted: auto-generated\n",
		"than it may:\nmore than 1 message an hour.", "    a message to 2 recipients,\n    submission from [192.0.2.1]\n",
		"kurir queue list --account eve@local.test --held\n", "kurir queue release --account eve@local.test\n", "after 4 hours", "after 5 days"} {
		if !strings.Contains(got[0], want) {
			t.Errorf("no %q in %s", want, got[0])
		}
	}
	for _, line := range strings.Split(got[0], "\n") {
		if len(line) > 78 {
			t.Errorf("long line %q", line)
		}
	}
	if got := strings.Count(r.logged.String(), `level=WARN msg="account is over its limit, its mail is held" account=eve@local.test`); got != 4 {
		t.Errorf("%d warnings", got)
	}
	r.now = r.now.Add(24 * time.Hour)
	r.send("eve@local.test", 2)
	r.send("eve@local.test", 2)
	r.run()
	if got := r.box("postmaster@local.test"); len(got) != 2 {
		t.Errorf("%d messages after a day", len(got))
	}
}

// The configured administrator may be elsewhere, or may not exist.
func TestWhoIsAdmin(t *testing.T) {
	for admin, want := range map[string]string{"ops@remote.example": "[ops@remote.example u0@example.net]", "nobody@local.test": "[u0@example.net]"} {
		r := newRig(t, func(o *Options) { o.Limits, o.Admin = Limits{MessagesDay: 1}, admin })
		for range 3 {
			r.send("eve@local.test", 1)
		}
		r.run()
		if got := fmt.Sprint(r.got()); got != want {
			t.Errorf("%s: %s", admin, got)
		}
		if got := strings.Contains(r.logged.String(), "administrator could not be told"); got != (admin == "nobody@local.test") {
			t.Error(r.logged.String())
		}
	}
}

// Mail that a limit holds is late like any other, and is given up like any other; its
// release lets it go.
func TestLimitHeldMail(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits = Limits{RecipientsHour: 1} })
	r.hosts = func(c *call) *relay.Result { t.Error("held mail was sent"); return r.take(c) }
	r.send("eve@local.test", 2)
	if c, err := r.q.Waiting(r.ctx); err != nil || c.Held != 2 || c.Local != 2 || c.Messages != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	r.reopen()
	r.now = r.now.Add(4 * time.Hour)
	r.run()
	if got := r.box("eve@local.test"); len(got) != 1 || strings.Count(got[0], "Action: delayed") != 2 || !strings.Contains(got[0], "administrator") {
		t.Fatalf("%q", got)
	}
	r.now = r.now.Add(5 * 24 * time.Hour)
	r.run()
	if got := r.box("eve@local.test"); len(got) != 2 || strings.Count(got[1], "Action: failed\nStatus: 5.4.7\n") != 2 || r.waiting() != nothing {
		t.Errorf("%q, %s", got, r.waiting())
	}
	r.hosts = nil
	r.send("eve@local.test", 2)
	r.now = r.now.Add(4 * 24 * time.Hour)
	r.run()
	entries, err := r.q.List(r.ctx, Filter{Account: "EVE@local.test", State: "held"})
	if err != nil || len(entries) != 2 || entries[0].State != "held (limit: more than 1 recipient an hour)" {
		t.Fatalf("%+v, %v", entries, err)
	}
	if n, err := r.q.Release(r.ctx, Selection{Filter: Filter{Account: "eve@local.test"}}); n != 2 || err != nil {
		t.Error(n, err)
	}
	r.run()
	if got := fmt.Sprint(r.got()); got != "[u0@example.net u1@example.net]" {
		t.Error(got)
	}
	if got := r.kinds(entries[0].ID); got != "accepted held notice delivered released released sent sent" {
		t.Error(got)
	}
}
