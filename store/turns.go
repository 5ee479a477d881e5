package store

import (
	"context"
	"time"
)

// turns shares the machine among long pieces of work: no more of them run at once than
// there are cores, each for a moment, in the order in which they came. After each turn
// there is a breath in which the sessions that have been woken meanwhile are served; the
// runtime looks for them only when a core has nothing to do.
type turns chan struct{}

// turn is how long one is, and breath the pause after it.
const (
	turn   = time.Millisecond
	breath = 20 * time.Microsecond
)

func newTurns(n int) turns { return make(turns, n) }

// take waits for a turn and calls step over and over until the turn is over or step says
// that there is no more to do. It reports whether there may be more. A step that may be long
// calls yield now and then.
func (t turns) take(ctx context.Context, step func(yield func()) bool) bool {
	select {
	case t <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-t }()
	end := time.Now().Add(turn)
	yield := func() {
		if time.Now().Before(end) {
			return
		}
		<-t
		time.Sleep(breath)
		t <- struct{}{} // others give theirs back soon, as this one does
		end = time.Now().Add(turn)
	}
	for time.Now().Before(end) {
		if !step(yield) {
			return false
		}
	}
	time.Sleep(breath)
	return true
}
