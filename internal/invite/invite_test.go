package invite

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/internal/directory"
	"kurir/internal/sqldb"
)

// world is a directory with alice and bob, and invitations at a time that the test sets.
type world struct {
	*Invites
	dir *directory.Directory
	at  time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), directory.Migrations, Migrations)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{dir: directory.New(db), at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w.Invites = &Invites{DB: db, Accounts: w.dir, Now: func() time.Time { return w.at }}
	if _, err := w.dir.AddDomain(t.Context(), "example.test"); err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"alice@example.test", "bob@example.test"} {
		if _, err := w.dir.AddAccount(t.Context(), a, directory.AccountOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) invite(t *testing.T, address string) string {
	t.Helper()
	token, expires, err := w.Make(t.Context(), address)
	if err != nil || !expires.Equal(w.at.Add(Life)) || len(token) < 26 {
		t.Fatalf("%q until %v: %v", token, expires, err)
	}
	return token
}

// works tells whose invitation a token is; "": nobody's.
func (w *world) works(t *testing.T, token string) string {
	t.Helper()
	address, err := w.Find(t.Context(), token)
	if err != nil && !errors.Is(err, ErrNone) {
		t.Fatal(err)
	}
	return address
}

func TestUse(t *testing.T) {
	w := newWorld(t)
	token := w.invite(t, "Alice@Example.TEST")
	for range 3 { // looking at it does not use it up
		if got := w.works(t, token); got != "alice@example.test" {
			t.Fatalf("found %q", got)
		}
	}
	if got, err := w.Use(t.Context(), token); got != "alice@example.test" || err != nil {
		t.Fatalf("%q %v", got, err)
	}
	if _, err := w.Use(t.Context(), token); !errors.Is(err, ErrNone) {
		t.Errorf("used twice: %v", err)
	}
	for _, wrong := range []string{"", "x", strings.ToLower(token), token + "A"} {
		if w.works(t, wrong) != "" {
			t.Errorf("%q works", wrong)
		}
	}
	if _, _, err := w.Make(t.Context(), "carol@example.test"); !errors.Is(err, directory.ErrNoAccount) {
		t.Errorf("for nobody: %v", err)
	}
}

// Only a hash of the token is kept.
func TestTokenIsNotKept(t *testing.T) {
	w := newWorld(t)
	token := w.invite(t, "alice@example.test")
	var kept string
	if err := w.DB.QueryRowContext(t.Context(), `SELECT token FROM invites`).Scan(&kept); err != nil || kept == token || kept == "" {
		t.Errorf("%q %v", kept, err)
	}
}

func TestExpires(t *testing.T) {
	w := newWorld(t)
	token := w.invite(t, "alice@example.test")
	w.at = w.at.Add(Life - time.Second)
	if w.works(t, token) == "" {
		t.Error("ended too early")
	}
	w.at = w.at.Add(time.Second)
	if w.works(t, token) != "" {
		t.Error("works too long")
	}
	if _, err := w.Use(t.Context(), token); !errors.Is(err, ErrNone) {
		t.Errorf("used after its time: %v", err)
	}
	w.invite(t, "bob@example.test")
	var n int
	if err := w.DB.QueryRowContext(t.Context(), `SELECT count(*) FROM invites`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v: what is over has to go", n, err)
	}
}

// An account has a few at most, and the oldest go.
func TestMost(t *testing.T) {
	w := newWorld(t)
	bobs := w.invite(t, "bob@example.test")
	var all []string
	for range Most + 2 {
		w.at = w.at.Add(time.Minute)
		all = append(all, w.invite(t, "alice@example.test"))
	}
	for i, token := range all {
		if got := w.works(t, token) != ""; got != (i >= 2) {
			t.Errorf("number %d works: %v", i, got)
		}
	}
	if n, err := w.Revoke(t.Context(), "alice@example.test"); n != Most || err != nil {
		t.Errorf("%d revoked, %v", n, err)
	}
	if w.works(t, all[len(all)-1]) != "" || w.works(t, bobs) == "" {
		t.Error("revoked too little or too much")
	}
	if _, err := w.Revoke(t.Context(), "carol@example.test"); !errors.Is(err, directory.ErrNoAccount) {
		t.Errorf("of nobody: %v", err)
	}
}

// It is the account's, not the address's.
func TestAccountChanges(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	token := w.invite(t, "alice@example.test")
	if err := w.dir.RenameAccount(ctx, "alice@example.test", "alice2@example.test"); err != nil {
		t.Fatal(err)
	}
	if got := w.works(t, token); got != "alice2@example.test" {
		t.Errorf("renamed: %q", got)
	}
	if err := w.dir.DisableAccount(ctx, "alice2@example.test", true); err != nil {
		t.Fatal(err)
	}
	if got := w.works(t, token); got != "" {
		t.Errorf("disabled: %q", got)
	}
	if err := w.dir.RemoveAccount(ctx, "alice2@example.test"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.dir.AddAccount(ctx, "alice2@example.test", directory.AccountOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := w.works(t, token); got != "" {
		t.Errorf("another account of the same address: %q", got)
	}
}
