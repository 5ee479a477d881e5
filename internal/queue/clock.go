package queue

// clockSlack is how far the clock may be set back without being noticed.
const clockSlack = 60_000

// The times in rows are those of a clock that may be set back, by days when it was wrong.
// Nothing then waits for a time that lies farther ahead than one of its kind can.

// heed notes the present. If the clock has been set back, all times are looked at again.
func (x *index) heed(now int64) {
	back := now < x.seen-clockSlack
	if x.seen = now; !back {
		return
	}
	for _, d := range x.destinations {
		if d.closed() {
			x.shut(d, now)
		}
	}
	for _, r := range x.rows {
		if !r.busy && r.to.ready.has(r) {
			r.due, r.since = min(r.due, now), min(r.since, now)
		}
		x.settle(r, now)
	}
}

// reckon brings a row's times to what they can be at most. It must not be busy.
func (x *index) reckon(r *row, now int64) {
	o := x.options
	from := now
	if r.notBefore > r.mail.created { // as was asked for
		from = max(now, r.notBefore)
	}
	r.notBefore = min(r.notBefore, from)
	longest := longer(max(o.Most, o.LocalMost).Milliseconds())
	if r.attempts == 0 && r.mail.created > now+clockSlack {
		longest = 0
	}
	r.due = min(r.due, from+longest)
	r.deadline = min(r.deadline, from+max(o.Expire.Milliseconds(), longest, choreAgain.Milliseconds()))
	r.delay = min(r.delay, from+max(o.DelayNotice, choreAgain).Milliseconds())
}

// shut lets a destination be until its time comes. x.reopen is where closed ones are.
func (x *index) shut(d *destination, now int64) {
	d.last = min(d.last, now)
	d.next = min(d.next, now+longer(x.options.Most.Milliseconds()))
	x.reopen.put(d)
}

// longer is the most that jitter makes of a wait.
func longer(wait int64) int64 { return wait + wait/10 }
