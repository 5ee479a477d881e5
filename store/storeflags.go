package store

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"kurir/internal/fsx"
)

// Store changes the flags of messages. With a condition other than NoModSeq, messages
// that changed since are left alone and listed in modified (RFC 7162 section 3.1.3); at is
// the mailbox's mod-sequence afterwards. Messages that are gone are passed over. Errors:
// ErrTooManyKeywords, ErrInvalidKeyword, ErrMailboxGone, ErrDiskFull, ErrUnavailable.
func (m *Mailbox) Store(ctx context.Context, uids []UID, op FlagOp, f FlagSet, unchangedSince ModSeq) (modified []UID, at ModSeq, err error) {
	s := &storing{op: op, unchangedSince: unchangedSince, known: NoModSeq}
	err = m.store(ctx, uids, f, s)
	return s.Modified, s.at, err
}

// Stored is what [View.Store] did.
type Stored struct {
	Modified []UID  // left alone, since they changed after the condition's mod-sequence
	ModSeq   ModSeq // of the change; 0 if there was nothing to change
	// Own are the messages that it changed and nobody else had changed since the view's
	// client was told of their flags: it can work out what they are now.
	Own []UID
}

// Store changes the flags of messages as [Mailbox.Store] does, but synchronises first.
func (v *View) Store(ctx context.Context, uids []UID, op FlagOp, f FlagSet, unchangedSince ModSeq) (Stored, error) {
	if err := v.m.sync(ctx); err != nil {
		return Stored{}, err
	}
	s := &storing{op: op, unchangedSince: unchangedSince, known: v.told}
	err := v.m.store(ctx, uids, f, s)
	return s.Stored, err
}

// storing is a change of flags at work.
type storing struct {
	op             FlagOp
	bits           Flags
	unchangedSince ModSeq
	known          ModSeq // changes after this one have not been told
	at             ModSeq // the mailbox's afterwards
	Stored
}

func (m *Mailbox) store(ctx context.Context, uids []UID, f FlagSet, s *storing) error {
	return m.change(ctx, func() (err error) {
		if s.bits, err = m.flagBits(f, s.op != RemoveFlags); err != nil {
			return err
		}
		todo := sorted(uids)
		err = m.again(ctx, func() (lost bool, err error) {
			todo, err = m.storeFlags(todo, s)
			return len(todo) > 0, err
		})
		slices.Sort(s.Modified)
		s.at = m.count.modseq
		return err
	})
}

// storeFlags changes flags. It lists those messages whose files were not found.
func (m *Mailbox) storeFlags(uids []UID, s *storing) (lost []UID, err error) {
	cs := &changeSet{}
	i := 0
	for _, uid := range uids {
		e := m.seek(&i, uid)
		if e == nil {
			continue
		}
		if e.modseq > s.unchangedSince {
			s.Modified = append(s.Modified, uid)
			continue
		}
		n := *e
		switch s.op {
		case AddFlags:
			n.flags |= s.bits
		case RemoveFlags:
			n.flags &^= s.bits
		default:
			n.flags = s.bits
		}
		if n.flags != e.flags {
			cs.put = append(cs.put, n)
		}
	}
	if len(cs.put) == 0 {
		return nil, nil
	}
	if err := m.raise(0, 1); err != nil {
		return nil, err
	}
	cs.modseq = m.count.modseq + 1
	m.quietly(len(cs.put), func() { lost, err = m.renameFlags(cs) })
	if len(cs.put) == 0 {
		return lost, err
	}
	if serr := m.s.group.SyncDir(m.path("cur")); serr != nil {
		m.spend(nil, serr)
		return nil, errors.Join(err, serr)
	}
	m.ownCurChange()
	own := m.unchanged(cs, s.known)
	if cerr := m.commit(cs); cerr != nil {
		m.quietly(len(cs.put), func() { m.takeBack(cs) })
		return lost, errors.Join(err, cerr)
	}
	s.ModSeq, s.Own = cs.modseq, own // what an earlier try changed counts as told to nobody
	return lost, err
}

// takeBack undoes the renames of a change that could not be made known: so its messages are
// still read where the columns say. What can't be undone the next scan sees.
func (m *Mailbox) takeBack(cs *changeSet) {
	cur, err := fsx.OpenDir(m.s.fs, m.path("cur"))
	if err != nil {
		return
	}
	defer cur.Close()
	i := 0
	for k := range cs.put {
		n := &cs.put[k]
		e, foreign := m.seek(&i, n.uid), m.cols.foreign[n.uid]
		if err := cur.RenameNoReplace(entryName(n, foreign, m.tag, &m.s.hosts), entryName(e, foreign, m.tag, &m.s.hosts)); err != nil {
			return
		}
	}
}

// unchanged lists the messages of cs.put that did not change after since, up to cs.
func (m *Mailbox) unchanged(cs *changeSet, since ModSeq) []UID {
	uids := make([]UID, 0, len(cs.put))
	i := 0
	for k := range cs.put {
		if e := m.seek(&i, cs.put[k].uid); e != nil && e.modseq <= since {
			uids = append(uids, e.uid)
		}
	}
	return uids
}

// renameFlags renames the messages of cs.put to what their flags are now; those that
// could not be are taken out of it. Those that were not found are listed: a race lost
// against another program.
func (m *Mailbox) renameFlags(cs *changeSet) (lost []UID, err error) {
	done := cs.put[:0]
	cur, err := fsx.OpenDir(m.s.fs, m.path("cur"))
	if err != nil {
		cs.put = done
		return nil, err
	}
	defer cur.Close()
	i := 0
	for k := range cs.put {
		n := cs.put[k]
		if e := m.seek(&i, n.uid); err == nil {
			foreign := m.cols.foreign[n.uid]
			rerr := cur.Rename(entryName(e, foreign, m.tag, &m.s.hosts), entryName(&n, foreign, m.tag, &m.s.hosts))
			switch {
			case rerr == nil:
				n.modseq = cs.modseq
				done = append(done, n)
			case errors.Is(rerr, fs.ErrNotExist):
				lost = append(lost, n.uid)
				m.curDirty.Store(true)
			default:
				err = rerr
				m.spend(nil, err)
			}
		}
	}
	cs.put = done
	return lost, err
}
