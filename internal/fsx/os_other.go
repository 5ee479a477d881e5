//go:build !linux

package fsx

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"time"
)

// Rename implements FS.
func (OS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }

// BootID names the run of the kernel. Here the system does not say, and each call
// gives another name, so that no file can be taken for one of the same boot.
func BootID() string { return "unknown-" + rand.Text() }

// Space is not known here: the error is errors.ErrUnsupported.
func Space(path string) (free, total uint64, err error) {
	return 0, 0, &fs.PathError{Op: "statfs", Path: path, Err: errors.ErrUnsupported}
}

// FreeBytes is not known here: the error is errors.ErrUnsupported.
func FreeBytes(path string) (uint64, error) {
	return 0, &fs.PathError{Op: "statfs", Path: path, Err: errors.ErrUnsupported}
}

func renameExclusive(oldname, newname string) error { return errors.ErrUnsupported }

func syncfs(d *os.File) error { return errors.ErrUnsupported }

func syncFSSuits(path string) bool { return false }

// setModTime sets the time of last access as well; here only the name serves.
func setModTime(f *os.File, t time.Time) error { return os.Chtimes(f.Name(), t, t) }
