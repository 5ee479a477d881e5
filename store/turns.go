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
// that there is no more to do. It reports whether there may be more.
func (t turns) take(ctx context.Context, step func() bool) bool {
	select {
	case t <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-t }()
	for end := time.Now().Add(turn); time.Now().Before(end); {
		if !step() {
			return false
		}
	}
	time.Sleep(breath)
	return true
}
