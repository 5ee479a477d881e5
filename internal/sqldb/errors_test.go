package sqldb

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// SQLite's own errors, each brought about for real, and what the admin reads of them.
func TestExplainSQLite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kurir.db")
	open(t, path, one)
	raw, err := sql.Open("sqlite", path) // no busy_timeout: doesn't wait
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetMaxOpenConns(1)
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	exec := func(db *sql.DB, statement string) error { _, err := db.Exec(statement); return err }
	insert := `INSERT INTO fruit (name) VALUES ('fig')`

	if err := exec(other, `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	busy := exec(raw, insert)
	if err := exec(other, `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	readonly := errors.Join(exec(raw, `PRAGMA query_only = 1`), exec(raw, insert))
	full := errors.Join(exec(raw, `PRAGMA query_only = 0; PRAGMA max_page_count = 1`), exec(raw, `CREATE TABLE large AS SELECT zeroblob(100000)`))
	none, err := sql.Open("sqlite", filepath.Join(dir, "no", "such.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()

	for _, c := range []struct {
		what, advice string
		err, is      error
	}{
		{"busy", "another program holds the database", busy, ErrLocked},
		{"read-only", "needs to own the folder " + dir, readonly, nil},
		{"full", "free some space", full, nil},
		{"not to be opened", "check the disk", none.Ping(), nil},
		{"permission", "needs to own the folder " + dir, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}, fs.ErrPermission},
		{"anything else", "plain", errors.New("plain"), nil},
	} {
		got := explain(path, c.err)
		if c.err == nil || !errors.Is(got, c.err) || c.is != nil && !errors.Is(got, c.is) {
			t.Errorf("%s: %v became %v", c.what, c.err, got)
		}
		if !strings.Contains(got.Error(), c.advice) || !strings.Contains(got.Error(), path) {
			t.Errorf("%s: %v doesn't say %q", c.what, got, c.advice)
		}
	}
}

// A database with a broken page is refused while it is opened, if the page is among
// those that opening reads.
func TestDamagedIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kurir.db")
	open(t, path, one).Close()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		// The first page holds the list of tables behind the 100 bytes of its header.
		_, err = f.WriteAt([]byte(strings.Repeat("\xee", 2000)), 100)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, one); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "mail is not in it") {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}
