package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// start reads kurir-mailbox, or makes it for a directory of another program, and decides
// whether the index can be trusted.
func (m *Mailbox) start(ctx context.Context) error {
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := m.ensureDir(d); err != nil {
			return err
		}
	}
	if m.path() != m.a.dir { // INBOX's were seen to with the account
		if err := errors.Join(m.s.clearTmp(m.path("tmp")), m.s.clearTemp(m.path())); err != nil {
			return err
		}
	}
	b, err := fsx.ReadFile(m.s.fs, m.path(maildir.MailboxFileName), 64<<10)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = m.identify(ctx)
	case err == nil:
		m.file, err = maildir.ParseMailboxFile(b)
		if errors.Is(err, maildir.ErrNewer) {
			return errors.Join(ErrNewer, err)
		}
		if err != nil {
			m.s.log.Error("kurir-mailbox is damaged: the mailbox gets a new UIDVALIDITY, clients load it again",
				"account", m.a.address, "mailbox", m.name, "error", err)
			err = m.identify(ctx)
		}
	}
	for err == nil && !m.claim() {
		m.s.log.Warn("the folder is a copy of another mailbox and gets a UIDVALIDITY of its own", "account", m.a.address, "mailbox", m.name)
		err = m.identify(ctx)
	}
	if err != nil {
		return err
	}
	m.validity, m.tag = m.file.UIDValidity, m.file.Tag
	m.topSeq, _ = m.s.bases.Seq(m.s.bases.Next()) // those made before may have been seen here
	if err := m.readKeywords(); err != nil {
		return err
	}
	if err := m.readUIDLs(); err != nil {
		return err
	}
	if m.s.watch != nil {
		m.watched.Store(m.s.watch.add(m))
	}
	row, err := m.a.index().row(m.id)
	if err != nil {
		return err
	}
	return m.trust(ctx, row)
}

// claim takes the id that kurir-mailbox says; false if another mailbox that is open has it,
// since a program copied its folder: in the index the two would be one.
func (m *Mailbox) claim() bool {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	for _, o := range m.a.open {
		if o != m && o.id == m.file.ID && o.inPlace() {
			return false
		}
	}
	m.id = m.file.ID
	return true
}

// inPlace says whether the mailbox still lies where it was opened: not if it was renamed.
func (m *Mailbox) inPlace() bool {
	b, err := fsx.ReadFile(m.s.fs, m.path(maildir.MailboxFileName), 64<<10)
	if err != nil {
		return false
	}
	f, err := maildir.ParseMailboxFile(b)
	return err == nil && f.ID == m.id
}

// readUIDLs reads kurir-uidl, which only adopted mailboxes have.
func (m *Mailbox) readUIDLs() error {
	b, err := fsx.ReadFile(m.s.fs, m.path(maildir.UIDLFile), 256<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		m.uidls = maildir.ParseUIDLs(b)
	}
	return err
}

// ensureDir makes a missing cur/, new/ or tmp/. That the mailbox's directory itself is
// missing is ErrNoMailbox.
func (m *Mailbox) ensureDir(d string) error {
	st, err := m.s.fs.Stat(m.path(d))
	if err == nil && !st.IsDir() {
		return fmt.Errorf("%w: %s is no directory", ErrNoMailbox, d)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := m.s.fs.Stat(m.path()); errors.Is(err, fs.ErrNotExist) {
		return ErrNoMailbox
	}
	if err := m.s.fs.Mkdir(m.path(d), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return m.s.group.SyncDir(m.path())
}

// identify gives a mailbox its kurir-mailbox.
func (m *Mailbox) identify(ctx context.Context) error {
	v, err := m.a.nextUIDValidity(ctx, 1)
	if err != nil {
		return err
	}
	m.file = newMailboxFile(v, "")
	return m.writeFile()
}

func newMailboxFile(validity uint32, specialUse string) maildir.MailboxFile {
	return maildir.MailboxFile{ID: "F" + randomHex(12), UIDValidity: validity, Tag: randomHex(4), SpecialUse: specialUse,
		UIDFloor: 1, ModSeqFloor: 1, Generation: 1, Clean: true}
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func (m *Mailbox) writeFile() error {
	b, err := m.file.Format()
	if err != nil {
		return err
	}
	return fsx.WriteFile(m.s.fs, m.path(maildir.MailboxFileName), b, 0o600)
}

// trust takes the counters from the index where they can be believed, and else rebuilds
// them from the files.
func (m *Mailbox) trust(ctx context.Context, row *indexRow) error {
	near := func(a, b uint64) bool { return a == b || a+1 == b || b+1 == a }
	switch {
	case row == nil || row.uidValidity != m.file.UIDValidity:
	case m.file.Clean && row.generation == m.file.Generation:
		m.take(row)
		m.newTime, m.curTime = row.newTime, row.curTime
		// While it was not watched anything may have happened: the times tell.
		m.curDirty.Store(m.curTime == 0 || m.modTime("cur") != m.curTime)
		return nil
	case !m.file.Clean && m.file.BootID == m.s.o.BootID && near(row.generation, m.file.Generation):
		// The process died, the system did not: what was committed is there.
		m.take(row)
		m.curDirty.Store(true)
		return nil
	}
	if row != nil {
		m.key = row.key
	}
	return m.rebuild(ctx)
}

func (m *Mailbox) take(row *indexRow) {
	m.key, m.horizon = row.key, row.horizon
	m.count = row.counters
	m.count.modseq = max(m.count.modseq, 1)
	m.count.uidNext = max(m.count.uidNext, 1)
	m.cols.loaded = m.count.messages == 0
}

// load brings the columns into memory. The caller holds mu.
func (m *Mailbox) load() error {
	m.state.RLock()
	loaded := m.cols.loaded
	m.state.RUnlock()
	if loaded {
		return nil
	}
	c := columns{loaded: true, ents: make([]entry, 0, m.count.messages)}
	if err := m.a.index().blocks(m.key, func(data []byte) error { return c.decodeBlock(data, &m.s.hosts) }); err != nil {
		return fmt.Errorf("reading the index: %w", err)
	}
	c.uids = uidsOf(c.ents)
	if len(c.ents) != int(m.count.messages) {
		return fmt.Errorf("the index counts %d messages and lists %d", m.count.messages, len(c.ents))
	}
	m.state.Lock()
	defer m.state.Unlock()
	m.cols = c
	// After a crash the row does not say it.
	m.count.firstUnseen, m.count.firstUnseenUID = c.firstUnseen(1)
	for v := range m.views {
		v.resolve(c.uids)
	}
	return nil
}

// loadOrRebuild loads the columns, and rebuilds them if the index is damaged.
func (m *Mailbox) loadOrRebuild(ctx context.Context) error {
	err := m.load()
	if err == nil {
		return nil
	}
	m.s.log.Error("the index of a mailbox is damaged and is made anew", "account", m.a.address, "mailbox", m.Name(), "error", err)
	return m.rebuild(ctx)
}
