package queue

import (
	"context"
	"time"

	"kurir/internal/dsn"
	"kurir/internal/relay"
)

// choreAgain is the wait after a chore that has failed.
const choreAgain = 10 * time.Minute

// do does a chore. One that fails is done again later.
func (q *Queue) do(ctx context.Context, c *chore) {
	var err error
	if c.what == todoExpire {
		err = q.expire(ctx, c)
	} else {
		err = q.tellDelay(ctx, c)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.poke()
	q.choring--
	if err == nil {
		return
	}
	q.o().Log.Error("a notice could not be made; will try again", "id", c.mail.id, "error", err)
	now := q.now()
	for _, r := range c.rows {
		if c.what == todoDelay {
			r.delay = now + choreAgain.Milliseconds()
		} else {
			r.deadline = now + choreAgain.Milliseconds()
		}
		q.release(r, now)
	}
}

// expire gives recipients up at their deadline, without an attempt: their destination is
// let be, or a limit holds them.
func (q *Queue) expire(ctx context.Context, c *chore) error {
	end := &conclusion{mail: c.mail, at: q.now()}
	for _, r := range c.rows {
		w, err := q.whyWaiting(ctx, r)
		if err != nil {
			return err
		}
		v := &verdict{row: r, kind: EventExpired, gone: true, attempts: r.attempts, out: relay.Outcome{Action: relay.Failed, Reply: w.reply}}
		v.out.Peer.Host = w.host
		end.verdicts = append(end.verdicts, v)
	}
	return q.conclude(ctx, end, once)
}

// why is why a recipient waits.
type why struct {
	reply relay.Reply
	host  string
	last  int64 // when its destination failed as a whole
	held  bool  // a limit holds it
}

func (q *Queue) whyWaiting(ctx context.Context, r *row) (w why, err error) {
	q.mu.Lock()
	d := r.to
	if w.held = r.held == holdLimit; w.held {
		w.reply = relay.Reply{Status: "4.7.0", Text: "The message waits for the administrator of " + q.o().Hostname + "."}
	} else if d.failures > 0 {
		w.reply, w.host, w.last = d.reply, d.host, d.last
	}
	q.mu.Unlock()
	if w.held || w.last > 0 {
		return w, nil
	}
	err = q.sql.last.QueryRowContext(ctx, r.id).Scan(&w.reply.Code, &w.reply.Status, &w.reply.Text, &w.host)
	return w, err
}

// tellDelay tells the sender that recipients have not got the message yet.
func (q *Queue) tellDelay(ctx context.Context, c *chore) error {
	var last int64
	err := q.o().DB.QueryRowContext(ctx, `SELECT COALESCE(MAX(at), 0) FROM queue_event WHERE message = $1 AND kind = $2`,
		c.mail.id, EventDeferred).Scan(&last)
	if err != nil {
		return err
	}
	var all []dsn.Recipient
	for _, r := range c.rows {
		w, err := q.whyWaiting(ctx, r)
		if err != nil {
			return err
		}
		d := dsnRecipient(r, dsn.Delayed, w.reply, w.host)
		d.Until, d.Held = fromMilli(r.deadline), w.held
		if at := max(last, w.last); at > 0 && !w.held {
			d.LastAttempt = fromMilli(at)
		}
		all = append(all, d)
	}
	report, err := q.report(ctx, c.mail, all)
	if err != nil {
		return err
	}
	now := q.now()
	err = q.group(ctx, func(ch *change) {
		for _, r := range c.rows {
			ch.exec(q.sql.tell, r.id)
		}
		q.writeReport(ch, c.mail, report)
		if report == nil {
			ch.event(&q.sql, c.mail.id, now, Event{Kind: EventUntold})
		}
	})
	if err != nil {
		q.forsakeAll(err, report)
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range c.rows {
		r.delay = 0
		q.release(r, now)
	}
	q.takeIn(report)
	q.o().Log.Info("message is late, and its sender is told", "id", c.mail.id, "recipients", len(c.rows))
	return nil
}
