package auth

import (
	"bytes"
	"context"
	"errors"
	"unicode/utf8"
)

// ErrSyntax: what the client sent is not what the mechanism asks for.
var ErrSyntax = errors.New("malformed SASL response")

// Refused reports whether err is one of those that Authenticate gives.
func Refused(err error) bool {
	return err != nil && (Result(err) != ResultError || errors.Is(err, ErrUnavailable))
}

// maxField bounds each part of a SASL response, in bytes (RFC 4616 section 2 names
// 255 as the least that must work).
const maxField = MaxPassword

// ParsePlain takes the message of SASL PLAIN apart, RFC 4616 section 2:
//
//	[authzid] NUL user NUL password
//
// The error is ErrSyntax.
func ParsePlain(message []byte) (authzid, user, password string, err error) {
	f := bytes.Split(message, []byte{0})
	if len(f) != 3 || len(f[1]) == 0 || len(f[2]) == 0 {
		return "", "", "", ErrSyntax
	}
	for _, s := range f {
		if len(s) > maxField || !utf8.Valid(s) {
			return "", "", "", ErrSyntax
		}
	}
	return string(f[0]), string(f[1]), string(f[2]), nil
}

// Exchange is the server's half of a mechanism; it fits the Server interface of
// github.com/emersion/go-sasl.
type Exchange interface {
	// Next takes a client's response, decoded; nil, before anything, if there was no
	// initial one. It returns the next challenge, or done with the verdict.
	Next(response []byte) (challenge []byte, done bool, err error)
}

// Passwords are the mechanisms that send a password, for what has no other Authenticator's
// to offer.
type Passwords struct{}

// Mechanisms are PLAIN and LOGIN.
func (Passwords) Mechanisms(Attempt) []string { return []string{"PLAIN", "LOGIN"} }

// PasswordCommands is true.
func (Passwords) PasswordCommands() bool { return true }

// NewExchange returns the server's half of a mechanism (in upper case), which calls login
// once, with what the client sent added to at, and passes its error on; nil if it is none
// of Mechanisms.
func (Passwords) NewExchange(_ context.Context, mechanism string, at Attempt, login func(Attempt) error) Exchange {
	at.Mechanism = mechanism
	given := func(identity, user, password string) error {
		at.Identity, at.Username, at.Password = identity, user, password
		return login(at)
	}
	switch mechanism {
	case "PLAIN":
		return &plainExchange{login: given}
	case "LOGIN":
		return &loginExchange{login: given}
	}
	return nil
}

// validText reports whether a client's message is UTF-8 without NUL.
func validText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

type plainExchange struct {
	login func(identity, user, password string) error
	asked bool
}

func (x *plainExchange) Next(response []byte) ([]byte, bool, error) {
	if response == nil && !x.asked {
		x.asked = true
		return []byte{}, false, nil
	}
	authzid, user, password, err := ParsePlain(response)
	if err != nil {
		return nil, true, err
	}
	return nil, true, x.login(authzid, user, password)
}

// loginExchange is the LOGIN mechanism, draft-murchison-sasl-login. Clients
// send the user name at once or after the first challenge, and read neither challenge's text.
type loginExchange struct {
	login func(identity, user, password string) error
	asked bool
	user  string
}

func (x *loginExchange) Next(response []byte) ([]byte, bool, error) {
	switch {
	case len(response) > maxField || !validText(response):
		return nil, true, ErrSyntax
	case x.user != "" && len(response) > 0:
		return nil, true, x.login("", x.user, string(response))
	case len(response) > 0:
		x.user = string(response)
		return []byte("Password:"), false, nil
	case !x.asked && x.user == "":
		x.asked = true
		return []byte("Username:"), false, nil
	}
	return nil, true, ErrSyntax
}
