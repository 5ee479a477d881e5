package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kurir/internal/maildir"
)

// watcher tells mailboxes in use of what other programs do in their new/ and cur/, by
// inotify. What it sees is a hint to look, nothing more: a name that agrees with the
// columns is no news.
type watcher struct {
	s    *Store
	f    *os.File
	done chan struct{}

	mu   sync.Mutex
	byWD map[int32]watched
	of   map[*Mailbox][2]int32

	waiting map[*Mailbox][]sighting // of run alone
}

type watched struct {
	m   *Mailbox
	cur bool
}

const watchMask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK

func newWatcher(s *Store) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	w := &watcher{s: s, f: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{}), byWD: map[int32]watched{}, of: map[*Mailbox][2]int32{}, waiting: map[*Mailbox][]sighting{}}
	go w.run() // ends when close closes f
	return w, nil
}

func (w *watcher) close() {
	w.f.Close()
	<-w.done
}

// add begins to watch a mailbox; false if that can't be done.
func (w *watcher) add(m *Mailbox) bool {
	var wds [2]int32
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, sub := range []string{"new", "cur"} {
		wd, err := w.addWatch(filepath.Join(m.dir, sub))
		if err != nil {
			w.s.log.Warn("a mailbox can't be watched: raise fs.inotify.max_user_watches", "dir", m.dir, "error", err)
			if i == 1 {
				w.drop(wds[0])
			}
			return false
		}
		wds[i] = wd
		w.byWD[wd] = watched{m, sub == "cur"}
	}
	w.of[m] = wds
	return true
}

func (w *watcher) addWatch(path string) (int32, error) {
	var wd int
	rc, err := w.f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var werr error
	if err := rc.Control(func(fd uintptr) { wd, werr = unix.InotifyAddWatch(int(fd), path, watchMask) }); err != nil {
		return 0, err
	}
	return int32(wd), werr
}

// drop ends one watch. The caller holds mu.
func (w *watcher) drop(wd int32) {
	delete(w.byWD, wd)
	if rc, err := w.f.SyscallConn(); err == nil {
		rc.Control(func(fd uintptr) { unix.InotifyRmWatch(int(fd), uint32(wd)) })
	}
}

// remove ends watching a mailbox.
func (w *watcher) remove(m *Mailbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wds, ok := w.of[m]
	if !ok {
		return
	}
	m.watched.Store(false)
	delete(w.of, m)
	for _, wd := range wds {
		w.drop(wd)
	}
}

// pause stops watching a mailbox's cur/ for a while.
func (w *watcher) pause(m *Mailbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wds, ok := w.of[m]; ok {
		w.drop(wds[1])
	}
}

// resume watches it again.
func (w *watcher) resume(m *Mailbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wds, ok := w.of[m]
	if !ok {
		return
	}
	wd, err := w.addWatch(m.path("cur"))
	if err != nil {
		m.watched.Store(false) // by times from now on
		w.s.log.Warn("a mailbox can't be watched any more", "dir", m.path(), "error", err)
		return
	}
	w.of[m] = [2]int32{wds[0], wd}
	w.byWD[wd] = watched{m, true}
}

func (w *watcher) run() {
	defer close(w.done)
	buf := make([]byte, 64<<10)
	news := map[*Mailbox]struct{}{}
	for {
		n, err := w.f.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded): // only to look at what waits
		case errors.Is(err, os.ErrClosed) || err == nil && n == 0:
			return
		case err != nil:
			w.s.log.Error("inotify ended: changes by other programs are seen only when a mailbox is looked at", "error", err)
			return
		default:
			w.take(buf[:n], news)
		}
		w.weighAll(news)
		for m := range news {
			m.kick()
		}
		clear(news)
	}
}

// sighting is an event in cur/, to be weighed when the mailbox is not at work: a busy
// mailbox must not hold up the events of others, nor let its own overflow.
type sighting struct {
	file  string
	there bool
}

// maxSightings is how many events of one mailbox wait; with more it is read instead.
const maxSightings = 1 << 18

// busyWait is how long the events of a busy mailbox wait for the next look.
const busyWait = 5 * time.Millisecond

// weighAll weighs what waits, of the mailboxes that are not busy any more.
func (w *watcher) weighAll(news map[*Mailbox]struct{}) {
	for m, list := range w.waiting {
		if len(list) <= maxSightings {
			if !m.mu.TryLock() {
				continue
			}
			isNews := slices.ContainsFunc(list, m.weigh)
			m.mu.Unlock()
			if !isNews {
				delete(w.waiting, m)
				continue
			}
		}
		m.curDirty.Store(true)
		news[m] = struct{}{}
		delete(w.waiting, m)
	}
	var next time.Time
	if len(w.waiting) > 0 {
		next = time.Now().Add(busyWait)
	}
	w.f.SetReadDeadline(next) // fails only when it is closed, which Read tells
}

// take reads events and marks the mailboxes that have something to look at.
func (w *watcher) take(b []byte, news map[*Mailbox]struct{}) {
	for len(b) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(b))
		mask := binary.NativeEndian.Uint32(b[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		if end > len(b) {
			return
		}
		name := b[unix.SizeofInotifyEvent:end]
		b = b[end:]
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		if mask&unix.IN_Q_OVERFLOW != 0 {
			w.overflow(news)
			continue
		}
		w.mu.Lock()
		t, ok := w.byWD[wd]
		w.mu.Unlock()
		if ok && mask&unix.IN_IGNORED != 0 { // the folder itself was removed: look for oneself from now on
			t.m.watched.Store(false)
			t.m.newDirty.Store(true)
			t.m.curDirty.Store(true)
			t.m.nudge()
			news[t.m] = struct{}{}
			continue
		}
		if !ok || len(name) == 0 {
			continue
		}
		switch there := mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0; {
		case !t.cur && there:
			t.m.newDirty.Store(true)
			news[t.m] = struct{}{}
		case t.cur && w.sight(t.m, string(name), there):
			t.m.curDirty.Store(true)
			news[t.m] = struct{}{}
		}
	}
}

// overflow marks all mailboxes: events were lost.
func (w *watcher) overflow(news map[*Mailbox]struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for m := range w.of {
		m.newDirty.Store(true)
		m.curDirty.Store(true)
		news[m] = struct{}{}
	}
}

// sight keeps an event in cur/ of m to be weighed, and says whether it is news at once.
func (w *watcher) sight(m *Mailbox, file string, there bool) bool {
	if !isMessageName(file) {
		return false
	}
	if maildir.ParseName(file).Tag != m.tag {
		return there // in the columns all have the mailbox's tag
	}
	if len(w.waiting[m]) <= maxSightings {
		w.waiting[m] = append(w.waiting[m], sighting{file, there})
	}
	return false
}

// weigh says whether an event is something that the columns don't know. It may be older
// than what they say: then the disk has the last word. The caller holds mu.
func (m *Mailbox) weigh(s sighting) bool {
	if m.goneErr() != nil {
		return false
	}
	if !m.cols.loaded {
		return true
	}
	e, ok := m.cols.get(UID(maildir.ParseName(s.file).UID))
	known := ok && m.cols.name(e, m.tag, &m.s.hosts) == s.file
	if known == s.there {
		return false
	}
	_, err := m.s.fs.Stat(m.path("cur", s.file))
	return (err == nil) != known
}
