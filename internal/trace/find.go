package trace

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// Message is all that was noted of one message.
type Message struct {
	ID      string
	Records []Record // in order of time; at least one
}

const (
	// page is how many rows are looked at in one go.
	page = 500
	// around is how far the records of one message can lie apart: a session may go on so
	// long between a recipient that was refused and the end of the message.
	around = 2 * time.Hour
)

// Find looks for messages by an id, a session's id, an address, a Message-ID or an IP
// address: those that were noted last, limit at most, the youngest first, none older than
// since. Errors are those of the database. What cannot be written now, as on a full disk, is
// lost, and what was written before is found all the same.
func (t *Trace) Find(ctx context.Context, what string, since time.Time, limit int) ([]Message, error) {
	if t == nil || t.o.Keep <= 0 {
		return nil, nil
	}
	t.logged(t.Flush(ctx))
	name := Name(what)
	var ids []string
	var oldest time.Time
	err := t.walk(ctx, []string{digits(name)}, since, func(r *Record) bool {
		if !slices.Contains(ids, r.ID) && !r.At.Before(since) && slices.Contains(r.names(), name) {
			ids, oldest = append(ids, r.ID), r.At
		}
		return len(ids) < limit
	})
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return t.collect(ctx, ids, oldest.Add(-around))
}

// collect reads all records of messages.
func (t *Trace) collect(ctx context.Context, ids []string, since time.Time) ([]Message, error) {
	all := make([]Message, len(ids))
	var wanted []string
	at := map[string]*Message{}
	for i, id := range ids {
		all[i].ID = id
		at[id] = &all[i]
		wanted = append(wanted, digits(Name(id)))
	}
	err := t.walk(ctx, wanted, since, func(r *Record) bool {
		if m := at[r.ID]; m != nil {
			m.Records = append(m.Records, *r)
		}
		return true
	})
	for _, m := range all {
		slices.Reverse(m.Records)
		slices.SortStableFunc(m.Records, func(a, b Record) int { return a.At.Compare(b.At) })
	}
	return all, err
}

// walk shows the records of rows that may have one of the wanted hashes, the last that was
// noted first, until show has enough. Rows that are older than since are left out.
func (t *Trace) walk(ctx context.Context, wanted []string, since time.Time, show func(*Record) bool) error {
	after := int64(math.MinInt64)
	if !since.IsZero() {
		after = since.UnixMilli()
	}
	for below := int64(math.MaxInt64); ; {
		found, next, err := t.page(ctx, wanted, below, after)
		if err != nil {
			return fmt.Errorf("trace: %w", err)
		}
		for _, seq := range found {
			records, err := t.records(ctx, seq)
			if err != nil {
				return fmt.Errorf("trace: %w", err)
			}
			for i := len(records) - 1; i >= 0; i-- {
				if !show(&records[i]) {
					return nil
				}
			}
		}
		if next == 0 {
			return nil
		}
		below = next
	}
}

// page looks at the rows below one, and says which may have what is wanted, and where to go
// on; 0: nowhere.
func (t *Trace) page(ctx context.Context, wanted []string, below, after int64) (found []int64, next int64, err error) {
	rows, err := t.o.DB.QueryContext(ctx, `SELECT seq, last, names FROM trace_batch WHERE seq < $1 ORDER BY seq DESC LIMIT $2`, below, page)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var seq, last int64
		var names string
		if err := rows.Scan(&seq, &last, &names); err != nil {
			return nil, 0, err
		}
		if last >= after && mayHave(names, wanted) {
			found = append(found, seq)
		}
		if n++; n == page && last >= after {
			next = seq
		}
	}
	return found, next, rows.Err()
}

// records reads a row. One that is removed at this moment has none.
func (t *Trace) records(ctx context.Context, seq int64) (all []Record, err error) {
	rows, err := t.o.DB.QueryContext(ctx, `SELECT records FROM trace_batch WHERE seq = $1`, seq)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return nil, fmt.Errorf("row %d: %w", seq, err)
		}
	}
	return all, rows.Err()
}
