package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// renameFile is the intent of a RENAME under way: a line "old TAB new" a directory. What
// it lists is completed at the next opening of the account.
const renameFile = "kurir-rename"

// Rename gives a mailbox and all below it another name. INBOX stays: its messages move to
// the new mailbox (RFC 9051 section 6.3.6). Errors: ErrNoMailbox, ErrMailboxExists,
// ErrInvalidName, ErrNameTooLong.
func (a *Account) Rename(ctx context.Context, old, new string) error {
	from, oldName, err := dirOf(old)
	if err != nil {
		return errors.Join(ErrNoMailbox, err)
	}
	to, newName, err := dirOf(new)
	if err != nil {
		return err
	}
	if to == "" {
		return ErrMailboxExists
	}
	if from == "" {
		return a.renameInbox(ctx, newName)
	}
	if strings.HasPrefix(newName, oldName+"/") {
		return fmt.Errorf("%w: a mailbox can't move below itself", ErrNotPermitted)
	}
	a.treeMu.Lock()
	defer a.treeMu.Unlock()
	if err := a.finishRename(); err != nil {
		return kindOf(err)
	}
	pairs, err := a.renamePairs(from, to)
	if err != nil {
		return kindOf(err)
	}
	return kindOf(a.renameAll(pairs))
}

type renamePair struct{ from, to string }

// renamePairs lists the directories that a RENAME moves.
func (a *Account) renamePairs(from, to string) ([]renamePair, error) {
	dirs, err := a.folderDirs()
	if err != nil {
		return nil, err
	}
	var pairs []renamePair
	taken := map[string]bool{}
	for _, d := range dirs {
		taken[d] = true
	}
	for _, d := range dirs {
		if rest, ok := strings.CutPrefix(d, from); ok && (rest == "" || rest[0] == '.') {
			if len(to)+len(rest) > maildir.MaxFolderDir {
				return nil, ErrNameTooLong
			}
			if taken[to+rest] || taken[to] {
				return nil, ErrMailboxExists
			}
			pairs = append(pairs, renamePair{d, to + rest})
		}
	}
	if len(pairs) == 0 {
		return nil, ErrNoMailbox
	}
	return pairs, nil
}

func (a *Account) renameAll(pairs []renamePair) error {
	intent := filepath.Join(a.dir, renameFile)
	if len(pairs) > 1 {
		var b strings.Builder
		for _, p := range pairs {
			fmt.Fprintf(&b, "%s\t%s\n", p.from, p.to)
		}
		if err := fsx.WriteFile(a.s.fs, intent, []byte(b.String()), 0o600); err != nil {
			return err
		}
	}
	for i, p := range pairs {
		if err := a.renameOne(p); err != nil {
			return errors.Join(err, a.renameBack(pairs[:i], p, err, intent))
		}
	}
	if err := a.s.group.SyncDir(a.dir); err != nil {
		return err
	}
	if len(pairs) > 1 {
		return a.s.fs.Remove(intent)
	}
	return nil
}

// renameBack undoes the first of several renames when a later one failed, which may have
// been carried out all the same.
func (a *Account) renameBack(done []renamePair, failed renamePair, err error, intent string) error {
	var errs []error
	if !errors.Is(err, fs.ErrExist) {
		if err := a.renameOne(renamePair{failed.to, failed.from}); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, p := range done {
		errs = append(errs, a.renameOne(renamePair{p.to, p.from}))
	}
	if err := errors.Join(errs...); err != nil {
		return err // the intent stays: the next opening completes it
	}
	if err := a.s.fs.Remove(intent); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	}
	return a.s.group.SyncDir(a.dir) // or a power cut would have the next opening complete it
}

// renameOne moves one directory, and the mailbox in it if it is open.
func (a *Account) renameOne(p renamePair) error {
	m := a.peek(p.from)
	if m != nil {
		defer m.Close()
		m.mu.Lock()
		defer m.mu.Unlock()
	}
	err := a.s.fs.RenameNoReplace(filepath.Join(a.dir, p.from), filepath.Join(a.dir, p.to))
	if err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = errors.Join(ErrMailboxExists, err)
		}
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, p.from)
	delete(a.known, p.to)
	if m != nil {
		delete(a.open, p.from)
		a.open[p.to] = m
		m.state.Lock()
		m.dir = filepath.Join(a.dir, p.to)
		m.name, _ = maildir.ParseFolderDir(p.to)
		m.state.Unlock()
	}
	return nil
}

// finishRename completes a RENAME that an earlier run, or a failure, left half-done: before
// anything else is made of its names.
func (a *Account) finishRename() error {
	intent := filepath.Join(a.dir, renameFile)
	b, err := fsx.ReadFile(a.s.fs, intent, 16<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		from, to, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || !folderDirName(from) || !folderDirName(to) {
			return fmt.Errorf("%s: not a list of renames: finish or remove it by hand", intent)
		}
		err := a.renameOne(renamePair{from, to})
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := a.s.fs.SyncDir(a.dir); err != nil {
		return err
	}
	return a.s.fs.Remove(intent)
}

func folderDirName(d string) bool {
	return len(d) > 1 && d[0] == '.' && d != ".." && !strings.ContainsAny(d, "/\x00")
}

// renameInbox makes a mailbox and moves all of INBOX's messages there.
func (a *Account) renameInbox(ctx context.Context, name string) error {
	if err := a.Create(ctx, name, ""); err != nil {
		return err
	}
	inbox, err := a.Mailbox(ctx, "INBOX")
	if err != nil {
		return err
	}
	defer inbox.Close()
	to, err := a.Mailbox(ctx, name)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := inbox.change(ctx, func() error { return inbox.takeIn(ctx) }); err != nil {
		return err
	}
	v, err := inbox.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	_, err = inbox.Move(ctx, v.UIDs(), to)
	return err
}
