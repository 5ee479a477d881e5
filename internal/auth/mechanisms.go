package auth

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"

	"kurir/internal/directory"
)

// Mechanisms, as Settings name them. User is no mechanism of SASL but the commands that
// send name and password as they are: LOGIN of IMAP, USER and PASS of POP3.
const (
	Plain     = "plain"
	LoginSASL = "login"
	User      = "user"
	Scram     = "scram-sha-256"
	ScramPlus = "scram-sha-256-plus"
	External  = "external"
)

// KnownMechanisms are all of them.
func KnownMechanisms() []string { return []string{Plain, LoginSASL, User, Scram, ScramPlus, External} }

// Settings are what an administrator may choose, and change while the server runs.
type Settings struct {
	// Mechanisms are those that are on offer; nil: DefaultMechanisms.
	Mechanisms []string
	// OwnPassword are the protocols that an account's own password is good for; nil: all. App
	// passwords are good for those that they were made for.
	OwnPassword []string
}

// Configure changes the settings, for attempts to come.
func (a *Authenticator) Configure(s Settings) {
	if s.Mechanisms == nil {
		s.Mechanisms = DefaultMechanisms(s.OwnPassword)
	}
	a.settings.Store(&s)
}

// DefaultMechanisms are what Settings offer if nothing else is chosen. Programs that know
// SCRAM take it wherever it is offered, and some give up when it fails, as it does with the
// account's own password (mbsync): so it is offered where own passwords are not for mail
// apps. Of channel bindings some programs know none that TLS 1.3 has, and choose ScramPlus all
// the same and fail (mutt 2.2): that has to be asked for.
func DefaultMechanisms(own []string) []string {
	all := []string{Plain, LoginSASL, User, External}
	if own != nil && !slices.ContainsFunc(own, func(p string) bool { return p != "web" }) {
		all = append(all, Scram)
	}
	return all
}

func (a *Authenticator) offers(mechanism string) bool {
	return slices.Contains(a.settings.Load().Mechanisms, mechanism)
}

// PasswordCommands reports whether the commands that send name and password as they are may
// be used: LOGIN of IMAP, USER and PASS of POP3.
func (a *Authenticator) PasswordCommands() bool { return a.offers(User) }

// Mechanisms are those of SASL that a session is offered, the strongest first, as
// CAPABILITY, CAPA and EHLO list them. at says what is known of the session: TLS counts.
func (a *Authenticator) Mechanisms(at Attempt) []string {
	var all []string
	for _, m := range []struct {
		name string
		is   bool
	}{
		{"EXTERNAL", a.offers(External) && len(certified(at)) > 0},
		{"SCRAM-SHA-256-PLUS", a.offersPlus(at)},
		{"SCRAM-SHA-256", a.offers(Scram)},
		{"PLAIN", a.offers(Plain)},
		{"LOGIN", a.offers(LoginSASL)},
	} {
		if m.is {
			all = append(all, m.name)
		}
	}
	return all
}

// offersPlus reports whether an exchange can be bound to the session's TLS.
func (a *Authenticator) offersPlus(at Attempt) bool {
	return a.offers(ScramPlus) && channelBinding(at.TLS, "").IsSupported()
}

// NewExchange returns the server's half of a mechanism (in upper case) for a session that at
// describes; nil if it is not on offer there. It calls login once, with the attempt complete,
// and passes its error on; login is to call Authenticate. What SCRAM refuses before, it
// tells as Authenticate would.
func (a *Authenticator) NewExchange(ctx context.Context, mechanism string, at Attempt, login func(Attempt) error) Exchange {
	if !slices.Contains(a.Mechanisms(at), mechanism) {
		return nil
	}
	at.Mechanism = mechanism
	switch mechanism {
	case "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS":
		return &scramExchange{a: a, ctx: ctx, at: at, login: login, p: proof{plus: strings.HasSuffix(mechanism, "-PLUS")}}
	case "EXTERNAL":
		return &externalExchange{a: a, ctx: ctx, at: at, login: login}
	}
	return Passwords{}.NewExchange(ctx, mechanism, at, login)
}

// certified are the addresses in the certificate that a client has shown, if an authority
// that is trusted for it has signed it (RFC 5280 section 4.2.1.6, rfc822Name).
func certified(at Attempt) []string {
	if at.TLS == nil || len(at.TLS.VerifiedChains) == 0 || len(at.TLS.VerifiedChains[0]) == 0 {
		return nil
	}
	var leaf *x509.Certificate = at.TLS.VerifiedChains[0][0]
	return leaf.EmailAddresses
}

// externalExchange is EXTERNAL, RFC 4422 appendix A: the client's certificate says who it
// is. Its message names the account to act as, or is empty.
type externalExchange struct {
	a     *Authenticator
	ctx   context.Context
	at    Attempt
	login func(Attempt) error
	asked bool
}

func (x *externalExchange) Next(response []byte) ([]byte, bool, error) {
	if response == nil && !x.asked {
		x.asked = true
		return []byte{}, false, nil
	}
	if len(response) > maxField || !validText(response) {
		return nil, true, ErrSyntax
	}
	x.at.Identity, x.at.external = string(response), true
	x.at.Username = x.a.certifiedAccount(x.ctx, x.at)
	return nil, true, x.login(x.at)
}

// certifiedAccount is the address of the certificate whose account is meant: the one that
// the client wants to act as, or else the first that is an account. If there is none, it is
// the first address, which will be refused.
func (a *Authenticator) certifiedAccount(ctx context.Context, at Attempt) string {
	all := certified(at)
	var wanted directory.Account
	if at.Identity != "" {
		wanted, _, _ = a.dir.Login(ctx, at.Identity)
	}
	for _, address := range all {
		acc, _, err := a.dir.Login(ctx, address)
		if err == nil && (at.Identity == "" || acc.ID == wanted.ID) {
			return address
		}
	}
	return all[0]
}

// checkExternal is check for an attempt whose client has shown a certificate. Certificates
// are not guessed, so nothing is counted.
func (a *Authenticator) checkExternal(at Attempt, acc directory.Account) error {
	switch {
	case !slices.Contains(certified(at), at.Username):
		return ErrInvalid
	case acc.ID == 0:
		return &refusal{reason: "the client's certificate has no address of an account here"}
	case acc.Disabled:
		return &DisabledError{acc.Message}
	}
	return nil
}
