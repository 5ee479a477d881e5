// Package queue keeps messages that have been accepted and not yet delivered. So far
// that is one case: a local recipient whose delivery failed after another's succeeded,
// when the client has been told 250. It is tried again for two days; then the sender gets
// a notice of failure (RFC 3464). Notices for senders elsewhere are held until mail can
// be relayed.
//
// A waiting message is a file in <data>/queue, made durable first, and one row of the
// table local_retry a recipient, which counts. Files are called "local-" and a random
// name; an attempt works on a private copy, that name with "." and the row's id behind
// it: delivery makes a hard link of it, so that after a kill its link count tells whether
// it had been delivered. Files without a row are removed at start.
//
// The package knows no SMTP and no mailbox format.
package queue

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"kurir/internal/directory"
	"kurir/internal/fsx"
	"kurir/internal/sqldb"
)

// Migrations are the tables of this package, for sqldb.Open. Times are in seconds since
// 1970. An empty sender is the null reverse-path: a notice, of which there is no notice.
// What is held has a recipient elsewhere and is not tried. account is where the message
// goes, recipient the address that the sender knows.
func Migrations() []sqldb.Migration {
	return []sqldb.Migration{{Name: "queue/1 local retry", SQL: `
CREATE TABLE local_retry (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	file      TEXT NOT NULL,
	sender    TEXT NOT NULL,
	recipient TEXT NOT NULL,
	account   TEXT NOT NULL,
	created   BIGINT NOT NULL,
	next      BIGINT NOT NULL,
	attempts  BIGINT NOT NULL,
	held      BIGINT NOT NULL,
	error     TEXT NOT NULL
);
CREATE INDEX local_retry_next ON local_retry (held, next);
CREATE INDEX local_retry_file ON local_retry (file);
`}}
}

// Deliverer puts messages into mailboxes.
type Deliverer interface {
	// DeliverFile delivers the message kept in a file into an account's INBOX, as a hard
	// link of it where the file system has them, and returns once that is durable. With
	// an error, nothing has been delivered. One that is [ErrNoRecipient] is for good.
	DeliverFile(ctx context.Context, path, address string) error
}

// ErrNoRecipient: there is no such account any more.
var ErrNoRecipient = errors.New("no such recipient")

// Directory says who gets a notice; *directory.Directory is one.
type Directory interface {
	Resolve(ctx context.Context, address string) ([]directory.Recipient, error)
}

// Options of a Queue.
type Options struct {
	DB        *sqldb.DB // with Migrations
	FS        fsx.FS
	Dir       string // of the messages, made if need be; on the store's file system
	Deliverer Deliverer
	Directory Directory
	Hostname  string // in notices

	First  time.Duration    // wait before the second try; zero means 1 minute. It doubles each time
	Most   time.Duration    // longest wait between two tries; zero means 1 hour
	Expire time.Duration    // age at which a message is given up; zero means 48 hours
	Now    func() time.Time // zero means time.Now
	Log    *slog.Logger     // zero means slog.Default
}

// Queue is the open queue. Keep may be called from any goroutine.
type Queue struct {
	o    Options
	wake chan struct{}
}

const filePrefix = "local-"

// Open opens the queue and removes what an earlier run left half-done. It is called
// before the first Keep. Nothing is tried until Run.
func Open(ctx context.Context, o Options) (*Queue, error) {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&o.First, time.Minute)
	set(&o.Most, time.Hour)
	set(&o.Expire, 48*time.Hour)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if err := fsx.MkdirAll(o.FS, o.Dir, 0o700); err != nil {
		return nil, err
	}
	q := &Queue{o: o, wake: make(chan struct{}, 1)}
	return q, q.sweep(ctx)
}

// sweep removes files that no row has.
func (q *Queue) sweep(ctx context.Context) error {
	rows, err := q.rows(ctx, "", nil)
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, r := range rows {
		keep[r.file], keep[r.copyName()] = true, true
	}
	names, err := q.o.FS.ReadNames(q.o.Dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasPrefix(n, filePrefix) && !keep[n] {
			if err := q.o.FS.Remove(q.path(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func (q *Queue) path(name string) string { return filepath.Join(q.o.Dir, name) }

func newName() string { return filePrefix + strings.ToLower(rand.Text()) }

// Message is a message that has been received.
type Message interface {
	// KeepAs makes a durable copy, or hard link, at path.
	KeepAs(path string) error
}

// Failed is a recipient that has not got a message.
type Failed struct {
	Account   string // the address of the account that it goes to
	Recipient string // the address that the sender wrote to
	Err       error  // what was wrong
}

// Keep takes a message for recipients whose delivery failed, and returns once it would
// survive a power cut. sender is the reverse-path, "" if null. After an error nothing is
// kept.
func (q *Queue) Keep(ctx context.Context, m Message, sender string, failed []Failed) error {
	name := newName()
	if err := m.KeepAs(q.path(name)); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	now := q.o.Now()
	var rows []row
	for _, f := range failed {
		rows = append(rows, row{file: name, sender: sender, recipient: f.Recipient, account: f.Account,
			created: now, next: now.Add(q.o.First), attempts: 1, reason: text(f.Err)})
	}
	err := q.o.DB.Tx(ctx, func(tx *sql.Tx) error { return insert(ctx, tx, rows) })
	if err != nil {
		// Whether the rows are there is not known: a file too many is removed at start.
		return fmt.Errorf("queue: %w", err)
	}
	q.poke()
	return nil
}

// poke lets Run look again.
func (q *Queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Waiting counts recipients: those that are tried again, and those held.
func (q *Queue) Waiting(ctx context.Context) (retry, held int, err error) {
	err = q.o.DB.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(held), 0) FROM local_retry`).Scan(&retry, &held)
	return retry - held, held, err
}

// Run tries what is due until ctx ends. An attempt under way is finished first. Only one
// Run at a time.
func (q *Queue) Run(ctx context.Context) {
	for ctx.Err() == nil {
		next, err := q.runDue(ctx)
		wait := time.Minute
		switch {
		case err != nil && ctx.Err() == nil:
			q.o.Log.Error("local retry failed", "error", err)
		case next.IsZero():
			wait = time.Hour
		default:
			wait = max(next.Sub(q.o.Now()), 0)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-q.wake:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// runDue tries all that is due and returns when the next is; zero: nothing waits.
func (q *Queue) runDue(ctx context.Context) (next time.Time, err error) {
	for ctx.Err() == nil {
		due, err := q.rows(ctx, `WHERE held = 0 AND next <= $1 ORDER BY next, id LIMIT 100`, []any{q.o.Now().Unix()})
		if err != nil {
			return next, err
		}
		if len(due) == 0 {
			break
		}
		for _, r := range due {
			if ctx.Err() != nil {
				break
			}
			if err := q.try(context.WithoutCancel(ctx), r); err != nil {
				return next, err
			}
		}
	}
	var sec sql.NullInt64
	err = q.o.DB.QueryRowContext(ctx, `SELECT MIN(next) FROM local_retry WHERE held = 0`).Scan(&sec)
	if sec.Valid {
		next = time.Unix(sec.Int64, 0)
	}
	return next, err
}
