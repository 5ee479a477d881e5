package main

import (
	"io"
	"net/http"
	"testing"
)

// TestReady: it is ready while it serves, red or not, and the public pages tell nobody.
func TestReady(t *testing.T) {
	s := newTestSite(t, "[web]", `http = ["127.0.0.1:40009"]`)
	s.must("", "domain", "add", "example.test")
	srv := s.serve()
	status := func(port, path string) (int, string) {
		t.Helper()
		resp, err := http.Get("http://" + srv.address("127.0.0.1:"+port) + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	if code, text := status("40008", "/readyz"); code != 200 || text != "ready\n" {
		t.Errorf("%d %q", code, text)
	}
	for _, path := range []string{"/readyz", "/healthz", "/metrics", "/debug/pprof/"} {
		if code, text := status("40009", path); code != 404 {
			t.Errorf("in public, %s: %d %.60q", path, code, text)
		}
	}
}
