package e2e

import (
	"encoding/json"
	"fmt"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
)

// tryKurir runs a command with the server's configuration, whatever it ends with.
func (m *mailer) tryKurir(stdin string, args ...string) (out string, code int) {
	m.t.Helper()
	return newClient(m.t).try(stdin, binary, append(args, "-c", m.config)...)
}

// lists fails unless the queue's list has all of the parts and none of those behind "not".
func (m *mailer) lists(args []string, parts ...string) {
	m.t.Helper()
	out, want := m.queue(args...), true
	for _, p := range parts {
		if p == "not" {
			want = false
		} else if strings.Contains(out, p) != want {
			m.t.Errorf("queue list %q: %q is there: %v\n%s", args, p, !want, out)
		}
	}
}

// waiting are messages in a queue, each for one thing that is done with it. All but two
// are from alice to you@a.test; two is from bob to one@b.test and two@b.test.
type waiting struct{ hold, retry, drop, bounce, two string }

// TestQueueCommands looks at mail that waits, and does with it what an admin may do,
// beside a server that runs and without one.
func TestQueueCommands(t *testing.T) {
	t.Parallel()
	var open atomic.Bool
	p := &peer{answer: func(m moment) deed {
		if m.verb == "RCPT" && !open.Load() {
			return deed{say: "450 4.2.1 the mailbox is moving house"}
		}
		return deed{}
	}}
	startPeer(t, "127.0.0.1:0", p)
	m := newMailer(t, setup{relay: []string{`retry_first = "1h"`, `retry_most = "1h"`}, rest: toPeer("a.test", p) + toPeer("b.test", p)})
	for _, state := range []string{"running", "stopped"} {
		t.Run(state, func(t *testing.T) {
			m.within(t)
			open.Store(false)
			w := m.fillQueue(state)
			if state == "stopped" {
				m.stop()
			}
			m.tryLists(w)
			m.tryChanges(w)
			open.Store(true)
			contains(t, m.kurir("", "queue", "retry", w.retry), "1 recipient")
			contains(t, m.kurir("", "queue", "retry", "--domain", "b.test"), "2 recipients")
			if state == "stopped" {
				m.start()
			}
			m.leaves(w.retry, w.two)
			contains(t, m.arrived(alice, "Action: failed", state+" for a"), "you@a.test", "administrator")
			m.lists(nil, w.hold)
			m.kurir("", "queue", "release", w.hold)
			m.empty(patience)
			contains(t, m.kurir("", "queue", "show", w.two), "250 2.0.0 taken")
		})
	}
	if n := len(p.messages()); n != 6 {
		t.Errorf("%d messages arrived, not 6", n)
	}
}

// fillQueue sends what is put off, and waits until all of it has been tried once.
func (m *mailer) fillQueue(subject string) (w waiting) {
	m.t.Helper()
	for _, k := range []*string{&w.hold, &w.retry, &w.drop, &w.bounce} {
		*k = m.sends(alice, letter(alice, "you@a.test", subject+" for a", "Hello"), "you@a.test")
	}
	w.two = m.sends(bob, letter(bob, "you@b.test", subject+" for b", "Hello"), "one@b.test", "two@b.test")
	ok(m.t, "first attempts", eventually(patience, func() error {
		if out := m.queue("--json"); strings.Count(out, "moving house") < 6 {
			return fmt.Errorf("not all was tried:\n%s", out)
		}
		return nil
	}))
	return w
}

// tryLists looks at what waits in every way.
func (m *mailer) tryLists(w waiting) {
	m.t.Helper()
	m.lists(nil, w.hold, w.two, alice, bob, "you@a.test", "one@b.test", "two@b.test", "moving house", "5 messages", "6 recipients")
	m.lists([]string{"--domain", "b.test"}, w.two, "one@b.test", "not", w.hold, "a.test")
	m.lists([]string{"--sender", alice}, w.hold, "not", w.two)
	m.lists([]string{"--account", bob}, w.two, "not", w.hold)
	m.lists([]string{"--error", "moving house"}, w.hold, w.two)
	m.lists([]string{"--error", "something else"}, "not", w.hold, w.two)
	m.lists([]string{"--older", "1h"}, "not", w.hold, w.two)
	m.lists([]string{"--held"}, "not", w.hold)
	var rows []struct{ ID, Sender, Recipient string }
	if err := json.Unmarshal([]byte(m.queue("--json", w.two)), &rows); err != nil || len(rows) != 2 || rows[0].ID != w.two || rows[0].Sender != bob {
		m.t.Errorf("--json: %v, %v", rows, err)
	}
	contains(m.t, m.kurir("", "queue", "show", w.two), bob, "one@b.test", "two@b.test", "127.0.0.1", "moving house", "450")
}

// tryChanges holds, drops and bounces, and tries what must not be done.
func (m *mailer) tryChanges(w waiting) {
	m.t.Helper()
	contains(m.t, m.kurir("", "queue", "hold", w.hold), "1 recipient")
	m.lists([]string{"--held"}, w.hold, "not", w.retry)
	contains(m.t, m.kurir("", "queue", "drop", w.drop), "1 recipient")
	contains(m.t, m.kurir("", "queue", "bounce", w.bounce), "1 recipient")
	m.lists(nil, w.hold, w.retry, "not", w.drop)
	for _, do := range []string{"show", "retry", "hold", "release", "drop", "bounce"} {
		if out, code := m.tryKurir("", "queue", do, "nosuchid"); code != 1 || !strings.Contains(out, "nosuchid") || !strings.Contains(out, "queue list") {
			m.t.Errorf("queue %s nosuchid: exit code %d\n%s", do, code, out)
		}
	}
	if out, code := m.tryKurir("", "queue", "drop", "--all"); code == 0 || !strings.Contains(out, "--yes") {
		m.t.Errorf("queue drop --all without a terminal: exit code %d\n%s", code, out)
	}
}

// leaves waits until none of the messages is in the queue.
func (m *mailer) leaves(ids ...string) {
	m.t.Helper()
	ok(m.t, "leaving", eventually(patience, func() error {
		out := m.queue()
		for _, id := range ids {
			if strings.Contains(out, id) {
				return fmt.Errorf("%s still waits:\n%s", id, out)
			}
		}
		return nil
	}))
}

// TestLocalHolds sends to another domain from "kurir local": it is taken and held, and
// both the server and the queue say so.
func TestLocalHolds(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	m := &mailer{server: s}
	id := m.sends(alice, letter(alice, "you@elsewhere.test", "not really", "Hello"), "you@elsewhere.test", bob)
	s.find(bob, "not really")
	queue := func(args ...string) string {
		t.Helper()
		return newClient(t).must("", binary, append(append([]string{"queue"}, args...), "--data", s.dir)...)
	}
	contains(t, queue("list"), id, "you@elsewhere.test", "held", "local")
	contains(t, queue("show", id), "you@elsewhere.test", "held")
	contains(t, s.run.out.String(), "other domains")
	queue("drop", id)
	if out := queue("list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("it is still there: %s", out)
	}
}

// TestDevices sends as printers do: without a login, from a network that the
// configuration names, as the account that it names.
func TestDevices(t *testing.T) {
	t.Parallel()
	p := &peer{}
	startPeer(t, "127.0.0.1:0", p)
	m := newMailer(t, setup{relay: soon, rest: toPeer("a.test", p) + fmt.Sprintf("[[device]]\nnetworks = [\"127.0.0.0/8\"]\naccount = %q\n", alice)})
	for _, port := range []int{smtpPort, submissionPort} {
		c, err := textproto.Dial("tcp", m.at(port))
		ok(t, "dial", err)
		_, _, err = c.ReadResponse(220)
		ok(t, "greeting", err)
		ok(t, "EHLO", say(c, 250, "EHLO printer"))
		_, err = submission{c}.submit("<"+alice+">", []string{"<you@a.test>", "<" + bob + ">"}, letter(alice, "you@a.test", "scanned", "a page"))
		ok(t, "scan", err)
		if _, err = (submission{c}).submit("<"+bob+">", []string{"<you@a.test>"}, letter(bob, "you@a.test", "forged", "a page")); err == nil {
			t.Errorf("port %d: it may send as others", port)
		}
		c.Close()
	}
	for _, got := range p.gets(t, 2) {
		contains(t, got.text, "Subject: scanned\r\n")
	}
	if n := len(p.messages()); n != 2 {
		t.Errorf("%d messages, not 2", n)
	}
}

// TestSendLimits lets an account send more than it may: what is too much is held, the
// admin is told, and releases it.
func TestSendLimits(t *testing.T) {
	t.Parallel()
	p := &peer{}
	startPeer(t, "127.0.0.1:0", p)
	m := newMailer(t, setup{relay: soon, rest: toPeer("a.test", p) + "[limits]\naccount_messages_hour = 3\n"})
	m.kurir("", "alias", "add", "postmaster@local.test", bob)
	for i := range 5 {
		m.sends(alice, letter(alice, "you@a.test", fmt.Sprintf("number %d.", i), "Hello"), "you@a.test")
		m.sends(alice, letter(alice, bob, fmt.Sprintf("at home %d.", i), "Hello"), bob) // does not count
	}
	p.gets(t, 3)
	m.lists([]string{"--held"}, alice, "you@a.test", "2 messages")
	contains(t, m.arrived(bob, alice, "kurir queue"), "release", "Auto-Submitted: auto-generated")
	m.stop()
	m.start()
	m.sends(alice, letter(alice, "you@a.test", "number 5.", "Hello"), "you@a.test")
	m.lists([]string{"--held"}, "3 messages")
	m.kurir("", "queue", "release", "--account", alice)
	p.gets(t, 6)
	m.empty(patience)
}
