package e2e

import (
	"testing"
)

// TestCurl sends by every SMTP port and reads by every IMAP and POP3 port, with the
// certificate checked.
func TestCurl(t *testing.T) {
	t.Parallel()
	c := newClient(t, "curl")
	s := newServer(t)
	curl := func(args ...string) string {
		t.Helper()
		return c.must("", "curl", append([]string{"-sS", "--cacert", s.ca(), "--max-time", "60"}, args...)...)
	}
	for _, way := range []struct{ subject, url, from string }{
		{"inbound", "smtp://" + s.at(smtpPort), "carol@elsewhere.test"},
		{"inbound with TLS", "smtp://" + s.at(smtpPort), "carol@elsewhere.test"},
		{"submission", "smtp://" + s.at(submissionPort), bob},
		{"submissions", "smtps://" + s.at(submissionsPort), bob},
	} {
		text := letter(way.from, alice, way.subject, "Hej Alice,", ".", "..two dots", "bye")
		args := []string{way.url + "/client.test", "--mail-from", way.from, "--mail-rcpt", alice, "-T", c.file("letter", text)}
		if way.subject != "inbound" {
			args = append(args, "--ssl-reqd")
		}
		if way.from == bob {
			args = append(args, "-u", bob+":"+password)
		}
		curl(args...)
		traced(t, s.find(alice, way.subject).body, text)
	}

	user := []string{"-u", alice + ":" + password}
	got := s.mailboxOf(alice, "INBOX").messages
	for _, url := range []string{
		"imaps://" + s.at(imapsPort) + "/INBOX;MAILINDEX=2",
		"imap://" + s.at(imapPort) + "/INBOX;MAILINDEX=2",
		"pop3s://" + s.at(pop3sPort) + "/2",
		"pop3://" + s.at(pop3Port) + "/2",
	} {
		if text := curl(append(user, "--ssl-reqd", url)...); text != string(got[1].body) {
			t.Errorf("%s: %q, not %q", url, text, got[1].body)
		}
	}
	contains(t, curl(append(user, "imaps://"+s.at(imapsPort)+"/INBOX?SUBJECT%20submissions")...), "* SEARCH 4")
	contains(t, curl(append(user, "imaps://"+s.at(imapsPort)+"/")...), "INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive")
	contains(t, curl(append(user, "-X", "EXAMINE INBOX", "imaps://"+s.at(imapsPort)+"/")...), "4 EXISTS")
	contains(t, curl(append(user, "pop3s://"+s.at(pop3sPort)+"/")...), "1 ", "4 ")
	curl(append(user, "-T", c.file("letter", letter(alice, bob, "a draft", "…")), "imaps://"+s.at(imapsPort)+"/Drafts")...)
	findIn(t, s.mailboxOf(alice, "Drafts"), "a draft")

	contains(t, curl("http://"+s.at(httpPort)+"/healthz"), "ok")
	contains(t, curl("http://"+s.at(httpPort)+"/metrics"), "kurir_")

	for _, bad := range [][]string{
		{"imaps://" + s.at(imapsPort) + "/INBOX", "-u", alice + ":wrong"},
		{"pop3s://" + s.at(pop3sPort) + "/", "-u", alice + ":wrong"},
	} {
		if out, code := c.try("", "curl", append([]string{"-sS", "--cacert", s.ca()}, bad...)...); code != 67 { // CURLE_LOGIN_DENIED
			t.Errorf("%s with a wrong password: code %d, %s", bad[0], code, out)
		}
	}
	if out, code := c.try("", "curl", "-sS", "imaps://"+s.at(imapsPort)+"/INBOX", "-u", alice+":"+password); code != 60 {
		t.Errorf("a certificate that nobody vouches for: code %d, %s", code, out)
	}
}
