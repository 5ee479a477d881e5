package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAccountsLife(t *testing.T) {
	ledger := modelLedger{}
	s, a := testAccount(t, func(o *Options) { o.Ledger = ledger })
	ctx := t.Context()
	m := testBox(t, a, "INBOX")
	validity := m.UIDValidity()
	testAppend(t, m, "A: b\r\n\r\n")
	if err := s.CreateAccount(ctx, testAddress); !errors.Is(err, ErrAccountExists) {
		t.Error(err)
	}
	if err := s.CreateAccount(ctx, "bob@local.test"); err != nil {
		t.Fatal(err)
	}
	if err := s.RenameAccount(ctx, testAddress, "bob@local.test"); !errors.Is(err, ErrAccountExists) {
		t.Error(err)
	}
	if err := s.RenameAccount(ctx, "nobody@local.test", "x@local.test"); !errors.Is(err, ErrNoAccount) {
		t.Error(err)
	}
	// That it was tried has closed the account's sessions; a new one goes on.
	if err := s.RenameAccount(ctx, testAddress, "carol@other.test"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Status(ctx); !errors.Is(err, ErrClosed) {
		t.Error("a session of a renamed account:", err)
	}
	if _, err := s.Account(ctx, testAddress); !errors.Is(err, ErrNoAccount) {
		t.Error(err)
	}
	c, err := s.Account(ctx, "carol@other.test")
	if err != nil {
		t.Fatal(err)
	}
	if st, err := c.Status(ctx, "INBOX"); err != nil || st.Messages != 1 || st.UIDValidity != validity {
		t.Error(st, err)
	}
	c.Close()
	to, err := s.RemoveAccount(ctx, "carol@other.test", false)
	if err != nil || !strings.HasPrefix(filepath.Base(to), "carol@other.test-") {
		t.Fatal(to, err)
	}
	if _, err := os.Stat(filepath.Join(to, "cur")); err != nil {
		t.Error(err)
	}
	if _, err := s.RemoveAccount(ctx, "carol@other.test", false); !errors.Is(err, ErrNoAccount) {
		t.Error(err)
	}
	if to, err := s.RemoveAccount(ctx, "bob@local.test", true); err != nil || to != "" {
		t.Error(to, err)
	}
	if left, err := os.ReadDir(filepath.Join(s.o.Dir, "removed")); err != nil || len(left) != 1 {
		t.Error(left, err)
	}
	// An account made again never gives a UIDVALIDITY twice.
	last := uint32(time.Now().Unix()) + 1000
	ledger["bob@local.test"] = last
	if err := s.CreateAccount(ctx, "bob@local.test"); err != nil {
		t.Fatal(err)
	}
	b, err := s.Account(ctx, "bob@local.test")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	seen := map[uint32]bool{}
	for _, n := range append([]string{"INBOX"}, defaultFolders[:]...) {
		st, err := b.Status(ctx, n)
		if err != nil || seen[st.UIDValidity] || st.UIDValidity <= last {
			t.Error(n, st, err)
		}
		seen[st.UIDValidity] = true
	}
}

func TestNoAccount(t *testing.T) {
	s, _ := testAccount(t, nil)
	ctx := t.Context()
	m := stage(t, s, "A: b\r\n\r\n")
	for _, c := range []struct {
		target Target
		err    error
	}{{Target{Address: "nobody@local.test"}, ErrNoAccount}, {Target{Address: testAddress, Mailbox: "Nowhere"}, ErrNoMailbox}} {
		if _, err := s.Deliver(ctx, m, []Target{c.target}); !errors.Is(err, c.err) {
			t.Errorf("%+v: %v", c.target, err)
		}
		failed, err := s.Deliver(ctx, m, []Target{{Address: testAddress}, c.target})
		if err != nil || len(failed) != 1 || !errors.Is(failed[0].Err, c.err) {
			t.Errorf("%+v beside another: %v %v", c.target, failed, err)
		}
	}
	if left := leftovers(filepath.Join(s.o.Dir, "mail")); len(left) > 0 {
		t.Error(left)
	}
	if _, err := s.Fsck(ctx, "nobody@local.test", FsckOptions{}); !errors.Is(err, ErrNoAccount) {
		t.Error(err)
	}
}

// What nobody uses is closed, and opened again with an index that is trusted.
func TestIdleIsClosed(t *testing.T) {
	now := time.Now()
	s, a := testAccount(t, func(o *Options) { o.Now = func() time.Time { return now } })
	m, err := a.Mailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	testAppend(t, m, "A: b\r\n\r\n", "C: d\r\n\r\n")
	st, _ := m.Status(t.Context())
	m.Close()
	now = now.Add(s.o.IdleAfter)
	s.tidy()
	if len(a.open) != 0 {
		t.Error("still open")
	}
	m = testBox(t, a, "INBOX")
	if !m.file.Clean || m.cols.loaded {
		t.Error("its index is not trusted")
	}
	if again, err := m.Status(t.Context()); err != nil || again != st {
		t.Errorf("%+v %v, want %+v", again, err, st)
	}
}

func TestClosedStore(t *testing.T) {
	s, a := testAccount(t, nil)
	ctx := context.Background()
	m := testBox(t, a, "INBOX")
	testAppend(t, m, "A: b\r\n\r\n")
	v := testView(t, m)
	done := make(chan error, 1)
	go func() {
		_, err := m.Wait(ctx, v.ModSeq())
		done <- err
	}()
	time.Sleep(5 * time.Millisecond)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Error("wait:", err)
	}
	_, err1 := s.Account(ctx, testAddress)
	_, err2 := s.Stage()
	_, err3 := v.Refresh(ctx, true)
	_, _, err4 := m.Store(ctx, v.UIDs(), AddFlags, FlagSet{Flags: Seen}, NoModSeq)
	_, err5 := a.Mailbox(ctx, "Sent")
	for i, err := range []error{err1, err2, err3, err4} {
		if !errors.Is(err, ErrClosed) {
			t.Error(i+1, err)
		}
	}
	if err5 == nil {
		t.Error("a mailbox of a closed store")
	}
}
