package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kurir/internal/auth"
	"kurir/internal/directory"
	"kurir/store"
)

// AddAccount makes the account's mail folders first and its directory row last: mail is
// routed only to accounts whose folders are there. Folders without a row are what an
// interrupted call leaves; the next call takes them over.
func (s *Service) AddAccount(ctx context.Context, a NewAccount) (Added, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parsed, err := directory.ParseAddress(a.Address)
	if err != nil {
		return Added{}, err
	}
	if a.Quota < 0 {
		return Added{}, errors.New("a quota is a number of bytes, or 0 for none")
	}
	added := Added{Address: parsed.String()}
	switch _, err := s.Directory.GetAccount(ctx, added.Address); {
	case err == nil:
		return Added{}, fmt.Errorf("account %s: %w; for another password: kurir account passwd %s", added.Address, directory.ErrExists, added.Address)
	case !errors.Is(err, directory.ErrNoAccount):
		return Added{}, err
	}
	v, err := auth.HashPassword(a.Password)
	if err != nil {
		return Added{}, err
	}
	err = s.Store.CreateAccount(ctx, added.Address)
	if errors.Is(err, store.ErrAccountExists) {
		added.MailKept, err = true, nil
	}
	if err != nil {
		return Added{}, fmt.Errorf("making the mail folders of %s: %w", added.Address, err)
	}
	if _, err = s.Directory.AddAccount(ctx, added.Address, directory.AccountOptions{Verifier: v, Quota: a.Quota}); err != nil {
		return Added{}, errors.Join(err, s.undoFolders(ctx, added))
	}
	return added, nil
}

// undoFolders removes folders that were made for an account that the directory then
// refused, unless it has the account after all (a commit whose answer was lost).
func (s *Service) undoFolders(ctx context.Context, added Added) error {
	ctx = context.WithoutCancel(ctx)
	if _, err := s.Directory.GetAccount(ctx, added.Address); !errors.Is(err, directory.ErrNoAccount) && !errors.Is(err, directory.ErrNoDomain) || added.MailKept {
		return nil
	}
	_, err := s.Store.RemoveAccount(ctx, added.Address, true)
	return err
}

// ListAccounts implements Operations; sorted by domain and local part.
func (s *Service) ListAccounts(ctx context.Context) ([]Account, error) {
	rows, err := s.Directory.ListAccounts(ctx)
	list := make([]Account, len(rows))
	for i, r := range rows {
		list[i] = Account{
			Address: r.Address, Disabled: r.Own.Disabled, Deferred: r.Own.Defer, Message: r.Own.Message,
			Closed: r.Disabled && !r.Own.Disabled || r.Deferred && !r.Own.Defer, Quota: r.Quota, Created: r.Created,
		}
	}
	return list, err
}

// SetPassword implements Operations.
func (s *Service) SetPassword(ctx context.Context, p Password) error {
	a, err := s.Directory.GetAccount(ctx, p.Address)
	if err != nil {
		return err
	}
	v, err := auth.HashPassword(p.Password)
	if err != nil {
		return err
	}
	if err := s.Directory.SetPassword(ctx, a.Address, v); err != nil {
		return err
	}
	s.forget(a.Address)
	return nil
}

// SetQuota implements Operations.
func (s *Service) SetQuota(ctx context.Context, q Quota) error {
	if q.Bytes < 0 {
		return errors.New("a quota is a number of bytes, or 0 for none")
	}
	return s.Directory.SetQuota(ctx, q.Address, q.Bytes)
}

// DisableAccount implements Operations.
func (s *Service) DisableAccount(ctx context.Context, d Disable) error {
	a, err := s.Directory.GetAccount(ctx, d.Address)
	if err != nil {
		return err
	}
	if err := s.Directory.CloseAccount(ctx, a.Address, d.closure()); err != nil {
		return err
	}
	s.forget(a.Address)
	if !d.Disabled || !d.Defer {
		return s.resume(ctx, a.Address)
	}
	return nil
}

// RenameAccount renames the directory row first, since the directory knows best what is
// free, and the mail folder second. Between the two, mail for the account is put off and
// logins fail; if the call is interrupted there, repeating it moves the folder.
func (s *Service) RenameAccount(ctx context.Context, r Rename) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	to, err := directory.ParseAddress(r.New)
	if err != nil {
		return err
	}
	old, err := s.Directory.GetAccount(ctx, r.Old)
	if errors.Is(err, directory.ErrNoAccount) {
		return s.finishRename(ctx, r.Old, to.String(), err)
	}
	if err != nil {
		return err
	}
	if err := s.Directory.RenameAccount(ctx, old.Address, to.String()); err != nil {
		return err
	}
	s.forget(old.Address)
	if err := s.Store.RenameAccount(ctx, old.Address, to.String()); err != nil {
		back := s.Directory.RenameAccount(context.WithoutCancel(ctx), to.String(), old.Address)
		return errors.Join(fmt.Errorf("moving the mail of %s to %s: %w", old.Address, to, err), back)
	}
	return s.renameLogins(ctx, old.Address, to.String())
}

// finishRename moves the folder of an account whose row was renamed by a call that did
// not come to its end. If this is not such a case, the error is missing.
func (s *Service) finishRename(ctx context.Context, from, to string, missing error) error {
	old, err := directory.ParseAddress(from)
	if err != nil {
		return err
	}
	if _, err := s.Directory.GetAccount(ctx, to); err != nil {
		return missing
	}
	if err := s.Store.RenameAccount(ctx, old.String(), to); err != nil {
		if errors.Is(err, store.ErrNoAccount) || errors.Is(err, store.ErrAccountExists) {
			return missing
		}
		return err
	}
	return nil
}

// RemoveAccount puts the mail away first and removes the directory row last, so that a
// later account of the same address never finds mail of this one. If the call is
// interrupted between the two, mail for the account is put off; repeating it goes on.
func (s *Service) RemoveAccount(ctx context.Context, r Remove) (Removed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.Directory.GetAccount(ctx, r.Address)
	if err != nil {
		return Removed{}, err
	}
	if err := s.checkUnaliased(ctx, a); err != nil {
		return Removed{}, err
	}
	removed := Removed{Address: a.Address}
	removed.MovedTo, err = s.Store.RemoveAccount(ctx, a.Address, r.Purge)
	if err != nil && !errors.Is(err, store.ErrNoAccount) {
		return Removed{}, fmt.Errorf("putting away the mail of %s: %w", a.Address, err)
	}
	if err := s.Directory.RemoveAccount(ctx, a.Address); err != nil {
		return Removed{}, fmt.Errorf("the mail of %s is put away (%s), but: %w; repeat the command", a.Address, removed.MovedTo, err)
	}
	s.forget(a.Address)
	return removed, s.removeLogins(ctx, a.Address)
}

// checkUnaliased is ErrInUse while aliases lead to a: the directory would refuse to
// remove it, and that has to be known before its mail is moved.
func (s *Service) checkUnaliased(ctx context.Context, a directory.Account) error {
	all, err := s.Directory.ListAliases(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, alias := range all {
		for _, target := range alias.Targets {
			yes, err := s.leadsTo(ctx, target, a)
			if err != nil {
				return err
			}
			if yes {
				names = append(names, alias.Address)
				break
			}
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%s: %w: aliases lead to it (%s); remove them first: kurir alias remove %s",
			a.Address, directory.ErrInUse, strings.Join(names, ", "), names[0])
	}
	return nil
}

// leadsTo reports whether an alias's target is the account a, with a +tag or without.
func (s *Service) leadsTo(ctx context.Context, target string, a directory.Account) (bool, error) {
	found, err := s.Directory.GetAccount(ctx, target)
	if err == nil {
		return found.ID == a.ID, nil
	}
	if errors.Is(err, directory.ErrNoDomain) { // another server's
		return false, nil
	}
	if !errors.Is(err, directory.ErrNoAccount) {
		return false, err
	}
	t, err := directory.ParseAddress(target)
	if err != nil {
		return false, err
	}
	base, _, tagged := strings.Cut(t.Local, "+")
	return tagged && directory.Address{Local: base, Domain: t.Domain}.String() == a.Address, nil
}
