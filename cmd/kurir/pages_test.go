package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/admin"
)

// browse is a browser that finds every name at the server of a test, in the clear or by TLS.
func browse(t *testing.T, s *testSite, c *console) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(s.dir, "tls", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "mail.example.test"},
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			asked := "127.0.0.1:40010"
			if strings.HasSuffix(address, ":80") {
				asked = "127.0.0.1:40009"
			}
			return new(net.Dialer).DialContext(ctx, "tcp", c.address(asked))
		},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// TestPublicPages: what everybody finds by [web], with an account that is invited, signs in,
// makes a password for a device, and is signed out when the account gets another password.
func TestPublicPages(t *testing.T) {
	s := newTestSite(t, "[web]", `http = ["127.0.0.1:40009"]`, `https = ["127.0.0.1:40010"]`)
	s.must("", "domain", "add", "example.test")
	s.must("correct horse\n", "account", "add", "alice@example.test", "--password-stdin")
	c := newConsole(t)
	run := start(t, c, "serve", "-c", s.config)
	defer run.stop()
	b := browse(t, s, c)
	ask := func(status int, address string, form url.Values, words ...string) (string, http.Header) {
		t.Helper()
		var resp *http.Response
		var err error
		if form == nil {
			resp, err = b.Get(address)
		} else {
			resp, err = b.PostForm(address, form)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status {
			t.Fatalf("%s: %d %v\n%s", address, resp.StatusCode, err, text)
		}
		contains(t, string(text), words...)
		return string(text), resp.Header
	}
	const site = "https://mail.example.test"
	if _, h := ask(302, "http://mail.example.test/setup", nil); !strings.HasPrefix(h.Get("Location"), site) {
		t.Errorf("to %s", h.Get("Location"))
	}
	ask(200, "http://autoconfig.example.test/mail/config-v1.1.xml", nil, "<hostname>mail.example.test</hostname>", "<port>40005</port>")
	ask(200, "https://mta-sts.example.test/.well-known/mta-sts.txt", nil, "mode: enforce", "mx: mail.example.test")
	ask(404, site+"/metrics", nil)
	ask(404, site+"/healthz", nil)
	if text, h := ask(200, site+"/setup/mail.mobileconfig?address=alice@example.test", nil); h.Get("Content-Type") != "application/x-apple-aspen-config" || text[0] != 0x30 {
		t.Errorf("no signed profile: %v %.40q", h, text)
	}

	var i admin.Invited
	if err := json.Unmarshal([]byte(s.must("", "account", "invite", "alice@example.test", "--json")), &i); err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(i.URL)
	if err != nil {
		t.Fatal(err)
	}
	ask(303, site+at.Path, url.Values{})
	ask(200, site+"/setup/account", nil, "alice@example.test", "There is none yet.")
	ask(200, site+"/setup/devices", url.Values{"app": {"k9"}, "name": {"phone"}}, "The password for “phone”")
	ask(409, site+"/setup/devices", url.Values{"app": {"k9"}, "name": {"phone"}}, "There is a device of the name “phone” already.")
	contains(t, s.must("", "account", "app", "list", "alice@example.test"), "phone")
	ask(303, site+"/setup/devices/revoke", url.Values{"name": {"phone"}})
	ask(200, site+"/setup/account", nil, "There is none yet.")
	s.must("battery staple\n", "account", "passwd", "alice@example.test", "--password-stdin")
	ask(303, site+"/setup/account", nil)
	ask(403, site+"/setup/signin", url.Values{"address": {"alice@example.test"}, "password": {"correct horse"}}, "is not right")
	ask(303, site+"/setup/signin", url.Values{"address": {"alice@example.test"}, "password": {"battery staple"}})
	ask(200, site+"/setup/live", nil, "Nothing has reached us")
}
