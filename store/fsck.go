package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// FsckOptions say what Fsck does beyond looking and mending.
type FsckOptions struct {
	// Restored gives every mailbox a new UIDVALIDITY and tag: for an account whose files
	// came back from a backup or a snapshot. Clients load everything once more, and none
	// takes a message for another.
	Restored bool
}

// FsckReport is what Fsck found and did.
type FsckReport struct {
	Address   string
	Mailboxes []FsckMailbox
	Findings  []Finding // of the account as a whole
}

// FsckMailbox is the part of a report on one mailbox.
type FsckMailbox struct {
	Name     string
	Messages int
	Findings []Finding
}

// Finding is one thing that was not as it should be.
type Finding struct {
	What     string // a sentence
	Repaired bool
}

// Problems counts all findings, and those that were repaired.
func (r *FsckReport) Problems() (found, repaired int) {
	all := slices.Clone(r.Findings)
	for _, m := range r.Mailboxes {
		all = append(all, m.Findings...)
	}
	for _, f := range all {
		if f.Repaired {
			repaired++
		}
	}
	return len(all), repaired
}

// Fsck compares an account's files with what the index says of them and with their own
// names, and mends what differs. It reads each message's size, not its content, and may
// run while the account is in use. Errors: ErrNoAccount, ErrUnavailable.
func (s *Store) Fsck(ctx context.Context, address string, o FsckOptions) (FsckReport, error) {
	r := FsckReport{Address: address}
	a, err := s.Account(ctx, address)
	if err != nil {
		return r, err
	}
	defer a.Close()
	if err := a.checkIndex(ctx); err != nil {
		return r, kindOf(err)
	}
	dirs, err := a.folderDirs()
	if err != nil {
		return r, kindOf(err)
	}
	for _, d := range dirs {
		name, valid := maildir.ParseFolderDir(d)
		if _, err := s.fs.Stat(filepath.Join(a.dir, d, "cur")); err != nil {
			r.Findings = append(r.Findings, Finding{fmt.Sprintf("the folder %q has no cur/ and is not shown as a mailbox", d), false})
			continue
		}
		fm, err := a.fsckMailbox(ctx, d, name, o)
		if err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
		if !valid {
			fm.Findings = append(fm.Findings, Finding{fmt.Sprintf("the folder %q is not named as this version names mailboxes; rename it in a mail program", d), false})
		}
		r.Mailboxes = append(r.Mailboxes, fm)
	}
	f, err := a.fsckUse(ctx)
	r.Findings = append(r.Findings, f...)
	return r, kindOf(err)
}

func (a *Account) fsckMailbox(ctx context.Context, dir, name string, o FsckOptions) (FsckMailbox, error) {
	r := FsckMailbox{Name: name}
	m, err := a.mailbox(ctx, dir, name)
	if err != nil {
		return r, err
	}
	if o.Restored {
		err := a.renumber(ctx, m, dir)
		m.Close()
		if err != nil {
			return r, err
		}
		r.Findings = append(r.Findings, Finding{"restored: the mailbox has a new UIDVALIDITY", true})
		if m, err = a.mailbox(ctx, dir, name); err != nil {
			return r, err
		}
	}
	defer m.Close()
	if err := m.sync(ctx); err != nil { // what was only not seen yet is no finding
		return r, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.goneErr(); err != nil {
		return r, err
	}
	if err := m.loadOrRebuild(ctx); err != nil {
		return r, err
	}
	found, err := m.inspect()
	if err != nil {
		return r, err
	}
	m.curDirty.Store(true)
	if err := m.takeIn(ctx); err != nil {
		return r, err
	}
	r.Findings = append(r.Findings, found...)
	r.Findings = append(r.Findings, m.fsckCounters()...)
	r.Messages = int(m.count.messages)
	return r, nil
}

// inspect compares files, names and columns, and readies for the scan that follows what
// that does not mend by itself.
func (m *Mailbox) inspect() ([]Finding, error) {
	var found []Finding
	own, _, err := m.listCur()
	if err != nil {
		return nil, err
	}
	d := m.compare(own)
	for _, k := range []struct {
		n    int
		what string
	}{
		{len(d.changed), "%d messages had other flags than the index knew"},
		{len(d.added), "%d messages were not in the index"},
		{len(d.missing), "%d messages in the index have no file"},
		{len(d.strays), "%d files bear the UID of a message that is gone, or of another; they get a new one"},
		{len(d.twins), "%d files are second copies of a message"},
	} {
		if k.n > 0 {
			found = append(found, Finding{fmt.Sprintf(k.what, k.n), true})
		}
	}
	wrong := 0
	for _, l := range own {
		path := m.path("cur", l.file)
		st, err := m.s.fs.Stat(path)
		if err != nil || st.Size() == l.name.Size {
			continue
		}
		// Its content is another than the UID stands for: it becomes a new message.
		n := maildir.Name{Base: m.s.bases.Next(), Size: -1, Wire: -1}
		n.SetFlags(l.name.Flags())
		if err := m.s.fs.Rename(path, m.path("cur", n.String())); err != nil {
			return found, err
		}
		wrong++
	}
	if wrong > 0 {
		found = append(found, Finding{fmt.Sprintf("%d files do not have the size that their name says; they became new messages", wrong), true})
	}
	left, err := m.oldTmp()
	if left > 0 {
		found = append(found, Finding{fmt.Sprintf("%d files in tmp/ were more than 36 hours old and were removed", left), true})
	}
	if letters := Flags(m.usedKeywords()) &^ systemFlags &^ m.namedKeywords(); letters != 0 {
		found = append(found, Finding{fmt.Sprintf("messages bear the keyword letters %q, which dovecot-keywords does not name", maildir.Flags(letters).Letters()), false})
	}
	return found, err
}

func (m *Mailbox) namedKeywords() Flags {
	var f Flags
	for i, k := range m.keywords {
		if k != "" {
			f |= KeywordFlag(i)
		}
	}
	return f
}

// oldTmp removes what any program left in tmp/ long ago.
func (m *Mailbox) oldTmp() (int, error) {
	names, err := m.s.fs.ReadNames(m.path("tmp"))
	if err != nil {
		return 0, err
	}
	n := 0
	for _, f := range names {
		path := m.path("tmp", f)
		st, err := m.s.fs.Stat(path)
		if err != nil || !st.Mode().IsRegular() || m.s.o.Now().Sub(st.ModTime()) < 36*time.Hour {
			continue
		}
		if err := m.s.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
		n++
	}
	return n, nil
}

// fsckCounters compares the counters with a count.
func (m *Mailbox) fsckCounters() []Finding {
	var n counters
	for i := range m.cols.ents {
		n.add(&m.cols.ents[i], +1)
	}
	c := &m.count
	if n.messages == c.messages && n.unseen == c.unseen && n.deleted == c.deleted && n.size == c.size {
		return nil
	}
	m.state.Lock()
	c.messages, c.unseen, c.deleted, c.size = n.messages, n.unseen, n.deleted, n.size
	m.voidIx = true // the next change writes all of it
	m.forgetHistory()
	m.state.Unlock()
	return []Finding{{"the counters did not agree with the messages", true}}
}

// renumber gives a mailbox a new UIDVALIDITY and tag, so that the UIDs in its files'
// names count for nothing. Sessions that have it open end.
func (a *Account) renumber(ctx context.Context, m *Mailbox, dir string) error {
	v, err := a.nextUIDValidity(ctx, 1)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.goneErr(); err != nil {
		return err
	}
	old := m.file
	m.file.UIDValidity, m.file.Tag, m.file.UIDFloor = v, randomHex(4), 1
	m.file.Generation += 2
	m.file.Clean, m.file.BootID = true, ""
	if err := m.writeFile(); err != nil {
		m.file = old
		return err
	}
	if a.s.watch != nil {
		a.s.watch.remove(m)
	}
	m.retire(ErrMailboxGone)
	a.mu.Lock()
	delete(a.open, dir)
	a.mu.Unlock()
	return a.index().dropMailbox(m.key)
}

// fsckUse compares maildirsize with the messages, and the subscriptions with the
// mailboxes.
func (a *Account) fsckUse(ctx context.Context) ([]Finding, error) {
	var found []Finding
	limit, err := a.s.limit(ctx, a.address)
	if err != nil {
		return nil, err
	}
	if limit > 0 {
		said, err := a.s.use(a.address, limit)
		if err != nil {
			return nil, err
		}
		is, err := a.s.countUse(a.dir)
		if err != nil {
			return nil, err
		}
		if said.Bytes != is.Bytes || said.Count != is.Count {
			l := a.s.quotaLock(a.address)
			l.Lock()
			is.MaxBytes = limit
			err := fsx.WriteFile(a.s.fs, filepath.Join(a.dir, maildir.QuotaFile), is.Format(), 0o600)
			l.Unlock()
			found = append(found, Finding{fmt.Sprintf("maildirsize said %d bytes, the messages have %d", said.Bytes, is.Bytes), err == nil})
		}
	}
	subs, err := a.Subscriptions(ctx)
	if err != nil {
		return found, err
	}
	for _, n := range subs {
		dir, _, err := dirOf(n)
		if err == nil {
			_, err = a.s.fs.Stat(filepath.Join(a.dir, dir, "cur"))
		}
		if err != nil && !strings.EqualFold(n, "INBOX") {
			found = append(found, Finding{fmt.Sprintf("%q is subscribed and does not exist", n), false})
		}
	}
	return found, nil
}
