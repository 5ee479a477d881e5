package store

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
	key     int64  // in the index
	horizon ModSeq // the history of expunged messages is complete after this one
	history history
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
	lookLater          atomic.Bool // cur/ was changed unwatched, and is soon read
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
	uidls    map[string]string // unique-ids of before by base, out of kurir-uidl; never changed
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
