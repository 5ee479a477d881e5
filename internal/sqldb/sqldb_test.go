package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var one = []Migration{{"one/1 fruit", `CREATE TABLE fruit (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE); CREATE INDEX fruit_name ON fruit (name)`}}
var two = []Migration{{"two/1 basket", `CREATE TABLE basket (id INTEGER PRIMARY KEY, fruit BIGINT NOT NULL REFERENCES fruit (id))`}}

func open(t *testing.T, path string, sets ...[]Migration) *DB {
	t.Helper()
	db, err := Open(t.Context(), path, sets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func count(t *testing.T, db *DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpenSettings(t *testing.T) {
	// A name that means something in a URI has to reach the disk as it is.
	path := filepath.Join(t.TempDir(), "a b?c#d%41&e.db")
	db := open(t, path, one)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600: the file holds verifiers", info.Mode())
	}
	for _, name := range []string{"-wal", "-shm"} {
		if info, err := os.Stat(path + name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	// The settings hold on every connection of the pool, not on the first alone.
	for i := range 3 {
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
			var got string
			if err := c.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("connection %d: %s is %q, %v; want %q", i, pragma, got, err, want)
			}
		}
	}
}

func TestMigrationsRunOnceAndAreAdded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kurir.db")
	db := open(t, path, one)
	if _, err := db.Exec(`INSERT INTO fruit (name) VALUES ($1)`, "fig"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	// A new version brings a package of its own and a step in between.
	more := append(one[:1:1], Migration{"one/2 colour", `ALTER TABLE fruit ADD COLUMN colour TEXT NOT NULL DEFAULT 'green'`})
	for range 2 {
		db = open(t, path, more, two)
		if n := count(t, db, `SELECT count(*) FROM fruit WHERE colour = 'green'`); n != 1 {
			t.Errorf("%d rows kept, want 1", n)
		}
		if n := count(t, db, `PRAGMA user_version`); n != 3 {
			t.Errorf("version stamp %d, want 3", n)
		}
		db.Close()
	}
}

func TestFailedMigrationLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kurir.db")
	bad := []Migration{{"bad/1", `CREATE TABLE half (id INTEGER PRIMARY KEY); CREATE TABLE fruit (id INTEGER)`}}
	_, err := Open(t.Context(), path, one, bad)
	if err == nil || !strings.Contains(err.Error(), `"bad/1"`) {
		t.Fatalf("got %v, want an error that names the migration", err)
	}
	db := open(t, path, one)
	if n := count(t, db, `SELECT count(*) FROM sqlite_schema WHERE name = 'half'`); n != 0 {
		t.Error("half of a migration stayed")
	}
}

func TestNewerIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kurir.db")
	open(t, path, one, two).Close()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), path, one)
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "newer kurir") || !strings.Contains(err.Error(), "two/1 basket") {
		t.Errorf("unknown migration: got %v, want ErrNewer", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || string(before) != string(after) {
		t.Errorf("a refused file was changed (%v)", err)
	}
	// The stamp alone is enough, whatever became of the table that explains it.
	db := open(t, path, one, two)
	if _, err := db.Exec(`PRAGMA user_version = 99`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := Open(t.Context(), path, one, two); !errors.Is(err, ErrNewer) {
		t.Errorf("stamp 99: got %v, want ErrNewer", err)
	}
}

func TestForeignIsRefusedUntouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kurir.db")
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec(`CREATE TABLE notes (t TEXT)`); err != nil {
		t.Fatal(err)
	}
	raw.Close()
	before, _ := os.ReadFile(path)
	if _, err := Open(t.Context(), path, one); !errors.Is(err, ErrForeign) {
		t.Errorf("got %v, want ErrForeign", err)
	}
	if after, _ := os.ReadFile(path); string(before) != string(after) {
		t.Error("another program's database was changed")
	}
}

func TestOpenErrorsAdvise(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.db")
	if err := os.WriteFile(junk, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, advice string
		is                 error
	}{
		{"no folder", filepath.Join(dir, "no", "kurir.db"), "make the folder " + filepath.Join(dir, "no"), fs.ErrNotExist},
		{"junk", junk, "restore kurir.db from a backup", ErrDamaged},
		{"a folder", dir, dir, nil},
	} {
		_, err := Open(t.Context(), c.path, one)
		if err == nil || !strings.Contains(err.Error(), c.advice) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	if os.Geteuid() != 0 {
		closed := filepath.Join(dir, "closed.db")
		if err := os.WriteFile(closed, nil, 0o400); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), closed, one); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "needs to own") {
			t.Errorf("no permission: got %v", err)
		}
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "n.db"), one, one); err == nil {
		t.Error("a migration name used twice was accepted")
	}
}

// Errors of another kind are not taken for SQLite's.
func TestKindsOfOtherErrors(t *testing.T) {
	plain := errors.New("plain")
	if code(plain) != 0 || IsDuplicate(plain) || IsReferenced(nil) || IsFull(plain) {
		t.Error("an error of another kind was taken for SQLite's")
	}
}

func TestTx(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "kurir.db"), one, two)
	ctx := t.Context()
	add := func(name string) error {
		return db.Tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO fruit (name) VALUES ($1)`, name)
			return err
		})
	}
	if err := add("fig"); err != nil {
		t.Fatal(err)
	}
	if err := add("fig"); !IsDuplicate(err) {
		t.Errorf("twice the same key: got %v", err)
	}
	stop := errors.New("stop")
	err := db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO fruit (name) VALUES ('kiwi')`); err != nil {
			return err
		}
		return stop
	})
	if err != stop || count(t, db, `SELECT count(*) FROM fruit`) != 1 {
		t.Errorf("an error in the function must undo all: %v", err)
	}
	if _, err := db.Exec(`INSERT INTO basket (fruit) VALUES (77)`); !IsReferenced(err) {
		t.Errorf("foreign key: got %v", err)
	}
	err = db.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `PRAGMA max_page_count = 1; CREATE TABLE large AS SELECT zeroblob(100000)`)
		return err
	})
	if !IsFull(err) {
		t.Errorf("no room: got %v", err)
	}
	err = db.View(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `SELECT * FROM fruit`)
		return err
	})
	if err != nil {
		t.Errorf("View: %v", err)
	}
}

// Writers from many goroutines wait their turn instead of failing as busy, and a
// caller whose time is up stops waiting.
func TestTxConcurrency(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "kurir.db"), one)
	ctx := t.Context()
	errs := make(chan error)
	for i := range 20 {
		go func() {
			errs <- db.Tx(ctx, func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `INSERT INTO fruit (name) VALUES ($1)`, fmt.Sprint("fruit", i))
				return err
			})
		}()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	err := db.Tx(ctx, func(*sql.Tx) error {
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if err := db.Tx(short, func(*sql.Tx) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting past the deadline: got %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What a Tx has committed is there for a reader that opens the file anew, without a
// Close in between: as after a crash of the process.
func TestCommittedSurvivesWithoutClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kurir.db")
	db := open(t, path, one)
	if err := db.Tx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO fruit (name) VALUES ('fig')`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	copyTo := filepath.Join(t.TempDir(), "kurir.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copyTo+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, open(t, copyTo, one), `SELECT count(*) FROM fruit`); n != 1 {
		t.Errorf("%d rows after the crash, want 1", n)
	}
}
