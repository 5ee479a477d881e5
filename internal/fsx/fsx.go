// Package fsx is the only place that knows how bytes become durable: every write,
// fsync, rename, link and unlink of kurir's own files goes through an FS (SQLite's
// files aside). OS is the real one; package fsxtest has one that fails single calls
// and one that replays a power cut. It knows nothing of mail.
package fsx

import (
	"io"
	"io/fs"
	"time"
)

// FS is a POSIX file system. Names are absolute or relative to the working directory.
// Errors are *fs.PathError or *os.LinkError around the errno, so that errors.Is works
// with fs.ErrNotExist, fs.ErrExist, syscall.ENOSPC and so on.
type FS interface {
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Create makes a file that must not exist yet (O_EXCL) and opens it for reading and writing.
	Create(name string, perm fs.FileMode) (File, error)
	// OpenAppend opens a file for appending (O_APPEND), and makes it if need be.
	OpenAppend(name string, perm fs.FileMode) (File, error)
	// Rename replaces newname, if it is there.
	Rename(oldname, newname string) error
	// RenameNoReplace fails with fs.ErrExist if newname is there (renameat2 RENAME_NOREPLACE;
	// where the file system has none, link and unlink).
	RenameNoReplace(oldname, newname string) error
	// Link makes a hard link.
	Link(oldname, newname string) error
	// Remove unlinks a file or removes an empty directory.
	Remove(name string) error
	// Mkdir makes one directory.
	Mkdir(name string, perm fs.FileMode) error
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// SyncFS makes all of the file system that holds dir durable (syncfs).
	SyncFS(dir string) error
	// Stat describes a name, not following a symbolic link.
	Stat(name string) (fs.FileInfo, error)
	// ReadNames returns the names in a directory in no order, "." and ".." aside.
	ReadNames(dir string) ([]string, error)
}

// File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Seeker
	io.Closer
	// Name is the name that it was opened by.
	Name() string
	Stat() (fs.FileInfo, error)
	// SetModTime sets the time of last change; durable after Sync.
	SetModTime(t time.Time) error
	// Sync makes the content durable (fsync). After an error the file must be given
	// up: a second Sync may report success for bytes that are lost.
	Sync() error
}
