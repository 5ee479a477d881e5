package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"kurir/internal/relay"
)

// Selection chooses recipients that a command changes.
type Selection struct {
	Filter
	Recipient string // an address; "": all that the filter chooses
}

// returnedStatus is the code of what the administrator returns.
const returnedStatus = "5.0.0"

const (
	heldByHand = "by the administrator"
	// changeStep is how many rows a command changes in one transaction.
	changeStep = 500
	// changeWorkers is how many messages a command returns or drops at a time; they share commits.
	changeWorkers = 32
)

// Retry has recipients tried now, whether or not their destination is let be at the
// moment. What is held stays held and is not counted; what is being tried already is.
func (q *Queue) Retry(ctx context.Context, s Selection) (recipients int, err error) {
	return q.alter(ctx, s, func(r *row) bool { return r.held == holdNone }, func(c *change, rows []*row, now int64) {
		reopened := map[*destination]bool{}
		for _, r := range rows {
			q.mu.Lock()
			due := max(now, r.notBefore)
			q.mu.Unlock()
			c.text(`UPDATE queue_recipient SET due = $1 WHERE id = $2`, due, r.id)
			c.event(&q.sql, r.mail.id, now, Event{Recipient: r.address, Kind: EventRetried})
			if !reopened[r.to] {
				reopened[r.to] = true
				c.text(`UPDATE queue_destination SET next = $1 WHERE name = $2 AND next > $1`, now, r.to.name)
			}
		}
	}, func(r *row, now int64) {
		if r.busy {
			return
		}
		r.due = max(now, r.notBefore)
		if d := r.to; d.closed() {
			d.next = now
			q.reopen.put(d)
		}
	})
}

// Hold has recipients wait until Release, without end: no notice of delay, no deadline. One
// that is being tried at the moment is held if it still waits afterwards.
func (q *Queue) Hold(ctx context.Context, s Selection) (recipients int, err error) {
	return q.alter(ctx, s, func(r *row) bool { return r.held == holdNone || r.held == holdLimit }, func(c *change, rows []*row, now int64) {
		for _, r := range rows {
			c.text(`UPDATE queue_recipient SET held = $1, reason = $2 WHERE id = $3`, holdAdmin, heldByHand, r.id)
			c.event(&q.sql, r.mail.id, now, Event{Recipient: r.address, Kind: EventHeld, Reply: heldByHand})
		}
	}, func(r *row, _ int64) { r.held, r.reason = holdAdmin, heldByHand })
}

// Release ends that recipients are held: they are tried at once, and have as much time from
// now on as new ones. With Options.HoldRemote, those elsewhere stay held, with an error.
func (q *Queue) Release(ctx context.Context, s Selection) (recipients int, err error) {
	stay := 0
	n, err := q.alter(ctx, s, func(r *row) bool {
		if r.held != holdNone && r.account == "" && q.o().HoldRemote != "" {
			stay++
			return false
		}
		return r.held != holdNone
	}, func(c *change, rows []*row, now int64) {
		for _, r := range rows {
			q.mu.Lock()
			due, deadline, delay := q.anew(r, now)
			q.mu.Unlock()
			c.text(`UPDATE queue_recipient SET held = 0, reason = '', due = $1, deadline = $2, delay = $3 WHERE id = $4`, due, deadline, delay, r.id)
			c.event(&q.sql, r.mail.id, now, Event{Recipient: r.address, Kind: EventReleased})
		}
	}, func(r *row, now int64) {
		r.held, r.reason = holdNone, ""
		if !r.busy {
			r.due, r.deadline, r.delay = q.anew(r, now)
		}
	})
	if err == nil && stay > 0 {
		err = fmt.Errorf("queue: still held, %s: %s", count(stay, "recipient"), q.o().HoldRemote)
	}
	return n, err
}

// anew are the times of a row that is released. mu is held.
func (q *Queue) anew(r *row, now int64) (due, deadline, delay int64) {
	due = max(now, r.notBefore)
	if r.delay > 0 {
		delay = q.delay(r, due)
	}
	return due, q.deadline(r, due), delay
}

// alter changes rows that a selection chooses and fits accepts: write in SQL, then apply in
// memory, both with the same time. fits and apply run with mu held.
func (q *Queue) alter(ctx context.Context, s Selection, fits func(*row) bool,
	write func(c *change, rows []*row, now int64), apply func(r *row, now int64)) (recipients int, err error) {
	q.commands.Lock()
	defer q.commands.Unlock()
	ids, err := q.choose(ctx, s)
	if err != nil {
		return 0, err
	}
	for len(ids) > 0 {
		step := ids[:min(len(ids), changeStep)]
		ids = ids[len(step):]
		rows := q.pick(step, fits)
		now := q.now()
		if err := q.group(ctx, func(c *change) { write(c, rows, now) }); err != nil {
			return recipients, err
		}
		q.mu.Lock()
		for _, r := range rows {
			if q.rows[r.id] != r {
				continue // it has been dealt with meanwhile
			}
			recipients++
			apply(r, now)
			q.settle(r, now)
		}
		q.mu.Unlock()
		q.poke()
	}
	return recipients, nil
}

// choose finds the ids of rows.
func (q *Queue) choose(ctx context.Context, s Selection) (ids []int64, err error) {
	q.mu.Lock()
	for _, id := range s.IDs {
		if q.mails[id] == nil && err == nil {
			err = fmt.Errorf("%w waits: %s", ErrNoMessage, id)
		}
	}
	q.mu.Unlock()
	if err != nil {
		return nil, err
	}
	found, err := q.list(ctx, s.Filter, s.Recipient)
	for _, l := range found {
		ids = append(ids, l.row)
	}
	return ids, err
}

// pick finds rows in memory.
func (q *Queue) pick(ids []int64, fits func(*row) bool) (rows []*row) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.heed(q.now())
	for _, id := range ids {
		if r := q.rows[id]; r != nil && fits(r) {
			rows = append(rows, r)
		}
	}
	return rows
}

// Drop removes recipients; nobody is told. Those that are being tried at the moment are
// left alone, and [ErrBusy] says so.
func (q *Queue) Drop(ctx context.Context, s Selection) (recipients int, err error) {
	return q.end(ctx, s, EventDropped, relay.Reply{Text: "The administrator removed it."})
}

// Bounce returns messages to their senders, for the recipients chosen. Those that are being
// tried at the moment are left alone, and [ErrBusy] says so.
func (q *Queue) Bounce(ctx context.Context, s Selection) (recipients int, err error) {
	return q.end(ctx, s, EventReturned, relay.Reply{Status: returnedStatus, Text: "The administrator returned it."})
}

// end ends the wait of recipients.
func (q *Queue) end(ctx context.Context, s Selection, kind string, reply relay.Reply) (recipients int, err error) {
	q.commands.Lock()
	defer q.commands.Unlock()
	ids, err := q.choose(ctx, s)
	if err != nil {
		return 0, err
	}
	ends, busy := q.seizeFor(ids, kind, reply)
	var mu sync.Mutex
	var workers sync.WaitGroup
	next := make(chan *conclusion)
	for range min(changeWorkers, len(ends)) {
		workers.Go(func() {
			for c := range next {
				done, failed := q.endOne(ctx, c)
				mu.Lock()
				recipients += done
				err = errors.Join(err, failed)
				mu.Unlock()
			}
		})
	}
	for _, c := range ends {
		next <- c
	}
	close(next)
	workers.Wait()
	q.poke()
	if err == nil && busy > 0 {
		err = fmt.Errorf("%w for %s, left alone: try again in a few minutes", ErrBusy, count(busy, "recipient"))
	}
	return recipients, err
}

// seizeFor makes rows busy, and conclusions of them.
func (q *Queue) seizeFor(ids []int64, kind string, reply relay.Reply) (ends []*conclusion, busy int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	of := map[*mail]*conclusion{}
	now := q.now()
	for _, id := range ids {
		r := q.rows[id]
		if r == nil {
			continue
		}
		if r.busy {
			busy++
			continue
		}
		q.seize([]*row{r})
		c := of[r.mail]
		if c == nil {
			c = &conclusion{mail: r.mail, at: now}
			of[r.mail] = c
			ends = append(ends, c)
		}
		c.verdicts = append(c.verdicts, &verdict{row: r, kind: kind, gone: true, attempts: r.attempts,
			out: relay.Outcome{Action: relay.Failed, Reply: reply}})
	}
	return ends, busy
}

// endOne writes one conclusion, or gives the rows free again.
func (q *Queue) endOne(ctx context.Context, c *conclusion) (recipients int, err error) {
	if err = ctx.Err(); err == nil {
		err = q.conclude(ctx, c, once)
	}
	if err == nil {
		return len(c.verdicts), nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, v := range c.verdicts {
		q.release(v.row, q.now())
	}
	return 0, fmt.Errorf("message %s: %w", c.mail.id, err)
}
