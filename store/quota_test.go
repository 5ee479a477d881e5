package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/maildir"
)

func TestQuota(t *testing.T) {
	limit := int64(2000)
	s, a := testAccount(t, func(o *Options) { o.Quota = func(context.Context, string) (int64, error) { return limit, nil } })
	ctx := t.Context()
	m := testBox(t, a, "INBOX")
	text := "A: b\r\n\r\n" + strings.Repeat("x\r\n", 164) // 500 bytes on the wire, 334 on disk
	size := int64(len(text) - strings.Count(text, "\n"))
	use := func(n int64) {
		t.Helper()
		q, err := a.Quota(ctx)
		if err != nil || q.Messages != n || q.Used != n*size || q.Limit != limit {
			t.Fatalf("%+v %v, want %d messages of %d", q, err, n, size)
		}
		if n, err := a.QuotaLimit(ctx); n != limit || err != nil {
			t.Fatal(n, err)
		}
		is, err := s.countUse(a.dir)
		if err != nil || is.Bytes != q.Used || is.Count != n {
			t.Fatalf("counted %+v %v", is, err)
		}
	}
	use(0)
	uids := testAppend(t, m, text, text)
	use(2)
	if _, err := s.Deliver(ctx, stage(t, s, text), []Target{{Address: testAddress}, {Address: testAddress}, {Address: testAddress, Mailbox: "Junk"}}); err != nil {
		t.Fatal(err)
	}
	use(4)
	if _, err := m.Copy(ctx, uids, testBox(t, a, "Trash")); !errors.Is(err, ErrOverQuota) {
		t.Fatal(err)
	}
	if _, err := m.Copy(ctx, uids[:1], testBox(t, a, "Trash")); err != nil {
		t.Fatal(err)
	}
	use(5)
	if _, err := m.Append(ctx, []Appending{{Message: stage(t, s, text)}}); !errors.Is(err, ErrOverQuota) {
		t.Error(err)
	}
	if _, err := s.Deliver(ctx, stage(t, s, text), []Target{{Address: testAddress}}); !errors.Is(err, ErrOverQuota) {
		t.Error(err)
	}
	if err := s.CheckQuota(ctx, testAddress, size); !errors.Is(err, ErrOverQuota) {
		t.Error(err)
	}
	if _, err := m.Move(ctx, uids[:1], testBox(t, a, "Trash")); err != nil {
		t.Error("a move takes no room:", err)
	}
	use(5)
	if _, err := m.Remove(ctx, uids[1:]); err != nil {
		t.Fatal(err)
	}
	use(4)
	if err := a.Delete(ctx, "Trash"); err != nil {
		t.Fatal(err)
	}
	use(2)
	if err := s.CheckQuota(ctx, testAddress, 5*size/2); err != nil {
		t.Error(err)
	}

	// Of another limit, damaged or removed, maildirsize is made anew from the names.
	path := filepath.Join(a.dir, maildir.QuotaFile)
	limit = 3000
	use(2)
	if err := os.WriteFile(path, []byte("rubbish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	use(2)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	use(2)
	// Files of other programs without S= count by their size.
	if err := os.WriteFile(filepath.Join(a.dir, "new", "1.2.x"), make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	use(3)
	limit = 0
	if q, err := a.Quota(ctx); err != nil || q.Messages != 3 || q.Limit != 0 {
		t.Errorf("%+v %v", q, err)
	}
	if err := s.CheckQuota(ctx, testAddress, 1<<40); err != nil {
		t.Error(err)
	}
}

func TestQuotaIsAskedOfSomebodyWhoFails(t *testing.T) {
	broken := errors.New("the directory is closed")
	s, _ := testAccount(t, func(o *Options) { o.Quota = func(context.Context, string) (int64, error) { return 0, broken } })
	if err := s.CheckQuota(t.Context(), testAddress, 1); !errors.Is(err, ErrUnavailable) || !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := s.Deliver(t.Context(), stage(t, s, "A: b\r\n\r\n"), []Target{{Address: testAddress}}); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}
