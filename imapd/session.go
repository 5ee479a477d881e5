package imapd

import (
	"bufio"
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

	"kurir/internal/auth"
	"kurir/internal/deflate"
	"kurir/internal/listen"
	"kurir/store"
)

// readBuffer is what an idle session keeps for reading.
const readBuffer = 4 << 10

// session is one connection. All of it belongs to the goroutine of its loop, except that
// during IDLE the goroutine that waits for the mailbox owns view and out, and during a long
// command that of its work owns view (see beside).
type session struct {
	srv   *Server
	conn  net.Conn     // the connection, or the TLS upon it
	base  *listen.Conn // the connection
	in    *bufio.Reader
	lines *listen.LineReader
	out   writer
	log   *slog.Logger
	ctx   context.Context // ends with the session

	stopping   atomic.Bool                        // the server stops
	ended      atomic.Bool                        // the login is not good any more
	breakOff   atomic.Pointer[context.CancelFunc] // of the long command at work
	next       func() error                       // one; the table of commands leads to what calls it
	overlaps   bool                               // a long command is at work beside the one that runs
	watching   bool                               // IDLE: out belongs to the goroutine that waits for the mailbox
	tls        bool
	compressed bool // COMPRESS DEFLATE
	state      state
	bad        int    // BAD replies so far
	running    string // the command at work, for the log

	account  *store.Account // from login on
	entered  *auth.Session  // from login on: what Server.Sessions has
	mailbox  *store.Mailbox // while selected
	view     *store.View    // while selected
	readOnly bool           // EXAMINE

	condstore  bool        // the client knows CONDSTORE (RFC 7162 section 3.1)
	qresync    bool        // the client has enabled QRESYNC (RFC 7162 section 3.2.3)
	behind     bool        // the client was told a HIGHESTMODSEQ below others that it saw
	rev2       bool        // ENABLE IMAP4rev2: responses are RFC 9051's where RFC 3501's differ
	utf8       bool        // the client takes UTF-8 in quoted strings and names of mailboxes
	utf8accept bool        // ENABLE UTF8=ACCEPT: nothing the client sends has another charset
	saved      []store.UID // SEARCH RETURN (SAVE), ascending
	own        ownChange
}

// ownChange is a change of flags by this session that its client does not want, or has
// been told of already: update leaves these out.
type ownChange struct {
	at   store.ModSeq
	uids []store.UID // ascending
}

func newSession(srv *Server, c net.Conn, ctx context.Context) *session {
	s := &session{srv: srv, conn: c, base: listen.From(c), ctx: ctx, state: notAuthenticated}
	s.log, s.next = s.base.Logger(), s.one
	s.setConn(c)
	c.SetReadDeadline(time.Now().Add(orDefault(srv.LoginTimeout, DefaultLoginTimeout)))
	return s
}

// setConn makes c what is read and written; bytes read ahead of it are dropped.
func (s *session) setConn(c net.Conn) {
	s.conn = c
	s.out.dst = c
	s.in = bufio.NewReaderSize(flushingReader{s}, readBuffer)
	s.lines = listen.NewLineReader(s.in)
}

// flushingReader sends what is gathered before it waits for the client. That is all
// there is to pipelining: while whole commands are buffered, nobody reads here.
type flushingReader struct{ s *session }

func (r flushingReader) Read(p []byte) (int, error) {
	if !r.s.watching {
		if err := r.s.out.flush(); err != nil {
			return 0, err
		}
	}
	return r.s.conn.Read(p)
}

// stop asks the session to end at its next read. It may be called from any goroutine.
func (s *session) stop() {
	s.stopping.Store(true)
	s.interrupt()
}

// lastSend is for how long a session goes on sending to a slow client after its login was ended.
const lastSend = 10 * time.Second

// endLogin asks the session to end, like stop, since its password is not good any more.
func (s *session) endLogin() {
	s.ended.Store(true)
	s.base.SetWriteDeadline(time.Now().Add(lastSend))
	s.interrupt()
}

// interrupt ends a long command and a wait for the client: the session was asked to end.
func (s *session) interrupt() {
	if cancel := s.breakOff.Load(); cancel != nil {
		(*cancel)()
	}
	s.wake()
}

// wake ends a wait for the client with os.ErrDeadlineExceeded, this one or the next.
func (s *session) wake() { s.base.SetReadDeadline(time.Unix(1, 0)) }

// sleepAgain lets reads wait again after wake, unless the session is to end.
func (s *session) sleepAgain() {
	s.base.SetReadDeadline(time.Time{})
	if s.over() {
		s.wake() // its deadline may just have been lifted
	}
}

// close lets go of what the session holds in the store.
func (s *session) close() {
	s.deselect()
	if s.account != nil {
		s.srv.sessions().Leave(s.entered)
		s.account.Close()
		s.account = nil
	}
}

// handshake puts TLS upon the connection.
func (s *session) handshake() error {
	c := tls.Server(s.base, s.srv.TLS)
	if err := c.HandshakeContext(s.ctx); err != nil {
		if s.srv.TLSFailed != nil {
			s.srv.TLSFailed(s.remote(), err)
		}
		return err
	}
	s.setConn(c)
	s.tls = true
	return nil
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

// plainAllowed reports whether a password may be sent on this connection.
func (s *session) plainAllowed() bool {
	return s.tls || s.srv.AllowPlaintext != nil && s.srv.AllowPlaintext(s.remote())
}

func (s *session) remote() netip.Addr { return s.base.RemoteIP() }

func (s *session) greet() {
	s.out.line("* OK [CAPABILITY ", s.capabilities(), "] kurir ready")
}

// loop reads and runs commands until the connection or the session is over.
func (s *session) loop() {
	for {
		err := s.one()
		if err == nil {
			err = s.out.err
		}
		if err == nil && s.ended.Load() { // with commands that have come already it would go on for a while
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

// one reads a command, runs it and answers it. An error ends the session.
func (s *session) one() error {
	cmd, err := s.readCommand()
	if err == nil {
		s.running = cmd.name
		err = s.run(cmd)
		s.running = ""
	}
	return err
}

// run runs one command and answers it. An error ends the session.
func (s *session) run(cmd *command) error {
	err := cmd.err
	if err == nil {
		begun := time.Now()
		err = cmd.spec.run(s, cmd)
		if s.srv.Observe != nil && cmd.name != "IDLE" {
			s.srv.Observe(cmd.name, time.Since(begun))
		}
	}
	var broken connError
	switch {
	case errors.As(err, &broken), errors.Is(err, errGoodbye):
		return err
	case s.out.err != nil: // the client left in the middle: there is nobody to answer
		return connError{s.out.err}
	}
	if s.view != nil && cmd.spec.tell != tellNothing && !s.overlaps {
		if err2 := s.update(cmd.spec.tell == tellAll, cmd.uid); err2 != nil {
			if s.gone(err2) {
				return errGoodbye
			}
			err = errors.Join(err, err2)
		}
		if s.qresync {
			s.settle(cmd)
		}
	}
	s.own = ownChange{}
	if err == nil && cmd.answered {
		return nil
	}
	if err == nil {
		s.answer(cmd, "OK", cmd.code, orDefault(cmd.text, "Done"))
		return cmd.after
	}
	r := replyTo(err)
	s.logReply(cmd, r)
	s.answer(cmd, string(r.Type), string(r.Code), r.Text)
	if r.Type == typeBad {
		if s.bad++; s.bad >= orDefault(s.srv.MaxBad, DefaultMaxBad) {
			s.out.line("* BYE Too many errors")
			s.log.Warn("client made too many errors", "errors", s.bad)
			return errGoodbye
		}
	}
	return nil
}

// answer gathers the tagged reply, or an untagged one for a command without a tag.
func (s *session) answer(cmd *command, status, code, text string) {
	tag := orDefault(cmd.tag, "*")
	if code != "" {
		s.out.line(tag, " ", status, " [", code, "] ", text)
		return
	}
	s.out.line(tag, " ", status, " ", text)
}

func (s *session) logReply(cmd *command, r *reply) {
	switch {
	case r.ownFault():
		s.log.Error("command failed", "command", cmd.name, "error", r.cause)
	default:
		s.log.Debug("command refused", "command", cmd.name, "reply", r.Error())
	}
}

// gone says goodbye if the selected mailbox has been deleted under the session.
func (s *session) gone(err error) bool {
	if !errors.Is(err, store.ErrMailboxGone) {
		return false
	}
	s.out.line("* BYE The selected mailbox has been deleted")
	return true
}

// end says the last word, if there is one, and sends what is gathered.
func (s *session) end(err error) {
	switch {
	case errors.Is(err, errGoodbye), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
	case errors.Is(err, os.ErrDeadlineExceeded) && s.out.err == nil:
		switch {
		case s.stopping.Load():
			s.out.line("* BYE [UNAVAILABLE] Server is stopping")
		case s.ended.Load():
			s.out.line("* BYE The account or its password was changed: log in again")
		case s.state == notAuthenticated:
			s.out.line("* BYE No login for too long")
		default:
			s.out.line("* BYE Idle for too long")
		}
	case errors.Is(err, deflate.ErrCorrupt):
		s.log.Warn("compressed input is invalid")
		s.out.line("* BYE What came is not valid DEFLATE data")
	default:
		s.log.Debug("connection lost", "error", err)
	}
	s.out.flush() // its error has no one to go to
}
