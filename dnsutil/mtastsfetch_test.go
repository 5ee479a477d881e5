package dnsutil

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// policyHost is an HTTPS server at mta-sts.example.net, and a fetcher that finds it.
func policyHost(t *testing.T, name string, h http.HandlerFunc) *STSFetcher {
	t.Helper()
	ca := issue(t, nil, time.Now().Add(time.Hour))
	leaf := issue(t, ca, time.Now().Add(time.Hour), name)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: leaf.key}}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	r, _ := resolver(t, "mta-sts.example.net. A 192.0.2.80\nmta-sts.loop.test. A 127.0.0.1")
	return &STSFetcher{Resolver: r, RootCAs: roots, Timeout: 2 * time.Second, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "192.0.2.80:443" {
			t.Errorf("connects to %s", address)
		}
		var d net.Dialer
		return d.DialContext(ctx, network, srv.Listener.Addr().String())
	}}
}

const goodPolicy = "version: STSv1\nmode: enforce\nmx: mx.example.net\nmax_age: 86400\n"

// # RFC 8461 section 3.3: what a policy's host must do, and what it may not.
func TestFetch(t *testing.T) {
	answer := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			w.Write([]byte(body))
		}
	}
	slow := func(w http.ResponseWriter, r *http.Request) { // an octet now and then
		w.Header().Set("Content-Type", "text/plain")
		for r.Context().Err() == nil {
			w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	}
	for _, c := range []struct {
		what, name string
		h          http.HandlerFunc
		want       string // part of the error
	}{
		{"good", "mta-sts.example.net", answer(200, "text/plain; charset=utf-8", goodPolicy), ""},
		{"a wildcard certificate", "*.example.net", answer(200, "text/plain", goodPolicy), ""},
		{"another name", "www.example.net", answer(200, "text/plain", goodPolicy), "not mta-sts.example.net"},
		{"another type", "mta-sts.example.net", answer(200, "text/html", goodPolicy), `of the type "text/html", where only text/plain counts`},
		{"no type", "mta-sts.example.net", answer(200, "", goodPolicy), "only text/plain counts"},
		{"not found", "mta-sts.example.net", answer(404, "text/plain", goodPolicy), "status 404"},
		{"not modified", "mta-sts.example.net", answer(203, "text/plain", goodPolicy), "status 203"},
		{"nonsense", "mta-sts.example.net", answer(200, "text/plain", "<html>"), `no line of a policy: "<html>"`},
		{"10 MB", "mta-sts.example.net", answer(200, "text/plain", goodPolicy+strings.Repeat("mx: mx.example.net\n", 500_000)), "more than 64 KiB"},
		{"another name, for a terminal", "\x1b]0;evil\a\r\nwww.example.net", answer(200, "text/plain", goodPolicy), "valid for ?]0;evil???www.example.net, not mta-sts.example.net"},
		{"a header for a terminal", "mta-sts.example.net", func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			c.Write([]byte("HTTP/1.1 200 OK\r\nevil \x1b[2J" + strings.Repeat("x", 5000) + "\r\n\r\n"))
			c.Close()
		}, "malformed MIME header"},
		{"slow", "mta-sts.example.net", slow, "did not come in time"},
		{"a giant header", "mta-sts.example.net", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
			w.Write([]byte(goodPolicy))
		}, "headers exceeded"},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := policyHost(t, c.name, c.h)
			if c.what == "slow" {
				f.Timeout = 200 * time.Millisecond
			}
			p, err := f.Fetch(t.Context(), "Example.NET")
			switch {
			case c.want == "" && (err != nil || p.Mode != STSEnforce || !p.Allows("mx.example.net")):
				t.Errorf("%+v, %v", p, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "mta-sts.example.net: ") || len(err.Error()) > 500):
				t.Errorf("%+v, %v; want %q", p, err, c.want)
			}
		})
	}
}

// # RFC 8461 section 3.3: HTTP 3xx redirects must not be followed.
func TestFetchFollowsNothing(t *testing.T) {
	var n atomic.Int32
	f := policyHost(t, "mta-sts.example.net", func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1); r.URL.Path != "/.well-known/mta-sts.txt" || r.Host != "mta-sts.example.net" {
			t.Errorf("asked for %s of %s", r.URL.Path, r.Host)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusMovedPermanently)
	})
	if _, err := f.Fetch(t.Context(), "example.net"); err == nil || !strings.Contains(err.Error(), "status 301") || n.Load() != 1 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}

// A policy's host is found by our own resolver, and no address of this machine counts.
func TestFetchFromNowhere(t *testing.T) {
	f := policyHost(t, "mta-sts.example.net", nil)
	for domain, want := range map[string]string{
		"loop.test": "it has only addresses that lead nowhere",
		"none.test": "mta-sts.none.test does not exist in the DNS",
		"no name":   `"no name" is not a domain name`,
	} {
		if _, err := f.Fetch(t.Context(), domain); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", domain, err)
		}
	}
}
