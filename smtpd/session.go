package smtpd

import (
	"io"

	"github.com/emersion/go-smtp"

	"kurir/internal/policy"
	"kurir/internal/trace"
)

// session is one go-smtp session: a client's dialogue, up to STARTTLS or its end.
type session struct {
	wire    *wire
	account string // logged in as; "" not at all
	entered *entered

	open       bool // between MAIL and the end of the message
	by         submitter
	mail       mailCommand
	recipients []recipient
	targets    []Target
	known      map[string]bool  // accounts in targets
	closed     map[string]error // of these, those whose mail has to wait, and why
	onward     int              // addresses elsewhere that recipients lead to
	tlsWaived  bool             // what recipients' domains ask for of TLS does not count for the sender
	verdict    policy.Verdict   // on a stranger's message, once it was judged
	each       outcomes         // of LMTP
	steps      []trace.Step     // of the message under way, for its trace
	partial    bool             // a message was refused before its last chunk
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
	s.noteRefusal(r)
	return r.smtp()
}

// Reset forgets the transaction (RFC 5321 section 4.1.1.5).
func (s *session) Reset() { *s = session{wire: s.wire, account: s.account, entered: s.entered} }

// Logout is called when go-smtp is done with the session.
func (s *session) Logout() error {
	if s.entered != nil {
		s.wire.srv.Sessions.Leave(&s.entered.Session)
		s.entered = nil
	}
	s.Reset()
	return nil
}

// Mail begins a transaction. The address is w.mail's: what go-smtp made of it has lost
// its quotes.
func (s *session) Mail(string, *smtp.MailOptions) error {
	w := s.wire
	switch {
	case s.open:
		return s.fail(replyNested)
	case w.messages >= w.srv.MaxMessages && w.run.mode != Trusted:
		return s.fail(replyTooMany)
	}
	by, r := s.whoSends(w.mail.From)
	if r == nil {
		r = s.gateMail(by, w.mail.From)
	}
	if r == nil {
		r = w.room(w.mail.Size)
	}
	if r != nil {
		return s.fail(r)
	}
	w.messages++
	s.open, s.by, s.mail = true, by, w.mail
	return nil
}

// room puts off a message that there is no room for (RFC 1870 section 6.2).
func (w *wire) room(size int64) *Reply {
	if w.srv.Room == nil {
		return nil
	}
	if err := w.srv.Room(size); err != nil {
		return replyDiskFull.because(err)
	}
	return nil
}

// Data takes the message from the wire. What go-smtp would read of it is only its end.
func (s *session) Data(io.Reader) error {
	defer s.Reset()
	r := s.receive()
	s.answerEach(r)
	return r.smtp()
}
