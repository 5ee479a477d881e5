package pop3d

import (
	"context"
	"testing"

	"kurir/internal/auth"
)

// chosenAuth is an authenticator of which an administrator has left little.
type chosenAuth struct {
	*testAuth
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
	x.at.Username, x.at.Password = alice, "secret"
	return nil, true, x.login(x.at)
}

// RFC 5034: what is offered is what the administrator has left, and an exchange of several
// steps can be cancelled at each. USER is neither listed nor taken where it is switched off.
func TestChosenMechanisms(t *testing.T) {
	play(t, func(s *Server) {
		s.Auth = chosenAuth{&testAuth{}, []string{"SCRAM-SHA-256"}}
		s.AllowPlaintext = anyone
	}, `! connect
S: +OK …
C: CAPA
S: +OK …
S: TOP
S: UIDL
S: RESP-CODES
S: AUTH-RESP-CODE
S: PIPELINING
S: EXPIRE NEVER
S: UTF8 USER
S: SASL SCRAM-SHA-256
S: IMPLEMENTATION kurir
S: .
C: USER alice@example.org
S: -ERR [AUTH] USER is switched off here: use AUTH
C: AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==
S: -ERR There are the mechanisms SCRAM-SHA-256
C: AUTH SCRAM-SHA-256
S: + 
C: *
S: -ERR …
C: AUTH SCRAM-SHA-256 biws
S: + cj1hYmM=
C: *
S: -ERR …
C: AUTH SCRAM-SHA-256
S: + 
C: biws
S: + cj1hYmM=
C: biws
S: -ERR [AUTH] Wrong user name or password
C: AUTH SCRAM-SHA-256 biws
S: + cj1hYmM=
C: =
S: +OK …
C: QUIT
S: +OK …
! end
`)
}

// RFC 1939 section 3: a list of nothing has no line but the last. Without a certificate
// there may be nothing to offer.
func TestNoMechanisms(t *testing.T) {
	play(t, func(s *Server) {
		s.Auth = chosenAuth{&testAuth{}, nil}
		s.AllowPlaintext = anyone
	}, `! connect
S: +OK …
C: CAPA
S: +OK …
S: TOP
S: UIDL
S: RESP-CODES
S: AUTH-RESP-CODE
S: PIPELINING
S: EXPIRE NEVER
S: UTF8 USER
S: IMPLEMENTATION kurir
S: .
C: AUTH
S: +OK
S: .
C: QUIT
S: +OK …
! end
`)
}
