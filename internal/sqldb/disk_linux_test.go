package sqldb

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/fsx/fsxtest"
)

// A log that can't be written in the middle of a commit: the caller learns that it is not
// certain, nobody sees anything of it, and with the disk back all goes on.
func TestDiskFailsInTheCommit(t *testing.T) {
	if !fsxtest.Alone(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "kurir.db")
	db := open(t, path, one)
	if err := db.Group(t.Context(), addFruit(t.Context(), "fig")); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	again := fsxtest.NoLonger(t, st.Size()+5000)
	large := func(tx *sql.Tx) error {
		for n := range 100 {
			if err := addFruit(t.Context(), fmt.Sprint(n, strings.Repeat("x", 1000)))(tx); err != nil {
				return err
			}
		}
		return nil
	}
	errs := []error{db.Group(t.Context(), large), db.Tx(t.Context(), large)}
	again()
	for _, err := range errs {
		if !errors.Is(err, ErrUncertain) || IsFull(err) {
			t.Errorf("%v", err)
		}
	}
	if n := count(t, db, `SELECT count(*) FROM fruit`); n != 1 {
		t.Errorf("%d rows", n)
	}
	for n := range 10 {
		if err := db.Group(t.Context(), addFruit(t.Context(), fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	if n := count(t, open(t, path, one), `SELECT count(*) FROM fruit`); n != 11 {
		t.Errorf("%d rows in the end", n)
	}
}
