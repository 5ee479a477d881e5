package smtpd

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"kurir/internal/directory"
)

// Directory says who receives mail and who may send it. Addresses are as in SMTP,
// a local part quoted where it must be. Errors are those of package directory.
type Directory interface {
	// Resolve returns the accounts behind an address, or behind "postmaster".
	Resolve(ctx context.Context, address string) ([]directory.Recipient, error)
	// MaySendAs tells whether an account may write mail as address.
	MaySendAs(ctx context.Context, account, address string) (bool, error)
	// MayPost tells whether an account, or without one a sender, may write to an address.
	MayPost(ctx context.Context, account, sender, address string) (directory.Posting, error)
}

// recipient is one that was accepted.
type recipient struct {
	rcptCommand
	accounts []string          // that it leads to here
	details  map[string]string // what stands behind the + for an account, if anything does
	closed   map[string]error  // of accounts, those whose mail has to wait, and why
	unproven bool              // the message has to prove that it is a member's of this group
	onward   []onward          // addresses elsewhere that it leads to; none and no accounts: it is elsewhere itself
}

// Rcpt decides about one recipient.
func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	c := s.wire.rcpt
	if (!c.To.ASCII() || !isASCII(c.ORCPT)) && !s.mail.UTF8 {
		return s.fail(replyNeedsUTF8)
	}
	r, err := s.resolve(c.To)
	if errors.Is(err, directory.ErrNoDomain) && s.by.submits() {
		err = s.mayRelay(c.To)
	}
	if err == nil && !r.elsewhere() {
		r.unproven, err = s.mayPost(c.To)
	}
	if err != nil {
		return s.fail(replyTo(s.refuseRecipient(c.To, err)))
	}
	if err := s.gateRcpt(c.To); err != nil {
		return s.fail(replyTo(err))
	}
	if n := len(s.targets); n+len(r.accounts) > 10*s.wire.srv.MaxRecipients && n > 0 || s.onward+len(r.onward) > maxOnward {
		return s.fail(replyManyTargets)
	}
	if i := slices.IndexFunc(s.recipients, func(r recipient) bool { return r.To.same(c.To) }); i >= 0 {
		s.each.order = append(s.each.order, i)
		return nil // one message is enough
	}
	for _, a := range r.accounts {
		if s.known == nil {
			s.known = make(map[string]bool)
		}
		if !s.known[a] { // one copy for each mailbox, however it was reached
			s.known[a] = true
			s.targets = append(s.targets, Target{Address: a, Recipient: s.wire.address(c.To), Detail: r.details[a]})
		}
	}
	s.wait(r)
	r.rcptCommand = c
	s.each.order = append(s.each.order, len(s.recipients))
	s.recipients, s.onward = append(s.recipients, r), s.onward+len(r.onward)
	return nil
}

// resolve says who receives mail for a recipient.
func (s *session) resolve(to Path) (recipient, error) {
	if r, is, err := s.returning(to); is {
		return r, err
	}
	found, err := s.find(to)
	if err != nil {
		return recipient{}, err
	}
	return s.lead(found)
}

// find asks the directory. ErrNoDomain is for addresses elsewhere alone.
func (s *session) find(to Path) ([]directory.Recipient, error) {
	w := s.wire
	if to.Domain != "" && !isOrdinary(to.Domain) {
		return nil, directory.ErrNoDomain
	}
	found, err := w.srv.Directory.Resolve(w.ctx, to.String())
	if !errors.Is(err, directory.ErrNoDomain) {
		return found, err
	}
	if to.Domain != "" && !w.isOwnName(to.Domain) {
		return nil, err
	}
	// This host by its own name, which need not be a domain of ours.
	local := strings.ToLower(to.Local)
	if to.Domain != "" && (local == "postmaster" || local == "root" && (w.run.mode == Trusted || w.device != nil)) {
		if found, err = w.srv.Directory.Resolve(w.ctx, "postmaster"); !errors.Is(err, directory.ErrNoDomain) {
			return found, err
		}
	}
	return nil, directory.ErrNoAccount
}

// isOrdinary tells whether a domain could be one of the directory's: an address literal,
// or a host name with an underscore, could not.
func isOrdinary(domain string) bool {
	_, err := directory.ParseDomain(domain)
	return err == nil
}

// isOwnName tells whether a domain is this host and nothing else.
func (w *wire) isOwnName(domain string) bool {
	a, _ := directory.ParseDomain(domain)
	b, _ := directory.ParseDomain(w.srv.Hostname)
	return a == b && a != "" || a == "localhost" || a == "localhost.localdomain"
}

// mayRelay says why mail for elsewhere can't be sent; nil: it can.
func (s *session) mayRelay(to Path) error {
	switch {
	case s.wire.srv.Queue == nil:
		return replyNoRemote
	case to.Domain[0] == '[':
		return literalFault(to.Domain)
	case !strings.Contains(to.Domain, "."):
		return replyShortDomain
	case !isHostName(to.Domain):
		return replyNoDomain
	}
	return s.suppressed(to)
}

// suppressed refuses an address that is known not to exist.
func (s *session) suppressed(to Path) error {
	if s.wire.srv.Suppressed == nil {
		return nil
	}
	if why, is := s.wire.srv.Suppressed(to.String()); is {
		return &Reply{550, "5.1.1", strings.Map(oneLine, why), nil}
	}
	return nil
}

// isHostName tells whether a domain could be in the DNS. Underscores are no reason to
// refuse it, an IP address without its brackets is.
func isHostName(domain string) bool {
	if !isASCII(domain) || strings.Contains(strings.ToLower(domain), "xn--") {
		return isOrdinary(domain)
	}
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	return len(domain) <= 253 && strings.Trim(top, "0123456789") != ""
}

// literalFault refuses an address literal that is no other host's.
func literalFault(domain string) error {
	a, err := netip.ParseAddr(strings.TrimPrefix(strings.ToLower(domain[1:len(domain)-1]), "ipv6:"))
	a = a.Unmap()
	if err != nil || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() {
		return replyNoDomain
	}
	if a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240) { // RFC 6890: this host, reserved, broadcast
		return replyNoDomain
	}
	return nil
}

// refuseRecipient answers an address that leads nowhere. The directory's advice to the
// administrator, how to add it, would read oddly below a stranger's attempt.
func (s *session) refuseRecipient(to Path, err error) error {
	cause := errors.New(s.wire.address(to))
	if r, ok := err.(*Reply); ok {
		return r.because(errors.Join(cause, r.Err))
	}
	switch {
	case errors.Is(err, directory.ErrNoDomain) && s.wire.device != nil:
		return s.wire.deviceReply(replyNoRelay).because(cause)
	case errors.Is(err, directory.ErrNoDomain):
		return replyNoRelay.because(cause)
	case errors.Is(err, directory.ErrNoAccount):
		return replyNoUser.because(cause)
	}
	return err
}

// address is a mailbox with its domain: <postmaster> has none on the wire.
func (w *wire) address(p Path) string {
	if p.Domain == "" && !p.IsNull() {
		p.Domain = w.srv.Hostname
	}
	return p.String()
}
