package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"kurir/internal/fsx"
)

// maxSocketPath is what every system takes as a unix socket's path, in bytes (macOS 104,
// Linux 108, both with the final NUL).
const maxSocketPath = 103

// Socket makes a unix socket at path, with the permissions of mode; name is what errors
// call it. A socket left over by a dead server is replaced, so the caller must know that
// none lives; anything else of that name is left alone and is an error. Closing the listener
// removes the socket.
func Socket(ctx context.Context, files fsx.FS, name, path string, mode fs.FileMode) (net.Listener, error) {
	switch info, err := files.Stat(path); {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is in the way of the %s: move it elsewhere", path, name)
	case err == nil:
		if err := files.Remove(path); err != nil {
			return nil, fmt.Errorf("a stale %s cannot be replaced: %w", name, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	short, release, err := shortPath(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer release()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// On Linux the socket's file takes its mode from here; no moment in which others may connect.
		return c.Control(func(fd uintptr) { _ = restrictSocket(fd) })
	}}
	l, err := lc.Listen(ctx, "unix", short)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", name, path, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its name may be gone by then, see shortPath
	s := &socket{Listener: l, files: files, path: path}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), s.Close())
	}
	return s, nil
}

// socket is a listener that removes its file by the full path.
type socket struct {
	net.Listener
	files fsx.FS
	path  string
}

// Close stops listening and removes the socket's file.
func (s *socket) Close() error {
	if err := s.Listener.Close(); err != nil {
		return err // closed before: the file may be another server's by now
	}
	if err := s.files.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// DialSocket connects to the unix socket at path, however long that is.
func DialSocket(ctx context.Context, path string) (net.Conn, error) {
	short, release, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer release()
	var d net.Dialer
	return d.DialContext(ctx, "unix", short)
}

// shortPath returns a name for path that fits into a socket address, valid until release.
// On Linux a long path is reached through an open descriptor of its directory.
func shortPath(path string) (short string, release func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("the path %s is %d bytes long, this system allows %d: choose a shorter one", path, len(path), maxSocketPath)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { dir.Close() }, nil
}
