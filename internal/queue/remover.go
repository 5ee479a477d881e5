package queue

import (
	"context"
	"sync"
	"time"
)

const (
	// maxRemovals and maxRemovalBytes bound the files that wait for a lull to be removed.
	maxRemovals     = 10_000
	maxRemovalBytes = 128 << 20
	// lull is how long no message must have left before files are removed.
	lull = 200 * time.Millisecond
	// maxSwept is how many files Open removes by itself.
	maxSwept = 1000
)

// remover removes the files of messages that have left, behind everybody's back and, while
// they are not too many, in a lull: freeing a file takes some file systems longer than all
// the rest of a message. What is not done when Run ends is done at the next start.
type remover struct {
	mu    sync.Mutex
	files []removal
	bytes int64
	last  time.Time // when the last one came
	wake  chan struct{}
}

type removal struct {
	name string
	size int64
}

// later puts a file off.
func (r *remover) later(f removal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files = append(r.files, f)
	r.bytes += f.size
	r.last = time.Now()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// next takes one that is to be removed now; "": none is. after is when there may be one;
// zero: when woken.
func (r *remover) next(now time.Time) (name string, after time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.files) == 0 {
		r.files = nil
		return "", 0
	}
	if wait := lull - now.Sub(r.last); wait > 0 && len(r.files) <= maxRemovals && r.bytes <= maxRemovalBytes {
		return "", wait
	}
	f := r.files[0]
	r.files = r.files[1:]
	r.bytes -= f.size
	return f.name, 0
}

// discard removes a file that nothing needs, at some time. Its name is never used again.
func (q *Queue) discard(name string, size int64) { q.remover.later(removal{name, size}) }

// removing removes discarded files until ctx ends.
func (q *Queue) removing(ctx context.Context) {
	for ctx.Err() == nil {
		name, after := q.remover.next(time.Now())
		switch {
		case name != "":
			q.remove(name)
		case after > 0: // those that come meanwhile change nothing
			pause(ctx, after)
		default:
			select {
			case <-q.remover.wake:
			case <-ctx.Done():
			}
		}
	}
}

// pause returns after d, or when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
