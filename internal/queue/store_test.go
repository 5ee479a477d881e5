package queue

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/directory"
	"kurir/store"
)

// A mailbox that is closed for mail, what stands behind the +, and junk, which goes
// where all junk goes.
func TestMailStore(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(t.Context(), store.Options{Dir: dir, Hostname: "mail.test", NoWatch: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	const alice = "alice@local.test"
	if err := st.CreateAccount(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	a, err := st.Account(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Create(t.Context(), "News", ""); err != nil {
		t.Fatal(err)
	}
	closed, junk := true, false
	s := MailStore{
		Store: st,
		Junk:  func(io.Reader) bool { return junk },
		Deferred: func(context.Context, string) error {
			if closed {
				return &directory.DeferredError{Address: alice, Message: "away"}
			}
			return nil
		},
		Detail: func(_ context.Context, recipient, account string) string {
			if account != alice {
				t.Errorf("asked for %s", account)
			}
			_, detail, _ := strings.Cut(strings.TrimSuffix(recipient, "@local.test"), "+")
			return detail
		},
	}
	n := 0
	deliver := func(recipient string) error {
		n++
		path := filepath.Join(dir, "queue"+string(rune('0'+n)))
		if err := os.WriteFile(path, []byte("Subject: x\r\n\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return s.DeliverFile(t.Context(), path, alice, recipient)
	}
	err = deliver("alice+news@local.test")
	if status, words := strangers(err); !errors.Is(err, directory.ErrDeferred) || status != "4.2.1" || words != "The mailbox takes no mail at the moment." {
		t.Errorf("closed: %v, %s %s", err, status, words)
	}
	closed = false
	for _, c := range []struct {
		recipient string
		junk      bool
		in        string
	}{{"alice+news@local.test", false, ".News"}, {alice, false, ""}, {"alice+other@local.test", false, ""}, {"alice+news@local.test", true, ".Junk"}} {
		in := filepath.Join(dir, "mail", "local.test", "alice", c.in, "new")
		before, _ := os.ReadDir(in)
		junk = c.junk
		if err := deliver(c.recipient); err != nil {
			t.Error(err)
		}
		if after, _ := os.ReadDir(in); len(after) != len(before)+1 {
			t.Errorf("%s, junk %v: nothing came to %s", c.recipient, c.junk, in)
		}
	}
}
