package fsx

import (
	"errors"
	"io"
)

// ReadInto reads the file at name into buf, as much of it as there is room for, and says
// how many bytes it read: fewer than len(buf) only if the file has no more. It is for
// small files that are read whole: the system is asked for nothing but the bytes. A symbolic
// link is not followed, and nothing is opened that could make it wait: the error is
// ErrNotRegular, or what there is to read of a pipe.
func ReadInto(fsys FS, name string, buf []byte) (int, error) {
	if o, ok := fsys.(interface {
		ReadInto(string, []byte) (int, error)
	}); ok {
		return o.ReadInto(name, buf)
	}
	f, _, err := OpenRegular(fsys, name)
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(f, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, errors.Join(err, f.Close())
}
