package imapd

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/emersion/go-imap/v2"

	"kurir/internal/auth"
	"kurir/internal/listen"
)

// errNoLogin says that the administrator has switched LOGIN off (LOGINDISABLED).
var errNoLogin = no(imap.ResponseCodeCannot, "LOGIN is switched off here: use AUTHENTICATE")

var errNeedTLS = no(imap.ResponseCodePrivacyRequired, "A password may not be sent without TLS: use STARTTLS or the port for TLS")

// login is LOGIN (RFC 9051 section 6.2.3).
func (s *session) login(c *command) error {
	user := c.args.sp().astring("user name")
	password := c.args.sp().astring("password")
	if err := c.args.end(); err != nil {
		return err
	}
	switch {
	case !s.plainAllowed():
		return errNeedTLS
	case !s.srv.Auth.PasswordCommands():
		return errNoLogin
	}
	at := s.attempt()
	at.Mechanism, at.Username, at.Password = "LOGIN", user, password
	return s.logIn(c, at)
}

// authenticate is AUTHENTICATE (RFC 9051 section 6.2.2) with an initial response, if the
// client sends one (SASL-IR, RFC 4959).
func (s *session) authenticate(c *command) error {
	mech := c.args.sp().word("mechanism")
	var initial []byte
	var err error
	if c.args.peek() == ' ' {
		initial, err = decodeSASL(c.args.sp().while("initial response", func(c byte) bool { return c > ' ' }), true)
	}
	if err := errors.Join(err, c.args.end()); err != nil {
		return err
	}
	if !s.plainAllowed() {
		return errNeedTLS
	}
	exchange := s.srv.Auth.NewExchange(s.ctx, mech, s.attempt(), func(at auth.Attempt) error { return s.logIn(c, at) })
	if exchange == nil {
		return no(imap.ResponseCodeCannot, "Mechanism not supported: there are "+strings.Join(s.srv.Auth.Mechanisms(s.attempt()), " "))
	}
	response := initial
	for {
		challenge, done, err := exchange.Next(response)
		switch {
		case errors.Is(err, auth.ErrSyntax):
			return badf("Invalid response for %s", mech)
		case done:
			return refused(err)
		}
		if response, err = s.challenge(challenge); err != nil {
			return err
		}
	}
}

// attempt is what is known of a login before it begins.
func (s *session) attempt() auth.Attempt {
	return auth.Attempt{Protocol: "imap", Remote: s.remote(), TLS: s.tlsState(), Log: s.log}
}

// refused is the answer to an exchange that has ended: what logIn made of it already, or
// what package auth has refused by itself.
func refused(err error) error {
	var r *reply
	if auth.Refused(err) && !errors.As(err, &r) {
		return authReply(err)
	}
	return err
}

// challenge sends a SASL challenge and returns the client's response.
func (s *session) challenge(text []byte) ([]byte, error) {
	s.out.line("+ ", base64.StdEncoding.EncodeToString(text))
	line, err := s.readLine(maxSASL)
	switch {
	case errors.Is(err, listen.ErrLineTooLong):
		return nil, badf("Response too long")
	case err != nil:
		return nil, connError{err}
	case string(line) == "*":
		return nil, badf("Authentication cancelled")
	}
	return decodeSASL(string(line), false)
}

// decodeSASL decodes a response. An initial response that is empty is written "=".
func decodeSASL(line string, initial bool) ([]byte, error) {
	if initial && line == "=" {
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return nil, badf("Response is not valid base64")
	}
	return b, nil
}

// logIn checks the password, and opens the account. The outcome is logged by package auth.
func (s *session) logIn(c *command, at auth.Attempt) error {
	login, err := s.enter(at)
	if err != nil {
		return err
	}
	account, err := s.srv.Store.Account(s.ctx, login.Address)
	if err != nil {
		s.srv.sessions().Leave(login)
		return err
	}
	s.account, s.entered, s.state = account, login, authenticated
	s.log = s.log.With("account", login.Address)
	s.base.Vouch()
	s.base.SetReadTimeout(orDefault(s.srv.IdleTimeout, DefaultIdleTimeout))
	s.sleepAgain()
	c.code, c.text = "CAPABILITY "+s.capabilities(), "Logged in"
	return nil
}

// enter checks the password and counts the session, which can be ended from then on.
func (s *session) enter(at auth.Attempt) (*auth.Session, error) {
	for {
		mark := s.srv.sessions().Mark()
		good, err := s.srv.Auth.Authenticate(s.ctx, at)
		if err != nil {
			return nil, authReply(err)
		}
		login := &auth.Session{Address: good.Address, Credential: good.Credential, Remote: s.remote(), End: s.endLogin}
		err = s.srv.sessions().Enter(login, mark, orDefault(s.srv.MaxPerAccount, DefaultMaxPerAccount))
		switch {
		case errors.Is(err, auth.ErrStale): // the password may be another since it was checked
		case err != nil:
			s.log.Warn("too many connections of one account", "account", good.Address)
			return nil, errTooManySessions
		default:
			return login, nil
		}
	}
}

// errTooManySessions is the answer to a login with the right password (RFC 5530 section 3,
// LIMIT). The connection stays, so that the client reads the reason.
var errTooManySessions = no(imap.ResponseCodeLimit, "Too many connections of this account are open: close some, or let the mail program use fewer")

// authReply says why a login failed, and no more than a stranger may know (RFC 5530
// section 3).
func authReply(err error) error {
	var r *reply
	switch {
	case errors.Is(err, auth.ErrInvalid):
		r = no(imap.ResponseCodeAuthenticationFailed, "Wrong user name or password")
	case errors.Is(err, auth.ErrDisabled):
		return no(imap.ResponseCodeContactAdmin, auth.Disabled("Account is disabled", err))
	case errors.Is(err, auth.ErrThrottled):
		r = no(imap.ResponseCodeUnavailable, "Too many failed logins, try again later")
		return r
	default:
		r = no(imap.ResponseCodeUnavailable, "Logins are not possible now, try again later")
	}
	r.cause = err
	return r
}
