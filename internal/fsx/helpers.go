package fsx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// tempSuffix ends the names that WriteFile writes under.
const tempSuffix = ".kurir-tmp"

// IsTemp says whether name is one that WriteFile writes under. After a crash such a
// file may be left; nobody else needs it.
func IsTemp(name string) bool { return strings.HasSuffix(name, tempSuffix) }

// ReadFile returns the content of the file at path, at most max bytes of it: a longer
// file is an error.
func ReadFile(fsys FS, path string, max int64) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(b)) > max {
		err = &fs.PathError{Op: "read", Path: path, Err: syscall.EFBIG}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return b, nil
}

// WriteFile puts data at path in one step, in the place of what was there, and returns
// once it would survive a power cut; after a crash path holds the old content or the
// new, whole. After an error path holds the old content, unless it was the last step
// that failed, the sync of the directory: then the new, which may not be durable.
func WriteFile(fsys FS, path string, data []byte, perm fs.FileMode) error {
	f, err := createTemp(fsys, path, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsys.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, fsys.Remove(f.Name()))
	}
	return fsys.SyncDir(filepath.Dir(path))
}

func createTemp(fsys FS, path string, perm fs.FileMode) (File, error) {
	for try := 0; ; try++ {
		name := fmt.Sprintf("%s.%d-%08x%s", path, os.Getpid(), rand.Uint32(), tempSuffix)
		f, err := fsys.Create(name, perm)
		if try < 10 && errors.Is(err, fs.ErrExist) {
			continue
		}
		return f, err
	}
}

// MkdirAll makes the directory path and its missing parents, and returns once all of
// them would survive a power cut. The deepest one that is there already is made
// durable in its parent too: a process may have died between making and syncing it.
func MkdirAll(fsys FS, path string, perm fs.FileMode) error {
	path = filepath.Clean(path)
	parent := filepath.Dir(path)
	fi, err := fsys.Stat(path)
	switch {
	case err == nil && fi.Mode()&fs.ModeSymlink != 0:
		return checkDir(fsys, path)
	case err == nil && !fi.IsDir():
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	case err == nil && parent == path:
		return nil
	case err == nil:
		return syncFound(fsys, parent)
	case !errors.Is(err, fs.ErrNotExist) || parent == path:
		return err
	}
	if err := MkdirAll(fsys, parent, perm); err != nil {
		return err
	}
	err = fsys.Mkdir(path, perm)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return fsys.SyncDir(parent)
}

// checkDir fails unless the symbolic link at path leads to a directory.
func checkDir(fsys FS, path string) error {
	f, err := fsys.Open(path)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err == nil && !fi.IsDir() {
		err = &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	}
	return errors.Join(err, f.Close())
}

// syncFound syncs the parent of a directory that was there before. A parent that
// cannot be opened or synced holds nothing that kurir made.
func syncFound(fsys FS, dir string) error {
	err := fsys.SyncDir(dir)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// RemoveAll removes path and all below it; that path is not there is no error. It goes
// on past what it cannot remove and returns the first error. It syncs nothing: whoever
// needs the removal to be durable calls SyncDir for the parent.
func RemoveAll(fsys FS, path string) error {
	err := fsys.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	fi, serr := fsys.Stat(path)
	if errors.Is(serr, fs.ErrNotExist) {
		return nil
	}
	if serr != nil || !fi.IsDir() {
		return err
	}
	names, first := fsys.ReadNames(path)
	for _, name := range names {
		if err := RemoveAll(fsys, filepath.Join(path, name)); err != nil && first == nil {
			first = err
		}
	}
	if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) && first == nil {
		first = err
	}
	return first
}
