package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// byHand is a message as a script writes it.
const byHand = "From: alice@local.test\nTo: you@a.test\nBcc: secretly@a.test\nSubject: by hand\n\nHello\n.\nGrüße\n"

// latest waits until a peer has n messages, and no more, and checks the last of them.
func (p *peer) latest(t *testing.T, n int, to []string, parts ...string) taken {
	t.Helper()
	all := p.gets(t, n)
	last := all[len(all)-1]
	contains(t, last.text, parts...)
	if a := strings.Join(addresses(last.to), " "); len(all) != n || a != strings.Join(to, " ") {
		t.Errorf("%d messages, the last to %s", len(all), a)
	}
	return last
}

// TestSend sends from scripts, with a server and without one.
func TestSend(t *testing.T) {
	t.Parallel()
	p := &peer{}
	startPeer(t, "127.0.0.1:0", p)
	m := newMailer(t, setup{relay: soon, rest: toPeer("a.test", p)})
	id := strings.TrimSpace(m.kurir(byHand, "send", "you@a.test"))
	p.latest(t, 1, []string{"you@a.test"}, "Subject: by hand\r\n", "\r\nHello\r\n.\r\nGrüße\r\n", "\r\nDate: ", "\r\nMessage-I")
	m.empty(patience)
	contains(t, m.kurir("", "queue", "show", id), "you@a.test", "250")
	m.kurir("It is full.\n", "send", "--from", alice, "--subject", "disk", "you@a.test")
	p.latest(t, 2, []string{"you@a.test"}, "Subject: disk\r\n", "It is full.\r\n", "From: ")
	if out, code := m.tryKurir(byHand, "send", "nobody@local.test"); code == 0 || !strings.Contains(out, "nobody@local.test") {
		t.Errorf("to nobody: exit code %d\n%s", code, out)
	}
	// Without a server it is put into the queue, and goes once there is one.
	m.stop()
	m.kurir(byHand, "send", "later@a.test")
	m.start()
	p.latest(t, 3, []string{"later@a.test"}, "Subject: by hand\r\n")
	m.empty(patience)
}

// TestSendmail sends from programs that know sendmail alone.
func TestSendmail(t *testing.T) {
	t.Parallel()
	p := &peer{}
	startPeer(t, "127.0.0.1:0", p)
	m := newMailer(t, setup{relay: soon, rest: toPeer("a.test", p)})
	link := filepath.Join(tempDir(t), "sendmail")
	ok(t, "link", os.Symlink(binary, link))
	run := func(want int, stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command(link, args...)
		cmd.Env = append(os.Environ(), "KURIR_CONFIG="+m.config)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("sendmail %q: exit code %d, not %d: %v\n%s", args, code, want, err, out)
		}
		return string(out)
	}
	run(0, byHand, "-t", "-i")
	if last := p.latest(t, 1, []string{"you@a.test", "secretly@a.test"}, "\r\nHello\r\n.\r\nGrüße\r\n"); strings.Contains(last.text, "Bcc") {
		t.Errorf("Bcc is still there:\n%s", last.text)
	}
	run(0, byHand, "-f", bob, "-F", "Bob B.", "you@a.test")
	if last := p.latest(t, 2, []string{"you@a.test"}, "\r\nHello\r\n"); strings.Contains(last.text, "Grüße") || !strings.HasPrefix(last.from, "<"+bob+">") {
		t.Errorf("a dot did not end it, or it is from %s:\n%s", last.from, last.text)
	}
	run(0, "Subject: cron\n\nIt ran.\n", "-i", alice)
	contains(t, m.arrived(alice, "Subject: cron\r\n"), "It ran.\r\n", "\r\nFrom: ")
	run(64, "Subject: x\n\n", "-i")                      // EX_USAGE: to whom?
	run(67, "Subject: x\n\n", "-i", "nobody@local.test") // EX_NOUSER
	run(0, "", "-bp")

	t.Run("mutt", func(t *testing.T) {
		m.within(t)
		c := newClient(t, "mutt")
		sh := c.file("sendmail.sh", fmt.Sprintf("#!/bin/sh\nKURIR_CONFIG=%s exec %s \"$@\"\n", m.config, link))
		ok(t, "chmod", os.Chmod(sh, 0o700))
		rc := c.file("muttrc", fmt.Sprintf("set sendmail=\"%s -oem -oi\" from=%s use_envelope_from=yes copy=no\n", sh, alice))
		c.must("Hello\n", "mutt", "-n", "-F", rc, "-s", "by mutt", "-b", "secretly@a.test", "--", "you@a.test")
		p.latest(t, 3, []string{"you@a.test", "secretly@a.test"}, "Subject: by mutt\r\n")
	})
}
