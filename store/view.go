package store

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"kurir/internal/fsx"
)

// View is what one client has been told of a mailbox: its messages by UID, the
// mod-sequence up to which it knows their flags, and its keywords. Messages that others
// expunge stay in it until Refresh says so. Not safe for concurrent use, Mailbox.Wait
// beside it aside.
type View struct {
	m       *Mailbox
	lazy    bool  // uids is not loaded yet; count says how many there are
	guessed bool  // they could not be loaded: uids is as long as count, and no more
	uids    []UID // shared with the mailbox and other views: never changed
	count   int
	uidNext UID
	told    ModSeq
	kwSeq   int
	kw      []string
	pending []UID  // expunged, not told yet; ascending
	settled ModSeq // while there are pending ones: all were expunged after it

	lines atomic.Pointer[lineTable] // of the large message opened last
}

// View synchronises the mailbox and gives a view of it as it is. Close it.
func (m *Mailbox) View(ctx context.Context) (*View, error) {
	if err := m.sync(ctx); err != nil {
		return nil, err
	}
	m.state.Lock()
	defer m.state.Unlock()
	if m.gone != nil {
		return nil, m.gone
	}
	v := &View{m: m, count: int(m.count.messages), uidNext: m.count.uidNext, told: m.count.modseq, kwSeq: m.kwSeq, kw: trimKeywords(m.keywords)}
	if m.cols.loaded {
		v.uids = m.cols.uids
	} else {
		v.lazy = true
	}
	m.views[v] = struct{}{}
	return v, nil
}

// resolve gives a lazy view its UIDs, out of those of the mailbox. Where some that it
// counted were lost meanwhile, together with the index that knew them, UIDs that no message
// has stand for them until Refresh expunges them. The caller holds the mailbox's state.
func (v *View) resolve(uids []UID) {
	if !v.lazy {
		return
	}
	n, _ := slices.BinarySearch(uids, v.uidNext)
	v.uids, v.lazy = uids[:min(v.count, n)], false
	if len(v.uids) == v.count {
		return
	}
	all := make([]UID, 0, v.count)
	missing := v.count - len(v.uids)
	for uid, rest := UID(1), v.uids; len(all) < v.count; uid++ {
		if len(rest) > 0 && rest[0] == uid {
			all, rest = append(all, uid), rest[1:]
		} else if missing > 0 {
			all, missing = append(all, uid), missing-1
		} else {
			all, rest = append(all, rest...), nil
		}
	}
	v.uids = all
}

// load makes sure that the view has its UIDs.
func (v *View) load() error {
	m := v.m
	m.state.RLock()
	ready := !v.lazy && !v.guessed
	m.state.RUnlock()
	if ready {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.loadOrRebuild(context.Background())
	m.state.Lock()
	defer m.state.Unlock()
	v.guessed = err != nil
	if err != nil {
		v.resolve(nil)
		m.s.log.Error("loading a mailbox", "account", m.a.address, "mailbox", m.name, "error", err)
	}
	return kindOf(err)
}

// Load looks up which messages the view has, if that has not been done yet. Without it a
// view that can't be loaded has UIDs that stand for no message. Errors: ErrUnavailable or
// ErrDiskFull with its cause.
func (v *View) Load() error { return v.load() }

// Close gives the view up.
func (v *View) Close() {
	m := v.m
	m.state.Lock()
	defer m.state.Unlock()
	delete(m.views, v)
	if len(m.views) == 0 {
		m.graves = nil
	}
}

// Mailbox is the mailbox that this is a view of.
func (v *View) Mailbox() *Mailbox { return v.m }

// Count is the number of messages, as told.
func (v *View) Count() int { return v.count }

// UIDNext is the mailbox's UIDNEXT, as told.
func (v *View) UIDNext() UID { return v.uidNext }

// ModSeq is the mod-sequence up to which the client has been told of changes.
func (v *View) ModSeq() ModSeq { return v.told }

// Settled is the mod-sequence up to which the client has been told of everything: below
// ModSeq while messages are gone that no Refresh has said so of. A client that comes back
// with it, or a lower one, misses nothing (RFC 7162 section 3.2).
func (v *View) Settled() ModSeq {
	if len(v.pending) > 0 {
		return v.settled
	}
	return v.told
}

// Pending lists the messages that are gone and still in the view. Not to be changed.
func (v *View) Pending() []UID { return v.pending }

// Keywords names the keywords as told: index i is KeywordFlag(i).
func (v *View) Keywords() []string { return v.kw }

// KeywordsChanged says whether Refresh has keywords to tell.
func (v *View) KeywordsChanged() bool {
	v.m.state.RLock()
	defer v.m.state.RUnlock()
	return v.m.kwSeq != v.kwSeq
}

// UIDs lists the messages: that with sequence number n is at n-1. Not to be changed.
func (v *View) UIDs() []UID {
	v.load()
	return v.uids
}

// Seq is the sequence number of a UID, 0 if the view has no such message.
func (v *View) Seq(uid UID) int {
	i, ok := slices.BinarySearch(v.UIDs(), uid)
	if !ok {
		return 0
	}
	return i + 1
}

// Refresh takes in what changed and says what to tell the client. Without expunge no
// message leaves the view: RFC 9051 section 7.5.1 says when none may. Errors:
// ErrMailboxGone, ErrClosed, or those of Load.
func (v *View) Refresh(ctx context.Context, expunge bool) (Delta, error) {
	d := Delta{Exists: -1}
	m := v.m
	if err := m.sync(ctx); err != nil {
		return d, err
	}
	m.state.RLock()
	same := m.count.modseq == v.told && m.kwSeq == v.kwSeq && (len(v.pending) == 0 || !expunge)
	m.state.RUnlock()
	if same {
		return d, nil
	}
	if err := v.load(); err != nil {
		return d, err
	}
	m.state.RLock()
	defer m.state.RUnlock()
	v.pull(&d)
	if expunge && len(v.pending) > 0 {
		v.bury(&d)
	}
	v.number(&d)
	v.told, v.uidNext = m.count.modseq, m.count.uidNext
	if m.kwSeq != v.kwSeq {
		v.kwSeq, v.kw = m.kwSeq, trimKeywords(m.keywords)
		d.Keywords = v.kw
	}
	return d, nil
}

// pull finds what changed since v.told: it adds to v.pending, extends v.uids and lists
// flag changes with their UIDs.
func (v *View) pull(d *Delta) {
	m := v.m
	touched, ok := m.changes.after(v.told)
	var gone []UID
	ents := m.cols.ents
	if ok {
		i := 0
		last := v.last()
		for _, uid := range touched {
			if uid > last {
				break
			}
			if e := m.seek(&i, uid); e == nil {
				gone = append(gone, uid)
			} else {
				d.Changed = append(d.Changed, Info{UID: uid, ModSeq: e.modseq, Flags: e.flags, Size: int64(e.wire)})
			}
		}
	} else {
		for _, uid := range v.uids {
			for len(ents) > 0 && ents[0].uid < uid {
				ents = ents[1:]
			}
			if len(ents) == 0 || ents[0].uid != uid {
				gone = append(gone, uid)
			} else if e := &ents[0]; e.modseq > v.told {
				d.Changed = append(d.Changed, Info{UID: uid, ModSeq: e.modseq, Flags: e.flags, Size: int64(e.wire)})
			}
		}
	}
	if len(gone) > 0 {
		if len(v.pending) == 0 {
			v.settled = v.told
		}
		v.pending = append(v.pending, gone...)
		slices.Sort(v.pending)
		v.pending = slices.Compact(v.pending)
		v.pending = slices.DeleteFunc(v.pending, func(u UID) bool { _, ok := slices.BinarySearch(v.uids, u); return !ok })
	}
	v.extend(d)
}

// last is the highest UID of the view.
func (v *View) last() UID {
	if len(v.uids) == 0 {
		return 0
	}
	return v.uids[len(v.uids)-1]
}

// extend adds the messages that came after the view's last.
func (v *View) extend(d *Delta) {
	all := v.m.cols.uids
	i, _ := slices.BinarySearch(all, v.last()+1)
	if i == len(all) {
		return
	}
	if len(v.pending) == 0 && i == len(v.uids) {
		v.uids = all // the same messages, then the new ones
	} else {
		v.uids = slices.Concat(v.uids, all[i:])
	}
	v.count = len(v.uids)
	d.Exists = v.count
}

// bury takes the pending messages out of the view.
func (v *View) bury(d *Delta) {
	d.ExpungedUIDs = v.pending
	for i := len(v.pending) - 1; i >= 0; i-- { // from the end: numbers then need no shift
		k, _ := slices.BinarySearch(v.uids, v.pending[i])
		d.Expunged = append(d.Expunged, k+1)
	}
	if all := v.m.cols.uids; len(all) == len(v.uids)-len(v.pending) {
		v.uids = all
	} else {
		gone := v.pending
		v.uids = slices.DeleteFunc(slices.Clone(v.uids), func(u UID) bool { _, ok := slices.BinarySearch(gone, u); return ok })
	}
	v.pending = nil
	v.count = len(v.uids)
	if d.Exists >= 0 {
		d.Exists = v.count
	}
}

// number sets the sequence numbers of the flag changes.
func (v *View) number(d *Delta) {
	i := 0
	for k := range d.Changed {
		c := &d.Changed[k]
		j, _ := slices.BinarySearch(v.uids[i:], c.UID)
		i += j
		c.Seq = i + 1
	}
}

// Info says what is known of the message with that sequence number; of one that is gone,
// what was last known. False if there is none, or nothing is known any more.
func (v *View) Info(seq int) (Info, bool) {
	var one [1]Info
	got := v.Infos(seq, seq, one[:0])
	if len(got) == 0 || got[0].ModSeq == 0 {
		return Info{}, false
	}
	return got[0], true
}

// Infos appends to buf what is known of the messages from one sequence number to another,
// both included. Those that are gone come with what was last known, or with no more than
// a UID, and ModSeq 0.
func (v *View) Infos(from, to int, buf []Info) []Info {
	uids := v.UIDs()
	from, to = max(from, 1), min(to, len(uids))
	m := v.m
	m.state.RLock()
	defer m.state.RUnlock()
	i := 0
	for seq := from; seq <= to; seq++ {
		uid := uids[seq-1]
		if e := m.seek(&i, uid); e != nil {
			buf = append(buf, Info{seq, uid, e.modseq, e.flags, int64(e.wire)})
		} else if g, ok := m.graves[uid]; ok {
			buf = append(buf, Info{seq, uid, g.modseq, g.flags, int64(g.wire)})
		} else {
			buf = append(buf, Info{Seq: seq, UID: uid})
		}
	}
	return buf
}

// place is where a message's file is.
type place struct {
	entry
	path string
	base string
}

// locate finds the file of a message, also of one expunged a while ago.
func (v *View) locate(uid UID) (place, bool) {
	m := v.m
	m.state.RLock()
	defer m.state.RUnlock()
	if e, ok := m.cols.get(uid); ok {
		base := m.cols.foreign[uid]
		p := place{entry: *e, path: filepath.Join(m.dir, "cur", entryName(e, base, m.tag, &m.s.hosts)), base: base}
		if base == "" {
			p.base = e.base.Unpack(&m.s.hosts)
		}
		return p, true
	}
	if g, ok := m.graves[uid]; ok && g.path != "" {
		p := place(g)
		if p.base == "" {
			p.base = g.entry.base.Unpack(&m.s.hosts)
		}
		return p, true
	}
	return place{}, false
}

// Open opens a message. Errors: ErrExpunged, or ErrUnavailable with its cause.
func (v *View) Open(ctx context.Context, uid UID) (b *Body, err error) {
	err = v.reach(ctx, uid, func(p *place) (err error) {
		b, err = v.m.body(p)
		return err
	})
	if err == nil && b.stored > smallBody && !b.raw() {
		b.lines = v.lines.Load()
		if b.lines == nil || b.lines.uid != uid || b.lines.stored != b.stored {
			b.lines = newLineTable(uid, b.stored)
			v.lines.Store(b.lines)
		}
	}
	return b, err
}

// reach calls use with the place of a message's file, and once more with another while
// that is not there. Errors: ErrExpunged, or ErrUnavailable with its cause.
func (v *View) reach(ctx context.Context, uid UID, use func(*place) error) error {
	if err := v.load(); err != nil {
		return err
	}
	for try := 0; ; try++ {
		p, ok := v.locate(uid)
		if !ok {
			return ErrExpunged
		}
		err := use(&p)
		if errors.Is(err, fsx.ErrNotRegular) && !errors.Is(err, syscall.EISDIR) {
			v.m.s.log.Warn("in the place of a message there is no file", "account", v.m.a.address, "error", err)
			return ErrExpunged
		}
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return kindOf(err)
		}
		if try == 3 && v.m.stuck.Load() { // the disk can't be read to say so
			return ErrUnavailable
		}
		if try == 3 {
			return ErrExpunged
		}
		if try > 0 { // not a race with a rename of ours: look again at what is there
			v.m.curDirty.Store(true)
			if err := v.m.sync(ctx); err != nil {
				return err
			}
		}
	}
}

// InternalDate is when the message was received, or what APPEND said: its file's mtime.
// Error: ErrExpunged.
func (v *View) InternalDate(ctx context.Context, uid UID) (time.Time, error) {
	v.load()
	p, ok := v.locate(uid)
	if ok && p.date != 0 {
		return time.Unix(int64(p.date), 0), nil
	}
	var st fs.FileInfo
	err := v.reach(ctx, uid, func(p *place) (err error) {
		st, err = v.m.s.fs.Stat(p.path)
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	m := v.m
	if m.mu.TryLock() { // else it is looked up again the next time
		defer m.mu.Unlock()
		m.state.Lock()
		defer m.state.Unlock()
		if e, ok := m.cols.get(uid); ok {
			e.date = dateOf(st.ModTime())
		}
	}
	return time.Unix(st.ModTime().Unix(), 0), nil
}

// UIDL is the message's unique-id for POP3 (RFC 1939 section 7): what kurir-uidl says that
// it had before its mailbox was adopted, else a short hash of its base, which no change of
// its flags changes. "" for one that is gone.
func (v *View) UIDL(uid UID) string {
	v.load()
	p, ok := v.locate(uid)
	if !ok {
		return ""
	}
	if id, ok := v.m.uidls[p.base]; ok {
		return id
	}
	sum := sha256.Sum256([]byte(p.base))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10]))
}
