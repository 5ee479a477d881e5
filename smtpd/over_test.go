package smtpd

import (
	"context"
	"testing"

	"kurir/internal/auth"
)

// A login whose password was revoked sends nothing more; another one does.
func TestRevokedLoginSendsNothing(t *testing.T) {
	serving(t, SubmissionTLS, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		s.Sessions = &auth.Sessions{}
		login := func() *client {
			c := dial(overTLS)
			c.hear("220")
			c.say("EHLO x\r\nAUTH PLAIN AGFsaWNlQGxvY2FsLnRlc3QAbG9jYWwtb25seQ==\r\n")
			c.hear("250")
			c.hear("235")
			return c
		}
		c := login()
		s.Sessions.EndCredential("alice@local.test", 7) // another one's
		c.say("MAIL FROM:<alice@local.test>\r\nRSET\r\n")
		c.hear("250")
		c.hear("250")
		s.Sessions.EndCredential("alice@local.test", 0)
		for range 2 {
			c.say("EHLO x\r\nMAIL FROM:<alice@local.test>\r\n")
			c.hear("250")
			c.hear("530 5.7.0")
		}
		c.say("QUIT\r\n")
		c.hear("221")
		again := login()
		again.say("MAIL FROM:<alice@local.test>\r\nQUIT\r\n")
		again.hear("250")
		again.hear("221")
	})
}

// hookedAuth calls its hook once, after a password was found good.
type hookedAuth struct {
	fakeAuth
	checked int
	hook    func()
}

func (h *hookedAuth) Authenticate(ctx context.Context, a auth.Attempt) (auth.Login, error) {
	login, err := h.fakeAuth.Authenticate(ctx, a)
	if h.checked++; h.checked == 1 {
		h.hook()
	}
	return login, err
}

// What changes between the check of a password and the login is not missed.
func TestRevokedDuringLogin(t *testing.T) {
	serving(t, SubmissionTLS, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		s.Sessions = &auth.Sessions{}
		h := &hookedAuth{hook: func() { s.Sessions.End("alice@local.test") }}
		s.Auth = h
		c := dial(overTLS)
		c.hear("220")
		c.say("EHLO x\r\nAUTH PLAIN AGFsaWNlQGxvY2FsLnRlc3QAbG9jYWwtb25seQ==\r\nQUIT\r\n")
		c.hear("250")
		c.hear("235")
		c.hear("221")
		if h.checked != 2 {
			t.Errorf("checked %d times", h.checked)
		}
	})
}

// chosenAuth is an authenticator of which an administrator has left little.
type chosenAuth struct {
	fakeAuth
	names []string
}

func (c chosenAuth) Mechanisms(auth.Attempt) []string { return c.names }

func (c chosenAuth) NewExchange(ctx context.Context, mechanism string, at auth.Attempt, login func(auth.Attempt) error) auth.Exchange {
	if len(c.names) > 0 && mechanism == c.names[0] {
		return &twoSteps{}
	}
	return nil
}

// twoSteps is an exchange that has something to say twice, and refuses in the end.
type twoSteps struct{ n int }

func (x *twoSteps) Next(response []byte) ([]byte, bool, error) {
	x.n++
	switch {
	case x.n == 1 && response == nil:
		return []byte{}, false, nil
	case x.n < 3:
		x.n = 2 // with an initial response too
		return []byte("r=abc"), false, nil
	}
	return nil, true, auth.ErrInvalid
}

// RFC 4954: what is offered is what the administrator has left; an exchange of several steps
// can be cancelled at each; no mechanism, no AUTH.
func TestChosenMechanisms(t *testing.T) {
	serving(t, SubmissionTLS, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		s.Auth = chosenAuth{names: []string{"SCRAM-SHA-256"}}
		c := dial(overTLS)
		c.hear("220")
		c.say("EHLO x\r\n")
		found := false
		for l := range c.lines {
			found = found || l == "250-AUTH SCRAM-SHA-256\r\n" || l == "250 AUTH SCRAM-SHA-256\r\n"
			if l[3] == ' ' {
				break
			}
		}
		if !found {
			t.Error("AUTH is not what was chosen")
		}
		for _, c2 := range []struct{ say, hear string }{
			{"AUTH PLAIN AGFsaWNlQGxvY2FsLnRlc3QAbG9jYWwtb25seQ==", "504 5.5.4"},
			{"AUTH SCRAM-SHA-256", "334 "}, {"*", "501 5.0.0"},
			{"AUTH SCRAM-SHA-256 biws", "334 cj1hYmM="}, {"*", "501 5.0.0"},
			{"AUTH SCRAM-SHA-256", "334 "}, {"biws", "334 cj1hYmM="}, {"!", "501 5.5.2"},
			{"AUTH SCRAM-SHA-256", "334 "}, {"biws", "334 cj1hYmM="}, {"biws", "535 5.7.8"},
			{"NOOP", "250"},
		} {
			c.say(c2.say + "\r\n")
			c.hear(c2.hear)
		}
	})
}
