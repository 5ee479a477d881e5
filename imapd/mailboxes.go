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

// create is CREATE (RFC 9051 section 6.3.4) with USE (RFC 6154 section 3). A separator
// at the end says that mailboxes are to come below, which is always possible here.
func (s *session) create(c *command) error {
	name := strings.TrimSuffix(c.args.sp().mailbox(), "/")
	var use string
	if c.args.peek() == ' ' {
		c.args.sp().list(func() {
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
	return s.account.Create(s.ctx, name, use)
}

// deleteMailbox is DELETE (RFC 9051 section 6.3.5).
func (s *session) deleteMailbox(c *command) error {
	name := c.args.sp().mailbox()
	if err := c.args.end(); err != nil {
		return err
	}
	if err := s.account.Delete(s.ctx, name); err != nil {
		return err
	}
	return s.leaveDeleted()
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
	from := c.args.sp().mailbox()
	to := c.args.sp().mailbox()
	if err := c.args.end(); err != nil {
		return err
	}
	return s.account.Rename(s.ctx, from, strings.TrimSuffix(to, "/"))
}

// subscribe is SUBSCRIBE (RFC 9051 section 6.3.7). The mailbox need not exist.
func (s *session) subscribe(c *command) error {
	name := c.args.sp().mailbox()
	if err := c.args.end(); err != nil {
		return err
	}
	return s.account.Subscribe(s.ctx, name)
}

// unsubscribe is UNSUBSCRIBE (RFC 9051 section 6.3.8).
func (s *session) unsubscribe(c *command) error {
	name := c.args.sp().mailbox()
	if err := c.args.end(); err != nil {
		return err
	}
	return s.account.Unsubscribe(s.ctx, name)
}
