package imapd

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"kurir/store"
)

var errReadOnly = no(imap.ResponseCodeCannot, "Mailbox was opened for reading only")

// resolve gives the messages of the view that a set names: sequence numbers, or UIDs after
// a UID command, and the saved result.
func (s *session) resolve(c *command, m messageSet) (spans []span, err error) {
	if err := s.view.Load(); err != nil {
		return nil, err
	}
	if c.uid {
		spans = m.uidSpans(s.view.UIDs())
	} else if spans, err = m.seqSpans(s.view.Count()); err != nil {
		return nil, err
	}
	if m.saved {
		spans = unionSpans(spans, listSpans(s.view.UIDs(), s.saved))
	}
	return spans, nil
}

// copy is COPY and UID COPY (RFC 9051 section 6.4.7).
func (s *session) copy(c *command) error {
	res, err := s.transfer(c, (*store.Mailbox).Copy)
	if err == nil && len(res.Dest) > 0 {
		c.code = copyUID(res)
	}
	return err
}

// move is MOVE and UID MOVE (RFC 9051 section 6.4.8). COPYUID goes in front of the
// EXPUNGE responses, which come with what is told before the tagged reply.
func (s *session) move(c *command) error {
	if s.readOnly {
		return errReadOnly
	}
	res, err := s.transfer(c, (*store.Mailbox).Move)
	if len(res.Dest) > 0 { // also where an error came after the first messages
		s.out.line("* OK [", copyUID(res), "] Moved")
		c.expunged = true
	}
	return err
}

// copyFunc is Copy or Move of a mailbox.
type copyFunc func(from *store.Mailbox, ctx context.Context, uids []store.UID, to *store.Mailbox) (store.CopyResult, error)

// transfer reads the arguments of COPY and MOVE, and runs one of them.
func (s *session) transfer(c *command, do copyFunc) (res store.CopyResult, err error) {
	set := c.args.sp().set()
	name := c.args.sp().mailbox()
	if err := c.args.end(); err != nil {
		return res, err
	}
	spans, err := s.resolve(c, set)
	if err != nil {
		return res, err
	}
	to, err := s.account.Mailbox(s.ctx, name)
	if err != nil {
		return res, tryCreate(err)
	}
	defer to.Close()
	if len(spans) == 0 {
		return res, nil
	}
	res, err = do(s.mailbox, s.ctx, spanUIDs(s.view.UIDs(), spans), to)
	if err == nil && !c.uid && len(res.Source) == 0 { // RFC 2180 section 4.4; UIDs that are gone are passed over
		err = no(codeExpungeIssued, "The messages are gone")
	}
	return res, err
}

// copyUID is the response code COPYUID (RFC 4315 section 3).
func copyUID(res store.CopyResult) string {
	b := appendNumber([]byte("COPYUID "), res.UIDValidity)
	b = appendUIDList(append(b, ' '), res.Source)
	b = appendUIDList(append(b, ' '), res.Dest)
	return string(b)
}

// expunge is EXPUNGE and UID EXPUNGE (RFC 9051 sections 6.4.3 and 6.4.9). The EXPUNGE
// responses come with what is told before the tagged reply.
func (s *session) expunge(c *command) error {
	var set messageSet
	if c.uid {
		set = c.args.sp().set()
	}
	if err := c.args.end(); err != nil {
		return err
	}
	if s.readOnly {
		return errReadOnly
	}
	var uids []store.UID // all
	if c.uid {
		spans, err := s.resolve(c, set)
		if err != nil || len(spans) == 0 {
			return err
		}
		uids = spanUIDs(s.view.UIDs(), spans)
	}
	gone, err := s.mailbox.Expunge(s.ctx, uids)
	c.expunged = len(gone) > 0
	return err
}
