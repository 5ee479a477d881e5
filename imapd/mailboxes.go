package imapd

import (
	"errors"
	"strings"

	"github.com/emersion/go-imap/v2"

	"kurir/store"
)

// specialUses gives the attributes of RFC 6154 that a mailbox can have their names in the store.
var specialUses = []struct {
	attr imap.MailboxAttr
	use  string
}{
	{imap.MailboxAttrArchive, "Archive"},
	{imap.MailboxAttrDrafts, "Drafts"},
	{imap.MailboxAttrJunk, "Junk"},
	{imap.MailboxAttrSent, "Sent"},
	{imap.MailboxAttrTrash, "Trash"},
}

// level reads the name of a mailbox that may have a separator at its end: for CREATE it says
// that mailboxes are to come below (RFC 9051 section 6.3.4), which is always possible here,
// and some clients send it with the other commands about names too. sent is the name as it
// was sent, if that is not its spelling here, else "".
func (p *parser) level() (name, sent string) {
	name = strings.TrimSuffix(p.mailbox(), "/")
	return name, strings.TrimSuffix(p.sent, "/")
}

// create is CREATE (RFC 9051 section 6.3.4) with USE (RFC 6154 section 3).
func (s *session) create(c *command) error {
	name, sent := c.args.sp().level()
	var use string
	if c.args.peek() == ' ' && len(c.args.rest()) > 1 {
		c.args.sp().modifiers(func() {
			if c.args.word("CREATE parameter") != "USE" {
				c.args.fail("Unknown CREATE parameter")
			}
			c.args.sp().list(func() {
				attr := c.args.flag()
				if use != "" {
					c.args.refuse(no(codeUseAttr, "A mailbox has no more than one special use"))
				}
				for _, u := range specialUses {
					if strings.EqualFold(string(attr), string(u.attr)) {
						use = u.use
					}
				}
				if use == "" {
					c.args.refuse(no(codeUseAttr, "Special use not supported"))
				}
			})
		})
	}
	if err := c.args.end(); err != nil {
		return err
	}
	if err := s.account.Create(s.ctx, name, use); err != nil {
		return err
	}
	return s.tellName(name, sent)
}

// tellName tells an IMAP4rev2 client that a mailbox it named in a form of Unicode other than
// NFC has another spelling here (RFC 9051 section 6.3.9.7). sent is "" if it did not.
func (s *session) tellName(name, sent string) error {
	if !s.rev2 || sent == "" {
		return nil
	}
	l := &listing{extended: true, oldName: sent}
	l.ReturnSubscribed = true
	m, err := s.account.MailboxInfo(s.ctx, name)
	if err == nil {
		s.out.set(s.appendListLine(s.out.buf(), l, m, true, false))
	}
	return err
}

// deleteMailbox is DELETE (RFC 9051 section 6.3.5).
func (s *session) deleteMailbox(c *command) error {
	name, sent := c.args.sp().level()
	if err := c.args.end(); err != nil {
		return err
	}
	if err := s.account.Delete(s.ctx, name); errors.Is(err, store.ErrNoMailbox) {
		return s.whyNotDeleted(name, err)
	} else if err != nil {
		return err
	}
	if err := s.tellName(name, sent); err != nil {
		return err
	}
	return s.leaveDeleted()
}

// whyNotDeleted tells a level that is only there for the mailboxes below it from one that is
// not there at all (RFC 9051 section 6.3.5, RFC 5530 section 3).
func (s *session) whyNotDeleted(name string, err error) error {
	if m, err2 := s.account.MailboxInfo(s.ctx, name); err2 != nil || !m.HasChildren {
		return err
	}
	r := no(imap.ResponseCodeHasChildren, "Not a mailbox itself: delete those below it")
	r.cause = err
	return r
}

// leaveDeleted closes the selected mailbox if it is the one that was just deleted: the
// session goes on in the authenticated state.
func (s *session) leaveDeleted() error {
	if s.view == nil {
		return nil
	}
	if _, err := s.mailbox.Status(s.ctx); !errors.Is(err, store.ErrMailboxGone) {
		return nil
	}
	s.deselect()
	s.out.line("* OK [CLOSED] The selected mailbox has been deleted")
	return nil
}

// rename is RENAME (RFC 9051 section 6.3.6).
func (s *session) rename(c *command) error {
	from, sent := c.args.sp().level()
	to, toSent := c.args.sp().level()
	if sent == "" && toSent != "" {
		sent = from
	}
	if err := c.args.end(); err != nil {
		return err
	}
	if err := s.account.Rename(s.ctx, from, to); err != nil {
		return err
	}
	return s.tellName(to, sent)
}

// subscribe is SUBSCRIBE (RFC 9051 section 6.3.7). The mailbox need not exist.
func (s *session) subscribe(c *command) error {
	name, _ := c.args.sp().level()
	if err := c.args.end(); err != nil {
		return err
	}
	return s.account.Subscribe(s.ctx, name)
}

// unsubscribe is UNSUBSCRIBE (RFC 9051 section 6.3.8).
func (s *session) unsubscribe(c *command) error {
	name, _ := c.args.sp().level()
	if err := c.args.end(); err != nil {
		return err
	}
	return s.account.Unsubscribe(s.ctx, name)
}
