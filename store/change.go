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

// Store changes the flags of messages. With a condition other than NoModSeq, messages
// that changed since are left alone and listed in modified (RFC 7162 section 3.1.3); at is
// the mailbox's mod-sequence afterwards. Messages that are gone are passed over. Errors:
// ErrTooManyKeywords, ErrInvalidKeyword, ErrMailboxGone, ErrDiskFull, ErrUnavailable.
func (m *Mailbox) Store(ctx context.Context, uids []UID, op FlagOp, f FlagSet, unchangedSince ModSeq) (modified []UID, at ModSeq, err error) {
	err = m.change(ctx, func() error {
		bits, err := m.flagBits(f, op != RemoveFlags)
		if err != nil {
			return err
		}
		modified, err = m.storeFlags(sorted(uids), op, bits, unchangedSince)
		at = m.count.modseq
		return err
	})
	return modified, at, err
}

// change runs f under the mailbox lock, with the columns loaded.
func (m *Mailbox) change(ctx context.Context, f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.goneErr(); err != nil {
		return err
	}
	if err := m.loadOrRebuild(ctx); err != nil {
		return kindOf(err)
	}
	return kindOf(f())
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
		return bits, nil
	}
	if err := fsx.WriteFile(m.s.fs, m.path(maildir.KeywordsFile), next.Format(), 0o600); err != nil {
		return 0, err
	}
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

func (m *Mailbox) storeFlags(uids []UID, op FlagOp, bits Flags, unchangedSince ModSeq) (modified []UID, err error) {
	cs := &changeSet{}
	i := 0
	for _, uid := range uids {
		e := m.seek(&i, uid)
		if e == nil {
			continue
		}
		if e.modseq > unchangedSince {
			modified = append(modified, uid)
			continue
		}
		n := *e
		switch op {
		case AddFlags:
			n.flags |= bits
		case RemoveFlags:
			n.flags &^= bits
		default:
			n.flags = bits
		}
		if n.flags != e.flags {
			cs.put = append(cs.put, n)
		}
	}
	if len(cs.put) == 0 {
		return modified, nil
	}
	if err := m.raise(0, 1); err != nil {
		return modified, err
	}
	cs.modseq = m.count.modseq + 1
	err = m.renameFlags(cs)
	if len(cs.put) == 0 {
		return modified, err
	}
	if serr := m.s.group.SyncDir(m.path("cur")); serr != nil {
		m.curDirty.Store(true)
		return modified, errors.Join(err, serr)
	}
	m.ownCurChange()
	return modified, errors.Join(err, m.commit(cs))
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

// renameFlags renames the messages of cs.put to what their flags are now; those that
// could not be are taken out of it. ENOENT is a race lost against another program: the
// next synchronisation finds out.
func (m *Mailbox) renameFlags(cs *changeSet) error {
	cur := m.path("cur") + "/"
	done := cs.put[:0]
	var err error
	i := 0
	for k := range cs.put {
		n := cs.put[k]
		if e := m.seek(&i, n.uid); err == nil {
			foreign := m.cols.foreign[n.uid]
			rerr := m.s.fs.Rename(cur+entryName(e, foreign, m.tag, &m.s.hosts), cur+entryName(&n, foreign, m.tag, &m.s.hosts))
			switch {
			case rerr == nil:
				n.modseq = cs.modseq
				done = append(done, n)
			case errors.Is(rerr, fs.ErrNotExist):
				m.curDirty.Store(true)
			default:
				err = rerr
			}
		}
	}
	cs.put = done
	return err
}

// Expunge removes those of the messages that have the flag Deleted; nil means of all. It
// gives the UIDs of those removed.
func (m *Mailbox) Expunge(ctx context.Context, uids []UID) (gone []UID, err error) {
	err = m.change(ctx, func() error {
		var del []UID
		if uids == nil {
			for i := range m.cols.ents {
				if m.cols.ents[i].flags&Deleted != 0 {
					del = append(del, m.cols.ents[i].uid)
				}
			}
		} else {
			i := 0
			for _, uid := range sorted(uids) {
				if e := m.seek(&i, uid); e != nil && e.flags&Deleted != 0 {
					del = append(del, uid)
				}
			}
		}
		gone, err = m.remove(del)
		return err
	})
	return gone, err
}

// Remove removes messages, whatever their flags. It gives the UIDs of those removed.
func (m *Mailbox) Remove(ctx context.Context, uids []UID) (gone []UID, err error) {
	err = m.change(ctx, func() error {
		gone, err = m.remove(sorted(uids))
		return err
	})
	return gone, err
}

// remove moves messages to expunged/: other views still read them there.
func (m *Mailbox) remove(uids []UID) ([]UID, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	if err := m.raise(0, 1); err != nil {
		return nil, err
	}
	cs := &changeSet{modseq: m.count.modseq + 1, graves: map[UID]string{}}
	cur, pit := m.path("cur"), m.a.expungedDir()
	var bytes int64
	var err error
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
			err = nil
			continue
		}
		if err != nil {
			break
		}
		cs.del = append(cs.del, uid)
		bytes += int64(e.stored)
	}
	if len(cs.del) == 0 {
		return nil, err
	}
	for _, d := range []string{pit, cur} {
		if serr := m.s.group.SyncDir(d); serr != nil {
			m.curDirty.Store(true)
			return nil, errors.Join(err, serr)
		}
	}
	m.ownCurChange()
	m.a.addUse(-bytes, -int64(len(cs.del)))
	if cerr := m.commit(cs); cerr != nil {
		return nil, errors.Join(err, cerr)
	}
	return cs.del, err
}

// bury moves a file to expunged/, or removes it where there is no room for that.
func (s *Store) bury(path, grave string) error {
	err := s.fs.Rename(path, grave)
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
	cs := &changeSet{modseq: m.count.modseq + 1, uidNext: m.count.uidNext}
	var done []string
	cur := m.path("cur")
	for i := range msgs {
		st := msgs[i].Message
		e := entry{uid: cs.uidNext, modseq: cs.modseq, flags: bits[i], stored: uint32(st.stored), wire: uint32(st.wire), date: dateOf(st.date)}
		to := m.newName(cur, &e, cs)
		if err := m.s.take(st, to); err != nil {
			return nil, m.undo(done, err)
		}
		done = append(done, to)
		cs.put = append(cs.put, e)
		cs.uidNext++
	}
	if err := m.s.group.SyncDir(cur); err != nil {
		return nil, m.undo(done, err)
	}
	m.ownCurChange()
	m.a.addUse(bytes, int64(len(msgs)))
	if err := m.commit(cs); err != nil {
		return nil, err
	}
	return uidsOf(cs.put), nil
}

// newName gives e a new base and the path of its file in cur.
func (m *Mailbox) newName(cur string, e *entry, cs *changeSet) string {
	base := m.s.bases.Next()
	e.base = packBase(base, &m.s.hosts)
	if e.base.Host == foreignBase {
		if cs.foreign == nil {
			cs.foreign = map[UID]string{}
		}
		cs.foreign[e.uid] = base
	}
	return filepath.Join(cur, entryName(e, base, m.tag, &m.s.hosts))
}

// undo removes files that nobody has been told of.
func (m *Mailbox) undo(paths []string, err error) error {
	for _, p := range paths {
		if rerr := m.s.fs.Remove(p); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
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
	}
	return err
}

var errTaken = errors.New("store: message has been delivered")
