package fsx

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// ErrLocked says that another process, or another Lock of this one, holds the lock.
var ErrLocked = errors.New("locked")

// A FileLock is held until Unlock or the end of the process, however it ends.
type FileLock struct{ f *os.File }

// Lock takes the lock file at path, which it makes if need be, and does not wait. It
// writes the process id into the file for others to name. If the lock is held the
// error is ErrLocked and says by whom.
func Lock(path string) (*FileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		if errors.Is(err, ErrLocked) {
			err = fmt.Errorf("%s: %w%s", path, ErrLocked, holder(f))
		}
		return nil, errors.Join(err, f.Close())
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &FileLock{f}, nil
}

// Unlock gives the lock back. The file stays: to remove it would let two processes
// hold locks on two files of one name.
func (l *FileLock) Unlock() error { return l.f.Close() }

// holder is " by process N", or empty while the holder has not written its id yet.
func holder(f *os.File) string {
	b := make([]byte, 32)
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" by process %d", pid)
}
