package pop3d

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"kurir/internal/auth"
	"kurir/internal/listen"
)

const (
	// maxLine is the longest command, in octets without CRLF. RFC 2449 section 4 asks for
	// 255 with it; long passwords in UTF-8 need more.
	maxLine = 1024
	// maxSASL is the longest line of a SASL exchange.
	maxSASL = 12288
	// readBuffer holds pipelined commands; it lives as long as the session.
	readBuffer = 4 << 10
	// writeBuffer holds replies; it is taken from writers only while there are some.
	writeBuffer = 32 << 10
)

var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, writeBuffer) }}

// session is one connection. Only its own goroutine touches it, but for wake and endLogin.
type session struct {
	srv  *Server
	work context.Context // of what the session does
	stop context.Context // ends when the server is asked to stop
	base net.Conn        // below TLS
	conn net.Conn        // base, or TLS on it
	ip   netip.Addr
	log  *slog.Logger

	in    *bufio.Reader
	lines *listen.LineReader
	out   *bufio.Writer // nil while nothing is to be sent

	state   state
	running string // verb, for the log
	started time.Time
	errors  int
	tls     bool
	utf8    bool
	user    string        // of USER
	entered *auth.Session // from login on: what Server.Sessions has
	ended   atomic.Bool   // the login is not good any more
	drop    *maildrop

	retrieved int   // messages
	sent      int64 // bytes of them
}

func newSession(srv *Server, work, stop context.Context, c net.Conn) *session {
	s := &session{srv: srv, work: work, stop: stop, base: c, conn: c, state: authorization, started: time.Now(),
		log: slog.New(slog.DiscardHandler)}
	if lc := listen.From(c); lc != nil {
		s.ip, s.log = lc.RemoteIP(), lc.Logger()
	}
	s.reader()
	return s
}

// reader makes a new, empty reader on conn.
func (s *session) reader() {
	s.in = bufio.NewReaderSize(s.conn, readBuffer)
	s.lines = listen.NewLineReader(s.in)
}

// wake makes a Read on its way return, so that the session sees that the server stops.
func (s *session) wake() { s.base.SetReadDeadline(time.Now()) }

// endLogin asks the session to end since its password is not good any more.
func (s *session) endLogin() {
	s.ended.Store(true)
	s.wake()
}

// close gives back all that the session holds. Nothing is deleted here.
func (s *session) close() {
	if s.entered != nil {
		s.srv.sessions().Leave(s.entered)
	}
	if s.drop != nil {
		s.log.Info("session ended", "account", s.drop.account.Address(), "retrieved", s.retrieved, "bytes", s.sent,
			"deleted", s.drop.removed)
		s.drop.close()
	}
	if s.out != nil {
		s.release()
	}
	s.conn.Close()
}

// loop greets, then answers one command after the other, in order.
func (s *session) loop() {
	err := s.ok("POP3 server ready")
	for err == nil {
		var line []byte
		line, err = s.readLine(maxLine)
		if err == nil {
			err = s.dispatch(string(line))
		} else if errors.Is(err, listen.ErrLineTooLong) {
			err = syntax("Line too long")
		}
		var r *refusal
		if errors.As(err, &r) {
			err = s.reply(r)
		}
	}
	switch { // RFC 1939 has no word for it
	case errors.Is(err, errEnd):
	case s.stop.Err() != nil:
		s.err(codeSysTemp, "The server is stopping")
	case s.ended.Load():
		s.err(codeAuth, "The account or its password was changed: log in again")
	}
	s.flush() // there is nobody left to tell
}

// reply sends a refusal, and ends the session if there were too many.
func (s *session) reply(r *refusal) error {
	switch {
	case r.code == codeSysTemp && !errors.Is(r.err, context.Canceled):
		s.log.Error("command failed", "command", s.running, "error", r.err)
	case r.err != nil:
		s.log.Debug("command refused", "command", s.running, "error", r.err)
	}
	if r.count {
		s.errors++
	}
	if s.errors >= orDefault(s.srv.MaxErrors, DefaultMaxErrors) {
		s.log.Warn("too many errors", "command", s.running)
		s.err(r.code, r.text+". Too many errors, goodbye")
		return errEnd
	}
	return s.err(r.code, r.text)
}

// readLine reads a line of at most max octets. Before it waits for one, it sends what has
// been written: as long as whole commands are there, replies gather.
func (s *session) readLine(max int) ([]byte, error) {
	if !s.pending() {
		if err := s.flush(); err != nil {
			return nil, err
		}
		until := time.Now().Add(orDefault(s.srv.IdleTimeout, DefaultIdleTimeout))
		if login := s.started.Add(orDefault(s.srv.LoginTimeout, DefaultLoginTimeout)); s.state == authorization && login.Before(until) {
			until = login
		}
		if err := s.conn.SetReadDeadline(until); err != nil {
			return nil, err
		}
	}
	if err := s.stop.Err(); err != nil { // after the deadline was set: wake has come, or will
		return nil, err
	}
	if s.ended.Load() {
		return nil, errLoginEnded
	}
	return s.lines.ReadLine(max)
}

// pending reports whether a whole line has been received already.
func (s *session) pending() bool {
	b, err := s.in.Peek(s.in.Buffered())
	return err == nil && bytes.IndexByte(b, '\n') >= 0
}

// w is where replies are written to.
func (s *session) w() *bufio.Writer {
	if s.out == nil {
		s.out = writers.Get().(*bufio.Writer)
		s.out.Reset(s.conn)
	}
	return s.out
}

// flush sends what has been written and gives the buffer back.
func (s *session) flush() error {
	if s.out == nil {
		return nil
	}
	err := s.out.Flush()
	s.release()
	return err
}

func (s *session) release() {
	s.out.Reset(nil)
	writers.Put(s.out)
	s.out = nil
}

// ok sends +OK and a text, which may be empty.
func (s *session) ok(text string) error {
	w := s.w()
	w.WriteString("+OK")
	if text != "" {
		w.WriteByte(' ')
		w.WriteString(text)
	}
	_, err := w.WriteString("\r\n") // a bufio.Writer remembers its first error
	return err
}

// err sends -ERR, a response code if there is one, and a text.
func (s *session) err(code, text string) error {
	w := s.w()
	w.WriteString("-ERR ")
	if code != "" {
		w.WriteByte('[')
		w.WriteString(code)
		w.WriteString("] ")
	}
	w.WriteString(text)
	_, err := w.WriteString("\r\n")
	return err
}

// number appends a number to what is being written.
func number(w *bufio.Writer, n int64) {
	w.Write(strconv.AppendInt(w.AvailableBuffer(), n, 10)) // the writer remembers its first error
}

// tlsState is what TLS is like on this connection; nil without it.
func (s *session) tlsState() *tls.ConnectionState {
	c, ok := s.conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := c.ConnectionState()
	return &state
}

// startTLS makes the handshake. It has as long as is left for the login.
func (s *session) startTLS() error {
	if err := s.conn.SetReadDeadline(s.started.Add(orDefault(s.srv.LoginTimeout, DefaultLoginTimeout))); err != nil {
		return err
	}
	if err := s.stop.Err(); err != nil { // after the deadline was set: wake has come, or will
		return err
	}
	c := tls.Server(s.conn, s.srv.TLS)
	s.conn, s.tls = c, true
	s.reader()
	err := c.HandshakeContext(s.work)
	if err != nil && s.srv.TLSFailed != nil {
		s.srv.TLSFailed(s.ip, err)
	}
	return err
}
