package listen

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds of a Proxied listener.
const (
	DefaultHeaderTimeout = 5 * time.Second // the proxy knows it before it connects
	maxHeaders           = 512             // headers being waited for
)

// ProxyOptions of a listener behind proxies.
type ProxyOptions struct {
	// Protocol names what is spoken here, in the log.
	Protocol string
	// Networks are those of the proxies. What comes from there begins with a header, or
	// is refused; from elsewhere no header is ever read.
	Networks []netip.Prefix
	// Timeout is how long the whole header may take; zero means 5 seconds.
	Timeout time.Duration
	// Missing returns what a connection without a header is told, with its line end. If
	// it is nil, or returns nothing, it is closed without a word.
	Missing func() []byte
	// Log gets the refusals; nil means no log.
	Log *slog.Logger
}

// proxied is a net.Listener behind proxies.
type proxied struct {
	net.Listener
	o       ProxyOptions
	refuser refuser

	start   sync.Once
	ready   chan net.Conn
	failed  chan error    // of the inner Accept, which is then called anew
	closed  chan struct{} // by Close
	closing sync.Once
	slots   chan struct{} // of headers being waited for
	pumps   sync.WaitGroup

	mu      sync.Mutex
	waiting map[net.Conn]struct{} // for their headers; nil after Close
}

// Proxied wraps l, which the result then owns. Its connections have the addresses that
// the header of the PROXY protocol gives (versions 1 and 2); TLS goes on top of it. A
// header without addresses, as that of a health check, makes a connection of nobody,
// whose RemoteAddr is no IP address. Without networks l itself is returned.
func Proxied(l net.Listener, o ProxyOptions) net.Listener {
	if len(o.Networks) == 0 {
		return l
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultHeaderTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &proxied{
		Listener: l, o: o,
		ready: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{}),
		slots: make(chan struct{}, maxHeaders), waiting: make(map[net.Conn]struct{}),
	}
}

// Accept returns the next connection whose header is known, or that needs none. Errors
// are those of the listener below; net.ErrClosed after Close.
func (p *proxied) Accept() (net.Conn, error) {
	p.start.Do(p.begin)
	select {
	case c := <-p.ready:
		return c, nil
	case err := <-p.failed:
		return nil, err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *proxied) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting != nil {
		p.pumps.Go(p.pump) // ends with Close
	}
}

// pump accepts, and has headers read beside each other: a proxy that is slow for one
// client keeps no other waiting.
func (p *proxied) pump() {
	for {
		c, err := p.Listener.Accept()
		if err != nil {
			select {
			case p.failed <- err: // whoever accepts decides whether to go on
				continue
			case <-p.closed:
				return
			}
		}
		if ip := remoteIP(c.RemoteAddr()); !contains(p.o.Networks, ip) {
			p.give(c)
			continue
		}
		select {
		case p.slots <- struct{}{}:
		default:
			p.warn(c, errors.New("too many headers are being waited for"))
			c.Close()
			continue
		}
		if !p.wait(c) {
			c.Close()
			return
		}
		p.pumps.Go(func() { // ends after Timeout, or with Close
			defer func() { <-p.slots }()
			p.header(c)
		})
	}
}

// give hands a connection to Accept.
func (p *proxied) give(c net.Conn) {
	select {
	case p.ready <- c:
	case <-p.closed:
		c.Close()
	}
}

// wait notes a connection that Close has to close; false: Close was called.
func (p *proxied) wait(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		return false
	}
	p.waiting[c] = struct{}{}
	return true
}

// header reads the header of one connection.
func (p *proxied) header(c net.Conn) {
	c.SetReadDeadline(time.Now().Add(p.o.Timeout)) // an error comes back from the reading
	from, to, err := readProxyHeader(c)
	p.mu.Lock()
	delete(p.waiting, c)
	p.mu.Unlock()
	if err != nil {
		p.refuse(c, err)
		return
	}
	c.SetReadDeadline(time.Time{})
	p.give(&proxiedConn{c, from, to})
}

// refuse ends a connection that a proxy should have made better.
func (p *proxied) refuse(c net.Conn, err error) {
	p.warn(c, err)
	var line []byte
	if p.o.Missing != nil {
		line = p.o.Missing()
	}
	if len(line) == 0 || !p.refuser.tell(c, line) {
		c.Close()
	}
}

func (p *proxied) warn(c net.Conn, err error) {
	if n, ok := p.refuser.mayLog(time.Now()); ok {
		p.o.Log.Warn("refused a connection from a network of [proxy]: it has to begin with a header of the PROXY protocol",
			"protocol", p.o.Protocol, "remote", c.RemoteAddr().String(), "error", err, "unlogged_before", n)
	}
}

// Close stops accepting. Connections that Accept has returned live on.
func (p *proxied) Close() error {
	err := net.ErrClosed
	p.closing.Do(func() {
		close(p.closed)
		err = p.Listener.Close()
		p.mu.Lock()
		for c := range p.waiting {
			c.Close()
		}
		p.waiting = nil
		p.mu.Unlock()
		p.refuser.stop()
		p.pumps.Wait()
	})
	return err
}

// proxiedConn is a connection with the addresses that its header gave.
type proxiedConn struct {
	net.Conn
	remote, local net.Addr
}

func (c *proxiedConn) RemoteAddr() net.Addr { return c.remote }
func (c *proxiedConn) LocalAddr() net.Addr  { return c.local }

// NetConn is the connection of the proxy.
func (c *proxiedConn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the output, where the transport can.
func (c *proxiedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// nobody is the address of a proxy that speaks for itself, in a form that is no IP
// address: for limits and judgements it is nobody's.
type nobody struct{ proxy net.Addr }

func (n nobody) Network() string { return n.proxy.Network() }
func (n nobody) String() string  { return "proxy " + n.proxy.String() }

// contains tells whether one of the networks has ip.
func contains(networks []netip.Prefix, ip netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}
