package trace

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

const (
	// flushEvery is how often what waits is written.
	flushEvery = time.Second
	// pruneEvery is how often old records are removed.
	pruneEvery = 10 * time.Minute
	// batch is how many records are written, or removed, in one go: others wait for it.
	batch = 256
)

// Run writes what was noted until ctx is done, and what is left then.
func (t *Trace) Run(ctx context.Context) {
	if t == nil || t.o.Keep <= 0 {
		return
	}
	flush, prune := time.NewTicker(flushEvery), time.NewTicker(pruneEvery)
	defer flush.Stop()
	defer prune.Stop()
	for {
		select {
		case <-ctx.Done():
			t.logged(t.Flush(context.WithoutCancel(ctx)))
			return
		case <-t.wake:
			t.logged(t.Flush(ctx))
		case <-flush.C:
			t.logged(t.Flush(ctx))
		case <-prune.C:
			t.logged(t.Prune(ctx))
		}
	}
}

func (t *Trace) logged(err error) {
	if err != nil {
		t.o.Log.Error("the way of messages could not be noted", "error", err)
	}
}

// Flush writes what was noted. What can't be written is forgotten, and counted.
func (t *Trace) Flush(ctx context.Context) error {
	if t == nil {
		return nil
	}
	t.writing.Lock()
	defer t.writing.Unlock()
	t.mu.Lock()
	all := t.waiting
	t.waiting = nil
	t.mu.Unlock()
	for len(all) > 0 {
		n := min(batch, len(all))
		if err := t.write(ctx, all[:n]); err != nil {
			t.o.Dropped(len(all))
			return fmt.Errorf("trace: %w", err)
		}
		all = all[n:]
	}
	return nil
}

// write writes one row.
func (t *Trace) write(ctx context.Context, all []Record) error {
	var names hashes
	first, last := all[0].At, all[0].At
	for i := range all {
		r := &all[i]
		r.bounded()
		names.add(r.names()...)
		if r.At.Before(first) {
			first = r.At
		}
		if r.At.After(last) {
			last = r.At
		}
	}
	records, err := json.Marshal(all)
	if err != nil {
		return err
	}
	err = t.o.DB.Group(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO trace_batch (first, last, number, names, records) VALUES ($1, $2, $3, $4, $5)`,
			first.UnixMilli(), last.UnixMilli(), len(all), names.String(), string(records))
		return err
	})
	if err == nil {
		t.total += int64(len(all))
	}
	return err
}

// Prune removes what is too old or too much.
func (t *Trace) Prune(ctx context.Context) error {
	if t == nil {
		return nil
	}
	t.writing.Lock()
	defer t.writing.Unlock()
	if !t.counted {
		if err := t.o.DB.QueryRowContext(ctx, `SELECT coalesce(sum(number), 0) FROM trace_batch`).Scan(&t.total); err != nil {
			return fmt.Errorf("trace: %w", err)
		}
		t.counted = true
	}
	for {
		n, err := t.pruneSome(ctx)
		if err != nil {
			return fmt.Errorf("trace: %w", err)
		}
		if n < batch {
			return nil
		}
	}
}

// pruneSome removes the oldest rows, a batch at most, and says how many.
func (t *Trace) pruneSome(ctx context.Context) (n int, err error) {
	rows, err := t.o.DB.QueryContext(ctx, `SELECT seq, last, number FROM trace_batch ORDER BY seq LIMIT $1`, batch)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	before, left, upTo := t.o.Now().Add(-t.o.Keep).UnixMilli(), t.total, int64(0)
	for rows.Next() {
		var seq, last, number int64
		if err := rows.Scan(&seq, &last, &number); err != nil {
			return 0, err
		}
		if last >= before && left <= int64(t.o.Max) {
			break // those behind it are younger
		}
		n, left, upTo = n+1, left-number, seq
	}
	if err := rows.Err(); err != nil || n == 0 {
		return 0, err
	}
	if _, err := t.o.DB.ExecContext(ctx, `DELETE FROM trace_batch WHERE seq <= $1`, upTo); err != nil {
		return 0, err
	}
	t.total = left
	return n, nil
}
