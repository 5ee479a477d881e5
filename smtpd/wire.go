package smtpd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// Bounds of a command line in octets, line end included. RFC 5321 section 4.5.3.1.4
// wants 512 at least and extensions add to it; RFC 4954 section 4 wants 12288 for AUTH.
const (
	maxLine     = 4096
	maxAuthLine = 12288
	maxSkip     = 1 << 20 // of an overlong line, before the connection is closed
	maxOut      = 32 << 10
)

// wire is one connection, from the first octet to the last. go-smtp sees it through an
// inner connection, and a fresh one after STARTTLS. All of it belongs to the goroutine in
// which go-smtp runs the session, but for poke, abort and what they use.
type wire struct {
	run    *run
	srv    *Server
	log    *slog.Logger
	id     string
	ip     netip.Addr
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	raw     net.Conn    // below TLS
	conn    net.Conn    // raw, or TLS upon it
	tls     *tls.Conn   // nil without TLS
	rolling rollingConn // what renews deadlines below; nil: we do
	idle    atomic.Bool // waiting for a command: poke may interrupt
	shaking atomic.Bool // shaking hands for TLS: poke ends it
	early   func() bool // the client talked before the banner
	device  *Device     // whose network the client is in; nil: none
	visit   Visit       // at the gate; nil: it is not asked

	in  input
	out []byte // replies not written yet

	feed   []byte // what go-smtp reads next
	dead   bool   // nothing is read or answered any more
	reply  []byte // of the reply that go-smtp is writing, lines so far
	banner bool   // the next reply is a banner that the client must not see
	mute   bool   // the next reply is for nobody

	verb     string // the command that go-smtp is answering
	sasl     bool   // inside an AUTH exchange
	unread   []byte // a command to be run again
	hasBack  bool   // unread is set
	upgraded bool   // TLS has just begun
	helo     string
	esmtp    bool
	mail     mailCommand // of the last MAIL
	rcpt     rcptCommand // of the last RCPT
	chunk    *chunk      // of the BDAT being run
	skip     int64       // octets of a refused chunk to be thrown away
	answers  []*Reply    // for the recipients of a message, in place of the next reply (LMTP)

	bad, refused int // since the last accepted message
	messages     int // accepted for receipt so far
}

// rollingConn is a connection that renews its own deadlines (package listen).
type rollingConn interface{ SetReadTimeout(time.Duration) }

func newWire(ctx context.Context, r *run, c net.Conn) *wire {
	w := &wire{run: r, srv: r.srv, log: r.srv.Log, raw: c, conn: c}
	w.ctx, w.cancel = context.WithCancel(ctx)
	w.in.pool = &r.buffers
	if v, ok := below[interface{ ID() string }](c); ok {
		w.id = v.ID()
	} else {
		w.id = randomID()
	}
	if v, ok := below[interface{ Logger() *slog.Logger }](c); ok {
		w.log = v.Logger()
	}
	if v, ok := below[interface{ RemoteIP() netip.Addr }](c); ok {
		w.ip = v.RemoteIP()
	} else if a, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		w.ip = a.Addr().Unmap()
	}
	if v, ok := below[interface{ EarlyTalker() bool }](c); ok {
		w.early = v.EarlyTalker
	}
	w.rolling, _ = below[rollingConn](c)
	w.device = r.deviceAt(w.ip)
	return w
}

// below finds the first connection under c, c included, that is a T.
func below[T any](c net.Conn) (T, bool) {
	for {
		if v, ok := c.(T); ok {
			return v, true
		}
		n, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			var none T
			return none, false
		}
		c = n.NetConn()
	}
}

// next gives go-smtp a fresh connection: a new session in its first state. After
// STARTTLS there is no second banner (RFC 3207 section 4.2).
func (w *wire) next(again bool) {
	w.banner = again
	if !w.run.inners.give(&inner{wire: w}) {
		w.end()
	}
}

// end closes the connection for good.
func (w *wire) end() {
	if !w.dead {
		w.flush()
		w.dead = true
	}
	w.in.release()
	w.conn.Close()
	w.cancel()
	w.run.remove(w)
}

// abort cuts the connection off from outside; its session then ends by itself.
func (w *wire) abort() {
	w.cancel()
	w.raw.Close()
}

// poke wakes a session that waits for a command, so that it sees the end. One that is
// still shaking hands can be told nothing, and is cut off.
func (w *wire) poke() {
	switch {
	case w.shaking.Load():
		w.abort()
	case w.idle.Load():
		w.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

func (w *wire) isClosing() bool {
	select {
	case <-w.run.closing:
		return true
	default:
		return false
	}
}

// hangUp sends a last reply and lets the session end.
func (w *wire) hangUp(r *Reply) {
	w.put(r)
	w.flush()
	w.dead = true
}

// put queues a reply of our own.
func (w *wire) put(r *Reply) { w.out = r.append(w.out) }

// flush writes the queued replies. After an error the session ends at its next read.
func (w *wire) flush() {
	if len(w.out) == 0 || w.dead {
		w.out = w.out[:0]
		return
	}
	if w.rolling == nil {
		w.conn.SetWriteDeadline(time.Now().Add(w.srv.IdleTimeout))
	}
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	if cap(w.out) > maxLine {
		w.out = nil
	}
	if err != nil {
		w.dead = true
	}
}

// fill reads more octets into w.in, within d, after the queued replies were written.
func (w *wire) fill(d time.Duration) error {
	w.flush()
	if w.dead {
		return net.ErrClosed
	}
	if w.rolling != nil {
		w.rolling.SetReadTimeout(d)
	} else {
		w.conn.SetReadDeadline(time.Now().Add(d))
	}
	return w.in.fill(w.conn)
}

// read is what go-smtp reads: at most one command line at a time, so that it never holds
// octets that belong to a message or to TLS. It returns errUpgraded when TLS has begun.
func (w *wire) read(p []byte) (int, error) {
	for len(w.feed) == 0 {
		if w.dead {
			return 0, io.EOF
		}
		line, fault, err := w.nextLine()
		switch {
		case err != nil:
			w.readFailed(err)
		case fault != nil:
			w.refuse(fault)
			if w.sasl {
				w.cancelSASL()
			}
		case w.sasl:
			w.saslLine(line)
		default:
			w.command(line)
		}
		if w.upgraded {
			w.upgraded = false
			return 0, errUpgraded
		}
	}
	n := copy(p, w.feed)
	w.feed = w.feed[n:]
	return n, nil
}

// readFailed ends the session after a read error, with a word where one is due.
func (w *wire) readFailed(err error) {
	var ne net.Error
	switch {
	case w.dead:
	case w.isClosing():
		w.hangUp(replyShutdown)
	case errors.As(err, &ne) && ne.Timeout():
		w.log.Info("client was idle for too long")
		w.hangUp(replyIdle)
	default:
		w.dead = true
	}
}

var errSkip = errors.New("smtpd: overlong line without an end")

// nextLine returns the next command without its line end, valid until the next read, or
// the answer to a line that is no command at all.
func (w *wire) nextLine() (line []byte, fault *Reply, err error) {
	if w.hasBack {
		w.hasBack = false
		return w.unread, nil, nil
	}
	if w.skip > 0 {
		n := w.skip
		w.skip = 0
		if err := w.discard(n); err != nil {
			return nil, nil, err
		}
	}
	if line, err = w.rawLine(); err != nil {
		return nil, nil, err
	}
	if fault = lineFault(line); fault != nil {
		if line == nil && w.sasl {
			fault = replyAuthLong // RFC 4954 section 4
		}
		return nil, fault, nil
	}
	return line[:len(line)-2], nil, nil
}

// backUp lets line be the next command again.
func (w *wire) backUp(line []byte) {
	w.unread = append(w.unread[:0], line...)
	w.hasBack = true
}

// lineFault says what is wrong with a whole line; nil: nothing. Line ends are strict
// (RFC 5321 section 2.3.8): what one server takes for two lines and the next for one is
// how commands are smuggled.
func lineFault(line []byte) *Reply {
	switch {
	case line == nil:
		return replyLineTooLong
	case len(line) < 2 || line[len(line)-2] != '\r':
		return replyBareLF
	case bytes.ContainsAny(line[:len(line)-2], "\r\x00"):
		return replyBadOctet
	}
	return nil
}

// rawLine returns the next line with its LF, or nil for one over the bound, whose octets
// have been thrown away. All of it must come within IdleTimeout: a client that sends an
// octet now and then is as idle as one that sends none.
func (w *wire) rawLine() ([]byte, error) {
	w.idle.Store(true)
	defer w.idle.Store(false)
	skipped, end := 0, time.Now().Add(w.srv.IdleTimeout)
	for scanned := 0; ; {
		b := w.in.bytes()
		if i := bytes.IndexByte(b[scanned:], '\n'); i >= 0 {
			i += scanned
			w.in.skip(i + 1)
			if skipped > 0 || i+1 > w.lineBound(b) {
				return nil, nil
			}
			return b[:i+1], nil
		}
		if scanned = len(b); scanned >= w.lineBound(b) || skipped > 0 {
			w.in.skip(scanned)
			skipped += scanned
			scanned = 0
		}
		if skipped > maxSkip {
			return nil, errSkip
		}
		if w.isClosing() {
			return nil, net.ErrClosed
		}
		w.in.small()
		left := time.Until(end)
		if left <= 0 {
			return nil, os.ErrDeadlineExceeded
		}
		if err := w.fill(left); err != nil {
			return nil, err
		}
	}
}

// lineBound is the bound for the line that begins with b.
func (w *wire) lineBound(b []byte) int {
	if w.sasl || len(b) >= 5 && bytes.EqualFold(b[:5], []byte("AUTH ")) {
		return maxAuthLine
	}
	return maxLine
}

// discard throws n octets away, within DrainTimeout in all.
func (w *wire) discard(n int64) error {
	end := time.Now().Add(w.srv.DrainTimeout)
	for n > 0 {
		if b := w.in.bytes(); len(b) > 0 {
			k := min(n, int64(len(b)))
			w.in.skip(int(k))
			n -= k
			continue
		}
		left := time.Until(end)
		if left <= 0 {
			return errDrain
		}
		if err := w.fill(left); err != nil {
			return err
		}
	}
	return nil
}

var errDrain = errors.New("smtpd: too much to throw away")
