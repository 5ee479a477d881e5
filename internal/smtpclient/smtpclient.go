// Package smtpclient speaks SMTP to another server: one Conn is one connection, from the
// greeting to QUIT, with any number of transactions one after the other (RFC 5321).
//
// It knows PIPELINING (RFC 2920), SIZE (1870), 8BITMIME (6152), SMTPUTF8 (6531), DSN
// (3461), STARTTLS (3207), AUTH (4954), REQUIRETLS (8689) and enhanced status codes
// (2034). What the other side says is bounded in octets, lines and time; whatever it
// does, each call ends. A refusal is a Reply, a connection that is of no more use is a
// *Broken that says how far it came.
//
// The package decides nothing: which host, whether TLS is good enough, what a reply means
// for a recipient and when to try again is the business of its caller. It opens no
// connections and knows neither DNS nor queue.
package smtpclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options of a connection. The zero value of each field is its default.
type Options struct {
	Hostname string   // what EHLO says we are; zero means "localhost"
	Timeouts Timeouts // how long to wait for the other side
	MaxReply int      // octets of one reply; zero means 64 KiB
	MaxLines int      // lines of one reply; zero means 200
	// Log gets the commands and replies at level Debug, without messages and passwords;
	// nil means no log.
	Log *slog.Logger
}

// Timeouts bound each step. Zero means what RFC 5321 section 4.5.3.2 asks for.
type Timeouts struct {
	Greeting  time.Duration // for the greeting; zero means 5 minutes
	Command   time.Duration // for the reply to EHLO, AUTH, MAIL, RCPT and others; zero means 5 minutes
	Data      time.Duration // for the reply to DATA; zero means 2 minutes
	Block     time.Duration // for the other side to take 32 KiB of a message; zero means 3 minutes
	Final     time.Duration // for the reply to the final dot; zero means 10 minutes
	Handshake time.Duration // for the TLS handshake; zero means 30 seconds
}

const (
	farewell = time.Second     // that a broken or refused connection may still take
	quitWait = 2 * time.Second // for the reply to QUIT
	settle   = 30 * time.Second
)

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		to *time.Duration
		is time.Duration
	}{
		{&o.Timeouts.Greeting, 5 * time.Minute}, {&o.Timeouts.Command, 5 * time.Minute},
		{&o.Timeouts.Data, 2 * time.Minute}, {&o.Timeouts.Block, 3 * time.Minute},
		{&o.Timeouts.Final, 10 * time.Minute}, {&o.Timeouts.Handshake, 30 * time.Second},
	} {
		if *d.to <= 0 {
			*d.to = d.is
		}
	}
	if o.Hostname == "" {
		o.Hostname = "localhost"
	}
	if o.MaxReply <= 0 {
		o.MaxReply = 64 << 10
	}
	if o.MaxLines <= 0 {
		o.MaxLines = 200
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Conn is a connection to an SMTP server. Its methods must not be called at the same
// time, but for Close and Usable.
type Conn struct {
	o    Options
	raw  net.Conn // below TLS, so that closing it never waits
	conn net.Conn // what is spoken over
	tls  *tls.ConnectionState
	in   replyReader
	ext  map[string]string // by keyword in upper case
	open bool              // a transaction is begun and not ended: RSET before the next

	out    []byte // commands, or a block of a message, on their way
	source []byte // what was read of a message

	mu    sync.Mutex
	cause error // why the connection is of no more use; nil: it is
}

// New takes conn over, waits for the greeting and says EHLO, or HELO to a server that
// does not know EHLO (RFC 5321 section 3.2). A conn that is a *tls.Conn counts as TLS
// from the start. When ctx ends, what is under way ends at once and the connection is
// closed; the same holds for all methods with a context.
//
// Errors: a *Reply if the server greets with a refusal or refuses EHLO, a *Broken at
// Greeting or Hello. After an error conn is closed.
func New(ctx context.Context, conn net.Conn, o Options) (*Conn, error) {
	c := &Conn{o: o.withDefaults(), raw: conn, conn: conn}
	c.in = replyReader{r: bufio.NewReader(conn), maxOctets: c.o.MaxReply, maxLines: c.o.MaxLines}
	if t, ok := conn.(*tls.Conn); ok {
		c.raw = t.NetConn()
	}
	defer c.watch(ctx)()
	err := c.greeting()
	if err == nil {
		err = c.hello()
	}
	if err != nil {
		c.part(err)
		return nil, err
	}
	if t, ok := conn.(*tls.Conn); ok {
		state := t.ConnectionState()
		c.tls = &state
	}
	return c, nil
}

// greeting reads what the server says first.
func (c *Conn) greeting() error {
	var got *Reply
	err := c.exchange(nil, always(Greeting), 1, func(_ int, r Reply) bool { got = &r; return false })
	if err != nil {
		return err
	}
	if !got.Positive() {
		return got
	}
	return nil
}

// hello says who we are and learns what the server can do.
func (c *Conn) hello() error {
	c.ext = nil
	r, err := c.command(Hello, "EHLO "+c.o.Hostname)
	if err != nil {
		return err
	}
	if r.Positive() {
		c.ext = extensions(r.Lines)
		return nil
	}
	switch r.Code {
	case 500, 502, 504: // RFC 5321 section 3.2: the server does not know EHLO
		if r, err = c.command(Hello, "HELO "+c.o.Hostname); err != nil {
			return err
		}
	}
	if !r.Positive() {
		return &r
	}
	return nil
}

// extensions takes the keywords out of the reply to EHLO, whose first line is the
// server's name (RFC 5321 section 4.1.1.1). "AUTH=LOGIN", older than RFC 2554, counts
// as "AUTH LOGIN". A keyword that comes twice has the parameters of both.
func extensions(lines []string) map[string]string {
	ext := make(map[string]string)
	for _, line := range lines[min(1, len(lines)):] {
		keyword, params, _ := strings.Cut(strings.TrimSpace(line), " ")
		keyword = strings.ToUpper(keyword)
		if mechanism, ok := strings.CutPrefix(keyword, "AUTH="); ok {
			keyword, params = "AUTH", mechanism+" "+params
		}
		if keyword != "" {
			ext[keyword] = strings.TrimSpace(ext[keyword] + " " + params)
		}
	}
	return ext
}

// Extension tells whether the server offers an extension, by its keyword in any case,
// and with what parameters.
func (c *Conn) Extension(name string) (params string, ok bool) {
	params, ok = c.ext[strings.ToUpper(name)]
	return params, ok
}

// MaxSize is the size in octets of the largest message the server takes (RFC 1870
// section 3), 0 if it does not say.
func (c *Conn) MaxSize() int64 {
	n, err := strconv.ParseInt(c.ext["SIZE"], 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// TLS is the state of the TLS that the connection uses, nil if there is none.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// Reset ends a transaction that is under way. Send does so by itself when need be; on
// a connection that waits for its next message it shows whether that is still there.
// Errors: a *Reply or a *Broken at Idle.
func (c *Conn) Reset(ctx context.Context) error {
	defer c.watch(ctx)()
	return c.reset(Idle)
}

func (c *Conn) reset(at Stage) error {
	r, err := c.command(at, "RSET")
	if err == nil && !r.Positive() {
		err = &r
	}
	if err == nil {
		c.open = false
	}
	return err
}

// Noop does nothing, and shows whether the connection is still there. Errors: a *Reply
// or a *Broken at Idle.
func (c *Conn) Noop(ctx context.Context) error {
	defer c.watch(ctx)()
	r, err := c.command(Idle, "NOOP")
	if err == nil && !r.Positive() {
		err = &r
	}
	return err
}

// Quit says goodbye, waits at most two seconds for the answer and closes the connection.
// Nothing depends on its error.
func (c *Conn) Quit(ctx context.Context) error {
	if !c.Usable() {
		return nil
	}
	defer c.watch(ctx)()
	c.o.Timeouts.Command = quitWait
	_, err := c.command(Idle, "QUIT")
	c.fail(net.ErrClosed)
	return err
}

// Close closes the connection without a word. What is under way fails.
func (c *Conn) Close() error {
	c.fail(net.ErrClosed)
	return nil
}

// Usable tells whether another command may be sent: the connection is not known to be
// broken, and the server has not ended it with 421.
func (c *Conn) Usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause == nil
}
