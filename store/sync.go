package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// syncBatch is how many new messages share their fsyncs and their commit.
const syncBatch = 4096

// youngForeign is how long a file whose size is not what its name says is taken to be
// still on its way.
const youngForeign = time.Minute

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
	m.stuck.Store(err != nil)
	if err != nil {
		m.curDirty.Store(true)
		if gerr := m.goneErr(); gerr != nil {
			return gerr
		}
		m.s.log.Error("new messages can't be taken in", "account", m.a.address, "mailbox", m.Name(), "err", err)
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

// newcomer is a file that has no UID in this mailbox yet.
type newcomer struct {
	sub   string // new or cur
	file  string
	name  maildir.Name
	rebas bool   // it needs a base of its own
	of    string // the path of another file with its base

	// what probe finds out
	ok           bool
	young        bool // another program still seems to be writing it
	stored, wire int64
	date         time.Time
}

// takeIn scans new/ before cur/: a message that another program moves from one to the
// other meanwhile is then seen at least once.
func (m *Mailbox) takeIn(ctx context.Context) error {
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
		young, err := m.adopt(ctx, fresh)
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
		m.s.log.Error("a second file of one message", "account", m.a.address, "file", t.file, "err", err)
		return newcomer{}, false
	}
	return newcomer{sub: "cur", file: t.file, name: t.name, rebas: true}, err == nil
}

func (m *Mailbox) sameBytes(a, b string) (bool, error) {
	f, err := m.s.fs.Open(a)
	if err != nil {
		return false, err
	}
	defer f.Close()
	g, err := m.s.fs.Open(b)
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

// adopt gives UIDs to files that have none, in the order of their names. It reports
// whether it left out any that another program still seems to be writing.
func (m *Mailbox) adopt(ctx context.Context, fresh []newcomer) (young bool, err error) {
	slices.SortStableFunc(fresh, func(a, b newcomer) int { return maildir.Compare(a.file, b.file) })
	m.markDoubles(fresh)
	if fresh, err = m.buryDoubles(fresh); err != nil {
		return false, err
	}
	for len(fresh) > 0 {
		if err := ctx.Err(); err != nil {
			return young, err
		}
		batch := fresh[:min(len(fresh), syncBatch)]
		fresh = fresh[len(batch):]
		m.probeAll(batch)
		left, err := m.adoptBatch(batch)
		if err != nil {
			return young, err
		}
		young = young || left
	}
	return young, nil
}

// markDoubles finds newcomers whose base is in use in this mailbox already. A base that
// this process made later than all that the mailbox has seen is new by its making.
func (m *Mailbox) markDoubles(fresh []newcomer) {
	var doubtful []*newcomer
	for i := range fresh {
		n := &fresh[i]
		switch seq, own := m.s.ownSeq(n.name.Base); {
		case n.rebas || n.name.NeedsNewBase():
			n.rebas = true
		case own && n.sub == "new" && seq > m.topSeq:
			m.topSeq = seq
		default:
			if own {
				m.topSeq = max(m.topSeq, seq)
			}
			doubtful = append(doubtful, n)
		}
	}
	if len(doubtful) > 8 {
		m.markByTable(doubtful)
		return
	}
	for i, n := range doubtful {
		p := packBase(n.name.Base, &m.s.hosts)
		k := slices.IndexFunc(m.cols.ents, func(e entry) bool {
			return e.base == p && (p.Host != foreignBase || m.cols.foreign[e.uid] == n.name.Base)
		})
		if k >= 0 {
			m.double(n, k, doubtful)
		} else if k = slices.IndexFunc(doubtful[:i], func(o *newcomer) bool { return o.name.Base == n.name.Base }); k >= 0 {
			m.double(n, len(m.cols.ents)+k, doubtful)
		}
	}
}

// ownSeq gives the sequence number of a base that this run made. An earlier one may have
// had the same process number, as in a container: its bases are not later than the start.
func (s *Store) ownSeq(base string) (uint64, bool) {
	seq, ok := s.bases.Seq(base)
	if !ok {
		return 0, false
	}
	sec, _, _ := strings.Cut(base, ".")
	t, err := strconv.ParseInt(sec, 10, 64)
	return seq, err == nil && t > s.started
}

// double notes that a newcomer has the base of message k, or past them all of a doubtful
// newcomer.
func (m *Mailbox) double(n *newcomer, k int, doubtful []*newcomer) {
	n.rebas = true
	if k -= len(m.cols.ents); k >= 0 {
		n.of = m.path(doubtful[k].sub, doubtful[k].file)
	} else {
		n.of = m.path("cur", m.cols.name(&m.cols.ents[len(m.cols.ents)+k], m.tag, &m.s.hosts))
	}
}

// buryDoubles moves newcomers to expunged/ that are a second file of one message: a power
// cut may leave in new/ what had been taken into cur/.
func (m *Mailbox) buryDoubles(fresh []newcomer) ([]newcomer, error) {
	kept := fresh[:0]
	buried := map[string]bool{}
	for _, n := range fresh {
		if n.of != "" {
			same, err := m.sameBytes(m.path(n.sub, n.file), n.of)
			if same {
				err = m.s.bury(m.path(n.sub, n.file), filepath.Join(m.a.expungedDir(), n.file))
				buried[m.path(n.sub)] = true
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			if same {
				continue
			}
		}
		kept = append(kept, n)
	}
	for dir := range buried {
		if err := m.s.group.SyncDir(dir); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// markByTable does the same for many, by a table of all bases.
func (m *Mailbox) markByTable(doubtful []*newcomer) {
	bases := make(map[string]int, len(m.cols.ents)+len(doubtful))
	var buf []byte
	for k := range m.cols.ents {
		buf = m.baseOf(&m.cols.ents[k], buf[:0])
		bases[string(buf)] = k
	}
	for i, n := range doubtful {
		if k, ok := bases[n.name.Base]; ok {
			m.double(n, k, doubtful)
		} else {
			bases[n.name.Base] = len(m.cols.ents) + i
		}
	}
}

// probeAll reads the newcomers, on two goroutines if there are many.
func (m *Mailbox) probeAll(batch []newcomer) {
	if len(batch) < 32 {
		for i := range batch {
			m.probe(&batch[i])
		}
		return
	}
	var wg sync.WaitGroup
	for half := range 2 {
		wg.Go(func() {
			for i := half; i < len(batch); i += 2 {
				m.probe(&batch[i])
			}
		})
	}
	wg.Wait()
}

// probe finds out a newcomer's sizes and date. What its name says of them is not believed.
func (m *Mailbox) probe(n *newcomer) {
	f, err := m.s.fs.Open(m.path(n.sub, n.file))
	if err != nil {
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return
	}
	n.date = st.ModTime()
	if n.name.Size >= 0 && n.name.Size != st.Size() && m.s.o.Now().Sub(n.date) < youngForeign {
		n.young = true
		return
	}
	n.stored, n.wire, err = measure(f, n.name.Wire)
	n.ok = err == nil && n.wire < 1<<32
}

// adoptBatch renames a batch of newcomers to their names in cur/ and makes them known.
func (m *Mailbox) adoptBatch(batch []newcomer) (young bool, err error) {
	if err := m.raise(len(batch), 1); err != nil {
		return false, err
	}
	cs := &changeSet{modseq: m.count.modseq + 1, uidNext: m.nextUID(), foreign: map[UID]string{}}
	cur := m.path("cur")
	fromNew := false
	defer func() { m.spend(cs, err) }()
	for i := range batch {
		n := &batch[i]
		if !n.ok {
			young = true
			if n.young && n.sub == "cur" { // no event need tell of its end
				m.curDirty.Store(true)
			}
			continue
		}
		base := n.name.Base
		if n.rebas {
			base = m.s.bases.Next()
			m.topSeq, _ = m.s.bases.Seq(base)
		}
		e := entry{uid: cs.uidNext, modseq: cs.modseq, flags: m.flagsOf(&n.name), stored: uint32(n.stored), wire: uint32(n.wire), date: dateOf(n.date)}
		e.base = packBase(base, &m.s.hosts)
		to := filepath.Join(cur, entryName(&e, base, m.tag, &m.s.hosts))
		if rerr := m.s.fs.RenameNoReplace(m.path(n.sub, n.file), to); rerr != nil {
			if errors.Is(rerr, fs.ErrNotExist) { // another program was quicker
				m.curDirty.Store(true)
				continue
			}
			err = rerr
			break
		}
		if e.base.Host == foreignBase {
			cs.foreign[e.uid] = base
		}
		fromNew = fromNew || n.sub == "new"
		cs.put = append(cs.put, e)
		cs.uidNext++
	}
	if len(cs.put) == 0 {
		return young, err
	}
	if serr := m.s.group.SyncDir(cur); serr != nil {
		return young, errors.Join(err, serr)
	}
	if fromNew {
		if serr := m.s.group.SyncDir(m.path("new")); serr != nil {
			return young, errors.Join(err, serr)
		}
	}
	m.ownCurChange()
	return young, errors.Join(err, m.commit(cs))
}

// dateOf packs an internal date: seconds, 1 at least.
func dateOf(t time.Time) uint32 {
	return uint32(min(max(t.Unix(), 1), 1<<32-1))
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
