// Package listen owns what lies below TLS and the protocols: how many connections
// there may be, how long each may be silent, and what a connection is called in the
// log. A Listener wraps a net.Listener and hands out *Conn, a net.Conn with rolling
// deadlines, a session id and a logger. TLS goes on top of it, so that a handshake
// obeys the same deadlines; From finds the *Conn again below it. LineReader, for the
// protocols that speak in lines, is here as well.
//
// It knows no protocol: the one thing it ever says to a client is the line that
// Options.Reject gives. It starts no goroutine for a connection. Proxied is the listener
// below it where connections come through proxies that say whose they are.
package listen

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Defaults of Options.
const (
	DefaultMaxConns     = 2000
	DefaultMaxPerAddr   = 50
	DefaultReadTimeout  = 30 * time.Minute // the longest that a protocol asks for, RFC 9051 section 5.4
	DefaultWriteTimeout = 5 * time.Minute  // as RFC 5321 section 4.5.3.2.7 has it for the other direction
)

const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// Options of a Listener. The zero value is a Listener with the default limits.
type Options struct {
	// Protocol names what is spoken here, in the log and to Observer: "smtp", "imap" …
	Protocol string

	// MaxConns is how many connections may be open at once; zero means 2000, less
	// than zero any number.
	MaxConns int
	// MaxPerAddr is how many of them may come from one IPv4 address or one IPv6 /64, those
	// that Conn.Vouch was called for aside; zero means 50, less than zero any number.
	MaxPerAddr int
	// Limiter, if not nil, counts in place of MaxConns and MaxPerAddr, so that several
	// listeners can share one bound.
	Limiter *Limiter
	// Shared tells of an address that many clients come from, as that of a proxy: its
	// connections count in MaxConns but not in MaxPerAddr. Nil: there is none.
	Shared func(netip.Addr) bool

	// ReadTimeout is how long one Read may wait, renewed by each Read; zero means 30
	// minutes, less than zero for ever. Conn.SetReadTimeout changes it later.
	ReadTimeout time.Duration
	// WriteTimeout is how long a Write waits for a client that takes nothing; zero means
	// 5 minutes, less than zero for ever. Conn.SetWriteTimeout changes it later.
	WriteTimeout time.Duration
	// EarlyTalk is how long the first Write of a connection waits for a client that
	// talks before it was greeted; see Conn.EarlyTalker. Zero means no wait. It must be
	// zero where the client rightly talks first, as with TLS from the start.
	EarlyTalk time.Duration

	// Reject returns what is sent to a client that is refused for want of room, with
	// its line end: "421 …\r\n", "* BYE …\r\n". If it is nil, or returns nothing, the
	// connection is closed without a word, as suits TLS from the start.
	Reject func() []byte
	// Observer, if not nil, is told of each connection.
	Observer Observer
	// Log gets the refusals and the accept errors, and is the parent of each
	// connection's logger; nil means no log.
	Log *slog.Logger
}

// Observer counts connections. Its methods are called from many goroutines and must
// not block.
type Observer interface {
	ConnOpened(protocol string)
	ConnClosed(protocol string)
	// ConnRefused has a reason out of a closed list: ReasonConns or ReasonPerAddr.
	ConnRefused(protocol, reason string)
}

// Listener is a net.Listener whose Accept returns *Conn. Its methods may be called
// from several goroutines at once.
type Listener struct {
	inner   net.Listener
	o       Options
	limiter *Limiter
	refuser refuser

	closeOnce sync.Once
	closeErr  error
	closed    chan struct{} // closed by Close

	mu       sync.Mutex
	open     map[*Conn]struct{}
	stopping bool          // Shutdown was called: nothing is added to open any more
	idle     chan struct{} // closed once stopping and open is empty
}

// New wraps l, which the Listener then owns.
func New(l net.Listener, o Options) *Listener {
	if o.ReadTimeout == 0 {
		o.ReadTimeout = DefaultReadTimeout
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = DefaultWriteTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	limiter := o.Limiter
	if limiter == nil {
		limiter = NewLimiter(o.MaxConns, o.MaxPerAddr)
	}
	return &Listener{
		inner:   l,
		o:       o,
		limiter: limiter,
		closed:  make(chan struct{}),
		open:    make(map[*Conn]struct{}),
		idle:    make(chan struct{}),
	}
}

// Addr is the address listened on.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Accept waits for the next connection that there is room for and returns it as a
// *Conn. Those without room are refused on the way, and errors that pass, such as a
// want of file descriptors, are waited out; any other error is final, and is
// net.ErrClosed after Close or Shutdown.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.accept()
		if err != nil {
			return nil, err
		}
		ip := remoteIP(nc.RemoteAddr())
		counted := l.counts(ip)
		if reason := l.limiter.take(counted); reason != "" {
			l.refuse(nc, reason)
			continue
		}
		c := l.newConn(nc, ip, counted)
		if !l.add(c) {
			l.limiter.release(counted)
			return nil, errors.Join(net.ErrClosed, nc.Close())
		}
		return c, nil
	}
}

// accept calls the inner Accept until it works or fails for good.
func (l *Listener) accept() (net.Conn, error) {
	var wait time.Duration
	for {
		nc, err := l.inner.Accept()
		switch {
		case err == nil:
			return nc, nil
		case l.isClosed():
			return nil, net.ErrClosed
		case !passes(err):
			return nil, err
		}
		wait = min(max(2*wait, minBackoff), maxBackoff)
		l.o.Log.Error("cannot accept a connection, will try again",
			"protocol", l.o.Protocol, "wait", wait, "error", err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.closed:
			timer.Stop()
			return nil, net.ErrClosed
		}
	}
}

// passes tells whether an accept error may be gone at the next try. Beside what the
// net package calls temporary (EMFILE …) that is a client that went away, what accept(2)
// lists as errors of the network below, and want of memory.
func passes(err error) bool {
	var t interface{ Temporary() bool }
	if errors.As(err, &t) && t.Temporary() {
		return true
	}
	for _, e := range []error{
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ENETDOWN, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (l *Listener) newConn(nc net.Conn, ip, counted netip.Addr) *Conn {
	c := &Conn{Conn: nc, l: l, id: sessionID(rand.Uint64()), ip: ip, counted: counted}
	c.log = l.o.Log.With("session", c.id, "protocol", l.o.Protocol, "remote", nc.RemoteAddr().String())
	c.read.timeout, c.write.timeout = max(l.o.ReadTimeout, 0), max(l.o.WriteTimeout, 0)
	if l.o.EarlyTalk > 0 {
		c.early = &earlyTalk{wait: l.o.EarlyTalk, over: make(chan struct{})}
	}
	return c
}

// sessionID writes the upper 60 bits of r in 12 characters that are hard to confuse.
func sessionID(r uint64) string {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	var b [12]byte
	for i := range b {
		b[i] = digits[r>>59]
		r <<= 5
	}
	return string(b[:])
}

// add takes c among the open connections, unless the Listener is stopping.
func (l *Listener) add(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopping {
		return false
	}
	l.open[c] = struct{}{}
	if l.o.Observer != nil {
		l.o.Observer.ConnOpened(l.o.Protocol)
	}
	return true
}

// remove is called once for each connection that add took.
func (l *Listener) remove(c *Conn) {
	c.Vouch()
	l.limiter.release(netip.Addr{})
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
	if l.o.Observer != nil {
		l.o.Observer.ConnClosed(l.o.Protocol)
	}
	if l.stopping && len(l.open) == 0 {
		close(l.idle)
	}
}

// Close stops accepting. Open connections live on.
func (l *Listener) Close() error {
	l.closeOnce.Do(func() {
		close(l.closed)
		l.closeErr = l.inner.Close()
	})
	return l.closeErr
}

func (l *Listener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// Shutdown stops accepting, then waits until all connections were closed by those who
// serve them. When ctx ends first, it closes what is left and returns ctx's error.
func (l *Listener) Shutdown(ctx context.Context) error {
	err := l.Close()
	l.mu.Lock()
	if !l.stopping {
		l.stopping = true
		if len(l.open) == 0 {
			close(l.idle)
		}
	}
	l.mu.Unlock()
	l.refuser.stop()
	select {
	case <-l.idle:
		return err
	case <-ctx.Done():
	}
	l.mu.Lock()
	left := make([]*Conn, 0, len(l.open))
	for c := range l.open {
		left = append(left, c)
	}
	l.mu.Unlock()
	for _, c := range left {
		c.Close() // its error is of no use to anyone: the session sees its own
	}
	return errors.Join(err, context.Cause(ctx))
}

// Open is how many connections are open.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// counts is the address that a connection counts for; the zero Addr if it is nobody's.
func (l *Listener) counts(ip netip.Addr) netip.Addr {
	if l.o.Shared != nil && l.o.Shared(ip) {
		return netip.Addr{}
	}
	return ip
}

// remoteIP is the address in a, IPv4 as such and without a zone; the zero Addr if a
// has none, as with a pipe or a Unix socket.
func remoteIP(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
