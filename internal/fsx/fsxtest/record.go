package fsxtest

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"kurir/internal/fsx"
)

// Open implements fsx.FS.
func (r *Recorder) Open(name string) (fsx.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.os.Open(name)
	if err != nil {
		return nil, err
	}
	p, err := r.find(name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &recFile{File: f, r: r, node: p.node, rel: p.rel}, nil
}

// Create implements fsx.FS.
func (r *Recorder) Create(name string, perm fs.FileMode) (fsx.File, error) {
	return r.create(Create, name, r.os.Create, perm)
}

// OpenAppend implements fsx.FS.
func (r *Recorder) OpenAppend(name string, perm fs.FileMode) (fsx.File, error) {
	return r.create(OpenAppend, name, r.os.OpenAppend, perm)
}

func (r *Recorder) create(k Kind, name string, open func(string, fs.FileMode) (fsx.File, error), perm fs.FileMode) (fsx.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.find(name)
	if err != nil {
		return nil, err
	}
	f, err := open(name, perm)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if p.node == nil {
		p.node = &node{perm: fi.Mode().Perm(), mtime: fi.ModTime()}
		r.name(Op{Kind: k, Name: p.rel}, p.set(name, p.node))
	}
	return &recFile{File: f, r: r, node: p.node, rel: p.rel}, nil
}

// set is the entry that gives p's name, at path name, to n.
func (p place) set(name string, n *node) entry {
	return entry{dir: p.dir, base: p.base, to: n, at: filepath.Dir(name)}
}

// Rename implements fsx.FS.
func (r *Recorder) Rename(oldname, newname string) error {
	return r.rename(Rename, oldname, newname, r.os.Rename)
}

// RenameNoReplace implements fsx.FS.
func (r *Recorder) RenameNoReplace(oldname, newname string) error {
	return r.rename(RenameNoReplace, oldname, newname, r.os.RenameNoReplace)
}

func (r *Recorder) rename(k Kind, oldname, newname string, rename func(o, n string) error) error {
	return r.two(oldname, newname, rename, func(from, to place) {
		if from.node == to.node {
			return // two links to one file: POSIX has rename do nothing
		}
		r.name(Op{Kind: k, Name: from.rel, To: to.rel}, to.set(newname, from.node), from.set(oldname, nil))
	})
}

// Link implements fsx.FS.
func (r *Recorder) Link(oldname, newname string) error {
	return r.two(oldname, newname, r.os.Link, func(from, to place) {
		r.name(Op{Kind: Link, Name: from.rel, To: to.rel}, to.set(newname, from.node))
	})
}

// two makes a call with two names and has it noted if it succeeds.
func (r *Recorder) two(oldname, newname string, call func(o, n string) error, note func(from, to place)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, err := r.find(oldname)
	if err != nil {
		return err
	}
	to, err := r.find(newname)
	if err != nil {
		return err
	}
	if err := call(oldname, newname); err != nil {
		return err
	}
	if from.node != nil { // or it is a foreign file
		note(from, to)
	}
	return nil
}

// Remove implements fsx.FS.
func (r *Recorder) Remove(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.find(name)
	if err != nil {
		return err
	}
	if err := r.os.Remove(name); err != nil {
		return err
	}
	if p.node != nil {
		r.name(Op{Kind: Remove, Name: p.rel}, p.set(name, nil))
	}
	return nil
}

// Mkdir implements fsx.FS.
func (r *Recorder) Mkdir(name string, perm fs.FileMode) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.find(name)
	if err != nil {
		return err
	}
	if err := r.os.Mkdir(name, perm); err != nil {
		return err
	}
	fi, err := r.os.Stat(name)
	if err != nil {
		return err
	}
	n := &node{dir: true, perm: fi.Mode().Perm(), mtime: fi.ModTime(), live: map[string]*node{}}
	r.name(Op{Kind: Mkdir, Name: p.rel}, p.set(name, n))
	return nil
}

// SyncDir implements fsx.FS. The directory is the one of that name when the call began;
// one outside the root is let be.
func (r *Recorder) SyncDir(name string) error {
	r.mu.Lock()
	p, err := r.find(name)
	if errors.Is(err, fs.ErrInvalid) {
		r.mu.Unlock()
		_, err := r.os.Stat(name)
		return err
	}
	from := len(r.ops)
	r.mu.Unlock()
	if err == nil && (p.node == nil || !p.node.dir) {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return err
	}
	time.Sleep(r.SyncTime)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := syncOf{op: r.note(Op{Kind: SyncDir, Name: p.rel, from: from}), from: from}
	p.node.syncs = append(p.node.syncs, s)
	r.dirs = append(r.dirs, s)
	r.files = append(r.files, s)
	return nil
}

// SyncFS implements fsx.FS.
func (r *Recorder) SyncFS(dir string) error {
	r.mu.Lock()
	from := len(r.ops)
	_, err := r.os.Stat(dir)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	time.Sleep(r.SyncTime)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, syncOf{op: r.note(Op{Kind: SyncFS, Name: ".", from: from}), from: from})
	return nil
}

// Stat implements fsx.FS.
func (r *Recorder) Stat(name string) (fs.FileInfo, error) { return r.os.Stat(name) }

// ReadNames implements fsx.FS.
func (r *Recorder) ReadNames(dir string) ([]string, error) { return r.os.ReadNames(dir) }

// recFile is a File of a Recorder.
type recFile struct {
	fsx.File
	r    *Recorder
	node *node // nil for a foreign file
	rel  string
}

func (f *recFile) Write(p []byte) (int, error) {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	n, err := f.File.Write(p)
	if n == 0 || f.node == nil {
		return n, err
	}
	end, serr := f.File.Seek(0, io.SeekCurrent)
	fi, ierr := f.File.Stat()
	if serr != nil || ierr != nil {
		return n, errors.Join(err, serr, ierr)
	}
	k := f.r.note(Op{Kind: Write, Name: f.rel, Size: n})
	f.node.writes = append(f.node.writes, write{k, end - int64(n), append([]byte(nil), p[:n]...)})
	f.node.times = append(f.node.times, settime{k, fi.ModTime()})
	return n, err
}

func (f *recFile) SetModTime(t time.Time) error {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	if err := f.File.SetModTime(t); err != nil || f.node == nil {
		return err
	}
	k := f.r.note(Op{Kind: SetModTime, Name: f.rel})
	f.node.times = append(f.node.times, settime{k, t})
	return nil
}

func (f *recFile) Sync() error {
	f.r.mu.Lock()
	_, err := f.File.Stat() // fails if the file is closed
	from := len(f.r.ops)
	f.r.mu.Unlock()
	if err != nil || f.node == nil {
		return err
	}
	time.Sleep(f.r.SyncTime)
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	s := syncOf{op: f.r.note(Op{Kind: Sync, Name: f.rel, from: from}), from: from}
	f.node.syncs = append(f.node.syncs, s)
	f.r.files = append(f.r.files, s)
	return nil
}
