package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/fsx"
)

// TestSocket: a socket has its permissions, takes the place of a dead one, and goes with
// its listener.
func TestSocket(t *testing.T) {
	for _, path := range []string{
		filepath.Join(t.TempDir(), "lmtp.sock"),
		filepath.Join(t.TempDir(), strings.Repeat("long", 30), "lmtp.sock"),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		dead, err := Socket(t.Context(), fsx.OS{}, "LMTP socket", path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		dead.(*socket).Listener.Close() // as of a server that was killed
		l, err := Socket(t.Context(), fsx.OS{}, "LMTP socket", path, 0o660)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o660 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		c, err := DialSocket(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if conn, err := New(l, Options{}).Accept(); err != nil || conn.(*Conn).RemoteIP().IsValid() || conn.LocalAddr().Network() != "unix" {
			t.Errorf("%v, %v", conn, err)
		}
		c.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it is still there: %v", err)
		}
		if l.Close() == nil {
			t.Error("it was closed twice")
		}
	}
}

// TestSocketInTheWay: what is no socket is not removed.
func TestSocketInTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Socket(t.Context(), fsx.OS{}, "LMTP socket", path, 0o660)
	if err == nil || !strings.Contains(err.Error(), "in the way of the LMTP socket") {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
	_, err = Socket(t.Context(), fsx.OS{}, "LMTP socket", filepath.Join(t.TempDir(), "none", "s"), 0o660)
	if _, ok := errors.AsType[*net.OpError](err); !ok || !strings.HasPrefix(err.Error(), "LMTP socket ") {
		t.Errorf("%v", err)
	}
}
