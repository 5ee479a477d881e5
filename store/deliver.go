package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"kurir/internal/maildir"
)

// prepareAppend finishes the message and gives its file the internal date.
func (m *Staged) prepareAppend(date time.Time) error {
	m.date = date
	if date.IsZero() {
		m.date = m.s.o.Now()
	}
	if m.finished && m.err == nil {
		if err := m.setDate(m.date); err != nil {
			m.err = kindOf(err)
		}
	}
	return m.ready()
}

// delivery is a target with the place that it leads to.
type delivery struct {
	Target
	dir  string // the mailbox's directory
	name string // of the file in new/; in tmp/ it begins with the store's run
	done bool
}

// tmp is the delivery's file in tmp/.
func (d *delivery) tmp(s *Store) string { return filepath.Join(d.dir, "tmp", s.run+d.name) }

// Deliver puts a message into mailboxes and returns when it would survive a power cut
// there. It takes no lock, gives no UID and touches no index. Targets that lead to one
// mailbox get one message. A non-nil error means that nobody has it: ErrNoAccount,
// ErrOverQuota, ErrDiskFull, ErrUnavailable and so on. Otherwise all have it but those in
// failed, which had no room or no mailbox, or broke after another had succeeded: to these the caller
// delivers later, from a copy made by KeepAs, which is possible as long as there are any.
func (s *Store) Deliver(ctx context.Context, m *Staged, targets []Target) (failed []TargetError, err error) {
	if err := m.ready(); err != nil {
		return nil, err
	}
	ds, full, err := s.places(ctx, m, targets)
	if err != nil {
		return nil, err
	}
	if len(ds) == 0 && len(full) > 0 {
		return nil, full[0].Err
	}
	if len(ds) == 0 {
		return nil, errors.New("store: no targets")
	}
	if len(ds) == 1 && len(full) == 0 {
		err = s.deliverOne(m, ds[0])
		ds[0].done = err == nil
	} else {
		failed, err = s.deliverAll(m, ds)
	}
	if err != nil {
		return nil, kindOf(s.missingAccount(err, ds))
	}
	for _, d := range ds {
		if d.done {
			s.delivered(d, m)
		}
	}
	return append(full, failed...), nil
}

// places finds the targets' directories, each once, and parts those without room, or
// without a mailbox.
func (s *Store) places(ctx context.Context, m *Staged, targets []Target) (ds []*delivery, full []TargetError, err error) {
	seen := map[string]bool{}
	for i, t := range targets {
		dir, err := s.accountDir(t.Address)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case t.Junk:
			sub, err := s.junkDir(dir)
			if err != nil {
				return nil, nil, kindOf(err)
			}
			dir = filepath.Join(dir, sub)
		case t.Detail != "":
			sub, err := s.plusDir(dir, t.Detail)
			if err != nil {
				return nil, nil, kindOf(err)
			}
			dir = filepath.Join(dir, sub)
		case t.Mailbox != "":
			sub, err := maildir.FolderDir(t.Mailbox)
			if err != nil {
				return nil, nil, nameError(err)
			}
			dir = filepath.Join(dir, sub)
		}
		targets[i].Placed = placedIn(dir)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		if len(targets) > 1 { // one that is broken for good must not hold up the others
			if _, err := s.fs.Stat(filepath.Join(dir, "tmp")); errors.Is(missing(err), ErrNoMailbox) {
				full = append(full, TargetError{t, s.missingAccount(missing(err), []*delivery{{Target: t}})})
				continue
			}
		}
		switch err := s.CheckQuota(ctx, t.Address, m.stored); {
		case errors.Is(err, ErrOverQuota):
			full = append(full, TargetError{t, err})
			continue
		case err != nil:
			return nil, nil, err
		}
		n := maildir.Name{Base: s.bases.Next(), Size: m.stored, Wire: m.wire}
		if f := t.Flags & systemFlags; f != 0 {
			n.SetFlags(maildir.Flags(f))
		}
		ds = append(ds, &delivery{Target: t, dir: dir, name: n.String()})
	}
	return ds, full, nil
}

// placedIn is the name of the mailbox in a directory.
func placedIn(dir string) string {
	if name, ok := maildir.ParseFolderDir(filepath.Base(dir)); ok {
		return name
	}
	return "INBOX"
}

// deliverOne moves the message from stage/ straight into new/.
func (s *Store) deliverOne(m *Staged, d *delivery) error {
	path := filepath.Join(d.dir, "new", d.name)
	if err := s.take(m, path); err != nil {
		return errors.Join(missing(err), s.forgetAll(notTaken(nil, path, err)))
	}
	if err := s.group.SyncDir(filepath.Join(d.dir, "new")); err != nil {
		return errors.Join(err, s.forget(path))
	}
	return nil
}

// missing turns the absence of a mailbox's directory into ErrNoMailbox.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return errors.Join(ErrNoMailbox, err)
	}
	return err
}

// missingAccount says of a mailbox that is missing whether its account is, too.
func (s *Store) missingAccount(err error, ds []*delivery) error {
	if !errors.Is(err, ErrNoMailbox) {
		return err
	}
	for _, d := range ds {
		dir, derr := s.accountDir(d.Address)
		if _, serr := s.fs.Stat(filepath.Join(dir, "cur")); derr == nil && errors.Is(serr, fs.ErrNotExist) {
			return errors.Join(ErrNoAccount, fmt.Errorf("%s: %w", d.Address, serr))
		}
	}
	return err
}

// forget removes a file that nobody has been told of.
func (s *Store) forget(path string) error {
	if err := s.fs.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (s *Store) forgetAll(paths []string) (err error) {
	for _, p := range paths {
		err = errors.Join(err, s.forget(p))
	}
	return err
}

// deliverAll links the message into the tmp/ of every target, where all that can fail
// does, and then renames it into each new/.
func (s *Store) deliverAll(m *Staged, ds []*delivery) ([]TargetError, error) {
	for i, d := range ds {
		if err := s.linkOrCopy(m.path, d.tmp(s)); err != nil {
			for _, d := range ds[:i+1] {
				err = errors.Join(err, s.forget(d.tmp(s)))
			}
			return nil, missing(err)
		}
	}
	errs := make([]error, len(ds))
	var wg sync.WaitGroup
	for i, d := range ds {
		tmp, path := d.tmp(s), filepath.Join(d.dir, "new", d.name)
		if err := s.fs.RenameNoReplace(tmp, path); err != nil {
			errs[i] = errors.Join(missing(err), s.forgetAll(notTaken([]string{tmp}, path, err)))
			continue
		}
		wg.Go(func() {
			if err := s.group.SyncDir(filepath.Dir(path)); err != nil {
				errs[i] = errors.Join(err, s.forget(path))
			}
		})
	}
	wg.Wait()
	var failed []TargetError
	for i, d := range ds {
		if errs[i] != nil {
			failed = append(failed, TargetError{d.Target, kindOf(errs[i])})
		}
		d.done = errs[i] == nil
	}
	if len(failed) == len(ds) {
		return nil, fmt.Errorf("no delivery succeeded: %w", failed[0].Err)
	}
	return failed, nil
}

// delivered accounts for a message and wakes those that wait for it.
func (s *Store) delivered(d *delivery, m *Staged) {
	s.addUse(d.Address, m.stored, 1)
	a := s.peek(d.Address)
	if a == nil {
		return
	}
	defer a.Close()
	sub, err := filepath.Rel(a.dir, d.dir)
	if err != nil || sub == "." {
		sub = ""
	}
	if b := a.peek(sub); b != nil {
		defer b.Close()
		b.newDirty.Store(true)
		b.kick()
	}
}

// linkRefused says whether an error means that the file system makes no such link, but
// could hold a copy.
func linkRefused(err error) bool {
	return errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.EMLINK) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EOPNOTSUPP)
}

// nameError turns maildir's errors about names into the store's.
func nameError(err error) error {
	if errors.Is(err, maildir.ErrNameTooLong) {
		return errors.Join(ErrNameTooLong, err)
	}
	return errors.Join(ErrInvalidName, err)
}
