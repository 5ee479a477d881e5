package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// DefaultMaxMailboxes is the default of Options.MaxMailboxes.
const DefaultMaxMailboxes = 20_000

// maxSubscriptionsFile bounds the file of subscriptions, in bytes.
const maxSubscriptionsFile = 4 << 20

// folderInfo is what a listing says of a mailbox and its name does not.
type folderInfo struct{ id, specialUse string }

// dirOf gives the directory of the mailbox with that name, below the account's.
func dirOf(name string) (dir, canonical string, err error) {
	dir, err = maildir.FolderDir(name)
	if err != nil {
		return "", "", nameError(err)
	}
	canonical, _ = maildir.ParseFolderDir(dir)
	return dir, canonical, nil
}

// Mailbox opens a mailbox by its name. Close it when done. Errors: ErrNoMailbox,
// ErrInvalidName, ErrNewer, ErrUnavailable.
func (a *Account) Mailbox(ctx context.Context, name string) (*Mailbox, error) {
	dir, canonical, err := dirOf(name)
	if err != nil {
		return nil, errors.Join(ErrNoMailbox, err)
	}
	if err := a.checkIndex(ctx); err != nil {
		return nil, kindOf(err)
	}
	return a.mailbox(ctx, dir, canonical)
}

// Status synchronises a mailbox and gives its counters. Errors as for Mailbox.
func (a *Account) Status(ctx context.Context, name string) (Status, error) {
	m, err := a.Mailbox(ctx, name)
	if err != nil {
		return Status{}, err
	}
	defer m.Close()
	return m.Status(ctx)
}

// folderDirs lists the directories of the account's mailboxes, INBOX's "" first.
func (a *Account) folderDirs() ([]string, error) {
	names, err := a.s.fs.ReadNames(a.dir)
	if err != nil {
		return nil, err
	}
	dirs := []string{""}
	for _, n := range names {
		if len(n) > 1 && n[0] == '.' && n != ".." && !fsx.IsTemp(n) {
			dirs = append(dirs, n)
		}
	}
	slices.Sort(dirs)
	return dirs, nil
}

// folder says what kurir-mailbox in dir says of the mailbox; false if dir is none. A
// directory of another program, which has no such file, is a mailbox if it has cur/.
func (a *Account) folder(dir string) (folderInfo, bool) {
	a.mu.Lock()
	f, known := a.known[dir]
	a.mu.Unlock()
	path := filepath.Join(a.dir, dir)
	if known {
		if _, err := a.s.fs.Stat(filepath.Join(path, "cur")); err != nil {
			a.forgetFolder(dir)
			return folderInfo{}, false
		}
		return f, true
	}
	if b, err := fsx.ReadFile(a.s.fs, filepath.Join(path, maildir.MailboxFileName), 64<<10); err == nil {
		if mf, err := maildir.ParseMailboxFile(b); err == nil {
			f = folderInfo{mf.ID, strings.TrimPrefix(mf.SpecialUse, `\`)}
			a.mu.Lock()
			a.known[dir] = f
			a.mu.Unlock()
			return f, true
		}
	}
	st, err := a.s.fs.Stat(filepath.Join(path, "cur"))
	return f, err == nil && st.IsDir()
}

func (a *Account) forgetFolder(dir string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, dir)
}

// Create makes a mailbox; specialUse is "Sent" and so on, or "". Levels above it need not
// exist. Errors: ErrMailboxExists, ErrInvalidName, ErrNameTooLong, ErrTooManyMailboxes,
// ErrDiskFull.
func (a *Account) Create(ctx context.Context, name, specialUse string) error {
	dir, _, err := dirOf(name)
	if err != nil {
		return err
	}
	if dir == "" {
		return ErrMailboxExists
	}
	a.treeMu.Lock()
	defer a.treeMu.Unlock()
	if err := a.finishRename(); err != nil {
		return kindOf(err)
	}
	if specialUse != "" {
		specialUse = `\` + specialUse
	}
	return kindOf(a.create(ctx, dir, specialUse))
}

func (a *Account) create(ctx context.Context, dir, specialUse string) error {
	path := filepath.Join(a.dir, dir)
	if _, err := a.s.fs.Stat(path); err == nil { // perhaps only since a sync failed
		return errors.Join(ErrMailboxExists, a.s.group.SyncDir(a.dir))
	}
	if dirs, err := a.folderDirs(); err != nil {
		return err
	} else if len(dirs) >= a.s.o.MaxMailboxes {
		return ErrTooManyMailboxes
	}
	v, err := a.nextUIDValidity(ctx, 1)
	if err != nil {
		return err
	}
	tmp := filepath.Join(a.dir, "tmp", a.s.run+randomHex(8))
	err = a.s.makeFolder(tmp, newMailboxFile(v, specialUse))
	if err == nil {
		err = a.s.fs.RenameNoReplace(tmp, path)
		if errors.Is(err, fs.ErrExist) {
			err = ErrMailboxExists
		}
	}
	if err != nil {
		return errors.Join(err, fsx.RemoveAll(a.s.fs, tmp))
	}
	a.forgetFolder(dir)
	return a.s.group.SyncDir(a.dir)
}

// makeFolder makes a complete mailbox directory, durable but for its own name.
func (s *Store) makeFolder(path string, f maildir.MailboxFile) error {
	b, err := f.Format()
	if err != nil {
		return err
	}
	for _, d := range []string{"", "cur", "new", "tmp"} {
		if err := s.fs.Mkdir(filepath.Join(path, d), 0o700); err != nil {
			return err
		}
	}
	for name, data := range map[string][]byte{"maildirfolder": nil, maildir.MailboxFileName: b} {
		if err := s.writeNew(filepath.Join(path, name), data); err != nil {
			return err
		}
	}
	return s.fs.SyncDir(path)
}

// writeNew makes a file with content, durable but for its name.
func (s *Store) writeNew(path string, data []byte) error {
	f, err := s.fs.Create(path, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = s.group.SyncFile(f)
	}
	return errors.Join(err, f.Close())
}

// Delete removes a mailbox with its messages; mailboxes below it stay. For a while it
// lies in expunged/, where sessions that have it open still read it. Errors:
// ErrNoMailbox, ErrNotPermitted for INBOX.
func (a *Account) Delete(ctx context.Context, name string) error {
	dir, canonical, err := dirOf(name)
	if err != nil {
		return errors.Join(ErrNoMailbox, err)
	}
	if dir == "" {
		return fmt.Errorf("%w: INBOX can't be deleted", ErrNotPermitted)
	}
	a.treeMu.Lock()
	defer a.treeMu.Unlock()
	if err := a.finishRename(); err != nil {
		return kindOf(err)
	}
	m, err := a.mailbox(ctx, dir, canonical)
	if err != nil {
		return err
	}
	defer m.Close()
	return kindOf(a.delete(m, dir))
}

func (a *Account) delete(m *Mailbox, dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.goneErr(); err != nil {
		return ErrNoMailbox
	}
	path, grave := m.path(), filepath.Join(a.expungedDir(), m.id+"-"+randomHex(4))
	if err := a.s.fs.Rename(path, grave); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNoMailbox
		}
		return err
	}
	if err := a.s.group.SyncDir(a.expungedDir()); err != nil {
		// A later sync of the account's folder alone would lose the mailbox.
		return errors.Join(err, a.s.fs.RenameNoReplace(grave, path))
	}
	size, count := m.storedSize(), m.count.messages
	m.state.Lock()
	m.dir = grave
	m.state.Unlock()
	m.retire(ErrMailboxGone)
	a.mu.Lock()
	delete(a.open, dir)
	delete(a.known, dir)
	a.mu.Unlock()
	if a.s.watch != nil {
		a.s.watch.remove(m)
	}
	if err := a.s.group.SyncDir(a.dir); err != nil {
		return err
	}
	a.addUse(-size, -int64(count))
	return a.index().dropMailbox(m.key)
}

// storedSize adds up the files of all messages, if anyone counts them. The caller holds mu.
func (m *Mailbox) storedSize() (n int64) {
	if m.s.o.Quota == nil {
		return 0
	}
	if err := m.load(); err != nil {
		return m.count.size
	}
	for i := range m.cols.ents {
		n += int64(m.cols.ents[i].stored)
	}
	return n
}

// Subscriptions lists the subscribed names, existing or not.
func (a *Account) Subscriptions(ctx context.Context) ([]string, error) {
	b, err := fsx.ReadFile(a.s.fs, filepath.Join(a.dir, maildir.SubscriptionsFile), maxSubscriptionsFile)
	if err == nil {
		return maildir.ParseSubscriptions(b), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, kindOf(err)
	}
	b, err = fsx.ReadFile(a.s.fs, filepath.Join(a.dir, maildir.CourierSubscriptionsFile), maxSubscriptionsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return maildir.ParseCourierSubscriptions(b), kindOf(err)
}

// Subscribe adds a name to the subscriptions; it need not exist. Errors: ErrInvalidName,
// ErrTooManyMailboxes, ErrDiskFull.
func (a *Account) Subscribe(ctx context.Context, name string) error {
	return a.subscribe(ctx, name, true)
}

// Unsubscribe takes a name out of the subscriptions.
func (a *Account) Unsubscribe(ctx context.Context, name string) error {
	return a.subscribe(ctx, name, false)
}

func (a *Account) subscribe(ctx context.Context, name string, on bool) error {
	_, name, err := dirOf(name)
	if err != nil {
		return err
	}
	a.treeMu.Lock()
	defer a.treeMu.Unlock()
	list, err := a.Subscriptions(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(list, name) == on { // perhaps only since a sync failed
		return kindOf(a.s.group.SyncDir(a.dir))
	}
	if on {
		list = append(list, name)
	} else {
		list = slices.DeleteFunc(list, func(s string) bool { return s == name })
	}
	b := maildir.FormatSubscriptions(list)
	if on && (len(list) > a.s.o.MaxMailboxes || len(b) > maxSubscriptionsFile) {
		return ErrTooManyMailboxes
	}
	return kindOf(fsx.WriteFile(a.s.fs, filepath.Join(a.dir, maildir.SubscriptionsFile), b, 0o600))
}
