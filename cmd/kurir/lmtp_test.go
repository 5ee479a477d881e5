package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestLMTPSocket: the server makes the socket, check finds it, and it goes with the server.
func TestLMTPSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "lmtp.sock")
	s := newTestSite(t, "[lmtp]", fmt.Sprintf("address = [%q]", "unix:"+path))
	code, out, _ := s.do("", "check")
	if contains(t, out, path+" (LMTP): there is no folder "+filepath.Dir(path)); code != exitFailed {
		t.Errorf("without its folder: exit %d", code)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	contains(t, s.must("", "check"), "ok       "+path+" (LMTP) is free")
	s.must("", "domain", "add", "example.test")

	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	code, _, errs := s.do("", "serve")
	if contains(t, errs, "LMTP: another program serves the socket "+path); code != exitFailed {
		t.Errorf("beside another: exit %d", code)
	}
	_, out, _ = s.do("", "check")
	contains(t, out, "error    another program serves the socket "+path)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	contains(t, s.must("", "check"), "ok       "+path+" (LMTP) is free") // it is a dead one's

	s.serve()
	_, out, _ = s.do("", "check")
	contains(t, out, "ok       "+path+" (LMTP) is open")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info, err)
	}
	os.Remove(path)
	_, out, _ = s.do("", "check")
	contains(t, out, "error    "+path+" (LMTP) is not served by the server that runs")
}
