package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"syscall"
	"time"

	"kurir/internal/config"
	"kurir/internal/listen"
)

// openAddress opens an address to listen on: a port, or a unix socket.
func (s *site) openAddress(ctx context.Context, address string) (net.Listener, error) {
	path, ok := config.UnixPath(address)
	if !ok {
		return s.env.listen(ctx, address)
	}
	if answersUnix(ctx, path) == nil {
		return nil, fmt.Errorf("another program serves the socket %s: stop it, or choose another path", path)
	}
	return listen.Socket(ctx, s.env.files, "socket", path, s.cfg.LMTP.Mode())
}

// answersUnix is nil if somebody takes connections at a unix socket.
func answersUnix(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := listen.DialSocket(ctx, path)
	if err != nil {
		return err
	}
	return c.Close()
}

// checkSocket looks at a unix socket to listen on, as checkPorts does at a port.
func (e *env) checkSocket(ctx context.Context, r *report, name, path string, running, unknown bool) {
	err := answersUnix(ctx, path)
	switch {
	case err == nil && (running || unknown):
		r.pass("port", "%s (%s) is open", path, name)
	case err == nil:
		r.fail("port", "another program serves the socket %s (%s): stop it, or choose another path", path, name)
	case errors.Is(err, fs.ErrPermission):
		r.warn("port", "this user may not connect to %s (%s), so whether it is served is not known", path, name)
	case running:
		r.fail("port", "%s (%s) is not served by the server that runs: kurir reload, if the configuration is new", path, name)
	case errors.Is(err, syscall.ECONNREFUSED): // left over; the server replaces it
		r.pass("port", "%s (%s) is free", path, name)
	case errors.Is(err, fs.ErrNotExist):
		if info, err := e.files.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			r.fail("port", "%s (%s): there is no folder %s: make it, for the user that runs kurir", path, name, filepath.Dir(path))
			return
		}
		r.pass("port", "%s (%s) is free", path, name)
	default:
		r.fail("port", "%s (%s): %v", path, name, err)
	}
}
