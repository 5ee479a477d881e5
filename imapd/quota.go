package imapd

import (
	"github.com/emersion/go-imap/v2"

	"kurir/store"
)

// quotaRoot is the one quota root (RFC 9208 section 3.2): that of the account. An account
// without a limit has none.
const quotaRoot = `""`

// quotaUnit is what STORAGE counts in (RFC 9208 section 5.1).
const quotaUnit = 1024

// getQuota is GETQUOTA (RFC 9208 section 4.1.1).
func (s *session) getQuota(c *command) error {
	root := c.args.sp().astring("quota root")
	if err := c.args.end(); err != nil {
		return err
	}
	limit, err := s.account.QuotaLimit(s.ctx)
	if err != nil {
		return err
	}
	if root != "" || limit == 0 {
		return no(imap.ResponseCodeNonExistent, "No such quota root")
	}
	return s.sendQuota()
}

// getQuotaRoot is GETQUOTAROOT (RFC 9208 section 4.1.2): all mailboxes are alike, also those
// that do not exist.
func (s *session) getQuotaRoot(c *command) error {
	name := c.args.sp().mailbox()
	if err := c.args.end(); err != nil {
		return err
	}
	limit, err := s.account.QuotaLimit(s.ctx)
	if err != nil {
		return err
	}
	b := appendMailbox(append(s.out.buf(), "* QUOTAROOT "...), name, s.utf8)
	if limit == 0 {
		s.out.set(append(b, "\r\n"...))
		return nil
	}
	s.out.set(append(append(b, ' '), quotaRoot+"\r\n"...))
	return s.sendQuota()
}

// sendQuota sends the QUOTA response (RFC 9208 section 4.2.1), unless the limit was lifted in
// this moment: a list of no resources is not in its grammar.
func (s *session) sendQuota() error {
	q, err := s.account.Quota(s.ctx)
	if err != nil || q.Limit == 0 {
		return err
	}
	b := append(s.out.buf(), "* QUOTA "+quotaRoot+" (STORAGE "...)
	b = append(appendNumber(b, (q.Used+quotaUnit-1)/quotaUnit), ' ')
	b = appendNumber(b, (q.Limit+quotaUnit-1)/quotaUnit)
	s.out.set(append(b, ")\r\n"...))
	return nil
}

// setQuota is SETQUOTA (RFC 9208 section 4.1.3), which is the administrator's: QUOTASET is
// not offered.
func (s *session) setQuota(c *command) error {
	c.args.sp().astring("quota root")
	c.args.sp().list(func() {
		c.args.atom("resource")
		c.args.sp().number64("limit")
	})
	if err := c.args.end(); err != nil {
		return err
	}
	return no(imap.ResponseCodeNoPerm, "Only the administrator of the server sets quotas")
}

// deletedStorage is the size of the messages with \Deleted in a mailbox, which is what STATUS
// tells as DELETED-STORAGE (RFC 9208 section 4.1.4).
func (s *session) deletedStorage(name string) (size int64, err error) {
	m, err := s.account.Mailbox(s.ctx, name)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	v, err := m.View(s.ctx)
	if err != nil {
		return 0, err
	}
	defer v.Close()
	const chunk = 1000
	infos := make([]store.Info, 0, chunk)
	for from := 1; from <= v.Count(); from += chunk {
		infos = v.Infos(from, min(from+chunk-1, v.Count()), infos[:0])
		for _, i := range infos {
			if i.Flags&store.Deleted != 0 {
				size += i.Size
			}
		}
	}
	return size, nil
}
