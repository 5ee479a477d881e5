package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// mbsyncer is mbsync with a Maildir tree that it keeps the same as an account's mail.
type mbsyncer struct {
	*client
	s    *server
	rc   string
	mail string
}

func newMbsync(t *testing.T, s *server) *mbsyncer {
	c := newClient(t, "mbsync")
	m := &mbsyncer{client: c, s: s, mail: filepath.Join(c.home, "mail")}
	m.rc = c.file("mbsyncrc", fmt.Sprintf(`
IMAPStore kurir
Host localhost
Port %s
User %s
Pass %s
SSLType IMAPS
SystemCertificates no
CertificateFile %s

MaildirStore local
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel all
Far :kurir:
Near :local:
Patterns *
Create Both
Expunge Both
SyncState *
CopyArrivalDate yes
`, s.port(imapsPort), alice, password, s.ca(), m.mail, m.mail))
	if err := os.Mkdir(m.mail, 0o700); err != nil {
		t.Fatal(err)
	}
	return m
}

// sync runs mbsync and returns the conversation.
func (m *mbsyncer) sync() string {
	m.t.Helper()
	return m.must("", "mbsync", "-Dn", "-c", m.rc, "all")
}

// idle runs mbsync and fails the test if it moves or changes anything on either side.
func (m *mbsyncer) idle(when string, mailboxes ...string) {
	m.t.Helper()
	remote := func() (all []mailbox) {
		for _, name := range mailboxes {
			all = append(all, m.s.mailboxOf(alice, name))
		}
		return all
	}
	far, near := remote(), m.files(mailboxes...)
	said := m.sync()
	if command := moves.FindString(said); command != "" {
		m.t.Errorf("%s: mbsync said %s:\n%s", when, command, clip(said))
	}
	if now := m.files(mailboxes...); !maps.Equal(near, now) {
		m.t.Errorf("%s: the local files are others: %d before, %d after", when, len(near), len(now))
	}
	for i, now := range remote() {
		was := far[i]
		if now.uidValidity != was.uidValidity || now.uidNext < was.uidNext || !slices.EqualFunc(now.messages, was.messages, sameMessage) {
			m.t.Errorf("%s: %s has changed on the server", when, mailboxes[i])
		}
	}
}

// sameMessage reports whether two sessions saw the same message.
func sameMessage(a, b fetched) bool {
	return a.uid == b.uid && bytes.Equal(a.body, b.body) && flagText(a.flags) == flagText(b.flags)
}

// flagText is flags in a fixed order.
func flagText(flags []imap.Flag) string {
	var all []string
	for _, f := range flags {
		if f != `\Recent` {
			all = append(all, strings.ToLower(string(f)))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// tuid is what mbsync adds to a message on its way, to find it again.
var tuid = regexp.MustCompile(`(?m)^X-TUID: .{12}\r?\n`)

// moves is a command in mbsync's conversation that carries something over.
var moves = regexp.MustCompile(`>>> \d+ (UID )?(APPEND|STORE|EXPUNGE|CREATE|COPY|MOVE) |BODY\.PEEK\[\]`)

// files are the local messages by their path, without mbsync's own header field.
func (m *mbsyncer) files(mailboxes ...string) map[string]string {
	m.t.Helper()
	all := make(map[string]string)
	for _, name := range mailboxes {
		for _, d := range []string{"new", "cur"} {
			dir := filepath.Join(m.mail, name, d)
			for file, text := range filesIn(m.t, dir) {
				all[filepath.Join(dir, file)] = tuid.ReplaceAllString(text, "")
			}
		}
	}
	return all
}

// local finds the one local message with a subject.
func (m *mbsyncer) local(name, subject string) (path string) {
	m.t.Helper()
	for file, text := range m.files(name) {
		if strings.Contains(text, "\nSubject: "+subject+"\n") {
			if path != "" {
				m.t.Fatalf("%q is in both %s and %s", subject, path, file)
			}
			path = file
		}
	}
	return path
}

// mark adds letters to a local message's flags.
func (m *mbsyncer) mark(path, letters string) {
	m.t.Helper()
	base, old, ok := strings.Cut(filepath.Base(path), ":2,")
	if !ok {
		m.t.Fatalf("no flags in %s", path)
	}
	all := slices.Compact(slices.Sorted(slices.Values(strings.Split(old+letters, ""))))
	to := filepath.Join(filepath.Dir(filepath.Dir(path)), "cur", base+":2,"+strings.Join(all, ""))
	if err := os.Rename(path, to); err != nil {
		m.t.Fatal(err)
	}
}

// TestMbsync keeps 2,000 messages on each side the same, through changes on both, and
// moves nothing twice, whatever happens to the server in between.
func TestMbsync(t *testing.T) {
	t.Parallel()
	need(t, "mbsync")
	s := newServer(t)
	m := newMbsync(t, s)
	count := 2000
	if testing.Short() {
		count = 200
	}
	texts := make([]string, count)
	for i := range texts {
		texts[i] = letter("carol@elsewhere.test", alice, fmt.Sprintf("far %d", i), "Grüße", ".", strings.Repeat("x", i), "end")
	}
	fill(t, s, alice, texts...)
	m.sync()
	sameBodies(t, m.files("INBOX"), texts)
	m.idle("second run", "INBOX")

	// As many the other way, in a mailbox that the server does not have yet.
	pushed := filepath.Join(m.mail, "Pushed", "cur")
	for i := range texts {
		text := strings.ReplaceAll(letter("dave@elsewhere.test", alice, fmt.Sprintf("near %d", i), "Hello", strings.Repeat("y", i)), "\r\n", "\n")
		m.file(filepath.Join("mail", "Pushed", "cur", fmt.Sprintf("17637000%02d.M%dP1.near:2,S", i%100, i)), text)
	}
	for _, d := range []string{"new", "tmp"} {
		if err := os.Mkdir(filepath.Join(filepath.Dir(pushed), d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m.sync()
	for i, f := range s.mailboxOf(alice, "Pushed").messages {
		if flagText(f.flags) != `\seen` {
			t.Fatalf("message %d was pushed with %q", i, f.flags)
		}
	}
	sameBodies(t, m.files("Pushed"), bodies(s.mailboxOf(alice, "Pushed")))
	if n := len(m.files("Pushed")); n != count {
		t.Fatalf("%d of %d messages were pushed", n, count)
	}
	m.changes()
	for _, r := range restarts {
		r.do(s)
		m.idle(r.name, "INBOX", "Pushed")
	}
}

// changes makes changes on both sides and has them carried over.
func (m *mbsyncer) changes() {
	t, s := m.t, m.s
	t.Helper()
	m.mark(m.local("INBOX", "far 1"), "S")
	m.mark(m.local("INBOX", "far 2"), "FRS")
	m.mark(m.local("INBOX", "far 3"), "T")
	if err := os.Remove(m.local("INBOX", "far 4")); err != nil {
		t.Fatal(err)
	}
	m.file("mail/INBOX/new/1763700000.M1P1.near", strings.ReplaceAll(letter(alice, bob, "written near", "Hej"), "\r\n", "\n"))
	c := s.dialIMAP(alice, nil)
	defer c.Close()
	far := s.mailboxOf(alice, "INBOX")
	uid := func(subject string) imap.UIDSet { return imap.UIDSetNum(findIn(t, far, subject).uid) }
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	add := func(set imap.UIDSet, flags ...imap.Flag) {
		t.Helper()
		if err := c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: flags}, nil).Close(); err != nil {
			t.Fatal(err)
		}
	}
	add(uid("far 5"), imap.FlagFlagged)
	add(uid("far 6"), imap.FlagDeleted)
	if err := c.UIDExpunge(uid("far 6")).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Move(uid("far 7"), "Pushed").Wait(); err != nil {
		t.Fatal(err)
	}
	m.sync()

	far = s.mailboxOf(alice, "INBOX")
	for subject, want := range map[string]string{
		"far 1": `\seen`, "far 2": `\answered \flagged \seen`, "far 5": `\flagged`, "far 8": "", "written near": "",
	} {
		if got := flagText(findIn(t, far, subject).flags); got != want {
			t.Errorf("%s has %q on the server, not %q", subject, got, want)
		}
	}
	for _, subject := range []string{"far 3", "far 4", "far 6", "far 7"} {
		if path := m.local("INBOX", subject); path != "" {
			t.Errorf("%s is still there: %s", subject, path)
		}
		if slices.ContainsFunc(far.messages, func(f fetched) bool { return bytes.Contains(f.body, []byte("Subject: "+subject+"\r\n")) }) {
			t.Errorf("%s is still on the server", subject)
		}
	}
	if path := m.local("INBOX", "far 5"); !strings.HasSuffix(path, ":2,F") {
		t.Errorf("far 5 has no flag: %s", path)
	}
	if m.local("Pushed", "far 7") == "" {
		t.Error("far 7 did not arrive where it was moved to")
	}
	sameBodies(t, m.files("INBOX"), bodies(far))
}

// bodies are the messages of a mailbox, without mbsync's own header field.
func bodies(m mailbox) (all []string) {
	for _, f := range m.messages {
		all = append(all, tuid.ReplaceAllString(string(f.body), ""))
	}
	return all
}
