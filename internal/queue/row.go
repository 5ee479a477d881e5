package queue

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// row is one recipient that waits.
type row struct {
	id        int64
	file      string // in Options.Dir
	sender    string
	recipient string // as the sender knows it
	account   string // "" if held
	created   time.Time
	next      time.Time
	attempts  int
	held      bool
	reason    string // of the last failure; for the log, not for strangers
}

// copyName is the private copy that an attempt delivers.
func (r row) copyName() string { return fmt.Sprintf("%s.%d", r.file, r.id) }

// rows reads those that where selects, all of them by default.
func (q *Queue) rows(ctx context.Context, where string, args []any) (all []row, err error) {
	rs, err := q.o.DB.QueryContext(ctx, `SELECT id, file, sender, recipient, account, created, next, attempts, held, error
		FROM local_retry `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	for rs.Next() {
		var r row
		var created, next int64
		if err := rs.Scan(&r.id, &r.file, &r.sender, &r.recipient, &r.account, &created, &next, &r.attempts, &r.held, &r.reason); err != nil {
			return nil, err
		}
		r.created, r.next = time.Unix(created, 0), time.Unix(next, 0)
		all = append(all, r)
	}
	return all, rs.Err()
}

func insert(ctx context.Context, tx *sql.Tx, rows []row) error {
	for _, r := range rows {
		held := 0
		if r.held {
			held = 1
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO local_retry (file, sender, recipient, account, created, next, attempts, held, error)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			r.file, r.sender, r.recipient, r.account, r.created.Unix(), r.next.Unix(), r.attempts, held, r.reason)
		if err != nil {
			return err
		}
	}
	return nil
}

// postpone notes a failed attempt.
func (q *Queue) postpone(ctx context.Context, r row, next time.Time, reason string) error {
	return q.o.DB.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE local_retry SET next = $1, attempts = attempts + 1, error = $2 WHERE id = $3`,
			next.Unix(), reason, r.id)
		return err
	})
}

// finish removes a row, puts others in its place, and then removes files that no row has.
func (q *Queue) finish(ctx context.Context, r row, instead []row) error {
	left := 0
	err := q.o.DB.Tx(ctx, func(tx *sql.Tx) error {
		if err := insert(ctx, tx, instead); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM local_retry WHERE id = $1`, r.id); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM local_retry WHERE file = $1`, r.file).Scan(&left)
	})
	if err != nil {
		return err
	}
	q.remove(r.copyName())
	if left == 0 {
		q.remove(r.file)
	}
	return nil
}

// text is an error for the table, bounded.
func text(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	return s[:min(len(s), 1000)]
}
