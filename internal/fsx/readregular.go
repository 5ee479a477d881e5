package fsx

import (
	"errors"
	"io"
	"io/fs"
	"syscall"
	"time"
)

// ErrNotRegular says that a name is no regular file: a directory, a pipe, a symbolic link.
var ErrNotRegular = errors.New("no regular file")

// ReadRegular reads the file at name from its begin to its end into buf, and calls piece
// with each part. It says when the file was changed last. A symbolic link is not followed,
// and nothing is opened that could make it wait; the error is then ErrNotRegular.
func ReadRegular(fsys FS, name string, buf []byte, piece func([]byte)) (time.Time, error) {
	if o, ok := fsys.(interface {
		ReadRegular(string, []byte, func([]byte)) (time.Time, error)
	}); ok {
		return o.ReadRegular(name, buf, piece)
	}
	f, st, err := OpenRegular(fsys, name)
	if err != nil {
		return time.Time{}, err
	}
	for err == nil {
		var n int
		n, err = f.Read(buf)
		piece(buf[:n])
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return st.ModTime(), errors.Join(err, f.Close())
}

// OpenRegular opens the regular file at name for reading, and describes it. A symbolic link is
// not followed, and nothing is opened that could make it wait; the error is then ErrNotRegular,
// with EISDIR if it is a directory.
func OpenRegular(fsys FS, name string) (File, fs.FileInfo, error) {
	if o, ok := fsys.(interface {
		OpenRegular(string) (File, fs.FileInfo, error)
	}); ok {
		return o.OpenRegular(name)
	}
	st, err := fsys.Stat(name)
	if err == nil {
		err = mustBeRegular(name, st)
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, nil, err
	}
	return regular(f)
}

// regular describes an open file, and closes it if it is no regular one.
func regular(f File) (File, fs.FileInfo, error) {
	st, err := f.Stat()
	if err == nil {
		err = mustBeRegular(f.Name(), st)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, st, nil
}

func mustBeRegular(name string, st fs.FileInfo) error {
	err := ErrNotRegular
	switch {
	case st.Mode().IsRegular():
		return nil
	case st.IsDir():
		err = errors.Join(err, syscall.EISDIR)
	}
	return &fs.PathError{Op: "open", Path: name, Err: err}
}
