//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fsx

import (
	"os"

	"golang.org/x/sys/unix"
)

// flock fails with ErrLocked rather than wait.
func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
			return ErrLocked
		case nil:
			return nil
		}
		return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
}
