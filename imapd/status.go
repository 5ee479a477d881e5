package imapd

import (
	"github.com/emersion/go-imap/v2"

	"kurir/store"
)

// status is STATUS (RFC 9051 section 6.3.11).
func (s *session) status(c *command) error {
	name := c.args.sp().mailbox()
	items := c.args.sp().statusItems()
	if err := c.args.end(); err != nil {
		return err
	}
	if items.HighestModSeq {
		s.enableCondstore()
	}
	b, err := s.appendStatus(s.out.buf(), name, items)
	s.out.set(b)
	return err
}

// statusItems reads the list of items of STATUS.
func (p *parser) statusItems() *imap.StatusOptions {
	o := &imap.StatusOptions{}
	p.list(func() {
		switch p.word("status item") {
		case "MESSAGES":
			o.NumMessages = true
		case "RECENT": // RFC 3501
			o.NumRecent = true
		case "UIDNEXT":
			o.UIDNext = true
		case "UIDVALIDITY":
			o.UIDValidity = true
		case "UNSEEN":
			o.NumUnseen = true
		case "DELETED": // RFC 9051
			o.NumDeleted = true
		case "DELETED-STORAGE": // RFC 9208
			o.DeletedStorage = true
		case "SIZE": // RFC 8438
			o.Size = true
		case "HIGHESTMODSEQ": // RFC 7162
			o.HighestModSeq = true
		case "APPENDLIMIT": // RFC 7889
			o.AppendLimit = true
		default:
			p.fail("Unknown status item")
		}
	})
	if p.err == nil && *o == (imap.StatusOptions{}) {
		p.fail("No status items")
	}
	return o
}

// appendStatus appends the STATUS response of a mailbox (RFC 9051 section 7.3.3).
func (s *session) appendStatus(b []byte, name string, o *imap.StatusOptions) ([]byte, error) {
	st, err := s.account.Status(s.ctx, name)
	if err != nil {
		return b, err
	}
	var deleted int64
	if o.DeletedStorage && st.Deleted > 0 {
		if deleted, err = s.deletedStorage(name); err != nil {
			return b, err
		}
	}
	b = append(b, "* STATUS "...)
	b = appendMailbox(b, name, s.utf8)
	b = append(b, " ("...)
	for _, i := range s.statusValues(o, st, deleted) {
		if i.wanted {
			b = append(append(b, i.name...), ' ')
			b = append(appendNumber(b, i.value), ' ')
		}
	}
	b[len(b)-1] = ')'
	return append(b, "\r\n"...), nil
}

type statusValue struct {
	wanted bool
	name   string
	value  uint64
}

func (s *session) statusValues(o *imap.StatusOptions, st store.Status, deleted int64) []statusValue {
	return []statusValue{
		{o.NumMessages, "MESSAGES", uint64(st.Messages)},
		{o.NumRecent, "RECENT", 0},
		{o.UIDNext, "UIDNEXT", uint64(st.UIDNext)},
		{o.UIDValidity, "UIDVALIDITY", uint64(st.UIDValidity)},
		{o.NumUnseen, "UNSEEN", uint64(st.Unseen)},
		{o.NumDeleted, "DELETED", uint64(st.Deleted)},
		{o.DeletedStorage, "DELETED-STORAGE", uint64(deleted)},
		{o.Size, "SIZE", uint64(st.Size)},
		{o.HighestModSeq, "HIGHESTMODSEQ", uint64(st.HighestModSeq)},
		{o.AppendLimit, "APPENDLIMIT", uint64(s.maxMessage())},
	}
}
