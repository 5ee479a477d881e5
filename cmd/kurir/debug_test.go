package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestDebug: a running server gives profiles of itself over the control socket, and nowhere
// else.
func TestDebug(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	if code, _, errs := s.do("", "debug", "heap"); code != exitFailed || !strings.Contains(errs, "only a running server has a profile") {
		t.Errorf("stopped: exit %d: %s", code, errs)
	}
	srv := s.serve()
	contains(t, s.must("", "debug", "goroutines"), "goroutine ", "kurir/internal/queue")
	for _, args := range [][]string{{"debug", "heap"}, {"debug", "allocs"}, {"debug", "block"}, {"debug", "mutex"}, {"debug", "profile", "--seconds", "1"}} {
		if out := s.must("", args...); !bytes.HasPrefix([]byte(out), []byte{0x1f, 0x8b}) { // gzip, as pprof has it
			t.Errorf("%v: %d octets, no profile", args, len(out))
		}
	}
	for _, args := range [][]string{{"debug", "profile", "--seconds", "0"}, {"debug", "profile", "--seconds", "301"}, {"debug", "nonsense"}} {
		if code, _, _ := s.do("", args...); code != exitUsage {
			t.Errorf("%v: exit %d", args, code)
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
		if page := get(t, "http://"+srv.address("127.0.0.1:40008")+path); strings.Contains(page, "goroutine") || strings.Contains(page, "heap profile") {
			t.Errorf("%s is served: %s", path, page)
		}
	}
}
