package fsx

import (
	"errors"
	"io"
	"io/fs"
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
	st, err := fsys.Stat(name)
	if err == nil && !st.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: name, Err: ErrNotRegular}
	}
	if err != nil {
		return time.Time{}, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return time.Time{}, err
	}
	if st, err = f.Stat(); err != nil {
		return time.Time{}, errors.Join(err, f.Close())
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
