package fsx

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// readOnly opens for reading what lies at a name itself, without waiting for anything.
const readOnly = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK

// noFile is err, or ErrNotRegular where an open with readOnly failed over what is there.
func noFile(err error) error {
	if err == unix.ELOOP || err == unix.ENXIO { // a symbolic link; a socket
		return ErrNotRegular
	}
	return err
}

// OpenRegular is the function OpenRegular.
func (OS) OpenRegular(name string) (File, fs.FileInfo, error) {
	f, err := os.OpenFile(name, readOnly, 0)
	var failed *fs.PathError
	if errors.As(err, &failed) {
		failed.Err = noFile(failed.Err)
	}
	if err != nil {
		return nil, nil, err
	}
	return regular(&osFile{File: f})
}

// ReadInto is the function ReadInto.
func (OS) ReadInto(name string, buf []byte) (n int, err error) {
	fd := -1
	err = retry(func() (err error) {
		fd, err = unix.Open(name, readOnly, 0)
		return err
	})
	if err = noFile(err); err != nil {
		return 0, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	for k := 1; k > 0 && n < len(buf) && err == nil; n += max(k, 0) {
		err = retry(func() (err error) {
			k, err = unix.Read(fd, buf[n:])
			return err
		})
	}
	if err == unix.EAGAIN { // a pipe
		err = ErrNotRegular
	}
	if err != nil {
		err = &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return n, errors.Join(err, unix.Close(fd))
}

// ReadRegular is the function ReadRegular.
func (OS) ReadRegular(name string, buf []byte, piece func([]byte)) (changed time.Time, err error) {
	fd := -1
	err = retry(func() (err error) {
		fd, err = unix.Open(name, readOnly, 0)
		return err
	})
	if err = noFile(err); err != nil {
		return changed, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	var st unix.Stat_t
	if err = retry(func() error { return unix.Fstat(fd, &st) }); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = ErrNotRegular
	}
	read := int64(0)
	for n := 1; err == nil && n > 0; {
		err = retry(func() (err error) {
			n, err = unix.Read(fd, buf)
			return err
		})
		if err == nil && n > 0 {
			piece(buf[:n])
			if read += int64(n); read == st.Size && n < len(buf) {
				break // the end, without asking for it
			}
		}
	}
	if err != nil {
		err = &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return time.Unix(st.Mtim.Unix()), errors.Join(err, unix.Close(fd))
}
