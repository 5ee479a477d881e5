package imapd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"kurir/internal/listen"
	"kurir/store"
)

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// append is APPEND (RFC 9051 section 6.3.12) with APPENDUID. The message streams from
// the connection into the store's staged file. As much as can be is refused before a
// client that waits for "+" sends it.
func (s *session) append(c *command) error {
	if c.lit == nil {
		return badf("APPEND wants a message as a literal")
	}
	mailbox, flags, date, err := s.parseAppend(c)
	if err == nil {
		err = s.appendFits(c.lit)
	}
	var to *store.Mailbox
	if err == nil {
		if to, err = s.account.Mailbox(s.ctx, mailbox); err == nil {
			defer to.Close()
		}
	}
	if err != nil {
		return errors.Join(tryCreate(err), s.dropMessage(c.lit))
	}
	staged, err := s.srv.Store.Stage()
	if err != nil {
		return errors.Join(err, s.dropMessage(c.lit))
	}
	defer staged.Close()
	if err := s.receive(staged, c.lit); err != nil {
		return err
	}
	uids, err := to.Append(s.ctx, []store.Appending{{Message: staged, Flags: flags, Date: date}})
	if err != nil {
		return tryCreate(err)
	}
	b := appendNumber([]byte("APPENDUID "), to.UIDValidity())
	b = appendUIDList(append(b, ' '), uids)
	c.code, c.text = string(b), "Appended"
	return nil
}

// parseAppend reads APPEND's arguments in front of the message.
func (s *session) parseAppend(c *command) (mailbox string, flags store.FlagSet, date time.Time, err error) {
	p := &c.args
	p.b = p.b[:bytes.LastIndexByte(p.b, '{')]
	if c.lit.binary {
		p.b = p.b[:len(p.b)-1]
	}
	mailbox = p.sp().mailbox()
	if p.sp().peek() == '(' {
		var list []imap.Flag
		p.list(func() {
			if f := p.flag(); !strings.EqualFold(string(f), `\Recent`) { // RFC 3501: the server's own
				list = append(list, f)
			}
		})
		if flags, err = flagSet(list); err != nil {
			return "", flags, date, err
		}
		p.sp()
	}
	if p.peek() == '"' {
		date = p.dateTime()
		p.sp()
	}
	if rest := p.rest(); strings.EqualFold(string(rest), "UTF8 (") && c.lit.binary {
		c.lit.utf8 = true
		p.i = len(p.b)
	}
	if p.peek() == ' ' { // no blanks to forgive: the literal follows
		p.fail("Missing or invalid message")
	}
	return mailbox, flags, date, p.end()
}

// appendFits refuses a message that is too large for the server or the account.
func (s *session) appendFits(lit *literal) error {
	if lit.size > s.maxMessage() {
		return no(imap.ResponseCodeTooBig, "Message too large") // RFC 7889 section 4
	}
	if lit.size == 0 {
		return no("", "A message may not be empty") // RFC 3502 section 3 has it as a cancellation
	}
	if err := s.srv.Store.CheckRoom(lit.size); err != nil {
		return err
	}
	return s.srv.Store.CheckQuota(s.ctx, s.account.Address(), lit.size)
}

// dropMessage reads past the message of an APPEND that was refused, if it is on its way.
func (s *session) dropMessage(lit *literal) error {
	if lit.sync {
		return nil
	}
	for size := lit.size; ; {
		line, err := s.skip(size, maxLine)
		if err != nil && !errors.Is(err, listen.ErrLineTooLong) {
			return connError{err}
		}
		more := literalAt(line)
		if more == nil || more.sync {
			return nil
		}
		size = more.size
	}
}

// receive streams the message from the connection into staged, and reads the end of the
// command's line: a parenthesis, if one was opened. An error of the store, or a NUL in a plain literal, is reported only
// when the whole message has been read, so that the session goes on behind it.
func (s *session) receive(staged *store.Staged, lit *literal) error {
	if lit.sync {
		s.out.line("+ OK")
	}
	home := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(home)
	var failed error
	for left := lit.size; left > 0; {
		n, err := s.in.Read((*home)[:min(left, int64(len(*home)))])
		left -= int64(n)
		chunk := (*home)[:n]
		if failed == nil && !lit.binary && bytes.IndexByte(chunk, 0) >= 0 {
			failed = badf("A NUL may only be sent in a literal8") // RFC 9051 section 4.3
		}
		if failed == nil {
			_, failed = staged.Write(chunk)
		}
		if err != nil && left > 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return connError{err}
		}
	}
	line, err := s.readLine(maxLine)
	switch {
	case errors.Is(err, listen.ErrLineTooLong):
		return badf("Command line too long")
	case err != nil:
		return connError{err}
	}
	rest, closed := bytes.CutPrefix(line, []byte(")"))
	if closed == lit.utf8 && len(bytes.TrimRight(rest, " ")) == 0 {
		return failed
	}
	if more := literalAt(line); more != nil {
		if err := s.dropMessage(more); err != nil {
			return err
		}
	}
	if lit.utf8 && !closed {
		return badf("Missing \")\" behind UTF8's message")
	}
	return badf("One message in an APPEND, and nothing behind it")
}
