// Package notice tells the administrator by mail what needs a person: a disk that is nearly
// full, a certificate that ends. A mail goes out once a day for each matter, however often it
// is told of, until the matter is well again.
//
// In kurir.db, table notice, a row for each matter: its key, and when it was told of in
// milliseconds since 1970. The package knows no mail: writing and delivering are Options.Post's part.
package notice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"kurir/internal/sqldb"
)

// Migrations are the tables of this package, for sqldb.Open.
func Migrations() []sqldb.Migration {
	return []sqldb.Migration{{Name: "notice/1", SQL: `
CREATE TABLE notice (
	key  TEXT PRIMARY KEY,
	told BIGINT NOT NULL
);
`}}
}

const (
	// again is when the same matter is told of once more.
	again = 24 * time.Hour
	// forget is when a matter that nobody has spoken of is forgotten.
	forget = 30 * 24 * time.Hour
	// maxKey, maxSubject and maxText bound what a caller may say, in octets.
	maxKey, maxSubject, maxText = 200, 300, 64 << 10
)

// Options of a Notice. DB is needed.
type Options struct {
	DB *sqldb.DB // with Migrations
	// Post hands a mail to the administrator in, and returns once it is durable; nil: nobody
	// is told of anything, as in "kurir local".
	Post func(ctx context.Context, subject, text string) error
	// Observe, if set, is told the end of each mail.
	Observe func(err error)
	Now     func() time.Time // zero means time.Now
	Log     *slog.Logger     // zero means no log
}

// Notice tells. Its methods may be called from any goroutine.
type Notice struct {
	o  Options
	mu sync.Mutex // held over a change, so that one matter is told of once
}

// New returns a Notice.
func New(o Options) *Notice {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(error) {}
	}
	return &Notice{o: o}
}

// Tell mails the administrator, unless he was told of the same key within the last 24
// hours. Key names the matter for the program ("disk", "certificate mail.example.org"),
// subject is one line, text the paragraphs below it, lines ending in LF. It returns once the
// mail is durable. An error (there is no administrator yet, or no room) is for the caller's
// log; the next call tries again.
func (n *Notice) Tell(ctx context.Context, key, subject, text string) error {
	if n == nil || n.o.Post == nil {
		return nil
	}
	if key == "" || len(key) > maxKey || len(subject) > maxSubject || len(text) > maxText || strings.ContainsAny(subject, "\r\n") {
		return fmt.Errorf("notice: %.40q can't be told: bad key, subject or text", key)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.o.Now()
	told, err := n.told(ctx, key)
	if err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	if age := now.Sub(told); age >= 0 && age < again {
		return nil
	}
	err = n.o.Post(ctx, subject, text)
	n.o.Observe(err)
	if err != nil {
		return fmt.Errorf("the administrator could not be told of %q: %w", key, err)
	}
	n.o.Log.Warn("the administrator was told", "about", key, "subject", subject)
	return n.remember(ctx, key, now)
}

// told is when a matter was told of last, zero if never.
func (n *Notice) told(ctx context.Context, key string) (time.Time, error) {
	var at int64
	err := n.o.DB.QueryRowContext(ctx, `SELECT told FROM notice WHERE key = $1`, key).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return time.UnixMilli(at), err
}

// remember writes down that a matter was told of, and forgets old ones.
func (n *Notice) remember(ctx context.Context, key string, at time.Time) error {
	err := n.o.DB.Tx(context.WithoutCancel(ctx), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM notice WHERE told < $1`, at.Add(-forget).UnixMilli()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO notice (key, told) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET told = $2`, key, at.UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	return nil
}

// Clear says that a matter is well again: when it comes back it is told of at once.
func (n *Notice) Clear(ctx context.Context, key string) error {
	if n == nil || n.o.Post == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	told, err := n.told(ctx, key)
	if err == nil && !told.IsZero() { // most often there is nothing to write
		_, err = n.o.DB.ExecContext(ctx, `DELETE FROM notice WHERE key = $1`, key)
	}
	if err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	return nil
}
