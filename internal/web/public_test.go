package web

import (
	"net/http/httptest"
	"testing"
)

func TestToHTTPS(t *testing.T) {
	for _, c := range []struct {
		port, host, uri string
		status          int
		want            string
	}{
		{"443", "mail.example.org", "/setup?a=1", 308, "https://mail.example.org/setup?a=1"},
		{"", "mail.example.org:80", "/", 308, "https://mail.example.org/"},
		{"8443", "mail.example.org:8080", "/", 308, "https://mail.example.org:8443/"},
		{"443", "[2001:db8::1]:80", "/x", 308, "https://[2001:db8::1]/x"},
		{"443", "mail.example.org", "//evil.example/", 308, "https://mail.example.org//evil.example/"},
		{"443", "", "/", 400, ""},
		{"443", "evil.example/x?", "/", 400, ""},
		{"443", "a@evil.example", "/", 400, ""},
	} {
		r := httptest.NewRequest("GET", c.uri, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		ToHTTPS(c.port).ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("Location") != c.want {
			t.Errorf("%+v: %d %q", c, w.Code, w.Header().Get("Location"))
		}
		if w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%+v: no protective headers", c)
		}
	}
}
