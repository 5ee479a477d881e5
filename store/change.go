package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// change runs f under the mailbox lock, with the columns loaded.
func (m *Mailbox) change(ctx context.Context, f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.goneErr(); err != nil {
		return err
	}
	if err := m.catchUp(ctx); err != nil {
		return kindOf(err)
	}
	m.beforeOwnChange()
	return kindOf(f())
}

// catchUp makes the columns say what is on disk, as far as an earlier failure left them
// behind. The caller holds mu.
func (m *Mailbox) catchUp(ctx context.Context) error {
	if err := m.loadOrRebuild(ctx); err != nil {
		return err
	}
	if m.behind {
		return m.takeIn(ctx)
	}
	return nil
}

// again runs f, and up to twice more while it meets files that are no longer where the
// columns say: another program was quicker, and cur/ is read first.
func (m *Mailbox) again(ctx context.Context, f func() (lost bool, err error)) error {
	for try := 0; ; try++ {
		lost, err := f()
		if err != nil || !lost || try == 2 {
			return err
		}
		m.curDirty.Store(true)
		if err := m.takeIn(ctx); err != nil {
			return err
		}
	}
}

func sorted(uids []UID) []UID {
	if slices.IsSorted(uids) {
		return uids
	}
	uids = slices.Clone(uids)
	slices.Sort(uids)
	return slices.Compact(uids)
}

func searchUID(uids []UID, uid UID) (int, bool) { return slices.BinarySearch(uids, uid) }

// flagBits gives the bits of f in this mailbox. With create, keywords that have no letter
// yet get one, durably, before any name uses it; else they count for nothing.
func (m *Mailbox) flagBits(f FlagSet, create bool) (Flags, error) {
	bits := f.Flags & systemFlags
	next := m.keywords
	for _, k := range f.Keywords {
		if !maildir.ValidKeyword(k) {
			return 0, fmt.Errorf("%w: %q", ErrInvalidKeyword, k)
		}
		if isForwarded(k) {
			bits |= Forwarded
			continue
		}
		i := next.Index(k)
		if i < 0 && create {
			var ok bool
			if i, ok = next.Add(k, m.usedKeywords()); !ok {
				return 0, ErrTooManyKeywords
			}
		}
		if i >= 0 {
			bits |= KeywordFlag(i)
		}
	}
	if next == m.keywords {
		if bits&^systemFlags != 0 && m.kwLoose {
			if err := m.s.group.SyncDir(m.path()); err != nil {
				return 0, err
			}
			m.kwLoose = false
		}
		return bits, nil
	}
	if err := fsx.WriteFile(m.s.fs, m.path(maildir.KeywordsFile), next.Format(), 0o600); err != nil {
		m.kwLoose = true // it may be there all the same, to be read again
		return 0, err
	}
	m.kwLoose = false
	m.state.Lock()
	defer m.state.Unlock()
	m.keywords = next
	m.kwSeq++
	return bits, nil
}

// usedKeywords says which letters messages bear: a letter is given again only if none
// does.
func (m *Mailbox) usedKeywords() maildir.Flags {
	var all Flags
	for i := range m.cols.ents {
		all |= m.cols.ents[i].flags
	}
	return maildir.Flags(all)
}

// seek gives the entry of uid, looking from *i on.
func (m *Mailbox) seek(i *int, uid UID) *entry {
	ents := m.cols.ents
	if *i < len(ents) && ents[*i].uid < uid {
		if *i++; *i < len(ents) && ents[*i].uid < uid {
			k, _ := find(ents[*i:], uid)
			*i += k
		}
	}
	if *i < len(ents) && ents[*i].uid == uid {
		return &ents[*i]
	}
	return nil
}

// Expunge removes those of the messages that have the flag Deleted; nil means of all. It
// gives the UIDs of those removed.
func (m *Mailbox) Expunge(ctx context.Context, uids []UID) (gone []UID, err error) {
	return m.removeAll(ctx, func() []UID {
		var del []UID
		if uids == nil {
			for i := range m.cols.ents {
				if m.cols.ents[i].flags&Deleted != 0 {
					del = append(del, m.cols.ents[i].uid)
				}
			}
			return del
		}
		i := 0
		for _, uid := range sorted(uids) {
			if e := m.seek(&i, uid); e != nil && e.flags&Deleted != 0 {
				del = append(del, uid)
			}
		}
		return del
	})
}

// removeAll removes the messages that choose lists.
func (m *Mailbox) removeAll(ctx context.Context, choose func() []UID) (gone []UID, err error) {
	err = m.change(ctx, func() error {
		return m.again(ctx, func() (bool, error) {
			del, lost, err := m.remove(choose())
			gone = append(gone, del...)
			return lost, err
		})
	})
	slices.Sort(gone)
	return gone, err
}

// Remove removes messages, whatever their flags. It gives the UIDs of those removed.
func (m *Mailbox) Remove(ctx context.Context, uids []UID) (gone []UID, err error) {
	return m.removeAll(ctx, func() []UID { return sorted(uids) })
}

// remove moves messages to expunged/: other views still read them there. It says whether
// it did not find the files of some.
func (m *Mailbox) remove(uids []UID) (gone []UID, lost bool, err error) {
	if len(uids) == 0 {
		return nil, false, nil
	}
	if err := m.raise(0, 1); err != nil {
		return nil, false, err
	}
	cs := &changeSet{modseq: m.count.modseq + 1, graves: map[UID]string{}}
	cur, pit := m.path("cur"), m.a.expungedDir()
	var bytes int64
	i := 0
	for _, uid := range uids {
		e := m.seek(&i, uid)
		if e == nil {
			continue
		}
		name := m.cols.name(e, m.tag, &m.s.hosts)
		grave := filepath.Join(pit, name)
		switch err = m.s.bury(filepath.Join(cur, name), grave); {
		case err == nil:
			cs.graves[uid] = grave
		case errors.Is(err, fs.ErrNotExist): // gone already, or renamed by another program
			m.curDirty.Store(true)
			lost, err = true, nil
			continue
		}
		if err != nil {
			m.spend(nil, err)
			break
		}
		cs.del = append(cs.del, uid)
		bytes += int64(e.stored)
	}
	if len(cs.del) == 0 {
		return nil, lost, err
	}
	for _, d := range []string{pit, cur} {
		if serr := m.s.group.SyncDir(d); serr != nil {
			m.spend(nil, serr)
			return nil, false, errors.Join(err, serr)
		}
	}
	m.ownCurChange()
	m.a.addUse(-bytes, -int64(len(cs.del)))
	if cerr := m.commit(cs); cerr != nil {
		return nil, false, errors.Join(err, cerr, m.exhume(cs))
	}
	return cs.del, lost, err
}

// exhume puts messages back whose expunge could not be made known.
func (m *Mailbox) exhume(cs *changeSet) error {
	cur := m.path("cur")
	i := 0
	for _, uid := range cs.del {
		e := m.seek(&i, uid)
		err := m.s.fs.RenameNoReplace(cs.graves[uid], filepath.Join(cur, m.cols.name(e, m.tag, &m.s.hosts)))
		if errors.Is(err, fs.ErrNotExist) { // there was no room for it in expunged/
			continue
		}
		if err != nil {
			return err // the next scan sees what is there
		}
		m.a.addUse(int64(e.stored), 1)
	}
	return m.s.group.SyncDir(cur)
}

// bury moves a file to expunged/, or removes it where there is no room for that.
func (s *Store) bury(path, grave string) error {
	err := s.fs.RenameNoReplace(path, grave)
	if errors.Is(err, fs.ErrExist) {
		// Of two links to one file a rename would leave both.
		if err = s.fs.Remove(grave); err == nil || errors.Is(err, fs.ErrNotExist) {
			err = s.fs.RenameNoReplace(path, grave)
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if errors.Is(kindOf(err), ErrDiskFull) {
		return s.fs.Remove(path)
	}
	return err
}

// Append adds messages, all or none, and gives their UIDs. Errors: ErrOverQuota,
// ErrTooManyKeywords, ErrInvalidKeyword, ErrDiskFull, ErrMailboxGone, ErrUnavailable.
func (m *Mailbox) Append(ctx context.Context, msgs []Appending) ([]UID, error) {
	var bytes int64
	for i := range msgs {
		a := &msgs[i]
		if err := a.Message.prepareAppend(a.Date); err != nil {
			return nil, err
		}
		bytes += a.Message.stored
	}
	if err := m.s.CheckQuota(ctx, m.a.address, bytes); err != nil {
		return nil, err
	}
	var uids []UID
	err := m.change(ctx, func() error {
		var err error
		uids, err = m.appendAll(msgs, bytes)
		return err
	})
	return uids, err
}

func (m *Mailbox) appendAll(msgs []Appending, bytes int64) ([]UID, error) {
	bits := make([]Flags, len(msgs))
	for i := range msgs {
		var err error
		if bits[i], err = m.flagBits(msgs[i].Flags, true); err != nil {
			return nil, err
		}
	}
	if err := m.raise(len(msgs), 1); err != nil {
		return nil, err
	}
	cs := &changeSet{modseq: m.count.modseq + 1, uidNext: m.nextUID()}
	var done []string
	cur := m.path("cur")
	for i := range msgs {
		st := msgs[i].Message
		e := entry{uid: cs.uidNext, modseq: cs.modseq, flags: bits[i], stored: uint32(st.stored), wire: uint32(st.wire), date: dateOf(st.date)}
		to := m.newName(cur, &e, cs)
		if err := m.s.take(st, to); err != nil {
			return nil, m.undo(cs, notTaken(done, to, err), err)
		}
		done = append(done, to)
		cs.put = append(cs.put, e)
		cs.uidNext++
	}
	if err := m.s.group.SyncDir(cur); err != nil {
		return nil, m.undo(cs, done, err)
	}
	m.ownCurChange()
	if err := m.commit(cs); err != nil {
		return nil, m.undo(cs, done, err)
	}
	m.a.addUse(bytes, int64(len(msgs)))
	return uidsOf(cs.put), nil
}

// newName gives e a new base and the path of its file in cur.
func (m *Mailbox) newName(cur string, e *entry, cs *changeSet) string {
	base := m.s.bases.Next()
	m.topSeq, _ = m.s.bases.Seq(base)
	e.base = packBase(base, &m.s.hosts)
	if e.base.Host == foreignBase {
		if cs.foreign == nil {
			cs.foreign = map[UID]string{}
		}
		cs.foreign[e.uid] = base
	}
	return filepath.Join(cur, entryName(e, base, m.tag, &m.s.hosts))
}

// notTaken adds the file that could not be made to those to remove: a call may fail and
// have been carried out all the same. One that was there before is another's.
func notTaken(paths []string, path string, err error) []string {
	if errors.Is(err, fs.ErrExist) {
		return paths
	}
	return append(paths, path)
}

// undo removes the files of a change that nobody has been told of.
func (m *Mailbox) undo(cs *changeSet, paths []string, err error) error {
	for _, p := range paths {
		if rerr := m.s.fs.Remove(p); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
			m.spend(cs, rerr)
		}
	}
	m.curDirty.Store(true)
	return err
}

// take moves a finished message to path, or links it there if it is kept elsewhere.
func (s *Store) take(st *Staged, path string) error {
	if st.keep {
		return s.linkOrCopy(st.path, path)
	}
	err := s.fs.RenameNoReplace(st.path, path)
	if err == nil {
		st.path = ""
		st.err = errTaken
		return nil
	}
	if linkRefused(err) { // another file system: Close removes what was copied
		if err = s.linkOrCopy(st.path, path); err == nil {
			st.err = errTaken
		}
	}
	return err
}

var errTaken = errors.New("store: message has been delivered")
