package fsxtest

import (
	"io/fs"
	"os"
	"sync"
	"time"

	"kurir/internal/fsx"
)

// A Kind says which method of fsx.FS or fsx.File was called.
type Kind string

// The calls of FS, then those of File. Seek and Name are not calls.
const (
	Open            Kind = "open"
	Create          Kind = "create"
	OpenAppend      Kind = "openappend"
	Rename          Kind = "rename"
	RenameNoReplace Kind = "renamenoreplace"
	Link            Kind = "link"
	Remove          Kind = "remove"
	Mkdir           Kind = "mkdir"
	SyncDir         Kind = "syncdir"
	SyncFS          Kind = "syncfs"
	Stat            Kind = "stat"
	ReadNames       Kind = "readnames"

	Read       Kind = "read" // Read and ReadAt
	Write      Kind = "write"
	FileStat   Kind = "filestat"
	SetModTime Kind = "setmodtime"
	Sync       Kind = "sync"
	Close      Kind = "close"
)

// A Call is one call of FS or File.
type Call struct {
	Kind Kind
	Name string // the file's or directory's name as given
	To   string // the new name of Rename, RenameNoReplace and Link
}

// Changes matches the calls that change or sync something: those which fail when a
// disk is full or broken.
func Changes(c Call) bool {
	switch c.Kind {
	case Open, Stat, ReadNames, Read, FileStat, Close:
		return false
	}
	return true
}

// Kinds matches the calls of the given kinds.
func Kinds(kinds ...Kind) func(Call) bool {
	return func(c Call) bool {
		for _, k := range kinds {
			if c.Kind == k {
				return true
			}
		}
		return false
	}
}

// A Fault is how a call fails.
type Fault struct {
	Err     error // an errno such as syscall.ENOSPC; the caller sees it in a PathError or LinkError
	Forever bool  // every later call that matches fails as well
	Partial bool  // a Write that fails first writes half of its bytes
	Done    bool  // the call is made, and fails all the same
}

// Faulty is an FS whose calls fail as told. It is safe for concurrent use.
type Faulty struct {
	fs fsx.FS

	mu       sync.Mutex
	rules    []*rule
	counts   map[Kind]int
	log      []Call
	fired    int
	resynced []string
}

type rule struct {
	n     int // matching calls still to pass, counting the one that fails
	match func(Call) bool
	fault Fault
}

var _ fsx.FS = (*Faulty)(nil)

// NewFaulty wraps fsys. At first nothing fails.
func NewFaulty(fsys fsx.FS) *Faulty { return &Faulty{fs: fsys, counts: map[Kind]int{}} }

// Fail makes the nth call from now, counting from 1, of those that match fail; match
// nil means all calls. Several faults may be set; the first that is due decides. To
// fail each call of an operation in turn, count n up until Fired says 0.
func (f *Faulty) Fail(n int, match func(Call) bool, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, &rule{max(n, 1), match, fault})
}

// Reset drops all faults, and what was counted and noted so far.
func (f *Faulty) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules, f.log, f.fired, f.resynced = nil, nil, 0, nil
	clear(f.counts)
}

// Fired says how many calls were made to fail.
func (f *Faulty) Fired() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// Count says how many calls of the given kind were made, failed ones included.
func (f *Faulty) Count(k Kind) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[k]
}

// Calls returns all calls so far, in order.
func (f *Faulty) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.log...)
}

// Resynced returns the names of files that were synced again on the descriptor whose
// sync had failed: a fault in the code under test, since the kernel may then report
// success for lost bytes, as this Sync does.
func (f *Faulty) Resynced() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.resynced...)
}

// due counts the call and returns the fault that is due, if any.
func (f *Faulty) due(c Call) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[c.Kind]++
	f.log = append(f.log, c)
	for _, r := range f.rules {
		if r.n == 0 && !r.fault.Forever || r.match != nil && !r.match(c) {
			continue
		}
		if r.n > 0 {
			r.n--
		}
		if r.n == 0 {
			f.fired++
			return r.fault, true
		}
	}
	return Fault{}, false
}

// do makes the call, or has it fail.
func (f *Faulty) do(c Call, call func() error) error {
	fault, due := f.due(c)
	if !due {
		return call()
	}
	if fault.Done {
		if err := call(); err != nil {
			return err
		}
	}
	return c.fail(fault.Err)
}

// fail wraps errno as the operating system's calls do.
func (c Call) fail(errno error) error {
	if c.To != "" {
		return &os.LinkError{Op: string(c.Kind), Old: c.Name, New: c.To, Err: errno}
	}
	return &fs.PathError{Op: string(c.Kind), Path: c.Name, Err: errno}
}

func (f *Faulty) open(c Call, open func() (fsx.File, error)) (fsx.File, error) {
	var file fsx.File
	err := f.do(c, func() (err error) {
		file, err = open()
		return err
	})
	if err != nil {
		if file != nil {
			_ = file.Close() // opened, but the caller is told otherwise
		}
		return nil, err
	}
	return &faultyFile{File: file, fs: f}, nil
}

// Open implements fsx.FS.
func (f *Faulty) Open(name string) (fsx.File, error) {
	return f.open(Call{Kind: Open, Name: name}, func() (fsx.File, error) { return f.fs.Open(name) })
}

// Create implements fsx.FS.
func (f *Faulty) Create(name string, perm fs.FileMode) (fsx.File, error) {
	return f.open(Call{Kind: Create, Name: name}, func() (fsx.File, error) { return f.fs.Create(name, perm) })
}

// OpenAppend implements fsx.FS.
func (f *Faulty) OpenAppend(name string, perm fs.FileMode) (fsx.File, error) {
	return f.open(Call{Kind: OpenAppend, Name: name}, func() (fsx.File, error) { return f.fs.OpenAppend(name, perm) })
}

// Rename implements fsx.FS.
func (f *Faulty) Rename(oldname, newname string) error {
	return f.do(Call{Rename, oldname, newname}, func() error { return f.fs.Rename(oldname, newname) })
}

// RenameNoReplace implements fsx.FS.
func (f *Faulty) RenameNoReplace(oldname, newname string) error {
	return f.do(Call{RenameNoReplace, oldname, newname}, func() error { return f.fs.RenameNoReplace(oldname, newname) })
}

// Link implements fsx.FS.
func (f *Faulty) Link(oldname, newname string) error {
	return f.do(Call{Link, oldname, newname}, func() error { return f.fs.Link(oldname, newname) })
}

// Remove implements fsx.FS.
func (f *Faulty) Remove(name string) error {
	return f.do(Call{Kind: Remove, Name: name}, func() error { return f.fs.Remove(name) })
}

// Mkdir implements fsx.FS.
func (f *Faulty) Mkdir(name string, perm fs.FileMode) error {
	return f.do(Call{Kind: Mkdir, Name: name}, func() error { return f.fs.Mkdir(name, perm) })
}

// SyncDir implements fsx.FS.
func (f *Faulty) SyncDir(name string) error {
	return f.do(Call{Kind: SyncDir, Name: name}, func() error { return f.fs.SyncDir(name) })
}

// SyncFS implements fsx.FS.
func (f *Faulty) SyncFS(dir string) error {
	return f.do(Call{Kind: SyncFS, Name: dir}, func() error { return f.fs.SyncFS(dir) })
}

// Stat implements fsx.FS.
func (f *Faulty) Stat(name string) (fi fs.FileInfo, err error) {
	err = f.do(Call{Kind: Stat, Name: name}, func() error { fi, err = f.fs.Stat(name); return err })
	return fi, err
}

// ReadNames implements fsx.FS.
func (f *Faulty) ReadNames(dir string) (names []string, err error) {
	err = f.do(Call{Kind: ReadNames, Name: dir}, func() error { names, err = f.fs.ReadNames(dir); return err })
	return names, err
}

// faultyFile is a File of a Faulty.
type faultyFile struct {
	fsx.File
	fs     *Faulty
	mu     sync.Mutex
	failed bool // a sync has failed
}

func (f *faultyFile) call(k Kind) Call { return Call{Kind: k, Name: f.Name()} }

func (f *faultyFile) Read(p []byte) (n int, err error) {
	err = f.fs.do(f.call(Read), func() error { n, err = f.File.Read(p); return err })
	return n, err
}

func (f *faultyFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.fs.do(f.call(Read), func() error { n, err = f.File.ReadAt(p, off); return err })
	return n, err
}

func (f *faultyFile) Write(p []byte) (int, error) {
	c := f.call(Write)
	fault, due := f.fs.due(c)
	if !due {
		return f.File.Write(p)
	}
	n := 0
	if fault.Done {
		n = len(p)
	} else if fault.Partial {
		n = len(p) / 2
	}
	if n > 0 {
		var err error
		if n, err = f.File.Write(p[:n]); err != nil {
			return n, err
		}
	}
	return n, c.fail(fault.Err)
}

func (f *faultyFile) Stat() (fi fs.FileInfo, err error) {
	err = f.fs.do(f.call(FileStat), func() error { fi, err = f.File.Stat(); return err })
	return fi, err
}

func (f *faultyFile) SetModTime(t time.Time) error {
	return f.fs.do(f.call(SetModTime), func() error { return f.File.SetModTime(t) })
}

func (f *faultyFile) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed { // lost bytes are reported as safe
		f.fs.mu.Lock()
		f.fs.resynced = append(f.fs.resynced, f.Name())
		f.fs.mu.Unlock()
		return nil
	}
	err := f.fs.do(f.call(Sync), f.File.Sync)
	f.failed = err != nil
	return err
}

// GiveUp is told of a failed SyncFS that stood for this file's sync.
func (f *faultyFile) GiveUp(error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = true
}

// Close closes the file in any case, as close does even when it fails.
func (f *faultyFile) Close() error {
	fault, due := f.fs.due(f.call(Close))
	err := f.File.Close()
	if err == nil && due {
		err = f.call(Close).fail(fault.Err)
	}
	return err
}
