package smtpd

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// run is one call of Serve: its connections, and how they end.
type run struct {
	srv    *Server
	mode   Mode
	inners *handoff
	// buffers holds *[dataBuffer]byte for connections that receive a message.
	buffers sync.Pool
	closing chan struct{} // closed when the end has begun

	mu    sync.Mutex
	wires map[*wire]struct{}
	empty chan struct{} // closed when closing and no wire is left
}

const dataBuffer = 64 << 10

func newRun(s *Server, mode Mode) *run {
	r := &run{
		srv: s, mode: mode,
		inners:  &handoff{conns: make(chan net.Conn), done: make(chan struct{})},
		closing: make(chan struct{}),
		wires:   make(map[*wire]struct{}),
		empty:   make(chan struct{}),
	}
	r.buffers.New = func() any { return new([dataBuffer]byte) }
	return r
}

// offersDSN tells whether delivery status notifications can be asked for (RFC 3461). On
// port 25 they can't: strangers would have reports sent to others.
func (r *run) offersDSN() bool { return r.mode != Inbound && r.mode != LMTP && r.srv.Queue != nil }

// open shakes hands where TLS comes first and hands the connection to go-smtp.
func (r *run) open(ctx context.Context, c net.Conn) {
	w := newWire(context.WithoutCancel(ctx), r, c)
	if !r.add(w) {
		w.abort()
		return
	}
	t, ok := c.(*tls.Conn)
	if !ok && r.mode == SubmissionTLS {
		t, ok = tls.Server(c, r.srv.TLS), true
	}
	if ok {
		if err := w.handshake(t); err != nil {
			w.log.Info("TLS handshake failed", "error", err)
			w.end()
			return
		}
	}
	if !w.isPeer() || !w.visitGate() {
		w.end()
		return
	}
	w.next(false)
}

// add registers a connection, unless the end has begun.
func (r *run) add(w *wire) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.closing:
		return false
	default:
		r.wires[w] = struct{}{}
		return true
	}
}

func (r *run) remove(w *wire) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.wires[w]; !ok {
		return
	}
	delete(r.wires, w)
	r.checkEmpty()
}

// checkEmpty closes r.empty when nothing is left; r.mu is held.
func (r *run) checkEmpty() {
	select {
	case <-r.closing:
	default:
		return
	}
	if len(r.wires) == 0 {
		close(r.empty)
	}
}

// each calls f for every open connection.
func (r *run) each(f func(*wire)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for w := range r.wires {
		f(w)
	}
}

// stop says goodbye to idle clients at once, waits for the others, ends those that take
// longer than Grace, and returns when all sessions are over.
func (r *run) stop() {
	r.mu.Lock()
	close(r.closing)
	r.checkEmpty()
	r.mu.Unlock()

	over := time.NewTimer(r.srv.Grace)
	defer over.Stop()
	// A wire may have looked at closing just before it began to read: ask again.
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		r.each((*wire).poke)
		select {
		case <-r.empty:
			r.inners.Close()
			return
		case <-over.C:
			r.each((*wire).abort)
		case <-again.C:
		}
	}
}

// handoff is the listener that go-smtp accepts from.
type handoff struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// give passes a connection to go-smtp; false: the server has ended.
func (h *handoff) give(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.done:
		return false
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr is of no meaning here; net.Listener wants one.
func (h *handoff) Addr() net.Addr { return &net.UnixAddr{Name: "smtpd", Net: "unix"} }

func sprintf(format string, v ...any) string { return fmt.Sprintf(format, v...) }

func sprintln(v ...any) string { return strings.TrimSuffix(fmt.Sprintln(v...), "\n") }
