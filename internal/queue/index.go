package queue

import (
	"cmp"
	"math"
	"slices"

	"kurir/internal/relay"
)

// never is the time of what does not come.
const never = math.MaxInt64

// localDestination is the destination of all mailboxes here; no host is called that.
const localDestination = "(local)"

const (
	// maxJob is how many recipients one attempt is for.
	maxJob = 100
	// firstWindow is how many attempts at a time a destination begins with.
	firstWindow = 5
	// delayGrace is how long a recipient that is due, and could be tried any moment, may
	// wait for its turn before a notice of delay that is due as well goes out.
	delayGrace = 10 * 60 * 1000
)

// mail is a message that waits.
type mail struct {
	id, file, sender, account string
	envID, ret                string
	size, created             int64
	priority                  int
	mtPriority                int
	by                        relay.DeliverBy
	utf8                      bool
	requireTLS, tlsOptional   bool
	rows                      []*row
}

// hold says for what kind of reason a recipient waits for the administrator.
type hold int

const (
	holdNone   hold = iota
	holdAdmin       // by hand: it waits without end
	holdLimit       // the account's limits: notices and the deadline come
	holdRemote      // Options.HoldRemote: it waits without end
)

// row is one recipient that waits. Only the worker that has it, while it is busy, and who
// holds Queue.mu change it.
type row struct {
	id                              int64
	mail                            *mail
	to                              *destination
	address, orcpt, account         string
	notify                          relay.Notify
	attempts                        int
	due, notBefore, deadline, delay int64
	held                            hold
	reason                          string // why it is held
	busy                            bool   // a worker or a command has it

	since               int64 // it has been ready
	wake                int64 // when something is to be done for it
	at                  int   // in mail.rows
	inTimers, readyFrom int   // places in heaps
}

// destination is where rows go, with what is known of it.
type destination struct {
	name   string
	rows   int        // that go there
	ready  heap[*row] // those that can be tried
	active int        // attempts under way
	doomed int        // of them, have failed as a whole and are being written down
	window float64    // attempts at a time
	steady bool       // the window has been too wide: it grows slowly
	lined  bool       // it is in index.turn

	// It fails as a whole, if failures is not 0: until next nothing is tried there, then
	// one job.
	failures   int
	last, next int64
	reply      relay.Reply
	host       string
	inReopen   int // place in index.reopen
}

// closed tells whether nothing is tried there for a while. It is ended by advance, not by
// the clock alone, which may be set back.
func (d *destination) closed() bool { return d.inReopen > 0 }

// hasTurn tells whether another attempt may begin.
func (d *destination) hasTurn() bool {
	limit := int(d.window)
	if d.failures > 0 {
		limit = 1
	}
	return len(d.ready.items) > 0 && d.active < limit && !d.closed()
}

// job is one attempt: a message for some of its recipients at one destination.
type job struct {
	mail *mail
	to   *destination
	rows []*row

	failures int  // the destination's, when it began
	doomed   bool // counted in the destination's
	unmade   bool // nothing was tried there
}

// chore is what is done for recipients of a message without an attempt.
type chore struct {
	mail *mail
	rows []*row
	what todo // todoDelay or todoExpire
}

// index is what waits, in memory. Queue.mu guards it.
type index struct {
	options      *Options
	mails        map[string]*mail
	rows         map[int64]*row
	destinations map[string]*destination
	timers       heap[*row]         // by wake
	reopen       heap[*destination] // closed ones, by next
	turn         []*destination     // those that may have work, in turn
	probes       []*destination     // the same, of those that have failed
	odd          bool               // a probe goes first
	chores       []*chore
	choring      int   // chores under way
	active       int   // attempts under way at other hosts
	probing      int   // of them, at those that have failed
	seen         int64 // when heed was called last
	awake        int64 // when the scheduler looks again
	coming       int   // messages and recipients that are about to be added
	comingRows   int
}

func (x *index) init(o *Options) {
	x.options = o
	x.mails, x.rows, x.destinations = map[string]*mail{}, map[int64]*row{}, map[string]*destination{}
	x.timers = heap[*row]{
		less:  func(a, b *row) bool { return a.wake < b.wake },
		place: func(r *row) *int { return &r.inTimers },
	}
	x.reopen = heap[*destination]{
		less:  func(a, b *destination) bool { return a.next < b.next },
		place: func(d *destination) *int { return &d.inReopen },
	}
}

// destination finds or makes a destination.
func (x *index) destination(name string) *destination {
	d := x.destinations[name]
	if d == nil {
		d = &destination{name: name, window: float64(min(firstWindow, x.options.PerDestination))}
		d.ready = heap[*row]{
			less: func(a, b *row) bool {
				return cmp.Or(cmp.Compare(a.mail.priority, b.mail.priority), cmp.Compare(a.due, b.due), cmp.Compare(a.id, b.id)) < 0
			},
			place: func(r *row) *int { return &r.readyFrom },
		}
		x.destinations[name] = d
	}
	return d
}

// add takes in a row; its mail, destination name and id are known.
func (x *index) add(r *row, destination string, now int64) {
	x.mails[r.mail.id] = r.mail
	x.rows[r.id] = r
	r.to = x.destination(destination)
	r.to.rows++
	r.at = len(r.mail.rows)
	r.mail.rows = append(r.mail.rows, r)
	x.settle(r, now)
}

// drop forgets a row, and tells whether it was the last of its message.
func (x *index) drop(r *row) (last bool) {
	delete(x.rows, r.id)
	x.timers.take(r)
	r.to.ready.take(r)
	r.to.rows--
	x.forget(r.to)
	rows := r.mail.rows
	end := rows[len(rows)-1]
	rows[r.at], end.at = end, r.at
	rows[len(rows)-1] = nil
	r.mail.rows = rows[:len(rows)-1]
	if len(r.mail.rows) > 0 {
		return false
	}
	delete(x.mails, r.mail.id)
	return true
}

// forget forgets a destination of which nothing need be known.
func (x *index) forget(d *destination) {
	if d.rows == 0 && d.active == 0 && d.failures == 0 {
		delete(x.destinations, d.name)
	}
}

// todo is what is to be done for a row.
type todo int

const (
	todoNothing todo = iota
	todoReady        // it can be tried
	todoDelay        // the sender is to be told that it is late
	todoExpire       // it is given up without another attempt
)

// next tells what is to be done for a row next, and when.
func (r *row) next(now int64) (what todo, when int64) {
	when = never
	if r.busy || r.held == holdAdmin || r.held == holdRemote {
		return todoNothing, never
	}
	sooner := func(w todo, at int64) {
		if at < when {
			what, when = w, at
		}
	}
	ready := r.to.ready.has(r)
	if !ready && r.held == holdNone {
		// The last attempt is at the deadline. Of what is late, the attempt comes first.
		if sooner(todoReady, min(r.due, r.deadline)); when <= now {
			return what, when
		}
	}
	if r.delay > 0 && max(r.delay, now) < r.deadline {
		at := r.delay
		if ready && !r.to.closed() {
			at = max(at, r.since+delayGrace)
		}
		sooner(todoDelay, at)
	}
	if r.held == holdLimit || ready && r.to.closed() {
		sooner(todoExpire, r.deadline)
	}
	return what, when
}

// settle puts a row that is new or has changed in its places.
func (x *index) settle(r *row, now int64) {
	if !r.busy {
		x.reckon(r, now)
	}
	if r.busy || r.held != holdNone || min(r.due, r.deadline) > now {
		r.to.ready.take(r)
	} else if r.to.ready.has(r) {
		r.to.ready.put(r) // its due may be another
	}
	what, when := r.next(now)
	if what == todoReady && when <= now {
		r.since = now
		r.to.ready.put(r)
		x.line(r.to)
		_, when = r.next(now)
	}
	if r.wake = when; when == never {
		x.timers.take(r)
	} else {
		x.timers.put(r)
	}
}

// advance does what time brings: rows become ready, chores come up, destinations may be
// tried again.
func (x *index) advance(now int64) {
	for len(x.reopen.items) > 0 && x.reopen.top().next <= now {
		d := x.reopen.top()
		x.reopen.take(d)
		x.line(d)
	}
	for len(x.timers.items) > 0 && x.timers.top().wake <= now {
		r := x.timers.top()
		what, when := r.next(now)
		if when > now || what != todoDelay && what != todoExpire {
			x.settle(r, now)
			continue
		}
		c := &chore{mail: r.mail, what: what}
		for _, r := range r.mail.rows {
			if w, when := r.next(now); w == what && when <= now {
				c.rows = append(c.rows, r)
			}
		}
		x.seize(c.rows)
		x.chores = append(x.chores, c)
	}
}

// seize makes rows busy.
func (x *index) seize(rows []*row) {
	slices.SortFunc(rows, func(a, b *row) int { return cmp.Compare(a.id, b.id) })
	for _, r := range rows {
		r.busy = true
		r.to.ready.take(r)
		x.timers.take(r)
	}
}

// release ends that a row is busy.
func (x *index) release(r *row, now int64) {
	r.busy = false
	x.settle(r, now)
}

// claimChore takes the next chore, nil if none may begin now.
func (x *index) claimChore() *chore {
	if len(x.chores) == 0 || x.choring == maxChores {
		return nil
	}
	c := x.chores[0]
	x.chores[0] = nil
	x.chores = x.chores[1:]
	x.choring++
	return c
}

// close notes that a destination fails as a whole, until next. Its rows stay ready.
func (x *index) close(d *destination, now int64) {
	x.shut(d, now)
	for _, r := range slices.Clone(d.ready.items) {
		x.settle(r, now)
	}
}

// nextTime is when advance has something to do, or never.
func (x *index) nextTime() int64 {
	next := int64(never)
	if len(x.timers.items) > 0 {
		next = x.timers.top().wake
	}
	if len(x.reopen.items) > 0 {
		next = min(next, x.reopen.top().next)
	}
	return next
}
