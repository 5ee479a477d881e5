package relay

import (
	"context"
	"slices"
	"sync"
	"time"
)

// idle are the connections that wait for their next message, each for a short while.
type idle struct {
	mu      sync.Mutex
	waiting []*session // the one that waits longest first
	closed  bool
	leaving sync.WaitGroup // those that say goodbye
}

// take gives the connection that fits and has waited for the shortest time; nil if there
// is none. It is the caller's then.
func (l *idle) take(fits func(*session) bool) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, s := range slices.Backward(l.waiting) {
		if fits(s) {
			s.timer.Stop()
			l.waiting = slices.Delete(l.waiting, i, i+1)
			s.served = true
			return s
		}
	}
	return nil
}

// keep takes a connection back for at most this long. With more than most of them, the
// one that waits longest has to go.
func (l *idle) keep(s *session, long time.Duration, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || long <= 0 {
		l.quit(s)
		return
	}
	l.waiting = append(l.waiting, s)
	s.timer = time.AfterFunc(long, func() { l.expire(s) })
	if len(l.waiting) > most {
		l.waiting[0].timer.Stop()
		l.quit(l.waiting[0])
		l.waiting = slices.Delete(l.waiting, 0, 1)
	}
}

// expire ends the wait of s, unless somebody has taken it.
func (l *idle) expire(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiting, s); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
		l.quit(s)
	}
}

// leave says goodbye to s, without waiting for the answer.
func (l *idle) leave(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quit(s)
}

// quit says goodbye in a goroutine that ends in seconds, as Quit does.
func (l *idle) quit(s *session) {
	if l.closed {
		s.conn.Close()
		return
	}
	l.leaving.Go(func() { s.conn.Quit(context.Background()) })
}

// close says goodbye to all, and waits for that.
func (l *idle) close() {
	l.mu.Lock()
	for _, s := range l.waiting {
		s.timer.Stop()
		l.quit(s)
	}
	l.waiting, l.closed = nil, true
	l.mu.Unlock()
	l.leaving.Wait()
}
