package smtptest

import (
	"strings"
	"sync/atomic"
	"time"
)

// Action is what a Peer does at a step of its Script. Its error ends the connection.
type Action func(*Session) error

// Usual is what the peer does without a script.
func Usual() Action { return (*Session).Usual }

// Reply answers, lines separated by "\n": "550-5.1.1 no such\n550 5.1.1 user". A code of
// 2xx to MAIL and RCPT, and of 3xx to DATA, has the peer go on accordingly.
func Reply(text string) Action {
	return func(s *Session) error { return s.Reply(text) }
}

// Write sends octets as they are, which count for nothing.
func Write(octets string) Action {
	return func(s *Session) error { return s.Write(octets) }
}

// Stall says nothing until the other side closes.
func Stall() Action { return (*Session).Wait }

// Freeze neither reads nor writes until the peer is closed.
func Freeze() Action {
	return func(s *Session) error {
		<-s.Peer.closed
		return errClosed
	}
}

// Close closes the connection, after what is waiting to be sent.
func Close() Action {
	return func(s *Session) error {
		s.flush()
		return errClosed
	}
}

// Garbage sends what is not SMTP.
func Garbage() Action { return Write("\x15\x03\x01\x00\x02\x02\x46 \xff\xfe nonsense\r\n") }

// Huge sends a reply in many lines, of so many octets in all, whose end has the code and
// text given.
func Huge(last string, octets int) Action {
	return func(s *Session) error {
		line := last[:3] + "-" + strings.Repeat("x", 70) + "\r\n"
		for ; octets > len(line)+len(last); octets -= len(line) {
			if err := s.Write(line); err != nil {
				return err
			}
		}
		return s.Reply(last)
	}
}

// Endless sends a reply that never ends: a line of one octet of text after the other, at
// this pace.
func Endless(code string, every time.Duration) Action {
	return func(s *Session) error {
		for {
			for _, c := range code + "-x\r\n" {
				if err := s.Write(string(c)); err != nil {
					return err
				}
				if err := s.Sleep(every); err != nil {
					return err
				}
			}
		}
	}
}

// Slow answers one octet at a time, at this pace.
func Slow(text string, every time.Duration) Action {
	return func(s *Session) error {
		s.saying(text)
		for _, c := range strings.ReplaceAll(text, "\n", "\r\n") + "\r\n" {
			if err := s.Write(string(c)); err != nil {
				return err
			}
			if err := s.Sleep(every); err != nil {
				return err
			}
		}
		return nil
	}
}

// Late does something after a while.
func Late(after time.Duration, a Action) Action {
	return func(s *Session) error {
		if err := s.Sleep(after); err != nil {
			return err
		}
		return a(s)
	}
}

// Then does one thing after the other.
func Then(all ...Action) Action {
	return func(s *Session) error {
		for _, a := range all {
			if err := a(s); err != nil {
				return err
			}
		}
		return nil
	}
}

// First does something the first n times, on any connection, and then the usual.
func First(n int, a Action) Action { return Nth(1, n, a) }

// Nth does something from the from-th to the to-th time, counted from 1 over all
// connections, and the usual before and after that.
func Nth(from, to int, a Action) Action {
	var count atomic.Int64
	return func(s *Session) error {
		if n := int(count.Add(1)); n >= from && n <= to {
			return a(s)
		}
		return s.Usual()
	}
}

// For does something for commands whose line contains text, and else the usual.
func For(text string, a Action) Action {
	return func(s *Session) error {
		if strings.Contains(s.Line, text) {
			return a(s)
		}
		return s.Usual()
	}
}

// Each does what the first key found in the command's line says, and the usual if none is.
func Each(cases map[string]Action) Action {
	return func(s *Session) error {
		for text, a := range cases {
			if strings.Contains(s.Line, text) {
				return a(s)
			}
		}
		return s.Usual()
	}
}
