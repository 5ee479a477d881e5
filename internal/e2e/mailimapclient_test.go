package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

// needPerl is need for modules of Perl.
func needPerl(c *client, modules ...string) {
	c.t.Helper()
	for _, m := range modules {
		out, code := c.try("", "perl", "-M"+m, "-e", "1")
		switch {
		case code == 0:
		case os.Getenv("KURIR_REAL_CLIENTS") == "require":
			c.t.Fatalf("Perl has no module %s, and KURIR_REAL_CLIENTS=require\n%s", m, out)
		default:
			c.t.Skipf("Perl has no module %s", m)
		}
	}
}

// TestMailIMAPClient makes one account like another with the library that imapsync is made
// with, and again after changes.
func TestMailIMAPClient(t *testing.T) {
	t.Parallel()
	c := newClient(t, "perl")
	needPerl(c, "Mail::IMAPClient", "IO::Socket::SSL")
	s := newServer(t)
	script, err := filepath.Abs("testdata/mailimapclient.pl")
	if err != nil {
		t.Fatal(err)
	}
	sync := func(want string) {
		t.Helper()
		got := c.must("", "perl", script, "127.0.0.1", s.port(imapsPort), s.port(imapPort), s.ca(), alice, bob, password)
		if got != want+"\n" {
			t.Errorf("said %q, not %q", got, want)
		}
	}
	here := s.dialIMAP(alice, nil)
	folders := []string{"INBOX", "Archive", "2025/Max & Möwe", "2025/[a] (b) c"}
	for _, name := range folders[2:] {
		if err := here.Create(name, nil).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for i, name := range folders {
		var texts []string
		for range 30 {
			texts = append(texts, letter("carol@elsewhere.test", alice, fmt.Sprint("number ", n), "Grüße", ".", "end"))
			n++
		}
		o := &imap.AppendOptions{Time: time.Date(2020, 2, 1+i, 3, 4, 5, 0, time.FixedZone("", 3600)), Flags: []imap.Flag{`\Seen`, "Work"}}
		if _, err := appendTo(here, name, o, texts...); err != nil {
			t.Fatal(err)
		}
	}
	sync("copied 120 deleted 0 flagged 0 of 8 folders")
	sync("copied 0 deleted 0 flagged 0 of 8 folders")

	if _, err := here.Select("Archive", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	flags := &imap.StoreFlags{Op: imap.StoreFlagsSet, Flags: []imap.Flag{`\Flagged`, "$Forwarded"}}
	if err := here.Store(imap.UIDSetNum(1, 2, 3), flags, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Move(imap.UIDSetNum(4, 5), "INBOX").Wait(); err != nil {
		t.Fatal(err)
	}
	sync("copied 2 deleted 2 flagged 3 of 8 folders")
	sync("copied 0 deleted 0 flagged 0 of 8 folders")
}
