package e2e

import (
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// A watcher is an IMAP session in IDLE and what it has been told.
type watcher struct {
	s    *server
	c    *imapclient.Client
	idle *imapclient.IdleCommand
	news chan struct{} // has a value after anything was told

	mu       sync.Mutex
	messages uint32
	expunged int
	uids     []imap.UID // by sequence number, of those there were at the start
	flags    map[imap.UID]string
}

// watch selects a mailbox and goes into IDLE.
func (s *server) watch(address, name string) *watcher {
	s.t.Helper()
	w := &watcher{s: s, news: make(chan struct{}, 1), flags: make(map[imap.UID]string)}
	w.c = s.dialIMAP(address, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			w.told(func() {
				if d.NumMessages != nil {
					w.messages = *d.NumMessages
				}
			})
		},
		Expunge: func(n uint32) {
			w.told(func() {
				w.expunged++
				w.messages--
				if int(n) <= len(w.uids) {
					w.uids = slices.Delete(w.uids, int(n)-1, int(n))
				}
			})
		},
		Fetch: func(m *imapclient.FetchMessageData) {
			f, err := m.Collect()
			if err != nil {
				return
			}
			w.told(func() {
				if n := int(f.SeqNum); n <= len(w.uids) {
					w.flags[w.uids[n-1]] = flagText(f.Flags)
				}
			})
		},
	}})
	sel, err := w.c.Select(name, nil).Wait()
	if err != nil {
		s.t.Fatal(err)
	}
	found, err := w.c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
	if err != nil {
		s.t.Fatal(err)
	}
	w.told(func() { w.messages, w.uids = sel.NumMessages, found.AllUIDs() })
	if w.idle, err = w.c.Idle(); err != nil {
		s.t.Fatal(err)
	}
	return w
}

// told changes what is known and wakes until.
func (w *watcher) told(change func()) {
	w.mu.Lock()
	change()
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// has reports whether the message with a UID was said to have these flags. Only for a
// condition of until.
func (w *watcher) has(uid imap.UID, flags string) bool { return w.flags[uid] == flags }

// until waits for the session to be told what makes cond true, and returns how long that
// took.
func (w *watcher) until(what string, cond func() bool) time.Duration {
	w.s.t.Helper()
	began := time.Now()
	late := time.After(patience)
	for {
		w.mu.Lock()
		ok := cond()
		w.mu.Unlock()
		if ok {
			return time.Since(began)
		}
		select {
		case <-w.news:
		case <-late:
			w.mu.Lock()
			defer w.mu.Unlock()
			w.s.t.Fatalf("the session was not told of %s: %d messages, %d expunged, flags %v", what, w.messages, w.expunged, w.flags)
		}
	}
}

// end leaves IDLE and logs out.
func (w *watcher) end() {
	w.s.t.Helper()
	if err := w.idle.Close(); err != nil {
		w.s.t.Errorf("DONE: %v", err)
	}
	if err := w.idle.Wait(); err != nil {
		w.s.t.Errorf("IDLE: %v", err)
	}
	if err := w.c.Logout().Wait(); err != nil {
		w.s.t.Errorf("LOGOUT: %v", err)
	}
	w.c.Close()
}
