package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"kurir/internal/directory"
)

// Login is a login that was found good.
type Login struct {
	Address    string // the account's, in its canonical form
	Credential int64  // id of the credential that was used; 0 for a client's certificate
	Name       string // of an app password; "" for the account's own password
}

// Results of an attempt, as Event has them.
const (
	ResultOK        = "ok"
	ResultInvalid   = "invalid"   // wrong password, or no such account
	ResultThrottled = "throttled" // not looked at, after too many failures
	ResultDisabled  = "disabled"  // the password was right
	ResultError     = "error"     // our own fault, or the client went away
)

// Event is one attempt to log in and how it ended.
type Event struct {
	Time       time.Time
	Account    string     // canonical address; "" if there is no such account
	Remote     netip.Addr // of the client
	Protocol   string     // "imap", "pop3", "submission", "web"
	Mechanism  string     // "PLAIN", "LOGIN", "USER", "SCRAM-SHA-256", …
	TLS        string     // version, such as "TLS 1.3"; "" without
	Credential string     // name of the app password that was used; "" for the account's own
	Result     string     // one of the constants
	Reason     string     // a sentence for the owner of the account, never for the client
}

// event puts an attempt and its outcome together.
func event(at Attempt, acc directory.Account, login Login, err error) Event {
	e := Event{
		Time: time.Now(), Remote: at.Remote.Unmap().WithZone(""), Protocol: at.Protocol, Mechanism: at.Mechanism,
		Credential: login.Name, Result: Result(err), Reason: reason(err),
	}
	if acc.ID != 0 {
		e.Account = acc.Address
	}
	if at.TLS != nil {
		e.TLS = tls.VersionName(at.TLS.Version)
	}
	return e
}

// Result is the outcome of an attempt in a word.
func Result(err error) string {
	switch {
	case err == nil:
		return ResultOK
	case errors.Is(err, ErrInvalid):
		return ResultInvalid
	case errors.Is(err, ErrThrottled):
		return ResultThrottled
	case errors.Is(err, ErrDisabled):
		return ResultDisabled
	}
	return ResultError
}

// reason is the outcome in a sentence for people.
func reason(err error) string {
	var throttled *ThrottledError
	var why *refusal
	var disabled *DisabledError
	switch {
	case err == nil:
		return "logged in"
	case errors.As(err, &why):
		return why.reason
	case errors.Is(err, ErrInvalid):
		return "the password is wrong"
	case errors.As(err, &throttled):
		return fmt.Sprintf("too many failed logins lately, so the password was not looked at; again in %v", throttled.RetryAfter.Round(time.Second))
	case errors.As(err, &disabled):
		return disabled.With("the password is right, but the account is disabled")
	case errors.Is(err, ErrSyntax):
		return "the client did not keep to the mechanism"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "the client went away before the password was looked at"
	}
	return "the server could not look at the password; its log says why"
}

// refusal is ErrInvalid for the client, with the reason that only the account's owner and
// the log may know.
type refusal struct {
	protocol string // that it is about
	reason   string
}

func (r *refusal) Error() string        { return ErrInvalid.Error() + ": " + r.reason }
func (r *refusal) Is(target error) bool { return target == ErrInvalid }
