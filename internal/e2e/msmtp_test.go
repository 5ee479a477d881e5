package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestMsmtp submits with a program that many use as their sendmail.
func TestMsmtp(t *testing.T) {
	t.Parallel()
	c := newClient(t, "msmtp")
	s := newServer(t)
	config := func(port int, startTLS, auth, pass string) string {
		return c.file("msmtprc", fmt.Sprintf(`
account kurir
host 127.0.0.1
port %s
tls on
tls_starttls %s
tls_trust_file %s
auth %s
user %s
password %s
from %s
account default : kurir
`, s.port(port), startTLS, s.ca(), auth, bob, pass, bob))
	}
	for _, way := range []struct {
		port           int
		startTLS, auth string
	}{
		{submissionPort, "on", "plain"},
		{submissionPort, "on", "login"},
		{submissionPort, "on", "on"},
		{submissionsPort, "off", "plain"},
	} {
		subject := fmt.Sprintf("%s by %d", way.auth, way.port)
		text := letter(bob, alice, subject, "Hello", ".", "Grüße", "")
		c.must(strings.ReplaceAll(text, "\r\n", "\n"), "msmtp", "-C", config(way.port, way.startTLS, way.auth, password), alice, bob)
		traced(t, s.find(alice, subject).body, text)
		traced(t, s.find(bob, subject).body, text)
	}
	bare := "From: " + bob + "\nTo: " + alice + "\nBcc: " + bob + "\nSubject: bare\n\nno date, no id\n"
	c.must(bare, "msmtp", "-C", config(submissionPort, "on", "plain", password), "-t")
	for _, a := range []string{alice, bob} {
		body := string(s.find(a, "bare").body)
		contains(t, body, "\r\nDate: ", "\r\nMessage-I")
		if strings.Contains(body, "Bcc:") {
			t.Errorf("Bcc is still there:\n%s", body)
		}
	}
	if out, code := c.try(bare, "msmtp", "-C", config(submissionPort, "on", "plain", "wrong"), alice); code != 77 || !strings.Contains(out, "535") { // EX_NOPERM
		t.Errorf("wrong password: code %d, %s", code, out)
	}
	if out, code := c.try(bare, "msmtp", "-C", config(submissionPort, "on", "plain", password), "x@local"); code != 65 || !strings.Contains(out, "5.1.2") {
		t.Errorf("no domain: code %d, %s", code, out)
	}
}
