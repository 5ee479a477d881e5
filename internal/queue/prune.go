package queue

import (
	"context"
	"time"
)

// pruneStep is how many events are removed at a time, so that nobody waits long.
const pruneStep = 500

// pruneHourly removes what is not remembered any longer, until ctx ends.
func (q *Queue) pruneHourly(ctx context.Context) {
	t := time.NewTicker(pruneEvery)
	defer t.Stop()
	for {
		if err := q.prune(ctx); err != nil && ctx.Err() == nil {
			q.o().Log.Error("old events of the queue could not be removed", "error", err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// prune removes events older than Options.KeepEvents, messages of which nothing waits or
// is remembered, and what is known of destinations that nothing goes to.
func (q *Queue) prune(ctx context.Context) error {
	before := q.now() - q.o().KeepEvents.Milliseconds()
	for ctx.Err() == nil {
		var ids []int64
		messages := map[string]bool{}
		rs, err := q.o().DB.QueryContext(ctx, `SELECT id, message FROM queue_event WHERE at < $1 ORDER BY at LIMIT $2`, before, pruneStep)
		if err != nil {
			return err
		}
		for rs.Next() {
			var id int64
			var message string
			if err := rs.Scan(&id, &message); err != nil {
				rs.Close()
				return err
			}
			ids = append(ids, id)
			messages[message] = true
		}
		if err := rs.Err(); err != nil {
			return err
		}
		if len(ids) == 0 {
			break
		}
		err = q.group(ctx, func(c *change) {
			for _, id := range ids {
				c.text(`DELETE FROM queue_event WHERE id = $1`, id)
			}
			for m := range messages {
				c.text(`DELETE FROM queue_message WHERE id = $1
					AND NOT EXISTS (SELECT 1 FROM queue_recipient r WHERE r.message = $1)
					AND NOT EXISTS (SELECT 1 FROM queue_event e WHERE e.message = $1)`, m)
			}
		})
		if err != nil {
			return err
		}
	}
	return q.pruneDestinations(ctx)
}

// pruneDestinations forgets that destinations fail when nothing has gone there for long.
func (q *Queue) pruneDestinations(ctx context.Context) error {
	q.mu.Lock()
	var old []*destination
	for _, d := range q.destinations {
		if d.rows == 0 && d.failures > 0 && d.next+q.o().Most.Milliseconds() < q.now() {
			old = append(old, d)
		}
	}
	q.mu.Unlock()
	if len(old) == 0 {
		return nil
	}
	err := q.group(ctx, func(c *change) {
		for _, d := range old {
			c.exec(q.sql.open, d.name)
		}
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range old {
		if d.active == 0 && d.rows == 0 {
			d.failures = 0
			q.reopen.take(d)
			q.forget(d)
		}
	}
	return nil
}
