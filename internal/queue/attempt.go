package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kurir/internal/relay"
)

// soon is the longest wait of recipients whose attempt failed as a whole while others at the same
// destination were under way: it is not the destination that fails, but maybe too many at
// a time.
const soon = time.Minute

// attempt makes one attempt and writes down what became of it. The rows are busy; they are
// released or dropped.
func (q *Queue) attempt(ctx context.Context, j *job) {
	began := q.o().Now()
	var res *relay.Result
	if j.to.name == localDestination {
		res = q.deliverAll(ctx, j)
	} else {
		res = q.send(ctx, j)
	}
	if res == nil || len(res.Outcomes) != len(j.rows) {
		q.o().Log.Error("the transport gave no outcome", "id", j.mail.id, "destination", j.to.name)
		j.unmade = true
		res = &relay.Result{Outcomes: make([]relay.Outcome, len(j.rows))}
		for i := range res.Outcomes {
			res.Outcomes[i].Reply = relay.Reply{Status: "4.3.0", Text: "The attempt came to no end."}
		}
	}
	if res.Took == 0 {
		res.Took = q.o().Now().Sub(began)
	}
	c := q.judge(ctx, j, res)
	if err := q.conclude(ctx, c, patient); err != nil {
		// Only at the end of Run. The rows in SQL are as before, or marked.
		q.o().Log.Error("the end of an attempt could not be written", "id", j.mail.id, "error", err)
	}
}

// send hands the job to the transport.
func (q *Queue) send(ctx context.Context, j *job) *relay.Result {
	m, to, err := q.relayed(j)
	if err != nil {
		j.unmade = true
		res := &relay.Result{Outcomes: make([]relay.Outcome, len(j.rows))}
		for i := range res.Outcomes {
			res.Outcomes[i].Reply = relay.Reply{Status: "4.3.0", Text: "The message could not be read: " + err.Error()}
		}
		return res
	}
	return q.o().Transport.Send(ctx, j.to.name, m, to, func(ctx context.Context) error {
		if err := ctx.Err(); err != nil {
			return err // it is we who break off: without the dot that is no question
		}
		now := q.now()
		return q.group(ctx, func(c *change) {
			for _, r := range j.rows {
				c.exec(q.sql.mark, now, r.id)
			}
		})
	})
}

// relayed is a job as the transport knows it.
func (q *Queue) relayed(j *job) (*relay.Message, []relay.Recipient, error) {
	m := j.mail
	size, err := q.sizeOf(m)
	if err != nil {
		return nil, nil, err
	}
	to := make([]relay.Recipient, len(j.rows))
	for i, r := range j.rows {
		to[i] = relay.Recipient{Address: r.address, ORCPT: r.orcpt, Notify: r.notify}
	}
	return &relay.Message{ID: m.id, Sender: m.sender, Size: size, UTF8: m.utf8, RequireTLS: m.requireTLS, TLSOptional: m.tlsOptional,
		EnvID: m.envID, Ret: m.ret, By: m.by, Priority: m.mtPriority, Open: m.opener(q)}, to, nil
}

// judge decides what comes of an attempt.
func (q *Queue) judge(ctx context.Context, j *job, res *relay.Result) *conclusion {
	now := q.now()
	c := &conclusion{mail: j.mail, job: j, tries: res.Tries, took: res.Took, at: now}
	broken := ctx.Err() != nil
	if res.Whole && !broken {
		q.judgeWhole(c, res, now)
		return c
	}
	c.works = !res.Whole && !j.unmade && !broken
	for i, r := range j.rows {
		o := res.Outcomes[i]
		v := q.judgeOne(r, o, now)
		c.works = c.works || o.Action != relay.Deferred
		if broken && o.Action == relay.Deferred {
			// We broke it off: it counts for nothing, and is made again.
			v = &verdict{row: r, out: o, kind: EventDeferred, due: r.due, attempts: r.attempts, quiet: true}
		}
		c.verdicts = append(c.verdicts, v)
	}
	return c
}

// judgeOne decides what comes of one outcome.
func (q *Queue) judgeOne(r *row, o relay.Outcome, now int64) *verdict {
	v := &verdict{row: r, out: o, attempts: r.attempts + 1}
	switch {
	case o.Action == relay.Sent && r.account != "":
		v.kind, v.gone = EventDelivered, true
	case o.Action == relay.Sent:
		v.kind, v.gone = EventSent, true
	case o.Action == relay.Failed:
		v.kind, v.gone = EventFailed, true
	case now >= r.deadline:
		v.kind, v.gone = EventExpired, true
	default:
		v.kind, v.due = EventDeferred, min(now+q.wait(r, v.attempts), r.deadline)
	}
	return v
}

// judgeWhole decides what comes of an attempt at which the destination failed as a whole:
// its recipients have used up no attempt. With others under way there, only the window is
// narrowed; else the destination is let be. If it has been since the attempt began, that is
// the same failure.
func (q *Queue) judgeWhole(c *conclusion, res *relay.Result, now int64) {
	d := c.job.to
	first := res.Outcomes[0]
	q.mu.Lock()
	c.job.doomed = true
	d.doomed++
	others := d.failures == 0 && d.active > d.doomed
	switch {
	case others:
		d.narrows()
	case d.failures > c.job.failures:
	default:
		c.failing = &failing{failures: d.failures + 1, reply: first.Reply, host: first.Peer.Host,
			next: now + q.jitter(backoff(q.o().First, q.o().Most, d.failures+1))}
	}
	q.mu.Unlock()
	for i, r := range c.job.rows {
		v := &verdict{row: r, out: res.Outcomes[i], attempts: r.attempts, kind: EventDeferred, due: r.due, quiet: i > 0}
		switch {
		case now >= r.deadline:
			v.kind, v.gone, v.quiet = EventExpired, true, false
		case others:
			v.due = min(now+q.jitter(min(soon, q.o().First)), r.deadline)
		default:
			v.same = true
		}
		c.verdicts = append(c.verdicts, v)
	}
}

// localReply is an error of a delivery as a reply; its text is for the administrator.
func localReply(err error) relay.Reply {
	status, _ := strangers(err)
	return relay.Reply{Status: status, Text: bounded(err.Error())}
}

// deliverAll delivers to mailboxes here.
func (q *Queue) deliverAll(ctx context.Context, j *job) *relay.Result {
	res := &relay.Result{}
	for _, r := range j.rows {
		o := relay.Outcome{Action: relay.Sent}
		err := ctx.Err()
		if err == nil {
			err = q.deliver(ctx, r)
		}
		if err != nil {
			o.Action, o.Reply = relay.Deferred, localReply(err)
			if errors.Is(err, ErrNoRecipient) {
				o.Action = relay.Failed
			}
		}
		res.Outcomes = append(res.Outcomes, o)
	}
	return res
}

// copyName is the private copy that a delivery to a mailbox works on.
func (r *row) copyName() string { return fmt.Sprintf("%s.%d", r.mail.file, r.id) }
