package queue

import (
	"context"
	"log/slog"
	"time"

	"kurir/internal/dsn"
	"kurir/internal/relay"
)

// verdict is what has been decided for one recipient.
type verdict struct {
	row   *row
	out   relay.Outcome
	kind  string // of the event
	gone  bool   // the row goes
	same  bool   // the row stays as it is
	quiet bool   // there is no event
	over  bool   // it has ended, but for the report: no notice of delay is due any more

	due      int64 // of the next attempt, if the row stays
	attempts int
}

// failing is what is noted of a destination that fails as a whole.
type failing struct {
	failures int
	next     int64
	reply    relay.Reply
	host     string
}

// conclusion is what comes of an attempt, or of a decision without one, for recipients of
// a message. Their rows are busy.
type conclusion struct {
	mail     *mail
	verdicts []*verdict
	at       int64

	// Of an attempt:
	job     *job
	tries   []relay.Try
	took    time.Duration
	works   bool     // the destination can be reached
	failing *failing // it fails as a whole
	reopens bool     // it was failing before
}

// How hard a conclusion is to be written down.
type effort int

const (
	// once: an error is the caller's, and the rows stay busy.
	once effort = iota
	// patient: it happened, so it is written as soon as that is possible.
	patient
)

// maxTries bounds the hosts tried in vain that are noted of one attempt.
const maxTries = 10

// conclude writes down a conclusion, together with the report to the sender, and carries
// it out in memory.
func (q *Queue) conclude(ctx context.Context, c *conclusion, e effort) error {
	report, wanted, err := q.reportOn(ctx, c)
	if err != nil {
		if e == once {
			return err
		}
		q.o().Log.Error("no report to the sender could be made; will try again", "id", c.mail.id, "error", err)
		c.putOff(q)
	}
	if c.job != nil && c.works {
		q.mu.Lock()
		c.reopens = c.job.to.failures > 0
		q.mu.Unlock()
	}
	write := func(ch *change) {
		q.writeConclusion(ch, c)
		q.writeReport(ch, c.mail, report)
		if wanted && report == nil && err == nil {
			ch.event(&q.sql, c.mail.id, c.at, Event{Kind: EventUntold})
		}
	}
	commit := q.group
	if e == patient {
		commit = q.persist
	}
	if err := commit(ctx, write); err != nil {
		if e == once { // else it was more than one try: the file is removed at the next start
			q.forsakeAll(err, report)
		}
		return err
	}
	q.carryOut(ctx, c, report)
	return nil
}

// persist is group that does not give up until ctx ends.
func (q *Queue) persist(ctx context.Context, fn func(*change)) error {
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		err := q.group(ctx, fn)
		if err == nil || ctx.Err() != nil {
			return err
		}
		q.o().Log.Error("the queue can't be written; will try again", "error", err, "in", pause)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// putOff keeps the rows whose sender could not be told yet.
func (c *conclusion) putOff(q *Queue) {
	for _, v := range c.verdicts {
		if v.gone && c.tells(v) == dsn.Failed {
			v.gone, v.over, v.kind, v.due = false, true, EventDeferred, c.at+q.o().LocalMost.Milliseconds()
		}
	}
}

// tells is what the sender hears of a verdict, "" for nothing.
func (c *conclusion) tells(v *verdict) dsn.Action {
	n := v.row.notify
	switch {
	case v.kind == EventFailed || v.kind == EventExpired || v.kind == EventReturned:
		if n.Failure() {
			return dsn.Failed
		}
	case v.kind == EventDelivered && n.Success():
		return dsn.Delivered
	case v.kind == EventSent && n.Success() && v.out.Relayed:
		return dsn.Relayed
	case v.kind == EventSent && n != relay.NotifyNever && (v.out.Untimed || c.mail.by.Trace):
		return dsn.Relayed
	}
	return ""
}

func (q *Queue) writeConclusion(ch *change, c *conclusion) {
	id := c.mail.id
	for _, t := range c.tries[:min(len(c.tries), maxTries)] {
		ch.event(&q.sql, id, c.at, eventOf(c.only(), EventTried, t.Peer, t.Reply))
	}
	for _, v := range c.verdicts {
		r, reply := v.row, v.out.Reply
		if v.out.Uncertain {
			ch.event(&q.sql, id, c.at, eventOf(r.address, EventUncertain, v.out.Peer, reply))
		}
		if !v.quiet {
			ch.event(&q.sql, id, c.at, eventOf(c.about(v), v.kind, v.out.Peer, reply))
		}
		switch {
		case v.gone:
			ch.exec(q.sql.gone, r.id)
		case !v.same:
			ch.exec(q.sql.postpone, v.due, v.attempts, max(r.deadline, v.due), reply.Code, reply.Status, bounded(reply.Text), v.out.Peer.Host, r.id)
		}
	}
	switch f := c.failing; {
	case f != nil:
		ch.exec(q.sql.closed, c.job.to.name, f.failures, c.at, f.next, f.reply.Code, f.reply.Status, bounded(f.reply.Text), f.host)
	case c.reopens:
		ch.exec(q.sql.open, c.job.to.name)
	}
}

// only is the recipient, if there is one alone.
func (c *conclusion) only() string {
	if len(c.verdicts) == 1 {
		return c.verdicts[0].row.address
	}
	return ""
}

// about is the recipient that the event of a verdict names: that a destination fails as a
// whole is said once.
func (c *conclusion) about(v *verdict) string {
	if v.same {
		return c.only()
	}
	return v.row.address
}

// carryOut does in memory what has been written.
func (q *Queue) carryOut(ctx context.Context, c *conclusion, report *arrival) {
	var remove []removal
	q.mu.Lock()
	now := q.now()
	if c.job != nil {
		switch d, f := c.job.to, c.failing; {
		case f != nil:
			d.failures, d.last, d.next, d.reply, d.host = f.failures, c.at, f.next, f.reply, f.host
			q.close(d, now)
		case c.works:
			q.works(d)
		}
	}
	for _, v := range c.verdicts {
		r := v.row
		if !v.gone {
			r.due, r.attempts, r.deadline = v.due, v.attempts, max(r.deadline, v.due)
			if v.over {
				r.delay = 0
			}
			q.release(r, now)
			continue
		}
		if r.account != "" {
			remove = append(remove, removal{r.copyName(), 0}) // has another name
		}
		if q.drop(r) {
			remove = append(remove, removal{r.mail.file, r.mail.size})
		}
	}
	q.takeIn(report)
	q.mu.Unlock()
	q.tellReach(c)
	for _, f := range remove {
		q.discard(f.name, f.size)
	}
	for _, v := range c.verdicts {
		q.tellLog(c, v)
		q.tellEnd(ctx, c, v)
	}
}

// tellReach reports that a destination begins to fail as a whole, goes on, or works again.
func (q *Queue) tellReach(c *conclusion) {
	switch {
	case c.failing != nil:
		q.o().Reach(c.job.to.name, &c.failing.reply)
	case c.reopens:
		q.o().Reach(c.job.to.name, nil)
	}
}

// tellEnd reports that another host has taken or refused what was submitted here.
func (q *Queue) tellEnd(ctx context.Context, c *conclusion, v *verdict) {
	if c.job == nil || c.mail.account == "" || v.row.account != "" || v.kind != EventSent && v.kind != EventFailed {
		return
	}
	q.o().Ended(ctx, Ending{ID: c.mail.id, Recipient: v.row.address, Sent: v.kind == EventSent, Reply: v.out.Reply, Host: v.out.Peer.Host})
}

// tellLog logs and counts a verdict.
func (q *Queue) tellLog(c *conclusion, v *verdict) {
	r := v.row
	attrs := []any{"id", c.mail.id, "recipient", r.address, "attempts", v.attempts}
	if v.out.Peer.Host != "" {
		attrs = append(attrs, "host", v.out.Peer.Host)
	}
	if reply := v.out.Reply; reply != (relay.Reply{}) {
		attrs = append(attrs, "reply", reply.String())
	}
	attrs = append(attrs, "took", c.took)
	level, text := slog.LevelInfo, ""
	switch v.kind {
	case EventSent:
		text = "message sent"
	case EventDelivered:
		text = "message delivered"
	case EventDeferred:
		text = "message deferred"
		next := v.due
		if v.same && c.failing != nil {
			next = max(next, c.failing.next)
		}
		attrs = append(attrs, "next", fromMilli(next))
	case EventDropped:
		text = "message dropped by the administrator"
	default:
		level, text = slog.LevelWarn, "message given up"
	}
	if v.out.Uncertain {
		q.o().Log.Warn("message may have arrived, and is sent again", attrs...)
	}
	if !v.quiet {
		q.o().Log.Log(context.Background(), level, text, attrs...)
	}
	if kind := v.kind; c.job != nil {
		if kind == EventExpired {
			kind = EventFailed
		}
		q.o().Observe(kind, c.took)
	}
}
