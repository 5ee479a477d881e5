package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// defaultFolders are the mailboxes of a new account, by special use (RFC 6154).
var defaultFolders = [...]string{"Archive", "Drafts", "Junk", "Sent", "Trash"}

// CreateAccount makes the folder of a new account: INBOX and Sent, Drafts, Trash, Junk
// and Archive, subscribed. Errors: ErrAccountExists, ErrDiskFull, ErrUnavailable.
func (s *Store) CreateAccount(ctx context.Context, address string) error {
	dir, err := s.accountDir(address)
	if err != nil {
		return err
	}
	if _, err := s.fs.Stat(dir); err == nil { // perhaps only since a sync failed
		return errors.Join(ErrAccountExists, s.group.SyncDir(filepath.Dir(dir)))
	}
	tmp := filepath.Join(s.stageDir(), "account-"+randomHex(8))
	err = s.makeAccount(ctx, address, tmp)
	if err == nil {
		err = fsx.MkdirAll(s.fs, filepath.Dir(dir), 0o700)
	}
	if err == nil {
		err = s.fs.RenameNoReplace(tmp, dir)
		if errors.Is(err, fs.ErrExist) {
			err = ErrAccountExists
		}
	}
	if err != nil {
		return kindOf(errors.Join(err, fsx.RemoveAll(s.fs, tmp)))
	}
	return kindOf(s.group.SyncDir(filepath.Dir(dir)))
}

func (s *Store) makeAccount(ctx context.Context, address, dir string) error {
	if err := s.fs.Mkdir(dir, 0o700); err != nil {
		return err
	}
	n := uint32(len(defaultFolders) + 1)
	last, err := s.raiseUIDValidity(ctx, address, dir, 0, n)
	if err != nil {
		return err
	}
	b, err := newMailboxFile(last-n+1, "").Format()
	if err != nil {
		return err
	}
	for _, d := range []string{"cur", "new", "tmp", "expunged"} {
		if err := s.fs.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	subscribed := []string{"INBOX"}
	for i, f := range defaultFolders {
		sub, err := maildir.FolderDir(f)
		if err != nil {
			return err
		}
		if err := s.makeFolder(filepath.Join(dir, sub), newMailboxFile(last-n+2+uint32(i), `\`+f)); err != nil {
			return err
		}
		subscribed = append(subscribed, f)
	}
	for name, data := range map[string][]byte{maildir.MailboxFileName: b, maildir.SubscriptionsFile: maildir.FormatSubscriptions(subscribed)} {
		if err := s.writeNew(filepath.Join(dir, name), data); err != nil {
			return err
		}
	}
	return s.fs.SyncDir(dir)
}

// RenameAccount moves an account's mail to another address. Sessions that have it open
// end. Errors: ErrNoAccount, ErrAccountExists.
func (s *Store) RenameAccount(ctx context.Context, old, new string) error {
	to, err := s.accountDir(new)
	if err != nil {
		return err
	}
	if err := fsx.MkdirAll(s.fs, filepath.Dir(to), 0o700); err != nil {
		return kindOf(err)
	}
	return s.moveAccount(old, func(from string) error {
		if err := s.fs.RenameNoReplace(from, to); err != nil {
			if errors.Is(err, fs.ErrExist) {
				err = errors.Join(ErrAccountExists, err)
			}
			return err
		}
		return s.syncMoved(from, to)
	})
}

// RemoveAccount moves an account's mail to <data>/removed and says where, or with purge
// deletes it. Sessions that have it open end. Error: ErrNoAccount.
func (s *Store) RemoveAccount(ctx context.Context, address string, purge bool) (movedTo string, err error) {
	removed := filepath.Join(s.o.Dir, "removed")
	if err := fsx.MkdirAll(s.fs, removed, 0o700); err != nil {
		return "", kindOf(err)
	}
	err = s.moveAccount(address, func(from string) error {
		rel, err := filepath.Rel(s.mailDir(), from)
		if err != nil {
			return err
		}
		domain, local := filepath.Split(rel)
		name := fmt.Sprintf("%s@%s-%s-%s", trim(local), trim(filepath.Clean(domain)), s.o.Now().UTC().Format("20060102T150405Z"), randomHex(3))
		movedTo = filepath.Join(removed, name)
		if err := s.fs.Rename(from, movedTo); err != nil {
			return err
		}
		return s.syncMoved(from, movedTo)
	})
	if err != nil || !purge {
		return movedTo, err
	}
	return "", kindOf(fsx.RemoveAll(s.fs, movedTo))
}

// syncMoved makes the move of an account's folder durable, or undoes it: a later sync of
// the old place alone would lose the account.
func (s *Store) syncMoved(from, to string) error {
	if err := s.group.SyncDir(filepath.Dir(to)); err != nil {
		return errors.Join(err, s.fs.RenameNoReplace(to, from))
	}
	return s.group.SyncDir(filepath.Dir(from))
}

// trim keeps a part of a name short enough to be part of another.
func trim(s string) string { return s[:min(len(s), 90)] }

// moveAccount closes an account, keeps it closed while f moves its folder, and lets it be
// opened again after.
func (s *Store) moveAccount(address string, f func(dir string) error) error {
	dir, err := s.accountDir(address)
	if err != nil {
		return err
	}
	var a *Account
	for a == nil {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return ErrClosed
		}
		switch cur := s.accounts[address]; {
		case cur == nil:
			a = &Account{s: s, address: address, ready: make(chan struct{}), err: ErrNoAccount, closing: make(chan struct{})}
			close(a.ready)
			s.accounts[address] = a
			s.mu.Unlock()
		case cur.closing != nil:
			s.mu.Unlock()
			<-cur.closing
		default:
			select {
			case <-cur.ready:
				a = cur
				a.closing = make(chan struct{})
				s.mu.Unlock()
			default:
				s.mu.Unlock()
				<-cur.ready
			}
		}
	}
	defer func() {
		s.mu.Lock()
		delete(s.accounts, address)
		close(a.closing)
		s.mu.Unlock()
	}()
	if a.err == nil {
		if err := a.shut(); err != nil {
			s.log.Error("closing an account", "account", address, "error", err)
		}
	}
	if _, err := s.fs.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return ErrNoAccount
	}
	return kindOf(f(dir))
}
