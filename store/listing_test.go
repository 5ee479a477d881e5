package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"kurir/internal/maildir"
)

// MailboxInfo says the same of each mailbox as the listing of all.
func TestMailboxInfo(t *testing.T) {
	_, a := testAccount(t, nil)
	ctx := t.Context()
	for _, n := range []string{"INBOX/sub", "x/y/z", "xx", "X"} {
		if err := a.Create(ctx, n, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Create(ctx, "old", "Archive"); err != nil {
		t.Fatal(err)
	}
	if err := a.Subscribe(ctx, "x/y"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(a.dir, ".xx.&bad", "cur"), 0o700); err != nil { // no child: its name is not one
		t.Fatal(err)
	}
	all, err := a.Mailboxes(ctx)
	if err != nil || len(all) < 8 {
		t.Fatal(all, err)
	}
	for _, want := range all {
		if got, err := a.MailboxInfo(ctx, want.Name); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", want.Name, got, err, want)
		}
	}
	if m, err := a.MailboxInfo(ctx, "nowhere"); err != nil || m != (MailboxInfo{Name: "nowhere"}) {
		t.Error(m, err)
	}
	if m, err := a.MailboxInfo(ctx, "inbox"); err != nil || m.Name != "INBOX" || !m.HasChildren {
		t.Error(m, err)
	}
	if _, err := a.MailboxInfo(ctx, "a//b"); !errors.Is(err, ErrInvalidName) {
		t.Error(err)
	}
}

// An account has room for so many mailboxes and subscriptions; what is there stays usable.
func TestMaxMailboxes(t *testing.T) {
	_, a := testAccount(t, func(o *Options) { o.MaxMailboxes = 10 })
	ctx := t.Context()
	dirs, err := a.folderDirs()
	if err != nil {
		t.Fatal(err)
	}
	for n := len(dirs); n < 10; n++ {
		if err := a.Create(ctx, fmt.Sprint("box", n), ""); err != nil {
			t.Fatal(n, err)
		}
	}
	if err := a.Create(ctx, "one more", ""); !errors.Is(err, ErrTooManyMailboxes) {
		t.Error("one mailbox too many:", err)
	}
	if err := a.Create(ctx, "box9", ""); !errors.Is(err, ErrMailboxExists) {
		t.Error(err)
	}
	if err := a.Rename(ctx, "INBOX", "all"); !errors.Is(err, ErrTooManyMailboxes) {
		t.Error("INBOX renamed:", err)
	}
	if err := a.Rename(ctx, "box9", "other"); err != nil {
		t.Error(err)
	}
	if err := a.Delete(ctx, "other"); err != nil {
		t.Error(err)
	}
	if err := a.Create(ctx, "box9", ""); err != nil {
		t.Error("after a DELETE:", err)
	}
	had, err := a.Subscriptions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(had); n < 10; n++ {
		if err := a.Subscribe(ctx, fmt.Sprint("s", n)); err != nil {
			t.Fatal(n, err)
		}
	}
	if err := a.Subscribe(ctx, "more"); !errors.Is(err, ErrTooManyMailboxes) {
		t.Error("one subscription too many:", err)
	}
	if err := a.Subscribe(ctx, "s9"); err != nil {
		t.Error("subscribed already:", err)
	}
	if err := a.Unsubscribe(ctx, "s9"); err != nil {
		t.Error(err)
	}
	if err := a.Subscribe(ctx, "more"); err != nil {
		t.Error("after UNSUBSCRIBE:", err)
	}
	if b, err := os.ReadFile(filepath.Join(a.dir, maildir.SubscriptionsFile)); err != nil || len(maildir.ParseSubscriptions(b)) != 10 {
		t.Errorf("%s %v", b, err)
	}
}
