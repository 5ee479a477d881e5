package fsx

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
)

// OS is the operating system's file system. The zero value is ready for use.
type OS struct{}

var _ FS = OS{}

// Open implements FS.
func (OS) Open(name string) (File, error) {
	return open(name, os.O_RDONLY, 0)
}

// Create implements FS. The umask applies to perm.
func (OS) Create(name string, perm fs.FileMode) (File, error) {
	return open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
}

// OpenAppend implements FS. The umask applies to perm.
func (OS) OpenAppend(name string, perm fs.FileMode) (File, error) {
	return open(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, perm)
}

// RenameNoReplace implements FS. Where it falls back on link and unlink, a crash
// between the two leaves both names; a directory is then checked for and renamed,
// which another process may race.
func (OS) RenameNoReplace(oldname, newname string) error {
	err := renameExclusive(oldname, newname)
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return linkUnlink(oldname, newname)
	}
	return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
}

// Link implements FS.
func (OS) Link(oldname, newname string) error { return os.Link(oldname, newname) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// Mkdir implements FS. The umask applies to perm.
func (OS) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

// SyncDir implements FS.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// SyncFS implements FS; where there is no syncfs the error is errors.ErrUnsupported.
func (OS) SyncFS(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = syncfs(d)
	if err != nil {
		err = &fs.PathError{Op: "syncfs", Path: dir, Err: err}
	}
	return errors.Join(err, d.Close())
}

// Stat implements FS.
func (OS) Stat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

// ReadNames implements FS. What a pass that another process's renames overlap
// returns is the kernel's: a name may be missed or come twice.
func (OS) ReadNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	return names, errors.Join(err, d.Close())
}

// linkUnlink is RenameNoReplace for file systems that have no such call.
func linkUnlink(oldname, newname string) error {
	fi, err := os.Lstat(oldname)
	if err != nil {
		return err
	}
	if fi.IsDir() {
		if _, err := os.Lstat(newname); err == nil {
			return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: syscall.EEXIST}
		}
		return os.Rename(oldname, newname)
	}
	if err := os.Link(oldname, newname); err != nil {
		return err
	}
	if err := os.Remove(oldname); err != nil {
		return errors.Join(err, os.Remove(newname))
	}
	return nil
}

// osFile is a File of the operating system. It remembers a failed Sync, so that no
// later one on the same descriptor can report success for bytes that are lost.
type osFile struct {
	*os.File
	mu     sync.Mutex
	failed error // of the first Sync that failed, or given to GiveUp
}

func open(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &osFile{File: f}, nil
}

// Sync implements File. After one failure it fails for ever, with the same error.
func (f *osFile) Sync() error {
	if err := f.given(); err != nil {
		return err
	}
	err := f.File.Sync()
	if err != nil {
		f.GiveUp(err)
	}
	return err
}

// GiveUp makes each later Sync fail with err: a sync that this file shared has failed.
func (f *osFile) GiveUp(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = err
	}
}

func (f *osFile) given() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// SetModTime implements File.
func (f *osFile) SetModTime(t time.Time) error {
	if err := setModTime(f.File, t); err != nil {
		return &fs.PathError{Op: "futimens", Path: f.Name(), Err: err}
	}
	return nil
}
