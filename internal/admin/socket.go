package admin

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

// ListenSocket makes the control socket at path, for its owner alone (mode 0600). A socket
// left over by a dead server is replaced, so the caller must hold the data directory's lock;
// anything else of that name is left alone and is an error. Closing the listener removes the socket.
func ListenSocket(ctx context.Context, files fsx.FS, path string) (net.Listener, error) {
	switch info, err := files.Stat(path); {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is in the way of the control socket: move it elsewhere", path)
	case err == nil:
		if err := files.Remove(path); err != nil {
			return nil, fmt.Errorf("a stale control socket cannot be replaced: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("control socket: %w", err)
	}
	short, release, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer release()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// On Linux the socket's file takes its mode from here; no moment in which others may connect.
		return c.Control(func(fd uintptr) { _ = restrictSocket(fd) })
	}}
	l, err := lc.Listen(ctx, "unix", short)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its name may be gone by then, see shortPath
	s := &socket{Listener: l, files: files, path: path}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), s.Close())
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

// dialSocket connects to the control socket at path.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
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
		return "", nil, fmt.Errorf("the control socket's path %s is %d bytes long, this system allows %d: choose a data directory with a shorter path", path, len(path), maxSocketPath)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { dir.Close() }, nil
}
