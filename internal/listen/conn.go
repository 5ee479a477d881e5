package listen

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is an accepted connection. Beside what net.Conn promises:
//
//   - Each Read may take as long as the read timeout, counted anew every time, and each Write
//     as long as the client takes something within the write timeout (rolling deadlines). After that they
//     return os.ErrDeadlineExceeded, and the next Read may still work.
//   - SetDeadline, SetReadDeadline and SetWriteDeadline set a fixed deadline beside the
//     rolling one; whichever is earlier counts, also for a Read or Write on its way.
//   - Close may be called many times and by several goroutines; only the first counts.
type Conn struct {
	net.Conn
	l       *Listener
	id      string
	ip      netip.Addr
	counted netip.Addr // what the limiter counts; zero for nobody in particular
	log     *slog.Logger
	closed  atomic.Bool
	vouched atomic.Bool // it counts per address no more

	read, write deadline
	early       *earlyTalk // nil if there is no wait
}

// deadline is the state of one direction. The inner connection's deadline is set only
// with mu held, so that a fixed deadline set from another goroutine is never lost.
type deadline struct {
	mu      sync.Mutex
	timeout time.Duration // rolling; zero means none
	fixed   time.Time     // zero means none
	until   time.Time     // end of the wait for early talk; zero means none
}

// next is the earliest of the deadlines, zero if there is none.
func (d *deadline) next() time.Time {
	t := earlier(d.fixed, d.until)
	if d.timeout > 0 {
		t = earlier(t, time.Now().Add(d.timeout))
	}
	return t
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ID is the session id: 12 characters, lower-case letters and digits, chosen by chance.
func (c *Conn) ID() string { return c.id }

// Logger is the connection's logger, with session, protocol and remote.
func (c *Conn) Logger() *slog.Logger { return c.log }

// RemoteIP is the client's address: IPv4 as such, IPv6 without a zone, and the zero
// Addr if the transport has none.
func (c *Conn) RemoteIP() netip.Addr { return c.ip }

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Read reads as net.Conn does, for as long as the read timeout allows.
func (c *Conn) Read(p []byte) (int, error) {
	if c.early != nil {
		if n := c.early.beforeRead(p); n > 0 {
			return n, nil
		}
	}
	c.read.mu.Lock()
	if c.read.timeout > 0 {
		c.Conn.SetReadDeadline(c.read.next()) // an error comes back from Read
	}
	c.read.mu.Unlock()
	return c.Conn.Read(p)
}

// Write writes as net.Conn does, for as long as the client takes something within each write
// timeout. The first Write waits for early talk, if that is asked for.
func (c *Conn) Write(p []byte) (n int, err error) {
	if c.early != nil {
		c.early.beforeWrite(c)
	}
	for {
		c.write.mu.Lock()
		if c.write.timeout > 0 {
			c.Conn.SetWriteDeadline(c.write.next()) // an error comes back from Write
		}
		c.write.mu.Unlock()
		m, err := c.Conn.Write(p[n:])
		n += m
		if err == nil || m == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

// Close closes the connection and gives its place to another.
func (c *Conn) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	err := c.Conn.Close()
	c.l.remove(c)
	return err
}

// Vouch says that the client has proved who it is, and will be counted by that: it takes no room
// any more among the connections of its address, which may be that of a whole office.
func (c *Conn) Vouch() {
	if c.vouched.CompareAndSwap(false, true) {
		c.l.limiter.releaseAddr(c.counted)
	}
}

// SetReadTimeout changes the rolling deadline of Read, from now on and for a Read on
// its way as well; zero or less means none.
func (c *Conn) SetReadTimeout(d time.Duration) {
	c.read.mu.Lock()
	defer c.read.mu.Unlock()
	c.read.timeout = max(d, 0)
	c.Conn.SetReadDeadline(c.read.next()) // an error comes back from Read
}

// SetWriteTimeout changes the rolling deadline of Write, from now on and for a Write
// on its way as well; zero or less means none.
func (c *Conn) SetWriteTimeout(d time.Duration) {
	c.write.mu.Lock()
	defer c.write.mu.Unlock()
	c.write.timeout = max(d, 0)
	c.Conn.SetWriteDeadline(c.write.next()) // an error comes back from Write
}

// SetReadDeadline sets a fixed deadline beside the rolling one; zero means none.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.read.mu.Lock()
	defer c.read.mu.Unlock()
	c.read.fixed = t
	return c.Conn.SetReadDeadline(c.read.next())
}

// SetWriteDeadline sets a fixed deadline beside the rolling one; zero means none.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.write.mu.Lock()
	defer c.write.mu.Unlock()
	c.write.fixed = t
	return c.Conn.SetWriteDeadline(c.write.next())
}

// SetDeadline sets both fixed deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// maxWrappers bounds From on a wrapper that returns itself.
const maxWrappers = 16

// From returns the *Conn that c is, or that lies below it: c may be a *tls.Conn or any
// wrapper with a method NetConn() net.Conn. It returns nil if there is none.
func From(c net.Conn) *Conn {
	for range maxWrappers {
		switch w := c.(type) {
		case *Conn:
			return w
		case interface{ NetConn() net.Conn }:
			c = w.NetConn()
		default:
			return nil
		}
	}
	return nil
}
