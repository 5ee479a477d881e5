package store

import (
	"context"
	"errors"
	"io/fs"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// sync takes in what was delivered, and what other programs did. Errors: ErrMailboxGone,
// ErrClosed. That the disk refuses is logged only: what is known can still be served.
func (m *Mailbox) sync(ctx context.Context) error {
	if err := m.goneErr(); err != nil {
		return err
	}
	if !m.unread() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.syncLocked(ctx)
}

func (m *Mailbox) syncLocked(ctx context.Context) error {
	if err := m.goneErr(); err != nil {
		return err
	}
	err := m.takeIn(ctx)
	known := m.stuck.Swap(err != nil)
	if err != nil {
		m.curDirty.Store(true)
		if gerr := m.goneErr(); gerr != nil {
			return gerr
		}
		if known { // said once, not at each command
			return nil
		}
		m.s.log.Error("new messages can't be taken in", "account", m.a.address, "mailbox", m.Name(), "error", err)
	}
	return nil
}

// unread says whether there may be anything to take in.
func (m *Mailbox) unread() bool {
	if m.newDirty.Load() || m.curDirty.Load() {
		return true
	}
	m.state.RLock()
	newTime, curTime := m.newTime, m.curTime
	m.state.RUnlock()
	if newTime == 0 || m.modTime("new") != newTime {
		return true
	}
	return !m.watched.Load() && (curTime == 0 || m.curUnsure(curTime) || m.modTime("cur") != curTime)
}

// errMoved says that a file of cur/ is no longer where the columns say, and that it
// matters now.
var errMoved = errors.New("a file was renamed by another program")

// takeIn brings the columns up to what is on disk.
func (m *Mailbox) takeIn(ctx context.Context) error {
	err := m.scan(ctx, false)
	if errors.Is(err, errMoved) {
		m.curDirty.Store(true)
		err = m.scan(ctx, true)
	}
	return err
}

// scan scans new/ before cur/: a message that another program moves from one to the other
// meanwhile is then seen at least once. Unless it is sure, it may fail with errMoved.
func (m *Mailbox) scan(ctx context.Context, sure bool) error {
	m.newDirty.Store(false)
	newTime := m.modTime("new")
	names, err := m.s.fs.ReadNames(m.path("new"))
	if err != nil {
		return err
	}
	newTime = m.settled(newTime)
	var fresh []newcomer
	for _, n := range names {
		if isMessageName(n) {
			fresh = append(fresh, newcomer{sub: "new", file: n, name: maildir.ParseName(n)})
		}
	}
	if m.lookAtCur() {
		if fresh, err = m.scanCur(ctx, fresh); err != nil {
			return err
		}
	}
	if len(fresh) > 0 {
		if err := m.loadOrRebuild(ctx); err != nil {
			return err
		}
		young, err := m.adopt(ctx, fresh, sure)
		if err != nil {
			return err
		}
		if young {
			newTime = 0
		}
	}
	m.setTimes(newTime, m.curTime)
	return nil
}

func (m *Mailbox) setTimes(newTime, curTime int64) {
	m.state.Lock()
	defer m.state.Unlock()
	m.newTime, m.curTime = newTime, curTime
}

// isMessageName leaves out what no Maildir program takes for a message.
func isMessageName(n string) bool { return n != "" && n[0] != '.' && !fsx.IsTemp(n) }

func (m *Mailbox) lookAtCur() bool {
	if m.curDirty.Load() {
		return true
	}
	return !m.watched.Load() && (m.curTime == 0 || m.curUnsure(m.curTime) || m.modTime("cur") != m.curTime)
}

// beforeOwnChange notes whether another program changed cur/ before a change of our own
// hides that. The caller holds mu.
func (m *Mailbox) beforeOwnChange() {
	if !m.watched.Load() && m.curTime != 0 && m.modTime("cur") != m.curTime {
		m.curDirty.Store(true)
	}
}

// ownCurChange notes that the change of cur/ just made was our own. Another program's in
// the same moment has the same time: so cur/ is read once when that time has settled. The
// caller holds mu.
func (m *Mailbox) ownCurChange() {
	if !m.watched.Load() && !m.curDirty.Load() && m.curTime != 0 {
		m.setTimes(m.newTime, m.modTime("cur"))
		m.curOwn.Store(true)
	}
}

// curUnsure says whether cur/ has to be read since the time of a change of our own has
// settled.
func (m *Mailbox) curUnsure(curTime int64) bool {
	return m.curOwn.Load() && m.settled(curTime) != 0
}

// readKeywords reads dovecot-keywords. Without what it says no letter may be given.
func (m *Mailbox) readKeywords() error {
	b, err := fsx.ReadFile(m.s.fs, m.path(maildir.KeywordsFile), 64<<10)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	k := maildir.ParseKeywords(b)
	m.state.Lock()
	defer m.state.Unlock()
	if k != m.keywords {
		m.keywords = k
		m.kwSeq++
	}
	return nil
}
