package smtpd

import (
	"context"
	"errors"
	"io"

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
}

// session is one go-smtp session: a client's dialogue, up to STARTTLS or its end.
type session struct {
	wire    *wire
	account string // logged in as; "" not at all

	open       bool // between MAIL and the end of the message
	mail       mailCommand
	recipients []Path
	targets    []Target
	known      map[string]bool // accounts in targets
}

var _ smtp.AuthSession = (*session)(nil)

// fail logs a refusal, and its cause, and puts it into go-smtp's terms.
func (s *session) fail(r *Reply) error {
	log := s.wire.log
	if r.Text == replyUnavailable.Text || r.Text == replyAuthLater.Text {
		log.Error("failed", "reply", r)
	} else {
		log.Warn("refused", "reply", r)
	}
	return r.smtp()
}

// Reset forgets the transaction (RFC 5321 section 4.1.1.5).
func (s *session) Reset() {
	s.open, s.mail, s.recipients, s.targets, s.known = false, mailCommand{}, nil, nil, nil
}

// Logout is called when go-smtp is done with the session.
func (s *session) Logout() error {
	s.Reset()
	return nil
}

// Mail begins a transaction. The address is w.mail's: what go-smtp made of it has lost
// its quotes.
func (s *session) Mail(string, *smtp.MailOptions) error {
	w := s.wire
	if r := s.mayMail(); r != nil {
		return s.fail(r)
	}
	if w.run.mode != Inbound && !w.mail.From.IsNull() {
		ok, err := w.srv.Directory.MaySendAs(w.ctx, s.account, w.mail.From.String())
		switch {
		case err != nil && replyTo(err).Code < 500:
			return s.fail(replyTo(err))
		case err != nil || !ok:
			return s.fail(replyNotYours.because(err))
		}
	}
	w.messages++
	s.open, s.mail = true, w.mail
	return nil
}

// mayMail says why there can be no transaction now; nil: there can.
func (s *session) mayMail() *Reply {
	w := s.wire
	switch {
	case s.open:
		return replyNested
	case w.messages >= w.srv.MaxMessages:
		return replyTooMany
	case w.run.mode == Inbound:
		if w.early != nil && w.early() {
			return replyEarly
		}
	case s.account == "" && w.hasAuth() && !w.mayAuth():
		return replyMustTLS
	case s.account == "":
		return replyMustAuth
	}
	return nil
}

// Rcpt decides about one recipient.
func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	to := s.wire.rcpt
	if !to.ASCII() && !s.mail.UTF8 {
		return s.fail(replyNeedsUTF8)
	}
	accounts, err := s.resolve(to)
	if err != nil {
		return s.fail(replyTo(err))
	}
	if len(s.targets)+len(accounts) > 10*s.wire.srv.MaxRecipients && len(s.targets) > 0 {
		return s.fail(replyManyTargets)
	}
	for _, a := range accounts {
		if s.known == nil {
			s.known = make(map[string]bool)
		}
		if !s.known[a] { // one copy for each mailbox, however it was reached
			s.known[a] = true
			s.targets = append(s.targets, Target{Address: a, Recipient: to.String()})
		}
	}
	s.recipients = append(s.recipients, to)
	return nil
}

// resolve returns the accounts that receive mail for a recipient and have room for it.
// Where some have and others have not, those wait: a delivery that fails is tried again.
func (s *session) resolve(to Path) (accounts []string, err error) {
	w := s.wire
	found, err := w.srv.Directory.Resolve(w.ctx, to.String())
	if err != nil {
		return nil, w.refuseRecipient(to, err)
	}
	if len(found) == 0 {
		return nil, directory.ErrNoAccount
	}
	room := false
	err = nil
	for _, r := range found {
		accounts = append(accounts, r.Account.Address)
		if qerr := w.srv.Store.CheckQuota(w.ctx, r.Account.Address, s.mail.Size); qerr != nil {
			err = qerr
			continue
		}
		room = true
	}
	if !room {
		return nil, err
	}
	return accounts, nil
}

// refuseRecipient answers an address that leads nowhere. The directory's advice to the
// administrator, how to add it, would read oddly below a stranger's attempt.
func (w *wire) refuseRecipient(to Path, err error) error {
	switch {
	case errors.Is(err, directory.ErrNoDomain) && w.run.mode != Inbound:
		return replyNoRemote.because(errors.New(to.String()))
	case errors.Is(err, directory.ErrNoDomain):
		return replyNoRelay.because(errors.New(to.String()))
	case errors.Is(err, directory.ErrNoAccount):
		return replyNoUser.because(errors.New(to.String()))
	}
	return err
}

// Data takes the message from the wire. What go-smtp would read of it is only its end.
func (s *session) Data(io.Reader) error {
	defer s.Reset()
	if r := s.receive(); r != nil {
		return r.smtp()
	}
	return nil
}
