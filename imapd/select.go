package imapd

import (
	"errors"

	"kurir/store"
)

// selectMailbox is SELECT (RFC 9051 section 6.3.2, RFC 3501 section 6.3.1).
func (s *session) selectMailbox(c *command) error { return s.open(c, false) }

// examine is EXAMINE (RFC 9051 section 6.3.3).
func (s *session) examine(c *command) error { return s.open(c, true) }

// open selects a mailbox. Whatever comes of it, the one before is selected no longer.
func (s *session) open(c *command, readOnly bool) error {
	name := c.args.sp().mailbox()
	sent := c.args.sent
	var o selectOptions
	if c.args.peek() == ' ' && len(c.args.rest()) > 1 {
		o = s.selectParams(c.args.sp())
	}
	err := c.args.end()
	var r *reply
	if errors.As(err, &r) && r.Type == typeBad {
		return err // the command was not one
	}
	if s.view != nil {
		s.deselect()
		s.out.line("* OK [CLOSED] Previous mailbox is closed")
	}
	if err != nil {
		return err
	}
	if o.condstore {
		s.enableCondstore()
	}
	mailbox, err := s.account.Mailbox(s.ctx, name)
	if err != nil {
		return err
	}
	view, err := mailbox.View(s.ctx)
	if err != nil {
		mailbox.Close()
		return err
	}
	status, err := mailbox.Status(s.ctx)
	var info store.MailboxInfo
	if err == nil && s.rev2 {
		info, err = s.account.MailboxInfo(s.ctx, name)
	}
	if err != nil {
		view.Close()
		mailbox.Close()
		return err
	}
	s.mailbox, s.view, s.readOnly, s.state = mailbox, view, readOnly, selected
	s.describe(status)
	if s.rev2 { // RFC 9051 section 6.3.2
		l := &listing{extended: true, oldName: sent}
		l.ReturnSubscribed = true
		s.out.set(s.appendListLine(s.out.buf(), l, info, true, false))
	}
	if o.resync != nil {
		if err := s.resynchronise(o.resync); err != nil {
			s.deselect()
			return err
		}
	}
	c.code, c.text = "READ-WRITE", "Selected"
	if readOnly {
		c.code, c.text = "READ-ONLY", "Selected for reading"
	}
	return nil
}

// describe sends what SELECT must say of a mailbox (RFC 3501 section 6.3.1); IMAP4rev2 has no
// RECENT and UNSEEN. Counts are the view's: the status may be a moment younger.
func (s *session) describe(status store.Status) {
	b := s.appendFlagLines(s.out.buf(), s.view.Keywords())
	b = append(b, "* "...)
	b = appendNumber(b, s.view.Count())
	b = append(b, " EXISTS\r\n"...)
	if !s.rev2 {
		b = append(b, "* 0 RECENT\r\n"...)
	}
	if n := status.FirstUnseen; !s.rev2 && n > 0 && int(n) <= s.view.Count() {
		b = append(b, "* OK [UNSEEN "...)
		b = appendNumber(b, n)
		b = append(b, "] First message without \\Seen\r\n"...)
	}
	b = append(b, "* OK [UIDVALIDITY "...)
	b = appendNumber(b, s.mailbox.UIDValidity())
	b = append(b, "] UIDs are valid\r\n* OK [UIDNEXT "...)
	b = appendNumber(b, uint32(s.view.UIDNext()))
	b = append(b, "] Next UID\r\n* OK [HIGHESTMODSEQ "...)
	b = appendNumber(b, s.view.ModSeq())
	s.out.set(append(b, "] Highest mod-sequence\r\n"...))
}

// deselect lets go of the selected mailbox, if there is one.
func (s *session) deselect() {
	if s.view == nil {
		return
	}
	s.view.Close()
	s.mailbox.Close()
	s.view, s.mailbox, s.saved, s.readOnly, s.behind = nil, nil, nil, false, false
	s.state = authenticated
}

// closeMailbox is CLOSE (RFC 9051 section 6.4.1): messages with \Deleted go, untold.
func (s *session) closeMailbox(c *command) error {
	if err := c.args.end(); err != nil {
		return err
	}
	var err error
	if !s.readOnly {
		_, err = s.mailbox.Expunge(s.ctx, nil)
	}
	s.deselect()
	if errors.Is(err, store.ErrMailboxGone) {
		return nil // what it held went with it
	}
	return err
}

// unselect is UNSELECT (RFC 9051 section 6.4.2).
func (s *session) unselect(c *command) error {
	if err := c.args.end(); err != nil {
		return err
	}
	s.deselect()
	return nil
}
