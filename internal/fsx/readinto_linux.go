package fsx

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// ReadInto is the function ReadInto.
func (OS) ReadInto(name string, buf []byte) (n int, err error) {
	fd := -1
	err = retry(func() (err error) {
		fd, err = unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	for k := 1; k > 0 && n < len(buf) && err == nil; n += max(k, 0) {
		err = retry(func() (err error) {
			k, err = unix.Read(fd, buf[n:])
			return err
		})
	}
	if err != nil {
		err = &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return n, errors.Join(err, unix.Close(fd))
}
