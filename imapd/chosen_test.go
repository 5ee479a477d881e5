package imapd

import (
	"context"
	"testing"
	"testing/synctest"

	"kurir/internal/auth"
)

// chosenAuth is an authenticator of which an administrator has left little.
type chosenAuth struct {
	fakeAuth
	names []string
}

func (chosenAuth) PasswordCommands() bool             { return false }
func (c chosenAuth) Mechanisms(auth.Attempt) []string { return c.names }

func (c chosenAuth) NewExchange(ctx context.Context, mechanism string, at auth.Attempt, login func(auth.Attempt) error) auth.Exchange {
	if len(c.names) > 0 && mechanism == c.names[0] {
		return &twoSteps{at: at, login: login}
	}
	return nil
}

// twoSteps is an exchange that has something to say twice, and refuses by itself or logs in.
type twoSteps struct {
	n     int
	at    auth.Attempt
	login func(auth.Attempt) error
}

func (x *twoSteps) Next(response []byte) ([]byte, bool, error) {
	x.n++
	switch {
	case x.n == 1 && response == nil:
		return []byte{}, false, nil
	case x.n < 3:
		x.n = 2 // with an initial response too
		return []byte("r=abc"), false, nil
	case len(response) > 0:
		return nil, true, auth.ErrInvalid
	}
	x.at.Username, x.at.Password = "alice", "secret"
	return nil, true, x.login(x.at)
}

// RFC 9051 section 6.2.3: LOGINDISABLED where LOGIN is switched off; what is offered is what
// the administrator has left, and an exchange of several steps can be cancelled at each.
func TestChosenMechanisms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.plain.Store(true)
		s.srv.Auth = chosenAuth{names: []string{"SCRAM-SHA-256"}}
		s.start()
		defer s.stop()
		c := dial(t, s.l.dial())
		c.expect("* OK [CAPABILITY IMAP4rev2 IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE AUTH=SCRAM-SHA-256 LOGINDISABLED] …")
		for _, step := range []struct{ say, hear string }{
			{"a1 LOGIN alice secret", "a1 NO [CANNOT] LOGIN is switched off…"},
			{"a2 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==", "a2 NO [CANNOT] Mechanism not supported: there are SCRAM-SHA-256"},
			{"a3 AUTHENTICATE SCRAM-SHA-256", "+ "}, {"*", "a3 BAD Authentication cancelled"},
			{"a4 AUTHENTICATE SCRAM-SHA-256 biws", "+ cj1hYmM="}, {"*", "a4 BAD Authentication cancelled"},
			{"a5 AUTHENTICATE SCRAM-SHA-256", "+ "}, {"biws", "+ cj1hYmM="}, {"!", "a5 BAD …"},
			{"a6 AUTHENTICATE SCRAM-SHA-256", "+ "}, {"biws", "+ cj1hYmM="}, {"biws", "a6 NO [AUTHENTICATIONFAILED] …"},
			{"a7 AUTHENTICATE SCRAM-SHA-256 biws", "+ cj1hYmM="}, {"", "a7 OK [CAPABILITY …"},
		} {
			c.send(step.say + "\r\n")
			c.expect(step.hear)
		}
	})
}

// An administrator who leaves nothing is not told to offer an empty mechanism.
func TestNoMechanisms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.plain.Store(true)
		s.srv.Auth = chosenAuth{}
		s.start()
		defer s.stop()
		dial(t, s.l.dial()).expect("* OK [CAPABILITY IMAP4rev2 IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE LOGINDISABLED] …")
	})
}
