package store

import (
	"database/sql"
	"fmt"
)

// raise makes sure, durably, that uids more UIDs and mods more mod-sequences can be used:
// they stay below the floors in kurir-mailbox. The caller holds mu and is about to change
// the mailbox.
func (m *Mailbox) raise(uids int, mods uint64) error {
	needUID := uint64(m.nextUID()) + uint64(uids)
	needMod := uint64(m.count.modseq) + mods + 1
	if needUID > maxUID {
		return fmt.Errorf("%w: UIDs are used up", ErrNotPermitted)
	}
	f := &m.file
	if !f.Clean && f.BootID == m.s.o.BootID && needUID <= uint64(f.UIDFloor) && needMod <= f.ModSeqFloor {
		return nil
	}
	old := *f
	if f.Clean {
		f.Generation++
	}
	f.Clean, f.BootID = false, m.s.o.BootID
	if needUID > uint64(f.UIDFloor) {
		f.UIDFloor = uint32(min(needUID+uidStep, maxUID))
	}
	if needMod > f.ModSeqFloor {
		f.ModSeqFloor = needMod + modSeqStep
	}
	if err := m.writeFile(); err != nil {
		*f = old
		return err
	}
	return nil
}

// nextUID is the UID to give next. The caller holds mu.
func (m *Mailbox) nextUID() UID { return max(m.count.uidNext, m.spent) }

// spend notes, if err says that the change cs did not become known, that its UIDs may be
// in names on disk: they are given to no other message, and the disk is read before the
// next change. The caller holds mu.
func (m *Mailbox) spend(cs *changeSet, err error) {
	if err == nil {
		return
	}
	if cs != nil {
		m.spent = max(m.spent, cs.uidNext+1) // the next one too, if a rename failed half-way
	}
	m.behind = true
	m.curDirty.Store(true)
}

// commit makes a change known, which is complete and durable on disk: to the index, then
// to the columns, then to all that wait. The caller holds mu. If it fails the disk is
// ahead of what is known: the next synchronisation finds out what it says.
func (m *Mailbox) commit(cs *changeSet) error {
	return commitAll([]*Mailbox{m}, []*changeSet{cs})
}

// commitAll commits changes of several mailboxes of one account as one.
func commitAll(ms []*Mailbox, css []*changeSet) error {
	rows := make([]*indexRow, len(ms))
	err := ms[0].a.index().commit(func(tx *sql.Tx) error {
		for i, m := range ms {
			r, err := m.commitIndex(tx, css[i])
			if err != nil {
				return err
			}
			rows[i] = r
		}
		return nil
	})
	if err != nil {
		for i, m := range ms {
			m.spend(css[i], err)
		}
		return err
	}
	for i, m := range ms {
		m.publish(css[i], rows[i])
	}
	ms[0].a.tidyIndex()
	return nil
}

func (m *Mailbox) commitIndex(tx *sql.Tx, cs *changeSet) (*indexRow, error) {
	r := &indexRow{key: m.key, uidValidity: m.file.UIDValidity, generation: m.file.Generation, horizon: m.horizon}
	r.counters = m.nextCounters(cs)
	if err := putRow(tx, m.id, r); err != nil {
		return nil, err
	}
	if cs.fresh || m.voidIx {
		if err := dropMailbox(tx, r.key, true); err != nil {
			return nil, err
		}
	}
	blocks := cs.blocks()
	if m.voidIx && !cs.fresh {
		blocks = m.allBlocks(cs)
	}
	if len(blocks) > 0 {
		if err := m.putBlocks(tx, r.key, cs, blocks); err != nil {
			return nil, err
		}
	}
	m.a.index().forget(r.key, cs.del)
	return r, m.record(tx, r, cs)
}

// allBlocks lists every block that holds messages after cs.
func (m *Mailbox) allBlocks(cs *changeSet) []UID {
	all := &changeSet{put: m.cols.ents, del: nil}
	return mergeBlocks(all.blocks(), cs.blocks())
}

func (m *Mailbox) putBlocks(tx *sql.Tx, key int64, cs *changeSet, blocks []UID) error {
	put, err := tx.Prepare("INSERT INTO block (mailbox, block, modseq, data) VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET modseq=excluded.modseq, data=excluded.data")
	if err != nil {
		return err
	}
	defer put.Close()
	var buf []byte
	for _, b := range blocks {
		var top ModSeq
		if buf, top = m.cols.encodeBlock(buf[:0], cs, b, &m.s.hosts); len(buf) > 0 {
			_, err = put.Exec(key, b, top, buf)
		} else {
			if _, err = tx.Exec("DELETE FROM block WHERE mailbox=? AND block=?", key, b); err == nil {
				err = dropKept(tx, key, b)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nextCounters gives the counters after cs.
func (m *Mailbox) nextCounters(cs *changeSet) counters {
	n := m.cols.after(m.count, cs)
	n.firstUnseen, n.firstUnseenUID = 0, 0 // set by publish, which has the new columns
	return n
}

// publish applies a committed change to memory and wakes those that wait.
func (m *Mailbox) publish(cs *changeSet, r *indexRow) {
	m.state.Lock()
	defer m.state.Unlock()
	if len(cs.del) > 0 && len(m.views) > 0 {
		if m.graves == nil {
			m.graves = map[UID]grave{}
		}
		for _, uid := range cs.del {
			if e, ok := m.cols.get(uid); ok {
				m.graves[uid] = grave{*e, cs.graves[uid], m.cols.foreign[uid]}
			}
		}
		if len(m.graves) > maxGraves {
			m.pruneGraves()
		}
	}
	from := m.rescanFrom(cs)
	m.key, m.voidIx, m.horizon, m.history = r.key, false, r.horizon, r.history
	first, firstUID := m.count.firstUnseen, m.count.firstUnseenUID
	m.cols.apply(cs)
	m.cols.loaded = true
	m.count = r.counters
	m.count.firstUnseen, m.count.firstUnseenUID = first, firstUID
	if from == 0 && len(cs.del) > 0 { // its sequence number may be another
		from = firstUID
	}
	if from > 0 {
		m.count.firstUnseen, m.count.firstUnseenUID = m.cols.firstUnseen(from)
	}
	m.changes.add(cs)
	if cs.fresh {
		for v := range m.views {
			v.resolve(m.cols.uids)
		}
	}
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// rescanFrom says from which UID on the first unseen message has to be looked for after
// cs; 0 if it stays as it was.
func (m *Mailbox) rescanFrom(cs *changeSet) UID {
	first := m.count.firstUnseenUID
	if cs.fresh {
		return 1
	}
	for i := range cs.put {
		p := &cs.put[i]
		if first != 0 && p.uid > first {
			break
		}
		if p.flags&Seen == 0 && (first == 0 || p.uid < first) {
			return p.uid
		}
		if p.flags&Seen != 0 && p.uid == first {
			return first
		}
	}
	if _, gone := searchUID(cs.del, first); gone {
		return first
	}
	return 0
}

// settleIndex brings the mailbox's row to what kurir-mailbox is about to say: clean. It
// reports whether there is anything to say.
func (m *Mailbox) settleIndex() (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone != nil {
		return false, nil
	}
	if m.file.Clean {
		return false, m.settleTimes()
	}
	if err := m.s.group.SyncDir(m.path("cur")); err != nil {
		return false, err
	}
	r := &indexRow{key: m.key, uidValidity: m.file.UIDValidity, generation: m.file.Generation + 1, counters: m.count, horizon: m.horizon}
	r.newTime, r.curTime = m.newTime, m.knownCurTime()
	if m.voidIx {
		return false, m.commit(&changeSet{modseq: m.count.modseq})
	}
	return true, m.a.index().commit(func(tx *sql.Tx) error { return putRow(tx, m.id, r) })
}

// knownCurTime is the mtime of a cur/ that was seen as it is; 0 if that is not sure.
func (m *Mailbox) knownCurTime() int64 {
	if t := m.modTime("cur"); !m.newDirty.Load() && !m.curDirty.Load() && !m.lookLater.Load() && (m.watched.Load() || t == m.curTime && !m.curOwn.Load()) {
		return m.settled(t)
	}
	return 0
}

// settleTimes brings the times of a clean mailbox up to date: its last change may have
// been too young to remember when it was made clean.
func (m *Mailbox) settleTimes() error {
	newTime, curTime := m.newTime, m.knownCurTime()
	if m.key == 0 || curTime == 0 {
		return nil
	}
	return m.a.index().commit(func(tx *sql.Tx) error {
		_, err := tx.Exec("UPDATE mailbox SET newtime=?, curtime=? WHERE key=? AND generation=? AND (newtime<>? OR curtime<>?)",
			newTime, curTime, m.key, m.file.Generation, newTime, curTime)
		return err
	})
}

// settleFile says clean in kurir-mailbox, with exact floors.
func (m *Mailbox) settleFile() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone != nil {
		return nil
	}
	m.file.Clean, m.file.BootID = true, ""
	m.file.UIDFloor = uint32(m.nextUID())
	m.file.ModSeqFloor = uint64(m.count.modseq) + 1
	m.file.Generation++
	return m.writeFile()
}
