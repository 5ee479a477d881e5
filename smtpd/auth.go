package smtpd

import (
	"context"
	"crypto/tls"
	"strings"
	"sync/atomic"

	"github.com/emersion/go-sasl"

	"kurir/internal/auth"
)

// Auth checks logins.
type Auth interface {
	// Authenticate tells whose login it is. Errors are those of package auth.
	Authenticate(ctx context.Context, a auth.Attempt) (auth.Login, error)
	// Mechanisms are those of SASL that a session is offered, of which at says what is known.
	Mechanisms(at auth.Attempt) []string
	// NewExchange is the server's half of one of them; nil if it is not on offer. It calls
	// login once, with the attempt complete, which is to call Authenticate.
	NewExchange(ctx context.Context, mechanism string, at auth.Attempt, login func(auth.Attempt) error) auth.Exchange
}

func (w *wire) doAuth(arg string) {
	if n := len(strings.Fields(arg)); n < 1 || n > 2 {
		w.refuse(replyAuthSyntax)
		return
	}
	w.give("AUTH " + arg)
}

// saslLine hands the client's response to a 334 on.
func (w *wire) saslLine(line []byte) { w.give(string(line)) }

// cancelSASL ends the exchange in go-smtp, whose answer the client must not see: it has
// had one.
func (w *wire) cancelSASL() {
	w.sasl, w.mute = false, true
	w.give("*")
}

// AuthMechanisms says what EHLO offers: passwords only under TLS, or to addresses that
// may send them in the clear.
func (s *session) AuthMechanisms() []string {
	if !s.wire.mayAuth() {
		return nil
	}
	return s.wire.srv.Auth.Mechanisms(s.wire.attempt())
}

// tlsState is what TLS is like on this connection; nil without it.
func (w *wire) tlsState() *tls.ConnectionState {
	if w.tls == nil {
		return nil
	}
	state := w.tls.ConnectionState()
	return &state
}

func (w *wire) mayAuth() bool {
	return w.hasAuth() && (w.tls != nil || w.srv.AllowPlaintext != nil && w.srv.AllowPlaintext(w.ip))
}

func (w *wire) hasAuth() bool {
	return (w.run.mode == Submission || w.run.mode == SubmissionTLS) && w.srv.Auth != nil
}

// Auth begins an exchange.
func (s *session) Auth(mech string) (sasl.Server, error) {
	switch {
	case !s.wire.hasAuth():
		return nil, s.fail(replyAuthNone)
	case !s.wire.mayAuth():
		return nil, s.fail(replyAuthTLS)
	case s.open:
		return nil, s.fail(replyAuthNow)
	}
	x := s.wire.srv.Auth.NewExchange(s.wire.ctx, mech, s.wire.attempt(), s.login)
	if x == nil {
		return nil, s.fail(replyAuthMechanism)
	}
	return exchange{s, x}, nil
}

// exchange puts the errors of an auth.Exchange into go-smtp's terms.
type exchange struct {
	s *session
	auth.Exchange
}

func (x exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = x.Exchange.Next(response)
	if err != nil {
		r := replyTo(err)
		if r.Text == replyUnavailable.Text {
			r = replyAuthLater.because(err)
		}
		err = x.s.fail(r)
	}
	return challenge, done, err
}

// attempt is what is known of a login before it begins.
func (w *wire) attempt() auth.Attempt {
	return auth.Attempt{Protocol: "submission", Remote: w.ip, TLS: w.tlsState(), Log: w.log}
}

// login checks what the client has sent and takes the account for this session.
func (s *session) login(at auth.Attempt) error {
	w := s.wire
	for {
		mark := w.srv.Sessions.Mark()
		login, err := w.srv.Auth.Authenticate(w.ctx, at)
		if err != nil {
			return err
		}
		e := &entered{Session: auth.Session{Address: login.Address, Credential: login.Credential, Remote: w.ip}}
		e.End = func() { e.over.Store(true) }
		if err := w.srv.Sessions.Enter(&e.Session, mark, -1); err != nil {
			continue // ErrStale: the password may be another since it was checked
		}
		s.account, s.entered = login.Address, e
		w.log = w.log.With("account", login.Address)
		return nil
	}
}

// entered is a login as Server.Sessions has it. One that has ended sends nothing more; the
// connection is told so with its next message.
type entered struct {
	auth.Session
	over atomic.Bool
}
