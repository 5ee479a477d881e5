package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/maildir"
)

// Junk goes where the account's user has his mailbox for it, whatever its name.
func TestDeliverJunk(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, s *Store, a *Account)
		want   string // the directory
	}{
		{"as made", func(*testing.T, *Store, *Account) {}, ".Junk"},
		{"renamed", func(t *testing.T, s *Store, a *Account) {
			if err := a.Rename(t.Context(), "Junk", "Rubbish"); err != nil {
				t.Fatal(err)
			}
		}, ".Rubbish"},
		{"gone", func(t *testing.T, s *Store, a *Account) {
			if err := a.Delete(t.Context(), "Junk"); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"by name", func(t *testing.T, s *Store, a *Account) {
			if err := a.Delete(t.Context(), "Junk"); err != nil {
				t.Fatal(err)
			}
			if err := a.Create(t.Context(), "Junk", ""); err != nil {
				t.Fatal(err)
			}
		}, ".Junk"},
		{"another use by that name", func(t *testing.T, s *Store, a *Account) {
			for _, m := range []string{"Junk", "Trash"} {
				if err := a.Delete(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.Create(t.Context(), "Junk", "Trash"); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"spoilt", func(t *testing.T, s *Store, a *Account) {
			path := filepath.Join(a.dir, ".Junk", maildir.MailboxFileName)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, ".Junk"},
		{"damaged", func(t *testing.T, s *Store, a *Account) {
			if err := os.WriteFile(filepath.Join(a.dir, ".Junk", maildir.MailboxFileName), []byte("?"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, ".Junk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, a := testAccount(t, nil)
			c.change(t, s, a)
			m := stage(t, s, "Subject: x\r\n\r\n")
			defer m.Close()
			if _, err := s.Deliver(t.Context(), m, []Target{{Address: testAddress, Junk: true}}); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadDir(filepath.Join(a.dir, c.want, "new"))
			if err != nil || len(got) != 1 {
				t.Errorf("%q has %d new messages, %v", c.want, len(got), err)
			}
		})
	}
}

// An account whose directory is a file, or is gone, holds up nobody else's junk.
func TestDeliverJunkBesideBroken(t *testing.T) {
	s, a := testAccount(t, nil)
	dir := filepath.Dir(a.dir)
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	domain := testAddress[strings.IndexByte(testAddress, '@'):]
	for _, who := range []string{"file", "gone"} {
		m := stage(t, s, "Subject: x\r\n\r\n")
		failed, err := s.Deliver(t.Context(), m, []Target{{Address: who + domain, Junk: true}, {Address: testAddress, Junk: true}})
		if err != nil || len(failed) != 1 || failed[0].Target.Address != who+domain {
			t.Errorf("%s: %v, %v", who, failed, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
