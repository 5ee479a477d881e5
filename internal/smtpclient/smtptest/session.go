package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Session is one connection of a Peer, as an Action sees it.
type Session struct {
	Peer   *Peer
	Conn   net.Conn // TLS, once that has begun
	Number int      // of the connection, from 1
	Line   string   // the command at hand, without its line end

	raw   net.Conn
	r     *bufio.Reader
	out   []byte // replies that are held back
	usual func() error
	said  string // the reply to the command at hand
	note  func() // records said, before anybody can have read it
	hello string
	tls   bool
	user  string
	tx    *Transaction
	taken bool // at least one recipient was
}

func newSession(p *Peer, conn net.Conn, number int) *Session {
	s := &Session{Peer: p, Conn: conn, raw: conn, Number: number}
	s.r = bufio.NewReaderSize(conn, s.bufferSize())
	return s
}

func (s *Session) bufferSize() int {
	if s.Peer.ReadBuffer > 0 {
		return s.Peer.ReadBuffer
	}
	return 4096
}

// Usual does what the peer does without a script.
func (s *Session) Usual() error { return s.usual() }

// Reply sends a reply as it is written, lines separated by "\n", "250-one\n250 two".
func (s *Session) Reply(text string) error {
	s.saying(text)
	return s.Write(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n")
}

// saying records what is about to be said.
func (s *Session) saying(text string) {
	s.said = text
	if s.note != nil {
		s.Peer.mu.Lock()
		s.note()
		s.Peer.mu.Unlock()
	}
}

// Write sends octets as they are.
func (s *Session) Write(octets string) error {
	s.out = append(s.out, octets...)
	if s.Peer.Batch && s.r.Buffered() > 0 {
		return nil
	}
	return s.flush()
}

func (s *Session) flush() error {
	if len(s.out) == 0 { // which would wait for a reader on a net.Pipe
		return nil
	}
	_, err := s.Conn.Write(s.out)
	s.out = s.out[:0]
	return err
}

// Sleep waits, or ends with an error when the peer is closed.
func (s *Session) Sleep(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.Peer.closed:
		return errClosed
	}
}

// Wait reads and drops what comes until the other side closes, or the peer.
func (s *Session) Wait() error {
	if err := s.flush(); err != nil {
		return err
	}
	io.Copy(io.Discard, s.r)
	return errClosed
}

// do takes a step: as the script says, or as usual.
func (s *Session) do(step Step, usual func() error) error {
	s.usual, s.said = usual, ""
	defer func() { s.note = nil }()
	if a := s.Peer.Script[step]; a != nil {
		return a(s)
	}
	return usual()
}

// serve goes through a connection.
func (s *Session) serve() {
	if s.Peer.Implicit && s.Peer.TLS != nil && s.secure() != nil {
		return
	}
	err := s.do(Greeting, func() error { return s.Reply("220 " + s.name() + " ESMTP") })
	for err == nil {
		err = s.command()
	}
	if errors.Is(err, errQuit) {
		s.flush()
	}
}

func (s *Session) name() string {
	if s.Peer.Hostname != "" {
		return s.Peer.Hostname
	}
	return "peer.test"
}

// line reads a line without its line end.
func (s *Session) line() (string, error) {
	line, err := s.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// command reads a command and answers it.
func (s *Session) command() error {
	line, err := s.line()
	if err != nil {
		return err
	}
	s.Line = line
	s.Peer.mu.Lock()
	if !s.Peer.Forget {
		s.Peer.commands = append(s.Peer.commands, line)
	}
	s.Peer.mu.Unlock()
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	switch verb {
	case "EHLO", "HELO":
		return s.do(Hello, s.ehlo)
	case "STARTTLS":
		return s.do(StartTLS, s.startTLS)
	case "AUTH":
		return s.do(Auth, s.auth)
	case "MAIL":
		return s.mail()
	case "RCPT":
		return s.rcpt()
	case "DATA":
		return s.data()
	case "RSET":
		s.tx = nil
		return s.do(Rset, s.ok)
	case "NOOP":
		return s.do(Noop, s.ok)
	case "QUIT":
		return s.do(Quit, func() error { return errors.Join(s.Reply("221 2.0.0 bye"), errQuit) })
	}
	return s.do(Any, func() error { return s.Reply("500 5.5.2 unknown command") })
}

func (s *Session) ok() error { return s.Reply("250 2.0.0 ok") }

func (s *Session) ehlo() error {
	s.hello, s.tx = s.Line, nil
	if strings.HasPrefix(strings.ToUpper(s.Line), "HELO") {
		return s.Reply("250 " + s.name())
	}
	ext := s.Peer.Extensions
	if ext == nil {
		ext = []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "SIZE 10485760"}
	}
	lines := append([]string{s.name()}, ext...)
	if s.Peer.TLS != nil && !s.tls {
		lines = append(lines, "STARTTLS")
	}
	if s.Peer.Users != nil {
		lines = append(lines, "AUTH PLAIN LOGIN")
	}
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		lines[i] = "250" + sep + l
	}
	return s.Reply(strings.Join(lines, "\n"))
}

func (s *Session) startTLS() error {
	if s.Peer.TLS == nil || s.tls {
		return s.Reply("502 5.5.1 no TLS here")
	}
	if err := s.Reply("220 2.0.0 go ahead"); err != nil {
		return err
	}
	return s.secure()
}

// secure begins TLS.
func (s *Session) secure() error {
	t := tls.Server(s.raw, s.Peer.TLS)
	if err := t.Handshake(); err != nil {
		return err
	}
	s.Conn, s.tls, s.hello = t, true, ""
	s.r = bufio.NewReaderSize(t, s.bufferSize())
	return nil
}

func (s *Session) auth() error {
	f := strings.Fields(s.Line)
	var user, password string
	var err error
	switch {
	case len(f) >= 2 && strings.EqualFold(f[1], "PLAIN"):
		var response string
		if len(f) > 2 {
			response = unbase64(f[2])
		} else if response, err = s.ask(""); err != nil {
			return err
		}
		if p := strings.Split(response, "\x00"); len(p) == 3 {
			user, password = p[1], p[2]
		}
	case len(f) == 2 && strings.EqualFold(f[1], "LOGIN"):
		if user, err = s.ask("Username:"); err != nil {
			return err
		}
		if password, err = s.ask("Password:"); err != nil {
			return err
		}
	default:
		return s.Reply("504 5.5.4 unknown mechanism")
	}
	if want, ok := s.Peer.Users[user]; !ok || want != password {
		return s.Reply("535 5.7.8 wrong name or password")
	}
	s.user = user
	return s.Reply("235 2.7.0 welcome")
}

// ask sends a challenge and reads the response.
func (s *Session) ask(challenge string) (string, error) {
	if err := s.Reply("334 " + base64.StdEncoding.EncodeToString([]byte(challenge))); err != nil {
		return "", err
	}
	line, err := s.line()
	return unbase64(line), err
}

func unbase64(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}

// path is the address between the brackets of a line.
func path(line string) string {
	_, rest, _ := strings.Cut(line, ":<")
	end := strings.LastIndexByte(rest, '>')
	if end < 0 {
		return rest
	}
	return rest[:end]
}

func (s *Session) mail() error {
	t := &Transaction{Connection: s.Number, Hello: s.hello, TLS: s.tls, User: s.user, Mail: s.Line, From: path(s.Line)}
	s.Peer.mu.Lock()
	if !s.Peer.Forget {
		s.Peer.transactions = append(s.Peer.transactions, t)
	}
	s.Peer.mu.Unlock()
	open := s.tx != nil
	err := s.do(Mail, func() error {
		if open {
			return s.Reply("503 5.5.1 there is a transaction already")
		}
		return s.ok()
	})
	if strings.HasPrefix(s.said, "2") {
		s.tx, s.taken = t, false
	}
	return err
}

func (s *Session) rcpt() error {
	r := &Recipient{Line: s.Line, Address: path(s.Line)}
	if t := s.tx; t != nil {
		s.Peer.mu.Lock()
		t.rcpt = append(t.rcpt, r)
		s.Peer.mu.Unlock()
	}
	s.note = func() { r.Accepted = strings.HasPrefix(s.said, "2") }
	err := s.do(Rcpt, func() error {
		switch {
		case s.tx == nil:
			return s.Reply("503 5.5.1 MAIL first")
		case s.grey(s.tx.From + " " + r.Address):
			return s.Reply("450 4.2.0 greylisted, come back later")
		}
		return s.ok()
	})
	s.taken = s.taken || s.tx != nil && strings.HasPrefix(s.said, "2")
	return err
}

// grey counts a sender and recipient, and tells whether they are to come back.
func (s *Session) grey(pair string) bool {
	s.Peer.mu.Lock()
	defer s.Peer.mu.Unlock()
	s.Peer.seen[pair]++
	return s.Peer.seen[pair] <= s.Peer.Greylist
}

func (s *Session) data() error {
	err := s.do(Data, func() error {
		if s.tx == nil || !s.taken {
			return s.Reply("554 5.5.1 nobody to send to")
		}
		return s.Reply("354 go ahead")
	})
	if err != nil || !strings.HasPrefix(s.said, "3") {
		return err
	}
	t := s.tx
	if t == nil {
		t = &Transaction{}
	}
	s.tx = nil
	if err := s.body(t); err != nil {
		return err
	}
	s.note = func() { t.Reply = s.said }
	return s.do(Dot, func() error { return s.Reply("250 2.0.0 ok, taken") })
}

// body reads a message up to its final dot.
func (s *Session) body(t *Transaction) error {
	begun := false
	for fresh := true; ; {
		line, err := s.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("within a message: %w", err)
		}
		if fresh && bytes.Equal(line, []byte(".\r\n")) {
			s.Peer.mu.Lock()
			t.Done = true
			s.Peer.mu.Unlock()
			return nil
		}
		if fresh && line[0] == '.' {
			line = line[1:]
		}
		fresh = err == nil
		s.Peer.mu.Lock()
		t.Size += int64(len(line))
		if !s.Peer.Discard {
			t.Data = append(t.Data, line...)
		}
		s.Peer.mu.Unlock()
		if !begun {
			begun = true
			if err := s.do(Body, func() error { return nil }); err != nil {
				return err
			}
		}
	}
}
