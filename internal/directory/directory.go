// Package directory owns who gets mail here: domains, accounts, aliases and
// credentials, in SQL tables that it registers with sqldb (Migrations). It answers the
// questions of the front-ends: who receives mail for an address, whose login is this,
// who may send as an address. It doesn't check passwords (package auth does) and knows
// nothing of mail on disk.
//
// Addresses are kept in one canonical form, see Address. Every change is one SQL
// transaction, durable when the method returns.
//
// Questions are answered from memory where possible. What has been read is kept until
// the next change made through this Directory, so one process at a time may change the
// tables; kurir makes sure of that with the lock on its data directory.
package directory

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"

	"kurir/internal/sqldb"
)

// Kinds of error. Each is wrapped in a message that names the address and says what to do.
var (
	// ErrNoDomain: the domain is not one of ours.
	ErrNoDomain = errors.New("no such domain here")
	// ErrNoAccount: the domain is ours, but nobody has this address.
	ErrNoAccount = errors.New("no such account")
	// ErrNoAlias: there is no alias of this address.
	ErrNoAlias = errors.New("no such alias")
	// ErrExists: the name is taken, by an account, an alias or a domain.
	ErrExists = errors.New("already exists")
	// ErrInUse: something else still needs what was to be removed.
	ErrInUse = errors.New("still in use")
	// ErrInvalidAddress: no address, or not one that mail can be kept for.
	ErrInvalidAddress = errors.New("invalid address")
	// ErrLoop: aliases lead in a circle, or are nested too deep or too wide.
	ErrLoop = errors.New("aliases lead in a circle or too far")
)

// Bounds of aliases. What goes past them is refused with ErrLoop.
const (
	MaxDepth      = 10   // aliases that lead to aliases, counted from the first
	MaxRecipients = 1000 // targets of one alias, and accounts that one address leads to
)

// Directory is the open directory. Its methods may be called from any goroutine.
type Directory struct {
	db    *sqldb.DB
	gen   atomic.Uint64
	cache atomic.Pointer[cache]
}

// New returns the directory in db, which was opened with Migrations.
func New(db *sqldb.DB) *Directory {
	d := &Directory{db: db}
	d.cache.Store(newCache())
	return d
}

// Generation rises with every change made through d. What was read before is still
// true while it stays the same (the last use of credentials aside).
func (d *Directory) Generation() uint64 { return d.gen.Load() }

// change runs fn in a transaction and, when that is durable, forgets all that is cached.
func (d *Directory) change(ctx context.Context, fn func(tx *sql.Tx) error) error {
	err := d.db.Tx(ctx, fn)
	// After an error too: a commit whose answer was lost may have happened.
	d.gen.Add(1)
	d.cache.Store(newCache())
	return err
}

// Rows are read through this, by transactions and by the pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Times are stored as seconds since 1970, 0 for never.
func now() int64 { return time.Now().Unix() }

func unix(sec int64) time.Time {
	if sec == 0 {
		return time.Time{}
	}
	return time.Unix(sec, 0).UTC()
}

// collect reads all rows of a query with scan.
func collect[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}
