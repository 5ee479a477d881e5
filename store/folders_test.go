package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

func listing(t *testing.T, a *Account) string {
	t.Helper()
	list, err := a.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, i := range list {
		fmt.Fprintf(&b, "%s", i.Name)
		for _, f := range []struct {
			on   bool
			text string
		}{{!i.Exists, " absent"}, {i.HasChildren, " parent"}, {i.Subscribed, " subscribed"}, {i.SpecialUse != "", " " + i.SpecialUse}} {
			if f.on {
				b.WriteString(f.text)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestFolderNames(t *testing.T) {
	_, a := testAccount(t, nil)
	ctx := t.Context()
	long := strings.Repeat("x", 254)
	for _, c := range []struct {
		name, dir string
		err       error
	}{
		{"Lists/go", ".Lists.go", nil},
		{"Lists/go", "", ErrMailboxExists},
		{"inbox", "", ErrMailboxExists},
		{"Inbox/sub", ".INBOX.sub", nil},
		{"a.b", ".a&AC4-b", nil},
		{"Zürich", ".Z&APw-rich", nil},
		{"Zu\u0308rich", "", ErrMailboxExists}, // NFC
		{"", "", ErrInvalidName}, {"a//b", "", ErrInvalidName}, {"a/", "", ErrInvalidName}, {"\xff", "", ErrInvalidName}, {"a\nb", "", ErrInvalidName},
		{long, "." + long, nil}, {long + "x", "", ErrNameTooLong},
	} {
		err := a.Create(ctx, c.name, "")
		if !errors.Is(err, c.err) {
			t.Errorf("create %.20q: %v, want %v", c.name, err, c.err)
		}
		if c.dir != "" {
			if _, err := os.Stat(filepath.Join(a.dir, c.dir, "maildirfolder")); err != nil {
				t.Error(err)
			}
		}
	}
	if err := a.Create(ctx, "My sent", "Sent"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(a.dir, ".My sent", maildir.MailboxFileName))
	if err != nil || !strings.Contains(string(b), "special-use \\Sent\n") {
		t.Errorf("%s %v", b, err)
	}
	for _, n := range []string{"nowhere", "", "a//b", long + "x"} {
		if _, err := a.Mailbox(ctx, n); !errors.Is(err, ErrNoMailbox) {
			t.Errorf("open %.10q: %v", n, err)
		}
		if err := a.Delete(ctx, n); !errors.Is(err, ErrNoMailbox) {
			t.Errorf("delete %.10q: %v", n, err)
		}
	}
	if err := a.Delete(ctx, "inbox"); !errors.Is(err, ErrNotPermitted) {
		t.Error(err)
	}
	got := listing(t, a)
	for _, want := range []string{"INBOX parent subscribed\n", "\nLists absent parent\nLists/go\n", "\nMy sent Sent\n", "\na.b\n", "\nZürich\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if left := leftovers(a.s.o.Dir); len(left) > 0 {
		t.Error(left)
	}
}

// A folder of another program is a mailbox at once, and gets kurir's file when it is used.
func TestForeignFolder(t *testing.T) {
	_, a := testAccount(t, nil)
	dir := filepath.Join(a.dir, ".Theirs.deep")
	if err := os.MkdirAll(filepath.Join(dir, "cur"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(a.dir, ".not one"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, a); !strings.Contains(got, "Theirs absent parent\nTheirs/deep\n") || strings.Contains(got, "not one") {
		t.Error(got)
	}
	m := testBox(t, a, "Theirs/deep")
	if st, err := m.Status(t.Context()); err != nil || st.UIDValidity == 0 || st.Messages != 0 {
		t.Error(st, err)
	}
	for _, f := range []string{"new", "tmp", maildir.MailboxFileName} {
		if _, err := os.Stat(filepath.Join(dir, f)); err != nil {
			t.Error(err)
		}
	}
	if _, err := a.Mailbox(t.Context(), "not one"); err == nil {
		if _, err := os.Stat(filepath.Join(a.dir, ".not one", "cur")); err != nil {
			t.Error("a mailbox without cur/")
		}
	}
}

func TestSubscriptions(t *testing.T) {
	_, a := testAccount(t, nil)
	ctx := t.Context()
	for _, n := range []string{"Later", "Later", "Zu\u0308rich"} {
		if err := a.Subscribe(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Unsubscribe(ctx, "Junk"); err != nil {
		t.Fatal(err)
	}
	if err := a.Subscribe(ctx, "a//b"); !errors.Is(err, ErrInvalidName) {
		t.Error(err)
	}
	got, err := a.Subscriptions(ctx)
	slices.Sort(got)
	if err != nil || strings.Join(got, " ") != "Archive Drafts INBOX Later Sent Trash Zürich" {
		t.Error(got, err)
	}
	// Courier's file is read where there is no other.
	if err := errors.Join(os.Remove(filepath.Join(a.dir, maildir.SubscriptionsFile)),
		os.WriteFile(filepath.Join(a.dir, maildir.CourierSubscriptionsFile), []byte("INBOX.Sent\nINBOX.Lists.go\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Subscriptions(ctx); err != nil || len(got) != 2 || !slices.Contains(got, "Lists/go") {
		t.Error(got, err)
	}
}

func TestRenameSubtree(t *testing.T) {
	_, a := testAccount(t, nil)
	ctx := t.Context()
	for _, n := range []string{"A", "A/b", "A/b/c", "AB", "X/y"} {
		if err := a.Create(ctx, n, ""); err != nil {
			t.Fatal(err)
		}
	}
	m := testBox(t, a, "A/b")
	id, validity := m.ID(), m.UIDValidity()
	uids := testAppend(t, m, "A: b\r\n\r\n")
	v := testView(t, m)
	for _, c := range []struct {
		from, to string
		err      error
	}{
		{"nothing", "N", ErrNoMailbox}, {"A", "AB", ErrMailboxExists}, {"A", "A", ErrMailboxExists}, {"A", "A/b/d", ErrNotPermitted}, {"A", "INBOX", ErrMailboxExists},
		{"A", "x//y", ErrInvalidName}, {"A", strings.Repeat("x", 254), ErrNameTooLong}, {"A", "X", nil}, {"A/b", "B", ErrNoMailbox}, {"X/b", "B", nil},
	} {
		if err := a.Rename(ctx, c.from, c.to); !errors.Is(err, c.err) {
			t.Errorf("rename %s to %.10s: %v, want %v", c.from, c.to, err, c.err)
		}
	}
	got := listing(t, a)
	for _, want := range []string{"AB\n", "\nX parent\nX/y\n", "\nB parent\nB/c\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if m.Name() != "B" || m.ID() != id || m.UIDValidity() != validity {
		t.Error(m.Name(), m.ID(), m.UIDValidity())
	}
	if text, err := readMessage(ctx, v, uids[0]); err != nil || text != "A: b\r\n\r\n" {
		t.Error(text, err)
	}
	if testBox(t, a, "B") != m {
		t.Error("the mailbox is open twice")
	}
	if _, err := os.Stat(filepath.Join(a.dir, renameFile)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the intent is still there", err)
	}
}

// The intent of a RENAME that was cut short is completed at the next opening.
func TestRenameIsCompleted(t *testing.T) {
	dir := memDir(t)
	s := openTest(t, dir, nil)
	ctx := t.Context()
	if err := s.CreateAccount(ctx, testAddress); err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(ctx, testAddress)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"A", "A/b", "A/c"} {
		if err := a.Create(ctx, n, ""); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	s.kill()
	intent := filepath.Join(a.dir, renameFile)
	if err := errors.Join(os.WriteFile(intent, []byte(".A\t.Z\n.A.b\t.Z.b\n.A.c\t.Z.c\n"), 0o600), os.Rename(filepath.Join(a.dir, ".A"), filepath.Join(a.dir, ".Z"))); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, nil)
	a, err = s.Account(ctx, testAddress)
	if err != nil {
		t.Fatal(err)
	}
	if got := listing(t, a); !strings.Contains(got, "\nZ parent\nZ/b\nZ/c\n") || strings.Contains(got, "\nA/") {
		t.Error(got)
	}
	if _, err := os.Stat(intent); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	a.Close()
	s.Close()
	// One that makes no sense is never guessed at.
	for _, bad := range []string{"rubbish\n", "../x\t.y\n", ".a\t.b/c\n"} {
		if err := os.WriteFile(intent, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		s := openTest(t, dir, nil)
		if _, err := s.Account(ctx, testAddress); err == nil || !strings.Contains(err.Error(), "by hand") {
			t.Errorf("%q: %v", bad, err)
		}
		s.Close()
	}
}

func TestDeletedMailboxIsSwept(t *testing.T) {
	now := time.Now()
	s, a := testAccount(t, func(o *Options) { o.Now = func() time.Time { return now } })
	ctx := t.Context()
	if err := a.Create(ctx, "Old", ""); err != nil {
		t.Fatal(err)
	}
	m := testBox(t, a, "Old")
	testAppend(t, m, "A: b\r\n\r\n")
	if err := a.Delete(ctx, "Old"); err != nil {
		t.Fatal(err)
	}
	if err := a.Create(ctx, "Old", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Status(ctx); !errors.Is(err, ErrMailboxGone) {
		t.Error(err)
	}
	if n := testBox(t, a, "Old"); n.ID() == m.ID() || n.UIDValidity() <= m.UIDValidity() {
		t.Error("the same mailbox again", n.ID(), n.UIDValidity())
	}
	s.sweep(s.o.ExpungedKeep)
	if names, _ := (fsx.OS{}).ReadNames(a.expungedDir()); len(names) != 1 {
		t.Error(names)
	}
	now = now.Add(2 * s.o.ExpungedKeep)
	s.sweep(s.o.ExpungedKeep)
	if names, _ := (fsx.OS{}).ReadNames(a.expungedDir()); len(names) != 0 {
		t.Error(names)
	}
}
