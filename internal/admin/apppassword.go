package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"kurir/internal/auth"
	"kurir/internal/directory"
)

// appProtocols are what app passwords may be good for, and are by default. The setup page
// is not among them: whoever finds a phone shall not make further passwords with it.
func appProtocols() []string { return []string{"imap", "pop3", "submission"} }

// maxAppName bounds the name of an app password, in characters.
const maxAppName = 64

// NewAppPassword asks for an app password.
type NewAppPassword struct {
	Address   string   `json:"address"`
	Name      string   `json:"name"`                // of the app or device, 1 to 64 characters; one of its own in the account
	Protocols []string `json:"protocols,omitempty"` // of imap, pop3, submission; empty: all
}

// AddedAppPassword is a new app password, which is shown this once.
type AddedAppPassword struct {
	Address   string   `json:"address"` // the account's, in its canonical form: the user name
	Name      string   `json:"name"`
	Protocols []string `json:"protocols"`
	Password  string   `json:"password"` // abcde-fghij-kmnpq-rstuv
}

// AppPassword is an app password as lists show it.
type AppPassword struct {
	Name      string    `json:"name"`
	Protocols []string  `json:"protocols"`
	Created   time.Time `json:"created"`
	LastUsed  time.Time `json:"last_used,omitzero"` // zero for never; up to a minute late
	LastFrom  string    `json:"last_from,omitempty"`
}

// RevokeAppPassword names an app password that is to stop working.
type RevokeAppPassword struct {
	Address string `json:"address"`
	Name    string `json:"name"`
}

// AddAppPassword implements Operations. Errors: those of directory.AddCredential, and for a
// name or protocols that can't be.
func (s *Service) AddAppPassword(ctx context.Context, n NewAppPassword) (AddedAppPassword, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, err := appName(n.Name)
	if err != nil {
		return AddedAppPassword{}, err
	}
	protocols, err := chosenProtocols(n.Protocols)
	if err != nil {
		return AddedAppPassword{}, err
	}
	acc, creds, err := s.credentials(ctx, n.Address)
	if err != nil {
		return AddedAppPassword{}, err
	}
	added := AddedAppPassword{Address: acc.Address, Name: name, Protocols: protocols, Password: auth.GeneratePassword()}
	verifier, err := auth.HashAppPassword(added.Password, s.saltFor(acc, creds))
	if err != nil {
		return AddedAppPassword{}, err
	}
	_, err = s.Directory.AddCredential(ctx, acc.Address, directory.Credential{
		Kind: directory.KindApp, Name: name, Protocols: strings.Join(protocols, ","), Verifier: verifier,
	})
	switch {
	case errors.Is(err, directory.ErrExists):
		err = fmt.Errorf("app password %q of %s: %w; choose another name, or: kurir account app revoke %s %q", name, acc.Address, directory.ErrExists, acc.Address, name)
	case errors.Is(err, directory.ErrInUse):
		err = fmt.Errorf("%w: %s has as many passwords as an account may; revoke one first, see: kurir account app list %s", directory.ErrInUse, acc.Address, acc.Address)
	}
	if err != nil {
		return AddedAppPassword{}, err
	}
	return added, nil
}

// saltFor is the salt of the account's app passwords: SCRAM tells it to a client before it
// is known which of them is meant, so all have the same.
func (s *Service) saltFor(acc directory.Account, creds []directory.Credential) []byte {
	for _, c := range creds {
		if salt, ok := auth.SaltOf(c.Verifier); ok {
			return salt
		}
	}
	if s.LoginSecret != nil {
		return auth.AppSalt(s.LoginSecret, acc.Address)
	}
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	return salt
}

// credentials are an account and its credentials, by its address alone.
func (s *Service) credentials(ctx context.Context, address string) (directory.Account, []directory.Credential, error) {
	acc, err := s.Directory.GetAccount(ctx, address)
	if err != nil {
		return acc, nil, err
	}
	creds, err := s.Directory.Credentials(ctx, acc.Address)
	return acc, creds, err
}

// ListAppPasswords implements Operations.
func (s *Service) ListAppPasswords(ctx context.Context, address string) ([]AppPassword, error) {
	_, creds, err := s.credentials(ctx, address)
	if err != nil {
		return nil, err
	}
	all := []AppPassword{}
	for _, c := range creds {
		if c.Kind != directory.KindApp {
			continue
		}
		a := AppPassword{Name: c.Name, Protocols: appProtocols(), Created: c.Created, LastUsed: c.LastUsed, LastFrom: c.LastFrom}
		if c.Protocols != "" {
			a.Protocols = strings.Split(c.Protocols, ",")
		}
		all = append(all, a)
	}
	return all, nil
}

// RevokeAppPassword implements Operations. A name that the account has no app password of
// is directory.ErrNoCredential.
func (s *Service) RevokeAppPassword(ctx context.Context, r RevokeAppPassword) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	acc, creds, err := s.credentials(ctx, r.Address)
	if err != nil {
		return err
	}
	name := strings.TrimSpace(r.Name)
	i := slices.IndexFunc(creds, func(c directory.Credential) bool { return c.Kind == directory.KindApp && c.Name == name })
	if i < 0 {
		return &noAppPassword{fmt.Sprintf("%s has no app password %q; see: kurir account app list %s", acc.Address, name, acc.Address)}
	}
	if err := s.Directory.RemoveCredential(ctx, acc.Address, directory.KindApp, name); err != nil {
		return err
	}
	if s.EndCredential != nil {
		s.EndCredential(acc.Address, creds[i].ID)
	}
	return nil
}

// noAppPassword is directory.ErrNoCredential in other words.
type noAppPassword struct{ text string }

func (n *noAppPassword) Error() string { return n.text }

func (n *noAppPassword) Unwrap() error { return directory.ErrNoCredential }

// appName checks a name, which shows up in lists and in the log.
func appName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", &invalid{"an app password needs a name, such as \"phone\""}
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", &invalid{"the name of an app password may not have control characters"}
	case utf8.RuneCountInString(name) > maxAppName:
		return "", &invalid{fmt.Sprintf("the name of an app password may have %d characters", maxAppName)}
	}
	return name, nil
}

// chosenProtocols checks protocols and puts them into one order; none is all.
func chosenProtocols(chosen []string) ([]string, error) {
	known := appProtocols()
	if len(chosen) == 0 {
		return known, nil
	}
	var all []string
	for _, p := range known {
		if slices.Contains(chosen, p) {
			all = append(all, p)
		}
	}
	for _, p := range chosen {
		if !slices.Contains(known, p) {
			return nil, &invalid{fmt.Sprintf("%q is no protocol for an app password: there are %s", p, strings.Join(known, ", "))}
		}
	}
	return all, nil
}

// AddAppPassword implements Operations.
func (c *Client) AddAppPassword(ctx context.Context, n NewAppPassword) (AddedAppPassword, error) {
	return post[AddedAppPassword](ctx, c, "account.app.add", n)
}

// ListAppPasswords implements Operations.
func (c *Client) ListAppPasswords(ctx context.Context, address string) ([]AppPassword, error) {
	return post[[]AppPassword](ctx, c, "account.app.list", address)
}

// RevokeAppPassword implements Operations.
func (c *Client) RevokeAppPassword(ctx context.Context, r RevokeAppPassword) error {
	return c.act(ctx, "account.app.revoke", r)
}
