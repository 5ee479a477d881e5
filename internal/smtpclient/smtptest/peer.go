// Package smtptest has a scripted SMTP server for tests: a Peer does what a good server
// does, but for the steps that its Script takes over, where it stalls, closes, lies or
// babbles. It records what it was told. It is no server for anything else: it keeps all
// in memory and believes what it hears.
package smtptest

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Step is a place in the conversation where a Script may take over.
type Step int

// Steps. Body is reached with the first line of a message, Dot with its end; Any is every
// command that has no step of its own.
const (
	Greeting Step = iota
	Hello         // EHLO and HELO
	StartTLS
	Auth
	Mail
	Rcpt
	Data
	Body
	Dot
	Rset
	Noop
	Quit
	Any
)

// Script has what a Peer does instead of the usual.
type Script map[Step]Action

// Peer is a server. Its fields are set before it serves.
type Peer struct {
	Hostname string // zero means "peer.test"
	// Extensions are the lines of the reply to EHLO. Nil means PIPELINING, 8BITMIME,
	// SMTPUTF8, DSN, ENHANCEDSTATUSCODES and SIZE 10485760. STARTTLS and AUTH are added
	// by TLS and Users.
	Extensions []string
	Script     Script
	TLS        *tls.Config       // STARTTLS is offered; nil: it is not
	Implicit   bool              // TLS begins with the first octet
	Users      map[string]string // their passwords; AUTH PLAIN LOGIN is offered; nil: it is not
	Greylist   int               // a sender and recipient are refused so many times
	Batch      bool              // replies are held back until all commands sent together were read
	ReadBuffer int               // octets that are read at once; zero means 4096
	Discard    bool              // messages are counted, not kept
	Forget     bool              // nothing is recorded at all, as for a benchmark

	mu           sync.Mutex
	conns        map[net.Conn]struct{}
	listeners    []net.Listener
	closed       chan struct{}
	wg           sync.WaitGroup
	transactions []*Transaction
	commands     []string
	connections  int
	seen         map[string]int // by sender and recipient
}

// Transaction is what a Peer was told from one MAIL on.
type Transaction struct {
	Connection int    // which one, from 1
	Hello      string // the line with EHLO or HELO
	TLS        bool
	User       string // who logged in
	Mail       string // the line with MAIL
	From       string // the address in it
	Rcpt       []Recipient
	Data       []byte // the message without dot-stuffing, lines as they came
	Size       int64  // its octets
	Done       bool   // its final dot came
	Reply      string // what was said to that

	rcpt []*Recipient
}

// Recipient is one RCPT of a Transaction.
type Recipient struct {
	Line     string
	Address  string
	Accepted bool
}

// Accepted tells whether the peer took the message.
func (t *Transaction) Accepted() bool { return t.Done && strings.HasPrefix(t.Reply, "2") }

// Start serves p on a loopback address until the test ends, and returns the address.
func Start(t testing.TB, p *Peer) string {
	t.Helper()
	addr, err := p.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return addr
}

// Pipe serves p on one end of a net.Pipe, which has no buffer at all, and returns the
// other. Both are closed when the test ends.
func Pipe(t testing.TB, p *Peer) net.Conn {
	client, server := net.Pipe()
	p.Go(server)
	t.Cleanup(p.Close)
	t.Cleanup(func() { client.Close() })
	return client
}

// Listen serves p on an address until Close, and returns the address with its port.
func (p *Peer) Listen(addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	p.listeners = append(p.listeners, l)
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.Go(conn)
		}
	})
	return l.Addr().String(), nil
}

// Go serves one connection, in a goroutine that ends with it or with Close.
func (p *Peer) Go(conn net.Conn) {
	p.mu.Lock()
	if p.closed == nil {
		p.closed = make(chan struct{})
	}
	select {
	case <-p.closed:
		p.mu.Unlock()
		conn.Close()
		return
	default:
	}
	if p.conns == nil {
		p.conns, p.seen = make(map[net.Conn]struct{}), make(map[string]int)
	}
	p.conns[conn] = struct{}{}
	p.connections++
	s := newSession(p, conn, p.connections)
	p.wg.Add(1)
	p.mu.Unlock()
	go func() {
		defer p.wg.Done()
		s.serve()
		conn.Close()
		p.mu.Lock()
		delete(p.conns, conn)
		p.mu.Unlock()
	}()
}

// Close ends all connections and waits until they are served no more.
func (p *Peer) Close() {
	p.mu.Lock()
	if p.closed == nil {
		p.closed = make(chan struct{})
	}
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	for _, l := range p.listeners {
		l.Close()
	}
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// Transactions are those begun so far, in their order.
func (p *Peer) Transactions() []Transaction {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Transaction
	for _, t := range p.transactions {
		c := *t
		c.Data, c.rcpt = slices.Clone(t.Data), nil
		for _, r := range t.rcpt {
			c.Rcpt = append(c.Rcpt, *r)
		}
		all = append(all, c)
	}
	return all
}

// Delivered are the transactions whose message the peer took.
func (p *Peer) Delivered() []Transaction {
	return slices.DeleteFunc(p.Transactions(), func(t Transaction) bool { return !t.Accepted() })
}

// Commands are the lines of all commands so far, but for the responses of AUTH.
func (p *Peer) Commands() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.commands)
}

// Connections counts those begun so far.
func (p *Peer) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.connections
}

var (
	errClosed = errors.New("smtptest: closed by the script")
	errQuit   = errors.New("smtptest: quit")
)
