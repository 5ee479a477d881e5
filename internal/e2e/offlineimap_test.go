package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// TestOfflineIMAP keeps a Maildir tree the same as an account, through changes on both
// sides, and moves nothing where nothing changed.
func TestOfflineIMAP(t *testing.T) {
	t.Parallel()
	c := newClient(t, "offlineimap")
	s := newServer(t)
	mail := filepath.Join(c.home, "mail")
	rc := c.file("offlineimaprc", fmt.Sprintf(`
[general]
accounts = kurir
metadata = %s/state
ui = basic
[Account kurir]
localrepository = Local
remoterepository = Remote
[Repository Local]
type = Maildir
localfolders = %s
[Repository Remote]
type = IMAP
remotehost = localhost
remoteport = %s
remoteuser = %s
remotepass = %s
ssl = yes
sslcacertfile = %s
maxconnections = 3
`, c.home, mail, s.port(imapsPort), alice, password, s.ca()))
	sync := func() string { return c.must("", "offlineimap", "-c", rc, "-o") }
	local := func() map[string]string {
		all := map[string]string{}
		for _, d := range []string{"new", "cur"} {
			maps.Copy(all, filesIn(t, filepath.Join(mail, "INBOX", d)))
		}
		return all
	}
	path := func(subject string) string {
		for name, text := range local() {
			if strings.Contains(text, "Subject: "+subject+"\n") {
				for _, d := range []string{"new", "cur"} {
					if p := filepath.Join(mail, "INBOX", d, name); exists(p) {
						return p
					}
				}
			}
		}
		return ""
	}
	var texts []string
	for i := range 50 {
		texts = append(texts, letter("carol@elsewhere.test", alice, fmt.Sprintf("far %d", i), "Grüße", ".", "end"))
	}
	fill(t, s, alice, texts...)
	sync()
	if n := len(local()); n != 50 {
		t.Fatalf("%d of 50 messages arrived", n)
	}
	before := local()
	sync()
	if !maps.Equal(before, local()) {
		t.Error("a second run changed files")
	}

	// Here: one read, one gone, one written. There: one flagged, one moved away.
	read := path("far 1")
	base, _, _ := strings.Cut(filepath.Base(read), ":2,")
	if err := os.Rename(read, filepath.Join(mail, "INBOX", "cur", base+":2,S")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path("far 2")); err != nil {
		t.Fatal(err)
	}
	c.file("mail/INBOX/new/1763700000.M1P1.near", strings.ReplaceAll(letter(alice, bob, "written here", "Hej"), "\r\n", "\n"))
	far := s.mailboxOf(alice, "INBOX")
	there := s.dialIMAP(alice, nil)
	defer there.Close()
	if _, err := there.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := there.Store(imap.UIDSetNum(findIn(t, far, "far 3").uid), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Move(imap.UIDSetNum(findIn(t, far, "far 4").uid), "Archive").Wait(); err != nil {
		t.Fatal(err)
	}
	sync()
	far = s.mailboxOf(alice, "INBOX")
	if got := flagText(findIn(t, far, "far 1").flags); got != `\seen` {
		t.Errorf("far 1 has %q on the server", got)
	}
	findIn(t, far, "written here")
	if p := path("far 3"); !strings.HasSuffix(p, "F") {
		t.Errorf("far 3 is not flagged here: %s", p)
	}
	if path("far 4") != "" || len(filesIn(t, filepath.Join(mail, "Archive", "cur")))+len(filesIn(t, filepath.Join(mail, "Archive", "new"))) != 1 {
		t.Error("far 4 did not follow")
	}
	if slices.ContainsFunc(far.messages, func(f fetched) bool { return bytes.Contains(f.body, []byte("Subject: far 2\r\n")) }) {
		t.Error("far 2 is still on the server")
	}
	before = local()
	sync()
	if !maps.Equal(before, local()) || len(s.mailboxOf(alice, "INBOX").messages) != 49 {
		t.Errorf("the last run changed something: %d messages", len(s.mailboxOf(alice, "INBOX").messages))
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
