package admin

import (
	"path/filepath"
	"testing"

	"kurir/internal/sqldb"
)

func TestLedger(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "kurir.db")
	db, err := sqldb.Open(ctx, path, Migrations)
	if err != nil {
		t.Fatal(err)
	}
	l := Ledger{DB: db}
	expect := func(address string, want uint32) {
		t.Helper()
		if got, err := l.LastUIDValidity(ctx, address); err != nil || got != want {
			t.Errorf("last of %s: %d, %v; want %d", address, got, err, want)
		}
	}
	raise := func(address string, v uint32) {
		t.Helper()
		if err := l.RaiseUIDValidity(ctx, address, v); err != nil {
			t.Fatal(err)
		}
	}
	expect("a@x.test", 0)
	raise("a@x.test", 100)
	expect("a@x.test", 100)
	raise("a@x.test", 50) // never down
	expect("a@x.test", 100)
	raise("a@x.test", 1<<32-1) // the whole range
	raise("b@x.test", 7)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = sqldb.Open(ctx, path, Migrations); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	l = Ledger{DB: db}
	expect("a@x.test", 1<<32-1)
	expect("b@x.test", 7)
}
