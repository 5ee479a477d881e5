package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"kurir/internal/certs"
	"kurir/internal/directory"
	"kurir/internal/invite"
	"kurir/internal/logins"
	"kurir/internal/signing"
	"kurir/internal/suppression"
	"kurir/internal/trace"
	"kurir/store"
)

// Service carries out Operations on the data that this process holds the lock of.
type Service struct {
	Directory *directory.Directory
	Store     *store.Store
	// Forget makes the authenticator drop what it remembers of an account, and the front-ends end
	// its sessions; nil: there are none.
	Forget func(address string)
	// EndCredential makes the front-ends end the sessions that one credential of an account
	// began, by its id; nil: there are none.
	EndCredential func(address string, id int64)
	// LoginSecret is what the salt of an account's first app password is made with, the same
	// as auth.Options.Secret; nil: it is random.
	LoginSecret []byte
	// Logins is the history of logins; nil: there is none.
	Logins *logins.History
	// Problems returns the checks that are red, with the reason; nil: there are none.
	Problems func() map[string]string
	// Reconfigure puts the configuration, as it is now, into service; nil: there is none to read.
	Reconfigure func(context.Context) (Reloaded, error)
	Program     string // this program's version

	Signing *signing.Signer // the domains' DKIM keys; nil: there are none
	// Suppression is what is known of addresses elsewhere that do not exist; nil: nothing.
	Suppression *suppression.List

	Tracer *trace.Trace // the way of messages; nil: none is known
	// Certificates are those of the server; nil: it does not run.
	Certificates func() *certs.Manager

	Queue Queue // what waits to be delivered; nil: it is not open
	// Submit hands a message in by SMTP as a program of this machine; needed by Send.
	Submit func(context.Context, Outgoing, io.Reader) (Sent, error)
	// Invites are the links to the setup pages; nil: there are none.
	Invites  *invite.Invites
	PagesURL func() string // where those pages are, without a path
	Hostname string        // of the server
	// Admin is who gets mail for the machine's own users; nil or empty: postmaster.
	Admin func() string

	// mu makes the operations that have steps in both directory and store run one at a time.
	mu sync.Mutex
}

var (
	_ Operations = (*Service)(nil)
	_ Operations = (*Client)(nil)
)

// AddDomain implements Operations. A domain that is there gets the keys that it lacks, as
// after a crash between the two steps, and the error is still ErrExists.
func (s *Service) AddDomain(ctx context.Context, name string) error {
	d, err := s.Directory.AddDomain(ctx, name)
	if err == nil {
		return s.makeKeys(ctx, d.Name)
	}
	if there, perr := directory.ParseDomain(name); errors.Is(err, directory.ErrExists) && perr == nil {
		if kerr := s.makeKeys(ctx, there); kerr != nil {
			return kerr
		}
	}
	return err
}

// AddDomainAlias implements Operations.
func (s *Service) AddDomainAlias(ctx context.Context, d Domain) error {
	added, err := s.Directory.AddDomainAlias(ctx, d.Name, d.AliasOf)
	if err != nil {
		return err
	}
	return s.makeKeys(ctx, added.Name) // mail from its addresses is signed as it
}

// RemoveDomainAlias implements Operations. A domain of its own is ErrInUse.
func (s *Service) RemoveDomainAlias(ctx context.Context, name string) error {
	return s.removeDomain(ctx, name, true)
}

// RemoveDomain implements Operations. A domain alias is ErrInUse.
func (s *Service) RemoveDomain(ctx context.Context, name string) error {
	return s.removeDomain(ctx, name, false)
}

// removeDomain removes name if it is of the kind that was meant.
func (s *Service) removeDomain(ctx context.Context, name string, alias bool) error {
	canonical, err := directory.ParseDomain(name)
	if err != nil {
		return err
	}
	all, err := s.Directory.ListDomains(ctx)
	if err != nil {
		return err
	}
	known := false
	for _, d := range all {
		known = known || d.Name == canonical
		switch {
		case d.Name != canonical || (d.AliasOf != "") == alias:
		case alias:
			return fmt.Errorf("%w: %s is a domain of its own, not an alias; to remove it: kurir domain remove %s", directory.ErrInUse, d.Name, d.Name)
		default:
			return fmt.Errorf("%w: %s is an alias of %s; to remove it: kurir domain alias remove %s", directory.ErrInUse, d.Name, d.AliasOf, d.Name)
		}
	}
	if !known { // the directory would say how to add it
		return &unknownDomain{canonical}
	}
	if err := s.Directory.RemoveDomain(ctx, canonical); err != nil || s.Signing == nil {
		return err
	}
	return s.Signing.Forget(ctx, canonical)
}

// unknownDomain is directory.ErrNoDomain for who wants to remove one.
type unknownDomain struct{ name string }

func (u *unknownDomain) Error() string {
	return u.name + ": no such domain here; see: kurir domain list"
}

func (u *unknownDomain) Unwrap() error {
	return directory.ErrNoDomain
}

// ListDomains implements Operations; sorted by name.
func (s *Service) ListDomains(ctx context.Context) ([]Domain, error) {
	rows, err := s.Directory.ListDomains(ctx)
	list := make([]Domain, len(rows))
	for i, r := range rows {
		list[i] = Domain{Name: r.Name, AliasOf: r.AliasOf, Accounts: r.Accounts, Disabled: r.Disabled, Message: r.Message}
	}
	return list, err
}

// AddAlias implements Operations.
func (s *Service) AddAlias(ctx context.Context, a Alias) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := a.options()
	if err == nil {
		_, err = s.Directory.CreateAlias(ctx, a.Address, o)
	}
	return err
}

// ListAliases implements Operations; sorted by domain and local part.
func (s *Service) ListAliases(ctx context.Context) ([]Alias, error) {
	rows, err := s.Directory.ListAliases(ctx)
	list := make([]Alias, len(rows))
	for i, r := range rows {
		list[i] = Alias{Address: r.Address, Targets: r.Targets, Remote: r.Remote, MaySend: r.MaySend, Post: string(r.Post)}
	}
	return list, err
}

// RemoveAlias implements Operations.
func (s *Service) RemoveAlias(ctx context.Context, address string) error {
	return s.Directory.RemoveAlias(ctx, address)
}

// Health implements Operations.
func (s *Service) Health(context.Context) (Health, error) {
	var h Health
	if s.Problems != nil {
		h.Problems = s.Problems()
	}
	h.OK = len(h.Problems) == 0
	return h, nil
}

// Version implements Operations.
func (s *Service) Version(context.Context) (Version, error) {
	return Version{Version: s.Program, Go: runtime.Version(), PID: os.Getpid()}, nil
}

// forget drops what logins remember of an account.
func (s *Service) forget(address string) {
	if s.Forget != nil {
		s.Forget(address)
	}
}
