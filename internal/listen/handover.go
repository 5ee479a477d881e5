package listen

import (
	"net"
	"sync"
)

// Handover is an open socket that is passed on from one server to the next, without a
// moment in which a client is refused. Next gives it to a server as a net.Listener; what
// comes after the next call of Next is the next server's.
//
// Its methods, and those of its listeners, may be called from several goroutines.
type Handover struct {
	inner net.Listener
	pump  sync.Once

	mu     sync.Mutex
	now    *turn         // who gets what comes; nil before the first Next
	passed chan struct{} // closed when now is another, or none any more
	closed bool

	closeOnce sync.Once
	closeErr  error
}

// NewHandover takes l over, which it closes.
func NewHandover(l net.Listener) *Handover {
	return &Handover{inner: l, passed: make(chan struct{})}
}

// Addr is the address listened on.
func (h *Handover) Addr() net.Addr { return h.inner.Addr() }

// Next returns the listener that gets all connections from now on. The one before gets
// none any more: its Accept waits until that listener is closed, so that a server which is
// in the middle of conversations goes on with them. Closing the latest listener closes the
// socket. After Close, the result is closed from the start.
func (h *Handover) Next() net.Listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &turn{h: h, ready: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{})}
	if h.closed {
		t.once.Do(func() { close(t.closed) })
		return t
	}
	h.now = t
	close(h.passed)
	h.passed = make(chan struct{})
	return t
}

// Close closes the socket. Its listeners get nothing any more; connections live on.
func (h *Handover) Close() error {
	h.closeOnce.Do(func() {
		h.mu.Lock()
		h.closed, h.now = true, nil
		close(h.passed)
		h.mu.Unlock()
		h.closeErr = h.inner.Close()
	})
	return h.closeErr
}

// whose is who gets the next connection, nil when the socket is closed, and how it is known
// that it is another's.
func (h *Handover) whose() (*turn, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now, h.passed
}

// run accepts, and hands what comes to the server whose turn it is. It ends when the socket
// is closed.
func (h *Handover) run() {
	for {
		c, err := h.inner.Accept()
		for given := false; !given; {
			t, passed := h.whose()
			if t == nil {
				if c != nil {
					c.Close()
				}
				return
			}
			given = t.give(c, err, passed)
		}
	}
}

// turn is the socket as one server sees it.
type turn struct {
	h      *Handover
	ready  chan net.Conn
	failed chan error // of the inner Accept, which is then called anew
	closed chan struct{}
	once   sync.Once
}

// give hands over a connection, or an error of the socket; false: it is not this one's turn
// any more.
func (t *turn) give(c net.Conn, err error, passed <-chan struct{}) bool {
	if err != nil {
		select {
		case t.failed <- err: // whoever accepts decides whether to go on
			return true
		case <-passed:
			return false
		}
	}
	select {
	case t.ready <- c:
		return true
	case <-passed:
		return false
	}
}

// Accept returns the next connection. Errors are those of the socket; net.ErrClosed after Close.
func (t *turn) Accept() (net.Conn, error) {
	t.h.pump.Do(func() { go t.h.run() }) // ends when the socket is closed
	select {
	case c := <-t.ready:
		return c, nil
	case err := <-t.failed:
		return nil, err
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept, and closes the socket if nobody came after.
func (t *turn) Close() error {
	var err error
	t.once.Do(func() {
		close(t.closed)
		if now, _ := t.h.whose(); now == t {
			err = t.h.Close()
		}
	})
	return err
}

// Addr is the address listened on.
func (t *turn) Addr() net.Addr { return t.h.Addr() }
