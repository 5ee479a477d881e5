package store

import (
	"context"
	"time"
)

// Wait blocks until the mailbox has moved past since, and gives its mod-sequence. Errors:
// ErrMailboxGone when it is deleted, ErrClosed when the store is, or ctx's.
func (m *Mailbox) Wait(ctx context.Context, since ModSeq) (ModSeq, error) {
	m.state.Lock()
	m.waiters++
	m.state.Unlock()
	defer func() {
		m.state.Lock()
		m.waiters--
		m.state.Unlock()
	}()
	if m.unread() {
		m.kick()
	}
	for {
		m.state.Lock()
		if m.gone != nil {
			m.state.Unlock()
			return 0, m.gone
		}
		if now := m.count.modseq; now > since {
			m.state.Unlock()
			return now, nil
		}
		if m.changed == nil {
			m.changed = make(chan struct{})
		}
		c := m.changed
		m.state.Unlock()
		select {
		case <-c:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-m.poll():
			if m.unread() {
				m.kick()
			}
		}
	}
}

// poll fires after a second where nothing else tells of other programs' changes.
func (m *Mailbox) poll() <-chan time.Time {
	if m.s.watch != nil && m.watched.Load() {
		return nil
	}
	return time.After(time.Second)
}

// nudge makes those that wait look again at how they are to wait.
func (m *Mailbox) nudge() {
	m.state.Lock()
	defer m.state.Unlock()
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// kick synchronises in the background, if anyone is waiting to hear of changes.
func (m *Mailbox) kick() {
	if m.listened() && m.syncing.CompareAndSwap(false, true) && !m.s.background(m.syncOn) {
		m.syncing.Store(false)
	}
}

func (m *Mailbox) listened() bool {
	m.state.RLock()
	defer m.state.RUnlock()
	return m.waiters > 0 && m.gone == nil
}

// syncOn synchronises until nothing is known to be unread: after a failure a second later.
func (m *Mailbox) syncOn() {
	for {
		err := m.sync(context.Background())
		m.syncing.Store(false)
		if err != nil || !m.newDirty.Load() && !m.curDirty.Load() {
			return
		}
		if m.stuck.Load() {
			select {
			case <-m.s.stop:
				return
			case <-time.After(time.Second):
			}
		}
		if !m.listened() || !m.syncing.CompareAndSwap(false, true) {
			return
		}
	}
}

// quietAt is how many messages a change must touch for quietly to be worth while, and
// quietDelay how long after it cur/ is read.
const (
	quietAt    = 1000
	quietDelay = 200 * time.Millisecond
)

// quietly runs f, which is about to rename n messages. Where that is most of a large
// mailbox, its own events would cost more than the renames: cur/ is not watched
// meanwhile, and read a moment later instead, for what other programs did.
func (m *Mailbox) quietly(n int, f func()) {
	w := m.s.watch
	if w == nil || !m.watched.Load() || n < quietAt || 2*n < len(m.cols.ents) {
		f()
		return
	}
	w.pause(m)
	f()
	w.resume(m)
	if !m.lookLater.CompareAndSwap(false, true) {
		return
	}
	time.AfterFunc(quietDelay, func() {
		m.curDirty.Store(true)
		m.lookLater.Store(false)
		m.s.background(func() { m.sync(context.Background()) }) // that it was closed is no matter
	})
}
