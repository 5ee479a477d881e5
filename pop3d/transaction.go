package pop3d

import (
	"bufio"
	"strconv"
	"strings"

	"kurir/store"
)

// message reads a message number (RFC 1939 section 5) that is there and not deleted.
func (s *session) message(arg string) (int, error) {
	n, ok := parseNumber(arg)
	switch {
	case !ok:
		return 0, syntax("This takes the number of a message")
	case n < 1 || n > s.drop.count:
		return 0, &refusal{text: "There is no message " + arg + ", only " + strconv.Itoa(s.drop.count)}
	case s.drop.deleted(n):
		return 0, &refusal{text: "Message " + arg + " is deleted"}
	}
	if err := s.drop.whole(); err != nil {
		return 0, refuse(err)
	}
	return n, nil
}

// parseNumber reads up to 9 digits.
func parseNumber(s string) (int, bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

func (s *session) noop(arg string) error {
	if err := noArgument(arg); err != nil {
		return err
	}
	return s.ok("")
}

// stat is STAT: how many messages and octets.
func (s *session) stat(arg string) error {
	if err := noArgument(arg); err != nil {
		return err
	}
	n, octets := s.drop.left()
	return s.ok(strconv.Itoa(n) + " " + strconv.FormatInt(octets, 10))
}

// summary is how the maildrop stands, in words.
func (s *session) summary() string {
	n, octets := s.drop.left()
	return strconv.Itoa(n) + " messages (" + strconv.FormatInt(octets, 10) + " octets)"
}

// list is LIST, for one message or all.
func (s *session) list(arg string) error {
	return s.listing(arg, s.summary(), func(w *bufio.Writer, i store.Info) { number(w, i.Size) })
}

// uidl is UIDL, for one message or all.
func (s *session) uidl(arg string) error {
	return s.listing(arg, "", func(w *bufio.Writer, i store.Info) { w.WriteString(s.drop.uidl(i.UID)) })
}

// listing answers a command that says one thing of a message, or of all.
func (s *session) listing(arg, heading string, say func(*bufio.Writer, store.Info)) error {
	w := s.w()
	line := func(i store.Info) {
		number(w, int64(i.Seq))
		w.WriteByte(' ')
		say(w, i)
		w.WriteString("\r\n") // the writer remembers its first error
	}
	if arg = strings.TrimSpace(arg); arg != "" {
		n, err := s.message(arg)
		if err != nil {
			return err
		}
		w.WriteString("+OK ")
		line(s.drop.info(n))
		return nil
	}
	if err := s.drop.whole(); err != nil {
		return refuse(err)
	}
	s.ok(heading)
	s.drop.each(line)
	_, err := w.WriteString(".\r\n")
	return err
}

// retr is RETR: a whole message, straight from its file.
func (s *session) retr(arg string) error {
	n, err := s.message(strings.TrimSpace(arg))
	if err != nil {
		return err
	}
	body, err := s.drop.view.Open(s.work, s.drop.info(n).UID)
	if err != nil {
		return refuse(err)
	}
	defer body.Close()
	s.ok(strconv.FormatInt(body.Size(), 10) + " octets")
	d := newDotWriter(s.w())
	sent, err := body.Whole().WriteTo(d)
	s.sent += sent
	if err != nil {
		return s.broken(n, err)
	}
	s.retrieved++
	return d.end()
}

// top is TOP: the header, the blank line, and some lines of the body.
func (s *session) top(arg string) error {
	num, lines, ok := strings.Cut(strings.TrimSpace(arg), " ")
	max, ok2 := parseNumber(strings.TrimSpace(lines))
	if !ok || !ok2 {
		return syntax("TOP takes the number of a message and a number of lines")
	}
	n, err := s.message(num)
	if err != nil {
		return err
	}
	body, err := s.drop.view.Open(s.work, s.drop.info(n).UID)
	if err != nil {
		return refuse(err)
	}
	defer body.Close()
	s.ok("")
	d := newDotWriter(s.w())
	if err := copyTop(d, body.Whole().Reader(), max); err != nil {
		return s.broken(n, err)
	}
	return d.end()
}

// broken ends the session in the middle of a message: the client must not take for whole
// what isn't, and there is no other way to tell it.
func (s *session) broken(n int, err error) error {
	s.log.Warn("message not sent to its end", "message", n, "error", err)
	return errEnd
}

// dele is DELE: the message goes at QUIT.
func (s *session) dele(arg string) error {
	arg = strings.TrimSpace(arg)
	n, err := s.message(arg)
	if err != nil {
		return err
	}
	s.drop.del(n)
	return s.ok("Message " + arg + " is deleted")
}

// rset is RSET: nothing is deleted any more.
func (s *session) rset(arg string) error {
	if err := noArgument(arg); err != nil {
		return err
	}
	s.drop.reset()
	return s.ok(s.summary())
}

// quit is QUIT: the UPDATE state (RFC 1939 section 6), if there was a login.
func (s *session) quit(arg string) error {
	if err := noArgument(arg); err != nil {
		return err
	}
	if s.drop != nil {
		if err := s.drop.update(s.work); err != nil {
			s.log.Error("deleted messages not removed", "account", s.drop.account.Address(), "error", err)
			s.err(codeSysTemp, "Some deleted messages not removed")
			return errEnd
		}
	}
	s.ok("Goodbye")
	return errEnd
}
