package queue

import (
	"context"
	"sync"
	"time"
)

const (
	// maxChores is how many notices and the like are made at a time.
	maxChores = 4
	// pruneEvery is how often old events are removed.
	pruneEvery = time.Hour
	// lookEvery is how often the clock is looked at: it may be set, and this machine sleep.
	lookEvery = time.Minute
)

// Run tries what is due until ctx ends. Then no attempt begins any more, and those under
// way have Options.Grace before they are broken off; what became of them is written before
// Run returns. Only one Run at a time.
func (q *Queue) Run(ctx context.Context) {
	// Attempts outlive ctx by the grace.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var workers sync.WaitGroup
	defer workers.Wait()
	context.AfterFunc(ctx, func() {
		t := time.NewTimer(q.o().Grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-work.Done():
		}
	})
	workers.Go(func() { q.pruneHourly(ctx) })
	workers.Go(func() { q.removing(ctx) })
	for ctx.Err() == nil {
		next := q.dispatch(
			func(j *job) { workers.Go(func() { q.work(ctx, work, j) }) },
			func(c *chore) { workers.Go(func() { q.do(work, c) }) })
		q.sleep(ctx, next)
	}
}

// sleep returns at a time, or when there is a reason to look again.
func (q *Queue) sleep(ctx context.Context, until int64) {
	wait := lookEvery
	if until != never {
		wait = min(wait, max(0, fromMilli(until).Sub(q.o().Now())))
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-q.wake:
	case <-ctx.Done():
	}
}

// dispatch hands out all that can be done now, and returns when there will be more.
func (q *Queue) dispatch(work func(*job), do func(*chore)) (next int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.heed(now)
	q.advance(now)
	for c := q.claimChore(); c != nil; c = q.claimChore() {
		do(c)
	}
	for j := q.claim(); j != nil; j = q.claim() {
		work(j)
	}
	q.awake = q.nextTime()
	return q.awake
}

// work makes attempts, one job after the other, until none may begin or ctx ends; outer
// ends the attempts themselves.
func (q *Queue) work(ctx, outer context.Context, j *job) {
	for j != nil {
		q.attempt(outer, j)
		q.mu.Lock()
		q.done(j)
		if j = nil; ctx.Err() == nil {
			j = q.claim()
		}
		if q.waits() || q.nextTime() < q.awake {
			q.poke() // there is work for others, or a time has changed
		}
		q.mu.Unlock()
	}
	q.poke()
}

// backoff is a wait that doubles each time.
func backoff(first, most time.Duration, times int) time.Duration {
	d := first
	for range times - 1 {
		if d > most/2 {
			return most
		}
		d *= 2
	}
	return min(d, most)
}

// jitter makes a wait up to 10 % longer or shorter, so that what failed together does not
// come back together. In milliseconds.
func (q *Queue) jitter(d time.Duration) int64 {
	return int64(float64(d.Milliseconds()) * (0.9 + 0.2*q.o().Rand()))
}

// wait is how long a recipient waits after so many attempts, in milliseconds.
func (q *Queue) wait(r *row, attempts int) int64 {
	if r.account != "" {
		return q.jitter(backoff(q.o().LocalFirst, q.o().LocalMost, attempts))
	}
	return q.jitter(backoff(q.o().First, q.o().Most, attempts))
}
