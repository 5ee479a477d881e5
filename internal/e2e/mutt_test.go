package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// muttSettings let mutt ask nothing.
const muttSettings = `
set folder="%[1]s"
set spoolfile="%[1]s/INBOX"
set imap_user="%[2]s" imap_pass="%[3]s"
set ssl_force_tls=yes certificate_file="%[4]s"
set from="%[2]s" realname="Alice" use_envelope_from=no
set smtp_url="smtp://alice@local.test:%[3]s@localhost:%[5]s"
set copy=yes record="=Sent" postponed="=Drafts"
set confirmappend=no confirmcreate=no delete=yes quit=yes move=no mark_old=no wait_key=no
set sort=date-received resolve=no
`

// keyed has mutt type keys at the start.
func keyed(keys ...string) string { return `push "` + strings.Join(keys, "") + `"` }

// TestMutt works as a person at a terminal does: reads, flags, copies, saves, deletes,
// makes a mailbox, then sends with a copy of its own.
func TestMutt(t *testing.T) {
	t.Parallel()
	c := newClient(t, "mutt", "python3")
	s := newServer(t)
	rc := c.file("muttrc", fmt.Sprintf(muttSettings, "imaps://localhost:"+s.port(imapsPort), alice, password, s.ca(), s.port(submissionPort)))
	terminal, err := filepath.Abs("testdata/terminal.py")
	if err != nil {
		t.Fatal(err)
	}
	mutt := func(mailbox string, keys ...string) {
		t.Helper()
		c.must("", "python3", terminal, "mutt", "-n", "-F", rc, "-f", mailbox, "-e", keyed(keys...))
	}
	on := func(subject string) string { return "<first-entry><search>~s " + subject + "<enter>" }
	fill(t, s, alice, letter("x@y.test", alice, "zero"))
	fill(t, s, alice, three()...)

	mutt("=INBOX",
		on("one"), "<display-message><exit>",
		on("two"), "<flag-message><copy-message>=Archive<enter>",
		on("three"), "<save-message>=Trash<enter>",
		on("zero"), "<delete-message>",
		"<sync-mailbox><quit>")
	inbox := s.mailboxOf(alice, "INBOX")
	if len(inbox.messages) != 2 {
		t.Errorf("%d messages are left, not 2", len(inbox.messages))
	}
	for subject, want := range map[string]string{"one": `\seen`, "two": `\flagged`} {
		if got := flagText(findIn(t, inbox, subject).flags); got != want {
			t.Errorf("%s has %q, not %q", subject, got, want)
		}
	}
	if got := findIn(t, s.mailboxOf(alice, "Archive"), "two"); flagText(got.flags) != `\flagged` {
		t.Errorf("the copy has %q", got.flags)
	}
	if got := findIn(t, s.mailboxOf(alice, "Trash"), "three"); string(got.body) != three()[2] {
		t.Errorf("saved as %q", got.body)
	}

	// The mailbox is not there yet: NO [TRYCREATE] makes mutt create it.
	mutt("=INBOX", on("one"), "<copy-message>=Neu/Füße<enter><quit>")
	findIn(t, s.mailboxOf(alice, "Neu/Füße"), "one")

	c.must("Grüße\n.\n..\n", "mutt", "-n", "-F", rc, "-e", "set ssl_starttls=yes", "-s", "sent by mutt",
		"-a", c.file("käse.bin", strings.Repeat("\x00\xff\n\r", 30000)), "--", bob)
	got := s.find(bob, "sent by mutt")
	contains(t, string(got.body), "From: Alice <"+alice+">", "with ESMTPSA")
	if copied := findIn(t, s.mailboxOf(alice, "Sent"), "sent by mutt"); flagText(copied.flags) != `\seen` || !strings.Contains(string(copied.body), "Subject: sent by mutt\r\n") {
		t.Errorf("the copy in Sent: %q\n%s", copied.flags, clip(string(copied.body)))
	}
}

// TestMuttMaildir opens the Maildir itself while an IMAP session watches it.
func TestMuttMaildir(t *testing.T) {
	t.Parallel()
	c := newClient(t, "mutt", "python3")
	s := newServer(t)
	terminal, err := filepath.Abs("testdata/terminal.py")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, alice, three()...)
	w := s.watch(alice, "INBOX")
	// Without a folder that exists, it would ask at the start whether to make one.
	rc := c.file("muttrc", fmt.Sprintf("set folder=%q mbox_type=Maildir delete=yes quit=yes move=no mark_old=no resolve=no\n", c.home))
	c.must("", "python3", terminal, "mutt", "-n", "-F", rc, "-f", s.account(alice), "-e", keyed("<tag-pattern>~s two<enter><tag-prefix><flag-message><delete-pattern>~s three<enter><sync-mailbox><quit>"))
	w.until("the flag and the removal", func() bool { return w.expunged == 1 && w.messages == 2 && w.has(2, `\flagged`) })
	w.end()
	inbox := s.mailboxOf(alice, "INBOX")
	if got := findIn(t, inbox, "two"); got.uid != 2 || flagText(got.flags) != `\flagged` {
		t.Errorf("UID %d has %q", got.uid, got.flags)
	}
}
