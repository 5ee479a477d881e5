package queue

import (
	"context"
	"sync"
)

const (
	// maxRemovals bounds the files that wait to be removed.
	maxRemovals = 20_000
	// maxSwept is how many files Open removes by itself.
	maxSwept = 1000
)

// remover removes the files of messages that have left, behind everybody's back: freeing
// a file takes some file systems longer than all the rest of a message. What is not done
// when Run ends is done at the next start.
type remover struct {
	mu    sync.Mutex
	names []string
	wake  chan struct{}
}

// later puts a file off; false: too many wait already.
func (r *remover) later(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.names) >= maxRemovals {
		return false
	}
	r.names = append(r.names, name)
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return true
}

// next takes one that waits; "": none does.
func (r *remover) next() (name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.names) > 0 {
		name, r.names = r.names[0], r.names[1:]
	}
	return name
}

// discard removes a file that nothing needs, at some time. Its name is never used again.
func (q *Queue) discard(name string) {
	if !q.remover.later(name) {
		q.remove(name)
	}
}

// removeDiscarded removes the files that have been discarded, until ctx ends.
func (q *Queue) removeDiscarded(ctx context.Context) {
	for ctx.Err() == nil {
		name := q.remover.next()
		if name == "" {
			return
		}
		q.remove(name)
	}
}

// removing removes discarded files until ctx ends.
func (q *Queue) removing(ctx context.Context) {
	for {
		q.removeDiscarded(ctx)
		select {
		case <-q.remover.wake:
		case <-ctx.Done():
			return
		}
	}
}
