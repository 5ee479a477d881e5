// Package sqldb opens kurir.db, the SQL database of everything that is not a message,
// and brings its tables up to date. It is the one place that knows which database
// engine lies below (SQLite, pure Go): file creation, settings, locking, error codes
// and schema stamps. What the tables mean belongs to the packages that register them.
//
// The file is SQLite in WAL mode, synchronous=FULL: a transaction that has committed
// survives a power cut. Its application_id is "kuri", its user_version the number of
// migrations applied, and the table "migrations" names them. SQL is written with
// numbered placeholders ($1) and without features that only one engine has.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// Migration is one step of a schema. Steps are only ever added, never changed or
// reordered: a database remembers by name which ones it has had.
type Migration struct {
	Name string // unique among all packages and for ever, "directory/1 accounts"
	SQL  string // one or more statements; run once, in a transaction of its own
}

// DB is an open database. Reads go straight to the embedded pool; writes go
// through Tx and Group.
type DB struct {
	*sql.DB
	writer chan struct{} // holds one token while a Tx or a Group runs
	group  group
}

// Open opens the database file at path, makes it (mode 0600) if it is not there, and
// applies the migrations of sets that it has not had yet, in order. Every caller must
// pass all the sets that the program knows, in the same order. Possible errors:
// ErrNewer, ErrForeign, ErrDamaged, ErrLocked, those of the file system (fs.ErrPermission,
// fs.ErrNotExist); each message says what to do.
func Open(ctx context.Context, path string, sets ...[]Migration) (*DB, error) {
	var all []Migration
	for _, set := range sets {
		all = append(all, set...)
	}
	if err := checkNames(all); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite", dataSource(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	// Idle connections are kept: making one costs more than most queries.
	n := max(4, 2*runtime.NumCPU())
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	db := &DB{DB: pool, writer: make(chan struct{}, 1)}
	if err := db.prepare(ctx, path, all); err != nil {
		return nil, errors.Join(explain(path, err), pool.Close())
	}
	return db, nil
}

// create makes an empty file that only its owner can read, since password verifiers
// will be in it; SQLite gives its -wal and -shm files the same mode. SQLite fsyncs the
// directory itself before its first commit.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return explain(path, err)
	}
	return f.Close()
}

// dataSource is the driver's name for the file. The settings in it are made on each
// connection; the journal mode, which is kept in the file, is set later, by prepare.
func dataSource(path string) string {
	q := url.Values{
		"_pragma": {"busy_timeout(10000)", "foreign_keys(1)", "synchronous(FULL)"},
		"_txlock": {"immediate"},
		"_dqs":    {"0"},
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

// Tx runs fn in a transaction that may write, and commits it if fn returns nil. When
// Tx returns nil the changes are durable; after any error nothing has changed, but see
// ErrUncertain. One Tx runs at a time; waiting for it is bounded by ctx. fn must use tx alone, not the pool.
func (db *DB) Tx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	select {
	case db.writer <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-db.writer }()
	return db.run(ctx, nil, fn)
}

// View runs fn in a transaction that only reads, so that all its queries see the same
// moment. Any number may run beside each other and beside a Tx.
func (db *DB) View(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return db.run(ctx, &sql.TxOptions{ReadOnly: true}, fn)
}

func (db *DB) run(ctx context.Context, o *sql.TxOptions, fn func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	// After a commit this does nothing; after an error or a panic in fn it undoes all.
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return failedCommit(err)
	}
	return nil
}
