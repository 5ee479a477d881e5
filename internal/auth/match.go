package auth

import (
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"

	"kurir/internal/directory"
)

// allows reports whether a credential is good for a protocol. App passwords are never for
// the web: whoever finds a phone shall not make further passwords with it.
func (a *Authenticator) allows(c *directory.Credential, protocol string) bool {
	own := a.settings.Load().OwnPassword
	if c.Kind == directory.KindPassword && own != nil && !slices.Contains(own, protocol) {
		return false
	}
	if c.Kind == directory.KindApp && protocol == "web" {
		return false
	}
	return c.Allows(protocol)
}

// otherDoor is the refusal of a password that is right, and not for this protocol.
func otherDoor(c *directory.Credential, protocol string) error {
	if c.Kind == directory.KindPassword {
		return &refusal{protocol, fmt.Sprintf("this is the account's own password, which is not for %s here: make an app password and use that", protocol)}
	}
	return &refusal{protocol, fmt.Sprintf("this is the app password %q, which is not for %s", c.Name, protocol)}
}

// match finds the credential whose password this is; nil if there is none. Then it has
// computed one argon2id at least and, for what can be an app password, one PBKDF2: for
// nobody's account too.
func (a *Authenticator) match(acc directory.Account, creds []directory.Credential, password string) *directory.Credential {
	if c := a.matchApp(acc, creds, password); c != nil {
		return c
	}
	hashed := false
	for i := range creds {
		c := &creds[i]
		if isAppVerifier(c.Verifier) {
			continue
		}
		v, err := parseVerifier(c.Verifier)
		if err != nil {
			a.unusable(acc, c, err)
			continue
		}
		hashed = true
		if v.matches(password, a.hash) {
			return c
		}
	}
	if !hashed {
		v, _ := parseVerifier(a.nobody)
		v.matches(password, a.hash)
	}
	return nil
}

// matchApp is match among the app passwords. All of an account have one salt, as a rule,
// so that one derivation does for all.
func (a *Authenticator) matchApp(acc directory.Account, creds []directory.Credential, typed string) *directory.Credential {
	password, ok := typedApp(typed)
	if !ok {
		return nil
	}
	derived := map[appSalt]appVerifier{}
	derive := func(s appSalt) appVerifier {
		d, ok := derived[s]
		if !ok {
			d, _ = deriveApp(password, s) // fails for no salt that can be read
			derived[s] = d
		}
		return d
	}
	var found *directory.Credential
	for i := range creds {
		c := &creds[i]
		if !isAppVerifier(c.Verifier) {
			continue
		}
		v, err := parseAppVerifier(c.Verifier)
		if err != nil {
			a.unusable(acc, c, err)
			continue
		}
		if subtle.ConstantTimeCompare(derive(v.appSalt).stored, v.stored) == 1 {
			found = c
		}
	}
	if len(derived) == 0 {
		derive(a.saltOf(acc, nil, ""))
	}
	return found
}

// saltOf is what SCRAM tells a client of an account, or of a name that nobody has.
func (a *Authenticator) saltOf(acc directory.Account, creds []directory.Credential, name string) appSalt {
	for i := range creds {
		if v, err := parseAppVerifier(creds[i].Verifier); err == nil {
			return v.appSalt
		}
	}
	if acc.Address != "" {
		name = acc.Address
	}
	return appSalt{string(AppSalt(a.secret, strings.ToLower(name))), scramIterations}
}

func (a *Authenticator) unusable(acc directory.Account, c *directory.Credential, err error) {
	a.log.Error("a credential can't be used; set the password anew", "account", acc.Address, "kind", c.Kind, "name", c.Name, "error", err)
}
