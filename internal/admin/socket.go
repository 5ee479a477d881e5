package admin

import (
	"context"
	"net"

	"kurir/internal/fsx"
	"kurir/internal/listen"
)

// ListenSocket makes the control socket at path, for its owner alone (mode 0600). A socket
// left over by a dead server is replaced, so the caller must hold the data directory's lock;
// anything else of that name is left alone and is an error. Closing the listener removes the socket.
func ListenSocket(ctx context.Context, files fsx.FS, path string) (net.Listener, error) {
	return listen.Socket(ctx, files, "control socket", path, 0o600)
}
