package queue

// Here is decided which destination has the next attempt, and how many at a time.

// line lets a destination have its turn, if it has work. Mailboxes here wait for nobody.
func (x *index) line(d *destination) {
	if d.lined || !d.hasTurn() || d.name == localDestination {
		return
	}
	d.lined = true
	if d.failures > 0 {
		x.probes = append(x.probes, d)
	} else {
		x.turn = append(x.turn, d)
	}
}

// first is the destination whose turn it is, nil if there is none. Those that have failed
// take half of all attempts at most: many of them, none of which answers, leave room for
// the others.
func (x *index) first() *destination {
	if d := x.destinations[localDestination]; d != nil && d.hasTurn() {
		return d
	}
	if x.active >= x.options.InAll {
		return nil
	}
	probe := len(x.probes) > 0 && x.probing < max(1, x.options.InAll/2)
	x.odd = !x.odd
	switch {
	case probe && (x.odd || len(x.turn) == 0):
		return shift(&x.probes)
	case len(x.turn) > 0:
		return shift(&x.turn)
	}
	return nil
}

// shift takes the first one out.
func shift(line *[]*destination) *destination {
	d := (*line)[0]
	(*line)[0] = nil
	*line = (*line)[1:]
	d.lined = false
	return d
}

// waits tells whether work waits for somebody to do it.
func (x *index) waits() bool {
	d := x.destinations[localDestination]
	return len(x.turn) > 0 || len(x.probes) > 0 || d != nil && d.hasTurn()
}

// claim takes the next job, nil if none may begin now.
func (x *index) claim() *job {
	for d := x.first(); d != nil; d = x.first() {
		if !d.hasTurn() {
			continue
		}
		first := d.ready.top()
		j := &job{mail: first.mail, to: d, rows: []*row{first}, failures: d.failures}
		for _, r := range first.mail.rows {
			if len(j.rows) == maxJob {
				break
			}
			if r != first && r.to == d && d.ready.has(r) {
				j.rows = append(j.rows, r)
			}
		}
		x.seize(j.rows)
		x.count(j, 1)
		x.line(d)
		return j
	}
	return nil
}

// count counts a job.
func (x *index) count(j *job, n int) {
	j.to.active += n
	if j.to.name == localDestination {
		return
	}
	x.active += n
	if j.failures > 0 {
		x.probing += n
	}
}

// done ends a job; its rows have been released or dropped.
func (x *index) done(j *job) {
	x.count(j, -1)
	if j.doomed {
		j.to.doomed--
	}
	x.line(j.to)
	x.forget(j.to)
}

// works notes that a destination has taken part in an attempt: it can be reached.
func (x *index) works(d *destination) {
	start, most := float64(min(firstWindow, x.options.PerDestination)), float64(x.options.PerDestination)
	switch {
	case d.failures > 0:
		d.failures, d.window, d.steady = 0, start, false
		x.reopen.take(d)
	case d.steady:
		d.window = min(d.window+1/d.window, most)
	default:
		d.window = min(d.window+1, most)
	}
	x.line(d)
}

// narrows notes that an attempt failed as a whole while others were under way: maybe that
// many are too many.
func (d *destination) narrows() { d.window, d.steady = float64(max(1, d.active-d.doomed)), true }
