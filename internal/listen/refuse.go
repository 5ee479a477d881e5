package listen

import (
	"io"
	"net"
	"sync"
	"time"
)

const (
	refuseTime  = 2 * time.Second  // that a refused connection may still take
	refuseDrain = 64 << 10         // bytes read and dropped from it
	maxRefusing = 32               // refused connections that are being told so
	refuseLog   = 10 * time.Second // at most one line in the log in this time
)

// refuser tells refused connections so, beside the accept loop and never more than
// maxRefusing at once.
type refuser struct {
	mu      sync.Mutex
	conns   map[net.Conn]struct{} // being told
	stopped bool
	wg      sync.WaitGroup

	logged  time.Time // last line in the log
	skipped int       // refusals since that have no line
}

// refuse ends nc, for which there is no room, without keeping the accept loop waiting.
func (l *Listener) refuse(nc net.Conn, reason string) {
	if l.o.Observer != nil {
		l.o.Observer.ConnRefused(l.o.Protocol, reason)
	}
	if n, ok := l.refuser.mayLog(time.Now()); ok {
		l.o.Log.Warn("refused a connection", "protocol", l.o.Protocol, "reason", reason,
			"remote", nc.RemoteAddr().String(), "unlogged_before", n)
	}
	var line []byte
	if l.o.Reject != nil {
		line = l.o.Reject()
	}
	if len(line) == 0 || !l.refuser.tell(nc, line) {
		nc.Close() // nothing was promised to this client
	}
}

// mayLog says whether to log a refusal at this time, and how many had no line before it.
func (r *refuser) mayLog(now time.Time) (skipped int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.logged.IsZero() && now.Sub(r.logged) < refuseLog {
		r.skipped++
		return 0, false
	}
	skipped, r.skipped, r.logged = r.skipped, 0, now
	return skipped, true
}

// tell sends line and closes nc, in a goroutine that ends after refuseTime at the
// latest, or with stop. It returns false, and leaves nc alone, when too many are on
// their way.
func (r *refuser) tell(nc net.Conn, line []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || len(r.conns) >= maxRefusing {
		return false
	}
	if r.conns == nil {
		r.conns = make(map[net.Conn]struct{})
	}
	r.conns[nc] = struct{}{}
	r.wg.Go(func() {
		say(nc, line)
		r.mu.Lock()
		delete(r.conns, nc)
		r.mu.Unlock()
	})
	return true
}

// say sends line and closes nc, in refuseTime at most. What the client has sent
// meanwhile is read first: TCP drops the line on its way if there is unread input.
func say(nc net.Conn, line []byte) {
	defer nc.Close()
	if nc.SetDeadline(time.Now().Add(refuseTime)) != nil {
		return
	}
	if _, err := nc.Write(line); err != nil {
		return
	}
	half, ok := nc.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil {
		io.Copy(io.Discard, io.LimitReader(nc, refuseDrain)) // best effort
	}
}

// stop cuts the connections that are being told and waits for their goroutines.
func (r *refuser) stop() {
	r.mu.Lock()
	r.stopped = true
	for nc := range r.conns {
		nc.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}
