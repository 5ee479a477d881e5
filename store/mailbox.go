package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// Mailbox is one mailbox of an account, once for all its sessions. Changes run under mu,
// in the order of docs/store-format.md; what readers see is guarded by state.
type Mailbox struct {
	s       *Store
	a       *Account
	ready   chan struct{} // closed when err and what follows are set
	err     error
	closing chan struct{} // guarded by a.mu, as the next two
	refs    int
	lastUse time.Time

	mu      sync.Mutex // the mailbox lock
	file    maildir.MailboxFile
	key     int64 // in the index
	horizon ModSeq
	newTime int64 // mtime of new/ when it was last read; 0: to be read
	curTime int64
	topSeq  uint64 // the highest sequence number of own bases seen in new/
	spent   UID    // those below may be in names of files that nobody was told of
	kwLoose bool   // dovecot-keywords may not be durable
	behind  bool   // a change on disk could not be made known: cur/ is read before the next
	voidIx  bool   // the index holds nothing of this mailbox that counts

	newDirty, curDirty atomic.Bool // something is there to be read
	watched            atomic.Bool // by inotify: curTime says nothing
	curOwn             atomic.Bool // curTime is that of a change of our own
	syncing            atomic.Bool // a background synchronisation is under way
	stuck              atomic.Bool // the last synchronisation failed

	state    sync.RWMutex
	dir      string
	name     string
	gone     error // ErrMailboxGone or ErrClosed
	count    counters
	cols     columns
	keywords maildir.Keywords
	kwSeq    int // grows when keywords changes
	changes  changeLog
	graves   map[UID]grave
	views    map[*View]struct{}
	waiters  int
	changed  chan struct{} // closed at the next change, if anyone waits
	validity uint32
	tag      string
	id       string
}

// grave is an expunged message that some view may still know.
type grave struct {
	entry
	path string // "": there is no file
	base string // if it is not in entry
}

// maxGraves is how many graves there are before those that no view knows are forgotten.
const maxGraves = 1 << 14

// pruneGraves forgets graves that no view knows. The caller holds state.
func (m *Mailbox) pruneGraves() {
	for uid := range m.graves {
		known := false
		for v := range m.views {
			if _, known = slices.BinarySearch(v.uids, uid); known {
				break
			}
		}
		if !known {
			delete(m.graves, uid)
		}
	}
}

// uidStep and modSeqStep are how far floors are raised at a time.
const (
	uidStep    = 256
	modSeqStep = 1 << 20
	maxUID     = 1<<32 - 1
)

// Close gives the mailbox back.
func (m *Mailbox) Close() {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	m.refs--
	m.lastUse = m.s.o.Now()
}

// Name is the mailbox's name: UTF-8, levels parted by "/". RENAME changes it.
func (m *Mailbox) Name() string {
	m.state.RLock()
	defer m.state.RUnlock()
	return m.name
}

// ID names the mailbox for good, whatever its name (RFC 8474 MAILBOXID).
func (m *Mailbox) ID() string { return m.id }

// UIDValidity is the mailbox's UIDVALIDITY.
func (m *Mailbox) UIDValidity() uint32 {
	m.state.RLock()
	defer m.state.RUnlock()
	return m.validity
}

// Keywords names the mailbox's keywords: index i is KeywordFlag(i); "" is a free one.
func (m *Mailbox) Keywords() []string {
	m.state.RLock()
	defer m.state.RUnlock()
	return trimKeywords(m.keywords)
}

func trimKeywords(k maildir.Keywords) []string {
	n := len(k)
	for n > 0 && k[n-1] == "" {
		n--
	}
	names := append([]string{}, k[:n]...)
	for i, name := range names {
		if isForwarded(name) {
			names[i] = "" // the flag Forwarded stands for it
		}
	}
	return names
}

// isForwarded says whether a keyword is one that other programs keep as a letter of its
// own and kurir as the flag Forwarded, the letter P.
func isForwarded(keyword string) bool { return strings.EqualFold(keyword, "$Forwarded") }

// flagsOf gives the flags that a file's name bears.
func (m *Mailbox) flagsOf(n *maildir.Name) Flags {
	f := Flags(n.Flags())
	if i := m.keywords.Index("$Forwarded"); i >= 0 && f&KeywordFlag(i) != 0 {
		f = f&^KeywordFlag(i) | Forwarded
	}
	return f
}

// path gives a path in the mailbox's directory.
func (m *Mailbox) path(elem ...string) string {
	m.state.RLock()
	d := m.dir
	m.state.RUnlock()
	return filepath.Join(append([]string{d}, elem...)...)
}

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
				"account", m.a.address, "mailbox", m.name, "err", err)
			err = m.identify(ctx)
		}
	}
	if err != nil {
		return err
	}
	m.id, m.validity, m.tag = m.file.ID, m.file.UIDValidity, m.file.Tag
	m.topSeq, _ = m.s.bases.Seq(m.s.bases.Next()) // those made before may have been seen here
	if err := m.readKeywords(); err != nil {
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

// modTime is the mtime of cur/ or new/ in nanoseconds, 0 if it can't be had.
func (m *Mailbox) modTime(sub string) int64 {
	st, err := m.s.fs.Stat(m.path(sub))
	if err != nil {
		return 0
	}
	return st.ModTime().UnixNano()
}

// settled gives a time of last change to remember: only one that is over two seconds old
// is, since a later change may bear the same time.
func (m *Mailbox) settled(t int64) int64 {
	if m.s.o.Now().UnixNano()-t < int64(2*time.Second) {
		return 0
	}
	return t
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
	m.s.log.Error("the index of a mailbox is damaged and is made anew", "account", m.a.address, "mailbox", m.Name(), "err", err)
	return m.rebuild(ctx)
}

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
	if err := m.a.index().dropStructures(tx, r.key, cs.del); err != nil {
		return nil, err
	}
	if len(cs.del) > 0 {
		if _, err := tx.Exec("INSERT OR REPLACE INTO expunged (mailbox, modseq, uids) VALUES (?,?,?)", r.key, cs.modseq, appendUIDs(nil, cs.del)); err != nil {
			return nil, err
		}
	}
	return r, nil
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
			_, err = tx.Exec("DELETE FROM block WHERE mailbox=? AND block=?", key, b)
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
	m.key, m.voidIx = r.key, false
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
	if t := m.modTime("cur"); !m.newDirty.Load() && !m.curDirty.Load() && (m.watched.Load() || t == m.curTime && !m.curOwn.Load()) {
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

// retire makes every further use of the mailbox fail with err and wakes those that wait.
func (m *Mailbox) retire(err error) {
	m.state.Lock()
	defer m.state.Unlock()
	if m.gone == nil {
		m.gone = err
	}
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// goneErr says why the mailbox can't be used any more; nil if it can.
func (m *Mailbox) goneErr() error {
	m.state.RLock()
	defer m.state.RUnlock()
	return m.gone
}

// Status synchronises the mailbox and gives its counters.
func (m *Mailbox) Status(ctx context.Context) (Status, error) {
	if err := m.sync(ctx); err != nil {
		return Status{}, err
	}
	m.state.RLock()
	defer m.state.RUnlock()
	return m.status(), nil
}

func (m *Mailbox) status() Status {
	n := &m.count
	return Status{ID: m.id, UIDValidity: m.validity, UIDNext: n.uidNext, HighestModSeq: n.modseq, Messages: n.messages,
		Unseen: n.unseen, Deleted: n.deleted, FirstUnseen: n.firstUnseen, Size: n.size}
}

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
