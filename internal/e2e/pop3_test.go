package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// restarts are the ways in which a server may come back. A client that remembers what it
// has seen must find the same after each.
var restarts = []struct {
	name string
	do   func(*server)
}{
	{"at once", func(*server) {}},
	{"after a restart", (*server).restart},
	{"after a crash", func(s *server) { s.kill(); s.start() }},
	{"after the loss of the index", (*server).restartWithoutIndex},
}

// TestFetchmail downloads with UIDL and leaves the messages on the server: each is
// fetched once, whatever happens to the server in between.
func TestFetchmail(t *testing.T) {
	t.Parallel()
	c := newClient(t, "fetchmail")
	s := newServer(t)
	inbox := filepath.Join(c.home, "fetched")
	if err := os.Mkdir(inbox, 0o700); err != nil {
		t.Fatal(err)
	}
	mda := c.file("mda", "#!/bin/sh\nexec cat >\"$(mktemp "+inbox+"/XXXXXXXX)\"\n")
	if err := os.Chmod(mda, 0o700); err != nil {
		t.Fatal(err)
	}
	rc := c.file("fetchmailrc", fmt.Sprintf(`poll localhost service %s protocol pop3 uidl
  user %q password %q ssl sslcertck sslcertfile %q keep no rewrite no mimedecode
  mda %q
`, s.port(pop3sPort), alice, password, s.ca(), mda))
	const nothing = 1 // exit code: no mail
	fetchmail := func(want int) string {
		t.Helper()
		out, code := c.try("", "fetchmail", "-f", rc, "--nodetach", "--nosyslog", "-v", "--invisible", "--pidfile", filepath.Join(c.home, "pid"))
		if code != want {
			t.Fatalf("exit code %d, not %d\n%s", code, want, clip(out))
		}
		return out
	}
	var sent []string
	for i := range 20 {
		sent = append(sent, letter("carol@elsewhere.test", alice, fmt.Sprint("number ", i), "Hello", ".", "..", "From here"))
	}
	fill(t, s, alice, sent...)
	fetchmail(0)
	sameBodies(t, filesIn(t, inbox), sent)
	for i, r := range restarts {
		r.do(s)
		fetchmail(nothing)
		if got := len(filesIn(t, inbox)); got != len(sent) {
			t.Fatalf("%s: %d files of %d messages", r.name, got, len(sent))
		}
		more := letter("carol@elsewhere.test", alice, fmt.Sprint("another ", i), "Hello again")
		fill(t, s, alice, more)
		sent = append(sent, more)
		fetchmail(0)
		sameBodies(t, filesIn(t, inbox), sent)
	}
}

// TestMpop is the same with another program, which also deletes at the end.
func TestMpop(t *testing.T) {
	t.Parallel()
	c := newClient(t, "mpop")
	s := newServer(t)
	inbox := filepath.Join(c.home, "maildir")
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(inbox, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := func(startTLS string, port int, keep string) string {
		return c.file("mpoprc", fmt.Sprintf(`
account kurir
host 127.0.0.1
port %s
tls on
tls_starttls %s
tls_trust_file %s
auth plain
user %s
password %s
keep %s
uidls_file %s
delivery maildir %s
received_header off
account default : kurir
`, s.port(port), startTLS, s.ca(), alice, password, keep, filepath.Join(c.home, "uidls"), inbox))
	}
	var sent []string
	for i := range 30 {
		sent = append(sent, letter("carol@elsewhere.test", alice, fmt.Sprint("number ", i), "Hello", ".", "Grüße"))
	}
	fill(t, s, alice, sent...)
	rc := config("on", pop3Port, "on")
	c.must("", "mpop", "-C", rc)
	sameBodies(t, filesIn(t, filepath.Join(inbox, "new")), sent)
	for i, r := range restarts {
		r.do(s)
		contains(t, c.must("", "mpop", "-C", rc), "new: no messages")
		if got := len(filesIn(t, filepath.Join(inbox, "new"))); got != len(sent) {
			t.Fatalf("%s: %d files of %d messages", r.name, got, len(sent))
		}
		more := letter("carol@elsewhere.test", alice, fmt.Sprint("another ", i), "Hello again")
		fill(t, s, alice, more)
		sent = append(sent, more)
		c.must("", "mpop", "-C", rc)
		sameBodies(t, filesIn(t, filepath.Join(inbox, "new")), sent)
	}
	c.must("", "mpop", "-C", config("off", pop3sPort, "off"))
	if n := len(s.mailboxOf(alice, "INBOX").messages); n != 0 {
		t.Errorf("%d messages are left", n)
	}
	sameBodies(t, filesIn(t, filepath.Join(inbox, "new")), sent)
}

// fill puts messages into an account's INBOX by IMAP.
func fill(t *testing.T, s *server, address string, texts ...string) {
	t.Helper()
	c := s.dialIMAP(address, nil)
	defer c.Close()
	if _, err := appendTo(c, "INBOX", nil, texts...); err != nil {
		t.Fatal(err)
	}
}

// filesIn reads all files of a directory, by name.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}

// sameBodies fails unless files hold exactly the messages that were sent, each once, with
// the line ends of either a file or the wire.
func sameBodies(t *testing.T, files map[string]string, sent []string) {
	t.Helper()
	var got, want []string
	for _, text := range files {
		got = append(got, strings.ReplaceAll(text, "\r\n", "\n"))
	}
	for _, text := range sent {
		want = append(want, strings.ReplaceAll(text, "\r\n", "\n"))
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(got) != len(want) {
		t.Fatalf("%d files of %d messages", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("the files differ from what was sent\n got %q\nwant %q", clip(got[i]), clip(want[i]))
		}
	}
}
