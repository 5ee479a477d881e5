package tlsconf

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// pollEvery is how often at most Files looks at the files.
const pollEvery = time.Second

// files is a certificate that follows its two files.
type files struct {
	cert, key string
	report    func(error)
	current   atomic.Pointer[tls.Certificate]

	start time.Time
	next  atomic.Int64 // time since start from which on a handshake looks at the files

	mu     sync.Mutex // held by the one that looks
	stamps [2]fs.FileInfo
	err    error  // why the files, as they now are, cannot be used
	told   string // last report
}

// Files serves the certificate and key in these files (see Load), and serves the new
// one when they change: a handshake looks, at most once a second. New files that
// cannot be used leave the old certificate in service.
//
// report, if not nil, is called with what an admin should know, once for each change:
// new files that cannot be used, or a certificate out of date; and with nil when all is
// well again. It may be called before Files returns, and then during handshakes, never
// twice at once. Files fails only if there is no certificate to serve.
func Files(cert, key string, report func(error)) (*tls.Config, error) {
	if report == nil {
		report = func(error) {}
	}
	f := &files{cert: cert, key: key, report: report, start: time.Now()}
	f.next.Store(int64(pollEvery))
	f.look()
	if f.current.Load() == nil {
		return nil, f.err
	}
	return config(f.get), nil
}

func (f *files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now, next := int64(time.Since(f.start)), f.next.Load()
	if now >= next && f.next.CompareAndSwap(next, now+int64(pollEvery)) {
		f.look()
	}
	return f.current.Load(), nil
}

// look reads the files again if they changed, or did not work, and reports.
func (f *files) look() {
	if !f.mu.TryLock() {
		return // a slow disk: another handshake is looking
	}
	defer f.mu.Unlock()
	if stamps, changed := f.changed(); changed || f.err != nil {
		c, err := Load(f.cert, f.key)
		if f.err = err; err == nil {
			f.stamps = stamps
			f.current.Store(c)
		}
	}
	switch c := f.current.Load(); {
	case c == nil: // Files itself fails
	case f.err != nil:
		f.tell(fmt.Errorf("the new certificate cannot be used, the old one is still served: %w", f.err))
	default:
		f.tell(dated(c.Leaf, time.Now()))
	}
}

// changed compares the files with those that the certificate in service came from.
// Links are followed, since renewal often moves a link. A missing file has changed.
func (f *files) changed() (stamps [2]fs.FileInfo, changed bool) {
	for i, name := range []string{f.cert, f.key} {
		now, err := os.Stat(name)
		if err != nil {
			return stamps, true
		}
		stamps[i] = now
		was := f.stamps[i]
		if was == nil || !os.SameFile(was, now) || !was.ModTime().Equal(now.ModTime()) || was.Size() != now.Size() {
			changed = true
		}
	}
	return stamps, changed
}

func (f *files) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != f.told {
		f.told = text
		f.report(err)
	}
}
