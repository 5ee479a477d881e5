package admin

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"kurir/internal/auth"
	"kurir/internal/directory"
	"kurir/store"
)

// MaxBulk is the most accounts that AddAccounts takes at once.
const MaxBulk = 500

// BulkAccount is an account whose password was hashed before, or that has none yet.
type BulkAccount struct {
	Address  string `json:"address"`
	Verifier string `json:"verifier,omitempty"` // as auth.ReadVerifier reads it; "": nobody can log in yet
	Quota    int64  `json:"quota,omitempty"`    // bytes, 0 none
	Disabled bool   `json:"disabled,omitempty"`
	Defer    bool   `json:"defer,omitempty"`
	Message  string `json:"message,omitempty"`
}

// Verifier is an account's password in the form in which it is kept.
type Verifier struct {
	Address  string `json:"address"`
	Verifier string `json:"verifier"`
}

// folderWorkers make mail folders at the same time, so that they share fsyncs.
const folderWorkers = 16

// AddAccounts makes all folders first and then all rows in one transaction, as AddAccount
// does for one.
func (s *Service) AddAccounts(ctx context.Context, all []BulkAccount) ([]Added, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(all) > MaxBulk {
		return nil, &invalid{fmt.Sprintf("%d accounts at once, the most is %d", len(all), MaxBulk)}
	}
	rows := make([]directory.NewAccount, len(all))
	added := make([]Added, len(all))
	for i, a := range all {
		parsed, err := directory.ParseAddress(a.Address)
		if err == nil && a.Quota < 0 {
			err = errors.New("a quota is a number of bytes, or 0 for none")
		}
		if err == nil && a.Verifier != "" {
			a.Verifier, err = auth.ReadVerifier(a.Verifier)
		}
		if err == nil {
			err = s.isFree(ctx, parsed.String())
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.Address, err)
		}
		added[i].Address = parsed.String()
		rows[i] = directory.NewAccount{Address: parsed.String(), AccountOptions: directory.AccountOptions{
			Verifier: a.Verifier, Quota: a.Quota,
			Closure: directory.Closure{Disabled: a.Disabled, Defer: a.Defer, Message: a.Message},
		}}
	}
	err := s.makeFolders(ctx, added)
	if err == nil {
		err = s.Directory.AddAccounts(ctx, rows)
	}
	if err != nil {
		for _, a := range added {
			err = errors.Join(err, s.undoFolders(ctx, a))
		}
		return nil, err
	}
	return added, nil
}

// isFree is an error if there is an account of this address.
func (s *Service) isFree(ctx context.Context, address string) error {
	switch _, err := s.Directory.GetAccount(ctx, address); {
	case err == nil:
		return directory.ErrExists
	case !errors.Is(err, directory.ErrNoAccount):
		return err
	}
	return nil
}

// makeFolders makes the mail folders of accounts, and notes those that were there.
func (s *Service) makeFolders(ctx context.Context, all []Added) error {
	next := make(chan *Added)
	errs := make([]error, folderWorkers)
	var wg sync.WaitGroup
	for i := range folderWorkers {
		wg.Go(func() {
			for a := range next {
				err := s.Store.CreateAccount(ctx, a.Address)
				if errors.Is(err, store.ErrAccountExists) {
					a.MailKept, err = true, nil
				}
				if err != nil && errs[i] == nil {
					errs[i] = fmt.Errorf("making the mail folders of %s: %w", a.Address, err)
				}
			}
		})
	}
	for i := range all {
		next <- &all[i]
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

// SetVerifier implements Operations.
func (s *Service) SetVerifier(ctx context.Context, v Verifier) error {
	a, err := s.Directory.GetAccount(ctx, v.Address)
	if err != nil {
		return err
	}
	verifier, err := auth.ReadVerifier(v.Verifier)
	if err != nil {
		return err
	}
	if err := s.Directory.SetPassword(ctx, a.Address, verifier); err != nil {
		return err
	}
	s.forget(a.Address)
	return nil
}

// ListVerifiers implements Operations.
func (s *Service) ListVerifiers(ctx context.Context) (map[string]string, error) {
	return s.Directory.Verifiers(ctx)
}

// AddAccounts implements Operations.
func (c *Client) AddAccounts(ctx context.Context, all []BulkAccount) ([]Added, error) {
	return post[[]Added](ctx, c, "account.bulk", all)
}

// SetVerifier implements Operations.
func (c *Client) SetVerifier(ctx context.Context, v Verifier) error {
	return c.act(ctx, "account.verifier", v)
}

// ListVerifiers implements Operations.
func (c *Client) ListVerifiers(ctx context.Context) (map[string]string, error) {
	return post[map[string]string](ctx, c, "account.verifiers", nil)
}

// bulkSubject is what the log says of many accounts.
func bulkSubject(all []BulkAccount) string {
	if len(all) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d accounts from %s", len(all), all[0].Address)
}
