package listen

import (
	"net"
	"net/netip"
	"sync"
	"testing"
)

// fakeListener is a net.Listener fed by its test.
type fakeListener struct {
	results   chan any // net.Conn or error
	closed    chan struct{}
	closeOnce sync.Once
}

func newFake() *fakeListener {
	return &fakeListener{results: make(chan any, 100), closed: make(chan struct{})}
}

func (f *fakeListener) Accept() (net.Conn, error) {
	select {
	case r := <-f.results:
		if err, ok := r.(error); ok {
			return nil, err
		}
		return r.(net.Conn), nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

func (f *fakeListener) Close() error {
	f.closeOnce.Do(func() { close(f.closed) })
	return nil
}

func (f *fakeListener) Addr() net.Addr { return pipeAddr("127.0.0.1:25") }

// dial queues the server's end of a pipe from addr and returns the client's.
func (f *fakeListener) dial(addr string) net.Conn {
	client, server := net.Pipe()
	f.results <- addrConn{server, pipeAddr(addr)}
	return client
}

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

// addrConn is a connection from another address.
type addrConn struct {
	net.Conn
	remote net.Addr
}

func (c addrConn) RemoteAddr() net.Addr { return c.remote }

// pair returns a client and the accepted connection, both closed with the test.
func pair(t *testing.T, o Options) (client net.Conn, server *Conn) {
	t.Helper()
	f := newFake()
	l := New(f, o)
	client = f.dial("192.0.2.1:1000")
	server = accept(t, l)
	t.Cleanup(func() { client.Close(); server.Close(); l.Close() })
	return client, server
}

func accept(t *testing.T, l *Listener) *Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Conn)
}

// counter is an Observer that counts.
type counter struct {
	mu             sync.Mutex
	opened, closed int
	refused        []string
}

func (c *counter) ConnOpened(string) { c.mu.Lock(); defer c.mu.Unlock(); c.opened++ }
func (c *counter) ConnClosed(string) { c.mu.Lock(); defer c.mu.Unlock(); c.closed++ }
func (c *counter) ConnRefused(_, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = append(c.refused, reason)
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }
