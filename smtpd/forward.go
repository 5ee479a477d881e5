package smtpd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kurir/internal/directory"
	"kurir/internal/dsn"
	"kurir/internal/policy"
	"kurir/internal/queue"
	"kurir/internal/relay"
)

// Forwarder passes mail on to addresses of other servers that aliases lead to.
type Forwarder interface {
	// Sender is the reverse-path with which an alias, given by its address, passes on what
	// came from sender. An error is the sender's fault, in words.
	Sender(sender, alias string) (string, error)
	// Return says who gets what comes back to an address of Sender's: is tells whether the
	// address has the form of one, and is ours. The error is directory.ErrNoAccount for one
	// that is forged, or too old.
	Return(ctx context.Context, address string) (to []directory.Recipient, is bool, err error)
	// Room tells whether an alias may pass on so many copies more now.
	Room(alias string, copies int) bool
	// Passed counts copies that an alias passes on.
	Passed(alias string, copies int)
	// Seal makes header lines for the top of a message that an alias passes on; none where
	// there is nothing to seal it with.
	Seal(ctx context.Context, alias string, v policy.Verdict, open policy.Open) []byte
}

// onward is an address of another server that the mail for a recipient goes on to.
type onward struct {
	address string
	sender  string // the reverse-path that it goes with
	alias   string // whose target it is; "" for the sender of a message that comes back
}

// maxOnward bounds the addresses elsewhere that the aliases of one message lead to.
const maxOnward = 2 * directory.MaxRecipients

var (
	replyReturnsOnly = &Reply{550, "5.7.1", "this address takes notices of delivery alone, from <>", nil}
	replyNoReturn    = &Reply{550, "5.1.1", "this return address was not made here, or is too old", nil}
	replyNoForward   = &Reply{450, "4.2.1", "this address passes its mail on to another server, which is not possible at the moment", nil}
	replyManyForward = &Reply{450, "4.7.1", "this address has passed on as much mail as it may in an hour, try again later", nil}
	replyJunkForward = &Reply{550, "5.7.1", "this message looks like junk, which is not passed on to other servers", nil}
)

// returning finds out whom a message to a return address of ours goes back to (RFC 5321
// section 3.6.2, errors of mail that was passed on). is is false for all other addresses.
// Such an address must not become a way around the checks on mail to others: only what
// comes from nobody goes back.
func (s *session) returning(to Path) (r recipient, is bool, err error) {
	f := s.wire.srv.Forward
	if f == nil || to.Domain == "" {
		return r, false, nil
	}
	found, is, err := f.Return(s.wire.ctx, to.String())
	switch {
	case !is:
		return r, false, nil
	case errors.Is(err, directory.ErrNoAccount):
		return r, true, replyNoReturn.because(err)
	case err != nil:
		return r, true, err
	case !s.mail.From.IsNull():
		return r, true, replyReturnsOnly
	}
	r, err = s.lead(found)
	return r, true, err
}

// lead divides those behind an address into accounts that have room and addresses
// elsewhere. Where some accounts have room and others have not, those wait: a delivery
// that fails is tried again.
func (s *session) lead(found []directory.Recipient) (r recipient, err error) {
	room := false
	for _, one := range found {
		if one.Deferred {
			err = r.putOff(one)
			continue
		}
		if one.Remote != "" {
			o := onward{address: one.Remote, alias: one.Alias}
			if o.sender, err = s.onwardSender(one.Alias); err != nil {
				return r, err
			}
			r.onward, room = append(r.onward, o), true
			continue
		}
		r.accounts = append(r.accounts, one.Account.Address)
		if one.Detail != "" && s.wire.srv.PlusFolders {
			if r.details == nil {
				r.details = map[string]string{}
			}
			r.details[one.Account.Address] = one.Detail
		}
		if qerr := s.wire.srv.Store.CheckQuota(s.wire.ctx, one.Account.Address, s.mail.Size); qerr != nil {
			err = qerr
			continue
		}
		room = true
	}
	switch {
	case len(found) == 0:
		return r, directory.ErrNoAccount
	case !room:
		return r, err
	}
	return r, s.mayForward(r.onward)
}

// onwardSender is the reverse-path with which an alias passes this message on. Whoever
// may write with an address of ours keeps it: our servers are the ones that may send it.
func (s *session) onwardSender(alias string) (string, error) {
	f := s.wire.srv.Forward
	switch {
	case f == nil:
		return "", replyNoForward
	case s.mail.From.IsNull():
		return "", nil
	case s.by.submits():
		if _, err := s.find(s.mail.From); !errors.Is(err, directory.ErrNoDomain) {
			return s.mail.From.String(), nil
		}
	}
	sender, err := f.Sender(s.mail.From.String(), alias)
	if err == nil {
		err = s.mayRelay(s.mail.From) // what comes back could go nowhere
	}
	if err != nil {
		return "", &Reply{550, "5.1.7", "mail from this sender address can't be passed on to another server", err}
	}
	return sender, nil
}

// mayForward says why mail can't be passed on; nil: it can.
func (s *session) mayForward(to []onward) error {
	if len(to) == 0 {
		return nil
	}
	if s.wire.srv.Forward == nil || s.wire.srv.Queue == nil {
		return replyNoForward
	}
	for alias, n := range copies(to) {
		if alias != "" && !s.wire.srv.Forward.Room(alias, n) {
			return replyManyForward
		}
	}
	return nil
}

// copies counts what each alias passes on.
func copies(to []onward) map[string]int {
	n := map[string]int{}
	for _, o := range to {
		n[o.alias]++
	}
	return n
}

// allOnward are the addresses elsewhere of all recipients, each once.
func (s *session) allOnward() (all []onward) {
	seen := map[string]bool{}
	for _, r := range s.recipients {
		for _, o := range r.onward {
			if !seen[o.address] {
				seen[o.address] = true
				all = append(all, o)
			}
		}
	}
	return all
}

// dropJunk keeps a message that looks like junk here. A recipient who would get nothing
// then is a reason to refuse it, as nobody would ever know.
func (s *session) dropJunk() *Reply {
	dropped := 0
	for _, r := range s.recipients {
		if len(r.onward) > 0 && len(r.accounts) == 0 {
			return replyJunkForward
		}
		dropped += len(r.onward)
	}
	if dropped == 0 {
		return nil
	}
	for i := range s.recipients {
		s.recipients[i].onward = nil
	}
	s.wire.log.Info("junk is not passed on", "id", s.messageID(), "copies", dropped)
	return nil
}

// forwardHeader makes the header lines that come above Received and below it when a
// message is passed on: the seal (RFC 8617), and the address that it was passed on from
// (RFC 9228), by which a circle is noticed. What users and programs here write needs no
// seal, as it is signed.
func (s *session) forwardHeader(ctx context.Context, m Staged) (above, below []byte) {
	alias := ""
	for _, o := range s.allOnward() {
		if alias = o.alias; alias != "" {
			break
		}
	}
	if alias == "" {
		return nil, nil
	}
	if !s.by.submits() {
		above = s.wire.srv.Forward.Seal(ctx, alias, s.verdict, m.Reader)
	}
	if len(s.recipients) == 1 && s.recipients[0].To.ASCII() {
		below = fmt.Appendf(nil, "Delivered-To: %s\r\n", s.wire.address(s.recipients[0].To))
	}
	return above, below
}

// onwardEnvelopes are what the queue is to know of the message as aliases pass it on: an
// envelope for each sender that it goes with. They are nobody's submission, so that they
// count towards no account's limits.
func (s *session) onwardEnvelopes(size int64) (all []queue.Envelope) {
	seen := map[string]bool{}
	for _, r := range s.recipients {
		for _, o := range r.onward {
			if o.alias == "" || seen[o.address] { // it goes back with the sender that it has; one copy is enough
				continue
			}
			seen[o.address] = true
			i := slices.IndexFunc(all, func(e queue.Envelope) bool { return e.Sender == o.sender })
			if i < 0 {
				i = len(all)
				e := s.emptyEnvelope(size)
				e.Sender, e.Account, e.Client = o.sender, "", e.Client+", passed on by "+o.alias
				all = append(all, e)
			}
			e := &all[i]
			e.UTF8 = e.UTF8 || !isASCII(o.address)
			e.Recipients = append(e.Recipients, queue.Recipient{Address: o.address, ORCPT: s.originalRecipient(r), Notify: s.onwardNotify(r)})
		}
	}
	return all
}

// originalRecipient is the ORCPT of copies: the one that came, or the address that the
// sender knows (RFC 3461 section 5.2.1).
func (s *session) originalRecipient(r recipient) string {
	if r.ORCPT != "" || !r.To.ASCII() {
		return r.ORCPT
	}
	return "rfc822;" + string(dsn.AppendXtext(nil, s.wire.address(r.To)))
}

// onwardNotify is what the sender is to hear of a copy. Of several copies none reports
// success (RFC 3461 section 5.2.7.3). Strangers hear of failures alone, as many a sender
// is forged.
func (s *session) onwardNotify(r recipient) relay.Notify {
	n := r.Notify
	switch {
	case !s.by.submits() && n == relay.NotifyDefault:
		return relay.NotifyFailure
	case r.expands() && n.Success():
		if n &^= relay.NotifySuccess; n == 0 {
			return relay.NotifyNever
		}
	}
	return n
}

// expands tells whether an address leads to several, of which not all are here.
func (r recipient) expands() bool { return len(r.onward) > 0 && len(r.onward)+len(r.accounts) > 1 }

// elsewhere tells whether a recipient is an address of another server itself.
func (r recipient) elsewhere() bool { return r.accounts == nil && r.onward == nil }

// comesBack tells whether a message goes back to its sender elsewhere.
func (r recipient) comesBack() bool { return len(r.onward) == 1 && r.onward[0].alias == "" }

// passed counts and logs what has been passed on.
func (s *session) passed(all []queue.Envelope) {
	for alias, n := range copies(s.allOnward()) {
		if alias != "" {
			s.wire.srv.Forward.Passed(alias, n)
		}
	}
	for _, e := range all {
		var to []string
		for _, r := range e.Recipients {
			to = append(to, r.Address)
		}
		s.wire.log.Info("message passed on", "id", s.messageID(), "queue", e.ID, "from", e.Sender, "to", strings.Join(to, " "))
	}
}
