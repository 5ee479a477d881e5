package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// atOnce is how soon an open session is told of what other programs do to the files: a
// second on a local disk. A slow machine that does other things at the same time gets
// more; each case is tried a few times, and the best one counts.
const atOnce = time.Second

// TestForeign changes the files of a mailbox, as other programs do, while an IMAP session
// is in IDLE.
func TestForeign(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	root := s.account(alice)
	w := s.watch(alice, "INBOX")
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	best := map[string]time.Duration{}
	note := func(what string, took time.Duration) {
		if b, ok := best[what]; !ok || took < b {
			best[what] = took
		}
	}
	const tries = 3
	for i := range tries {
		n := uint32(i)
		text := strings.ReplaceAll(letter("carol@elsewhere.test", alice, fmt.Sprint("dropped ", i), "Hello"), "\r\n", "\n")
		tmp, base := filepath.Join(root, "tmp", "drop"), fmt.Sprintf("1763700000.M%dP1.elsewhere", i)
		if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		rename(tmp, filepath.Join(root, "new", base))
		note("a file dropped into new", w.until("a new file", func() bool { return w.messages == n+1 }))
	}
	w.end()
	w = s.watch(alice, "INBOX")
	for i := range tries {
		path := onlyFile(t, filepath.Join(root, "cur"), fmt.Sprintf("M%dP1.elsewhere", i))
		plain, _, ok := strings.Cut(path, ":2,")
		if !ok {
			t.Fatalf("the name %s has no flags", path)
		}
		rename(path, plain+":2,S")
		note("a flag added by a rename", w.until("a flag", func() bool { return w.has(w.uids[i], `\seen`) }))
	}
	for i := range tries {
		if err := os.Remove(onlyFile(t, filepath.Join(root, "cur"), fmt.Sprintf("M%dP1.elsewhere", i))); err != nil {
			t.Fatal(err)
		}
		note("a file removed", w.until("a removal", func() bool { return w.expunged == i+1 }))
	}
	w.end()
	for what, took := range best {
		t.Logf("%s: told after %v", what, took.Round(time.Millisecond))
		if took > atOnce {
			t.Errorf("%s: the session was told after %v", what, took)
		}
	}
	if m := s.mailboxOf(alice, "INBOX"); len(m.messages) != 0 || m.uidNext != tries+1 {
		t.Errorf("%d messages, next UID %d", len(m.messages), m.uidNext)
	}
}

// onlyFile is the one file of a directory with part in its name.
func onlyFile(t *testing.T, dir, part string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"+part+"*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q in %s: %q, %v", part, dir, found, err)
	}
	return found[0]
}
