package e2e

import (
	"encoding/json"
	"fmt"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
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
	type waiting struct{ hold, retry, drop, bounce, two string }
	fill := func(state string) (w waiting) {
		open.Store(false)
		for _, k := range []*string{&w.hold, &w.retry, &w.drop, &w.bounce} {
			*k = m.sends(alice, letter(alice, "you@a.test", state+" for a", "Hello"), "you@a.test")
		}
		w.two = m.sends(bob, letter(bob, "you@b.test", state+" for b", "Hello"), "one@b.test", "two@b.test")
		err := eventually(patience, func() error {
			if out := m.queue("--json"); strings.Count(out, "moving house") < 6 {
				return fmt.Errorf("not all was tried:\n%s", out)
			}
			return nil
		})
		ok(t, "first attempts", err)
		return w
	}
	for _, state := range []string{"running", "stopped"} {
		t.Run(state, func(t *testing.T) {
			m.within(t)
			w := fill(state)
			if state == "stopped" {
				m.stop()
			}
			m.lists(nil, w.hold, w.two, alice, bob, "you@a.test", "one@b.test", "two@b.test", "moving house", "5 messages", "6 recipients")
			m.lists([]string{"--domain", "b.test"}, w.two, "one@b.test", "not", w.hold, "a.test")
			m.lists([]string{"--sender", alice}, w.hold, "not", w.two)
			m.lists([]string{"--account", bob}, w.two, "not", w.hold)
			m.lists([]string{"--error", "moving house"}, w.hold, w.two)
			m.lists([]string{"--error", "something else"}, "not", w.hold, w.two)
			m.lists([]string{"--older", "1h"}, "not", w.hold, w.two)
			m.lists([]string{"--held"}, "not", w.hold)
			var rows []map[string]any
			if err := json.Unmarshal([]byte(m.queue("--json")), &rows); err != nil || len(rows) == 0 {
				t.Errorf("--json: %d rows, %v", len(rows), err)
			}
			shown := m.kurir("", "queue", "show", w.two)
			contains(t, shown, bob, "one@b.test", "two@b.test", "127.0.0.1", "moving house", "450")

			contains(t, m.kurir("", "queue", "hold", w.hold), "1 recipient")
			m.lists([]string{"--held"}, w.hold, "not", w.retry)
			contains(t, m.kurir("", "queue", "drop", w.drop), "1 recipient")
			contains(t, m.kurir("", "queue", "bounce", w.bounce), "1 recipient")
			m.lists(nil, w.hold, w.retry, "not", w.drop)
			for _, do := range []string{"show", "retry", "hold", "release", "drop", "bounce"} {
				if out, code := m.tryKurir("", "queue", do, "nosuchid"); code != 1 || !strings.Contains(out, "nosuchid") || !strings.Contains(out, "queue list") {
					t.Errorf("queue %s nosuchid: exit code %d\n%s", do, code, out)
				}
			}
			if out, code := m.tryKurir("", "queue", "drop", "--all"); code == 0 || !strings.Contains(out, "--yes") {
				t.Errorf("queue drop --all without a terminal: exit code %d\n%s", code, out)
			}
			open.Store(true)
			contains(t, m.kurir("", "queue", "retry", w.retry), "1 recipient")
			contains(t, m.kurir("", "queue", "retry", "--domain", "b.test"), "2 recipients")
			if state == "stopped" {
				m.start()
			}
			err := eventually(patience, func() error {
				if out := m.queue(); strings.Contains(out, w.retry) || strings.Contains(out, w.two) {
					return fmt.Errorf("they still wait:\n%s", out)
				}
				return nil
			})
			ok(t, "retry", err)
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

// TestSend sends from scripts and from programs that know sendmail alone.
func TestSend(t *testing.T) {
	t.Parallel()
	p := &peer{}
	startPeer(t, "127.0.0.1:0", p)
	m := newMailer(t, setup{relay: soon, rest: toPeer("a.test", p)})
	bin := tempDir(t)
	for _, name := range []string{"sendmail", "mailq"} {
		ok(t, "link", os.Symlink(binary, filepath.Join(bin, name)))
	}
	sendmail := func(stdin string, args ...string) (string, int) {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, "sendmail"), args...)
		cmd.Env = append(os.Environ(), "KURIR_CONFIG="+m.config)
		cmd.Stdin = strings.NewReader(stdin)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	got := func(n int, to []string, parts ...string) taken {
		t.Helper()
		all := p.gets(t, n)
		last := all[len(all)-1]
		contains(t, last.text, parts...)
		if a := strings.Join(addresses(last.to), " "); len(all) != n || a != strings.Join(to, " ") {
			t.Errorf("%d messages, the last to %s", len(all), a)
		}
		return last
	}
	const text = "From: alice@local.test\nTo: you@a.test\nBcc: secretly@a.test\nSubject: by hand\n\nHello\n.\nGrüße\n"
	id := strings.TrimSpace(m.kurir(text, "send", "you@a.test"))
	got(1, []string{"you@a.test"}, "Subject: by hand\r\n", "\r\nHello\r\n.\r\nGrüße\r\n", "\r\nDate: ", "\r\nMessage-I")
	contains(t, m.kurir("", "queue", "show", id[strings.LastIndex(id, " ")+1:]), "you@a.test", "250")

	m.kurir("It is full.\n", "send", "--from", alice, "--subject", "disk", "you@a.test")
	got(2, []string{"you@a.test"}, "Subject: disk\r\n", "It is full.\r\n", "From: ")

	out, code := sendmail(text, "-t", "-i")
	if code != 0 {
		t.Errorf("sendmail -t -i: exit code %d\n%s", code, out)
	}
	if last := got(3, []string{"you@a.test", "secretly@a.test"}, "\r\nHello\r\n.\r\nGrüße\r\n"); strings.Contains(last.text, "Bcc") {
		t.Errorf("Bcc is still there:\n%s", last.text)
	}
	if out, code = sendmail(text, "-f", bob, "-F", "Bob B.", "you@a.test"); code != 0 {
		t.Errorf("sendmail: exit code %d\n%s", code, out)
	}
	if last := got(4, []string{"you@a.test"}, "\r\nHello\r\n"); strings.Contains(last.text, "Grüße") || !strings.HasPrefix(last.from, "<"+bob+">") {
		t.Errorf("a dot did not end it, or from %s:\n%s", last.from, last.text)
	}
	if out, code = sendmail("Subject: cron\n\nIt ran.\n", "-i", alice); code != 0 {
		t.Errorf("sendmail to a local user: exit code %d\n%s", code, out)
	}
	contains(t, m.arrived(alice, "Subject: cron\r\n"), "It ran.\r\n", "\r\nFrom: ")
	for _, bad := range []struct {
		code int
		args []string
	}{{64, []string{"-i"}}, {67, []string{"-i", "nobody@local.test"}}} {
		if out, code := sendmail("Subject: x\n\n", bad.args...); code != bad.code {
			t.Errorf("sendmail %q: exit code %d, not %d\n%s", bad.args, code, bad.code, out)
		}
	}
	if out, code := sendmail("", "-bp"); code != 0 {
		t.Errorf("sendmail -bp: exit code %d\n%s", code, out)
	}
	if len(p.messages()) != 4 {
		t.Errorf("%d messages, not 4", len(p.messages()))
	}
	t.Run("mutt", func(t *testing.T) {
		c := newClient(t, "mutt")
		sh := c.file("sendmail.sh", fmt.Sprintf("#!/bin/sh\nKURIR_CONFIG=%s exec %s/sendmail \"$@\"\n", m.config, bin))
		ok(t, "chmod", os.Chmod(sh, 0o700))
		rc := c.file("muttrc", fmt.Sprintf("set sendmail=\"%s -oem -oi\" from=%s use_envelope_from=yes copy=no\n", sh, alice))
		c.must("Hello\n", "mutt", "-n", "-F", rc, "-s", "by mutt", "-b", "secretly@a.test", "--", "you@a.test")
		got(5, []string{"you@a.test", "secretly@a.test"}, "Subject: by mutt\r\n")
	})
	// Without a server it is put into the queue, and goes once there is one.
	m.stop()
	if out, code := sendmail(text, "-t", "-i"); code != 0 {
		t.Errorf("sendmail without a server: exit code %d\n%s", code, out)
	}
	m.kurir(text, "send", "you@a.test")
	m.start()
	p.gets(t, 7)
	m.empty(patience)
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
		return newClient(t).must("", binary, append(append([]string{"queue"}, args...), "--data", s.dir)...)
	}
	contains(t, queue("list"), id, "you@elsewhere.test", "held", "local")
	contains(t, queue("show", id), "you@elsewhere.test", "held")
	said := s.run.out.String()
	contains(t, said, "other domains")
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
	m.restart()
	m.sends(alice, letter(alice, "you@a.test", "number 5.", "Hello"), "you@a.test")
	m.lists([]string{"--held"}, "3 messages")
	m.kurir("", "queue", "release", "--account", alice)
	p.gets(t, 6)
	m.empty(patience)
}

// restart stops and starts the server.
func (m *mailer) restart() {
	m.t.Helper()
	m.stop()
	m.start()
}
