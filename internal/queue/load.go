package queue

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"kurir/internal/relay"
)

// load reads what waits into memory. Recipients are routed anew, as the configuration may
// have changed; attempts whose end is not known are told of.
func (q *Queue) load(ctx context.Context) error {
	now := q.now()
	if err := q.loadDestinations(ctx, now); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	err := q.o().DB.Tx(ctx, func(tx *sql.Tx) error {
		ch := &change{ctx: ctx, tx: tx}
		found, err := readRows(ctx, tx)
		if err != nil {
			return err
		}
		for _, f := range found {
			q.loadRow(ch, f, now)
		}
		return ch.err
	})
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}

// found is a row as it was found at start.
type found struct {
	*row
	destination string
	marked      int64
}

// loadRow takes in a row that was found.
func (q *Queue) loadRow(c *change, f found, now int64) {
	r := f.row
	if known := q.mails[r.mail.id]; known != nil {
		r.mail = known
	}
	if name := q.destinationOf(r); name != f.destination {
		f.destination = name
		c.text(`UPDATE queue_recipient SET destination = $1 WHERE id = $2`, name, r.id)
	}
	if r.account == "" && q.o().HoldRemote != "" && r.held == holdNone {
		r.held, r.reason = holdRemote, q.o().HoldRemote
		c.text(`UPDATE queue_recipient SET held = $1, reason = $2 WHERE id = $3`, r.held, r.reason, r.id)
		c.event(&q.sql, r.mail.id, now, Event{Recipient: r.address, Kind: EventHeld, Reply: r.reason})
	}
	if f.marked != 0 {
		q.o().Log.Warn("message may have arrived, and is sent again: the server stopped while it was being sent",
			"id", r.mail.id, "recipient", r.address, "destination", f.destination, "at", fromMilli(f.marked))
		c.text(`UPDATE queue_recipient SET marked = 0 WHERE id = $1`, r.id)
		c.event(&q.sql, r.mail.id, now, Event{Recipient: r.address, Kind: EventUncertain,
			Reply: "The server stopped while the message was being sent: the other host may have it."})
	}
	q.add(r, f.destination, now)
}

// text runs a statement that is not prepared.
func (c *change) text(query string, args ...any) {
	if c.err == nil {
		_, c.err = c.tx.ExecContext(c.ctx, query, args...)
	}
}

// readRows reads all rows that wait, in their order.
func readRows(ctx context.Context, tx *sql.Tx) (all []found, err error) {
	rs, err := tx.QueryContext(ctx, `SELECT r.id, r.address, r.orcpt, r.notify, r.account, r.destination, r.due, r.attempts,
			r.not_before, r.deadline, r.delay, r.held, r.reason, r.marked,
			m.id, m.file, m.sender, m.account, m.envid, m.ret, m.utf8, m.require_tls, m.size, m.priority, m.created, m.tls_optional,
			m.mt_priority, m.by_at, m.by_mode
		FROM queue_recipient r JOIN queue_message m ON m.id = r.message ORDER BY r.id`)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	for rs.Next() {
		m := &mail{}
		f := found{row: &row{mail: m}}
		r := f.row
		var byAt int64
		var byMode string
		err := rs.Scan(&r.id, &r.address, &r.orcpt, &r.notify, &r.account, &f.destination, &r.due, &r.attempts,
			&r.notBefore, &r.deadline, &r.delay, &r.held, &r.reason, &f.marked,
			&m.id, &m.file, &m.sender, &m.account, &m.envID, &m.ret, &m.utf8, &m.requireTLS, &m.size, &m.priority, &m.created, &m.tlsOptional,
			&m.mtPriority, &byAt, &byMode)
		if err != nil {
			return nil, err
		}
		m.by = deliverBy(byAt, byMode)
		all = append(all, f)
	}
	return all, rs.Err()
}

// loadDestinations reads which destinations fail as a whole.
func (q *Queue) loadDestinations(ctx context.Context, now int64) error {
	rs, err := q.o().DB.QueryContext(ctx, `SELECT name, failures, last, next, code, status, reply, host FROM queue_destination`)
	if err != nil {
		return err
	}
	defer rs.Close()
	for rs.Next() {
		var name, host string
		var failures int
		var last, next int64
		var reply relay.Reply
		if err := rs.Scan(&name, &failures, &last, &next, &reply.Code, &reply.Status, &reply.Text, &host); err != nil {
			return err
		}
		if strings.HasPrefix(name, relay.SmarthostPrefix) {
			next = now // what stood against it may have been the configuration, which is new
		}
		d := q.destination(name)
		d.failures, d.last, d.next, d.reply, d.host = failures, last, next, reply, host
		q.close(d, now)
	}
	return rs.Err()
}

// sweep removes files that no row has, or discards them if they are many.
func (q *Queue) sweep() error {
	keep := map[string]bool{}
	for _, r := range q.rows {
		keep[r.mail.file], keep[r.copyName()] = true, true
	}
	names, err := q.o().FS.ReadNames(q.o().Dir)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		return keep[n] || !strings.HasPrefix(n, filePrefix) && !strings.HasPrefix(n, oldPrefix)
	})
	for i, n := range names {
		if i >= maxSwept {
			q.discard(n, 0)
			continue
		}
		q.remove(n)
	}
	return nil
}
