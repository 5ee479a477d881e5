package fsx

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"
)

const (
	// DefaultThreshold is the number of waiting files, or directories, from which one
	// syncfs stands for all their fsyncs.
	DefaultThreshold = 16
	// DefaultParallel is how many fsyncs of one batch run at a time: enough for a
	// journal to commit them together.
	DefaultParallel = 4
)

// A syncfs also writes what other programs wrote. One that took longer than slowFS is
// not tried again for slowPause times as long.
const (
	slowFS    = 250 * time.Millisecond
	slowPause = 20
)

// GroupOptions are the options of a Group; the zero value is the documented default.
type GroupOptions struct {
	// Threshold is how many files, or how many directories, must wait for one SyncFS to
	// stand for them all. Zero means DefaultThreshold on a local file system that SyncFS
	// suits and never elsewhere; below zero means never.
	Threshold int
	// Parallel is how many files, or directories, of one batch are synced at a time where
	// no SyncFS stands for them. Zero means DefaultParallel.
	Parallel int
	// Observe, if set, is told of each step: kind is "file", "dir" or "fs"; n is how many
	// files or directories it made durable and d how long that took. It must not block.
	Observe func(kind string, n int, d time.Duration)
	// Failed, if set, is told of each sync that failed. It must not block.
	Failed func(err error)
}

// A Group makes the files and directories of one file system durable for many callers
// at once. Whoever calls while nothing is under way syncs at once, at the price of a
// plain fsync; those who call meanwhile form the next batch, which one of them carries
// out for all: there is no timer, and no goroutine that outlives a batch.
//
// A sync that fails is reported to everyone who shared it, and never repeated on the
// same descriptor: a second fsync may report success for bytes that are lost.
type Group struct {
	fs   FS
	root string
	opts GroupOptions

	mu      sync.Mutex
	waiting []*waiter
	leading bool       // a batch is under way, or given to a waiter to lead
	idle    *sync.Cond // signalled when leading turns false
	closed  bool

	slowUntil time.Time // owned by the one who leads
}

// A waiter is one call of SyncFile or SyncDir.
type waiter struct {
	file File   // nil for a directory
	dir  string // clean path
	err  error  // the outcome, valid once done
	done bool
	turn chan struct{} // one token: either done is set or the waiter leads the next batch
}

// NewGroup returns a Group for the file system that holds the directory root.
func NewGroup(fsys FS, root string, opts GroupOptions) *Group {
	if opts.Threshold == 0 && syncFSSuits(root) {
		opts.Threshold = DefaultThreshold
	}
	if opts.Parallel <= 0 {
		opts.Parallel = DefaultParallel
	}
	g := &Group{fs: fsys, root: root, opts: opts}
	g.idle = sync.NewCond(&g.mu)
	return g
}

// SyncFile returns once f's content would survive a power cut, or with the error that
// its sync, or the one it shared, met; f must then be given up. f is in use until
// SyncFile returns. After Close the error is fs.ErrClosed.
func (g *Group) SyncFile(f File) error { return g.wait(&waiter{file: f}) }

// SyncDir returns once the names that are in the directory path now would survive a
// power cut. Calls for one directory share one sync.
func (g *Group) SyncDir(path string) error { return g.wait(&waiter{dir: filepath.Clean(path)}) }

// Close waits for those who wait already, and refuses those who come later.
func (g *Group) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for g.leading {
		g.idle.Wait()
	}
	return nil
}

// wait has w's batch carried out, by this goroutine or by another.
func (g *Group) wait(w *waiter) error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return &fs.PathError{Op: "sync", Path: w.name(), Err: fs.ErrClosed}
	}
	if g.leading {
		w.turn = make(chan struct{}, 1)
		g.waiting = append(g.waiting, w)
		g.mu.Unlock()
		<-w.turn
		if w.done {
			return w.err
		}
		g.mu.Lock()
	} else {
		g.leading = true
		g.waiting = append(g.waiting, w)
	}
	batch := g.waiting
	g.waiting = nil
	g.mu.Unlock()

	defer g.pass() // whatever happens, the others must not wait for ever
	g.run(batch, w)
	return w.err
}

// pass gives the lead to one of those who came while the last batch was under way.
func (g *Group) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) > 0 {
		g.waiting[0].turn <- struct{}{}
		return
	}
	g.leading = false
	g.idle.Broadcast()
}

// run carries a batch out for the goroutine that waits in self: files first, so that
// their owners can go on while the directories are synced.
func (g *Group) run(batch []*waiter, self *waiter) {
	var files, dirs []*waiter
	for _, w := range batch {
		w.err = errAbandoned
		if w.file != nil {
			files = append(files, w)
		} else {
			dirs = append(dirs, w)
		}
	}
	defer answer(dirs, self)
	func() {
		defer answer(files, self)
		g.syncFiles(files)
	}()
	g.syncDirs(dirs)
}

// errAbandoned is the outcome for those whose batch ended in a panic.
var errAbandoned = errors.New("sync abandoned")

// answer wakes those who wait for ws, all but the one that asks.
func answer(ws []*waiter, self *waiter) {
	for _, w := range ws {
		w.done = true
		if w != self {
			w.turn <- struct{}{}
		}
	}
}

func (w *waiter) name() string {
	if w.file != nil {
		return w.file.Name()
	}
	return w.dir
}
