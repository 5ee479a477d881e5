package e2e

import (
	"path/filepath"
	"testing"
)

// script runs a script of testdata with Python.
func (c *client) script(name string, args ...string) string {
	c.t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		c.t.Fatal(err)
	}
	return c.must("", "python3", append([]string{path}, args...)...)
}

// three are the messages that the scripts expect.
func three() []string {
	var all []string
	for _, subject := range []string{"one", "two", "three"} {
		all = append(all, letter("carol@elsewhere.test", alice, subject, "Grüße", ".", "..", "end"))
	}
	return all
}

// TestPython runs the three libraries that many scripts are made with.
func TestPython(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	for name, port := range map[string][2]int{"imap.py": {imapPort, imapsPort}, "pop3.py": {pop3Port, pop3sPort}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			fill(t, s, alice, three()...)
			newClient(t).script(name, "127.0.0.1", s.port(port[0]), s.port(port[1]), s.ca(), alice, password)
		})
	}
	t.Run("smtp.py", func(t *testing.T) {
		t.Parallel()
		s := newServer(t)
		newClient(t).script("smtp.py", "127.0.0.1", s.port(smtpPort), s.port(submissionPort), s.port(submissionsPort), s.ca(), bob, alice, password)
		got := s.mailboxOf(alice, "INBOX")
		for _, subject := range []string{"inbound", "inbound TLS", "half", "submission", "PLAIN", "LOGIN"} {
			findIn(t, got, "smtplib "+subject)
		}
		if len(got.messages) != 6 {
			t.Errorf("%d messages, not 6", len(got.messages))
		}
	})
	t.Run("resync.py", func(t *testing.T) {
		t.Parallel()
		s := newServer(t)
		newClient(t).script("resync.py", "127.0.0.1", s.port(imapsPort), s.ca(), alice, password)
	})
}
