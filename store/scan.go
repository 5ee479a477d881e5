package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// located is a file in cur/ that claims a UID of this mailbox.
type located struct {
	file string
	name maildir.Name
}

// listCur reads cur/: files that bear a UID of this mailbox, by UID and name, and others.
func (m *Mailbox) listCur() (own []located, other []newcomer, err error) {
	names, err := m.s.fs.ReadNames(m.path("cur"))
	if err != nil {
		return nil, nil, err
	}
	own = make([]located, 0, len(names))
	for _, f := range names {
		if !isMessageName(f) {
			continue
		}
		n := maildir.ParseName(f)
		if n.UID != 0 && n.Tag == m.tag && n.UID < m.file.UIDFloor && n.Size >= 0 && n.Wire >= n.Size && n.Wire < 1<<32 && !n.NeedsNewBase() {
			own = append(own, located{f, n})
		} else {
			other = append(other, newcomer{sub: "cur", file: f, name: n})
		}
	}
	slices.SortFunc(own, func(a, b located) int {
		if a.name.UID != b.name.UID {
			return int(int64(a.name.UID) - int64(b.name.UID))
		}
		return strings.Compare(a.file, b.file)
	})
	return own, other, nil
}

// scanCur compares cur/ with the columns, commits what differs, and adds what has no UID
// yet to fresh.
func (m *Mailbox) scanCur(ctx context.Context, fresh []newcomer) ([]newcomer, error) {
	if err := m.loadOrRebuild(ctx); err != nil {
		return nil, err
	}
	m.curDirty.Store(false)
	m.curOwn.Store(false)
	if err := m.readKeywords(); err != nil {
		return nil, err
	}
	curTime := m.modTime("cur")
	own, other, err := m.listCur()
	if err != nil {
		return nil, err
	}
	d := m.compare(own)
	if len(d.missing) > 0 {
		// While somebody renames, one pass over a directory may miss files.
		again, otherAgain, err := m.listCur()
		if err != nil {
			return nil, err
		}
		d, other = m.compare(again), otherAgain
	}
	for _, f := range d.strays {
		other = append(other, newcomer{sub: "cur", file: f.file, name: f.name, rebas: true})
	}
	for _, f := range d.twins {
		n, keep := m.settleTwin(f)
		if keep {
			other = append(other, n)
		}
	}
	if err := m.commitScan(d); err != nil {
		return nil, err
	}
	m.state.Lock()
	m.count.firstUnseen, m.count.firstUnseenUID = m.cols.firstUnseen(1)
	m.state.Unlock()
	m.setTimes(m.newTime, m.settled(curTime))
	m.behind = false
	return append(fresh, other...), nil
}

// difference is what a scan of cur/ found.
type difference struct {
	changed []located // flags, or a spelling of the name, unlike the columns'
	added   []located // bear UIDs given before a crash that the index did not get to know
	missing []UID
	strays  []located // bear the UID of a message that is gone, or of another
	twins   []twin
}

// twin is a file with the UID and base of another.
type twin struct {
	located
	of string
}

// compare walks the files, by UID, and the columns side by side.
func (m *Mailbox) compare(own []located) *difference {
	d := &difference{}
	ents := m.cols.ents
	var buf []byte
	for i := 0; i < len(own); {
		uid := UID(own[i].name.UID)
		j := i + 1
		for j < len(own) && UID(own[j].name.UID) == uid {
			j++
		}
		same := own[i:j]
		i = j
		for len(ents) > 0 && ents[0].uid < uid {
			d.missing = append(d.missing, ents[0].uid)
			ents = ents[1:]
		}
		if len(ents) > 0 && ents[0].uid == uid {
			base := m.baseOf(&ents[0], buf[:0])
			buf = base
			m.compareOne(d, &ents[0], base, same)
			ents = ents[1:]
		} else if uid >= m.count.uidNext {
			d.added = append(d.added, same[0])
			m.others(d, same[0], same[1:])
		} else {
			d.strays = append(d.strays, same...)
		}
	}
	for k := range ents {
		d.missing = append(d.missing, ents[k].uid)
	}
	return d
}

func (m *Mailbox) compareOne(d *difference, e *entry, base []byte, same []located) {
	name := m.cols.name(e, m.tag, &m.s.hosts)
	k := slices.IndexFunc(same, func(l located) bool { return l.file == name }) // of two, that which is known stays
	if k < 0 {
		k = slices.IndexFunc(same, func(l located) bool { return l.name.Base == string(base) })
	}
	if k < 0 {
		d.missing = append(d.missing, e.uid)
		d.strays = append(d.strays, same...)
		return
	}
	l := same[k]
	if l.file != name {
		d.changed = append(d.changed, l)
	}
	rest := slices.Concat(same[:k], same[k+1:])
	m.others(d, l, rest)
}

func (m *Mailbox) others(d *difference, kept located, rest []located) {
	for _, l := range rest {
		if l.name.Base == kept.name.Base {
			d.twins = append(d.twins, twin{l, kept.file})
		} else {
			d.strays = append(d.strays, l)
		}
	}
}

func (m *Mailbox) baseOf(e *entry, b []byte) []byte {
	if e.base.Host == foreignBase {
		return append(b, m.cols.foreign[e.uid]...)
	}
	return e.base.AppendTo(b, &m.s.hosts)
}

// settleTwin deals with a second file of the same base and UID: the same bytes are moved
// to expunged/, others are a message of their own.
func (m *Mailbox) settleTwin(t twin) (newcomer, bool) {
	same, err := m.sameBytes(m.path("cur", t.file), m.path("cur", t.of))
	if err == nil && same {
		err = m.s.bury(m.path("cur", t.file), filepath.Join(m.a.expungedDir(), t.file))
		if err == nil {
			return newcomer{}, false
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.s.log.Error("a second file of one message", "account", m.a.address, "file", t.file, "error", err)
		return newcomer{}, false
	}
	return newcomer{sub: "cur", file: t.file, name: t.name, rebas: true}, err == nil
}

func (m *Mailbox) sameBytes(a, b string) (bool, error) {
	f, _, err := fsx.OpenRegular(m.s.fs, a)
	if err != nil {
		return false, err
	}
	defer f.Close()
	g, _, err := fsx.OpenRegular(m.s.fs, b)
	if err != nil {
		return false, err
	}
	defer g.Close()
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err1 := io.ReadFull(f, x)
		k, err2 := io.ReadFull(g, y)
		if !bytes.Equal(x[:n], y[:k]) {
			return false, nil
		}
		if err1 != nil || err2 != nil {
			return err1 == err2, nil
		}
	}
}

// commitScan makes known what a scan found of messages that have their UID already.
func (m *Mailbox) commitScan(d *difference) error {
	if len(d.changed)+len(d.added)+len(d.missing) == 0 {
		return nil
	}
	if err := m.raise(0, 1); err != nil {
		return err
	}
	cs := &changeSet{modseq: m.count.modseq + 1, del: d.missing, foreign: map[UID]string{}}
	renamed := false
	for _, l := range d.changed {
		e, ok := m.cols.get(UID(l.name.UID))
		if !ok {
			continue
		}
		was := e.flags
		n := *e
		n.flags, n.modseq = m.flagsOf(&l.name), cs.modseq
		if to := entryName(&n, m.cols.foreign[n.uid], m.tag, &m.s.hosts); to != l.file {
			if err := m.s.fs.RenameNoReplace(m.path("cur", l.file), m.path("cur", to)); err != nil {
				m.curDirty.Store(true) // moved on meanwhile, or the name is another file's
				continue
			}
			renamed = true
		}
		if n.flags != was {
			cs.put = append(cs.put, n)
		}
	}
	for _, l := range d.added {
		e := m.entryOf(&l, cs)
		cs.put = append(cs.put, e)
		cs.uidNext = e.uid + 1
	}
	if !renamed && cs.empty() {
		return nil
	}
	// Other programs do not sync, and a sync of ours may have failed: nobody is told what
	// a power cut could take back.
	if err := m.s.group.SyncDir(m.path("cur")); err != nil {
		return err
	}
	if len(d.added) > 0 {
		if err := m.s.group.SyncDir(m.path("new")); err != nil {
			return err
		}
	}
	if cs.empty() {
		return nil
	}
	return m.commit(cs)
}

// entryOf makes the entry of a file whose name is believed.
func (m *Mailbox) entryOf(l *located, cs *changeSet) entry {
	e := entry{uid: UID(l.name.UID), modseq: cs.modseq, flags: m.flagsOf(&l.name), stored: uint32(l.name.Size), wire: uint32(l.name.Wire)}
	e.base = packBase(l.name.Base, &m.s.hosts)
	if e.base.Host == foreignBase {
		cs.foreign[e.uid] = l.name.Base
	}
	return e
}

// rebuild makes the columns and the index from the names of the files: UIDNEXT and the
// mod-sequences start at the floors. The caller holds mu, or is the only one to know m.
func (m *Mailbox) rebuild(ctx context.Context) (err error) {
	own, _, err := m.listCur()
	if err != nil {
		return err
	}
	for _, d := range []string{"cur", "new"} { // see commitScan
		if err := m.s.group.SyncDir(m.path(d)); err != nil {
			return err
		}
	}
	floor := ModSeq(max(m.file.ModSeqFloor, 1))
	// From here on the index and kurir-mailbox are of another generation than any copy.
	count, horizon := m.count, m.horizon
	m.setCount(counters{uidNext: UID(max(m.file.UIDFloor, 1)), modseq: floor})
	m.horizon = floor
	m.file.Generation += 2
	defer func() {
		if err != nil {
			m.setCount(count)
			m.horizon = horizon
		}
	}()
	if err := m.forceRaise(); err != nil {
		return err
	}
	cs := &changeSet{modseq: floor, uidNext: m.count.uidNext, foreign: map[UID]string{}, fresh: true, put: make([]entry, 0, len(own))}
	for i := range own {
		e := m.entryOf(&own[i], cs)
		if k := len(cs.put); k > 0 && cs.put[k-1].uid == e.uid {
			continue // the scan that follows sorts it out
		}
		cs.put = append(cs.put, e)
	}
	m.curDirty.Store(true)
	return m.commit(cs)
}

func (m *Mailbox) setCount(n counters) {
	m.state.Lock()
	defer m.state.Unlock()
	m.count = n
}

// forceRaise writes new floors, whatever the old ones.
func (m *Mailbox) forceRaise() error {
	m.file.Clean, m.file.BootID = false, ""
	return m.raise(0, 1)
}
