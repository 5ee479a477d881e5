package tlspolicy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil"
	"kurir/dnsutil/dnstest"
	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
	"kurir/internal/sqldb"
	"kurir/internal/tlspolicy"
)

// TestWhole sends mail with all parts as they are in the program: the policy's host by
// HTTPS, its record in a DNS, the database, the relay and a mail server. Somebody who then
// takes the DNS record and the policy's host away, and the mail to another server, gets
// none; not even after a restart.
func TestWhole(t *testing.T) {
	ca, err := smtptest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	config := func(host string) *tls.Config {
		conf, err := ca.Config(host)
		if err != nil {
			t.Fatal(err)
		}
		return conf
	}
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "version: STSv1\r\nmode: enforce\r\nmx: mx.example.net\r\nmax_age: 604800\r\n")
	}))
	web.TLS = config("mta-sts.example.net")
	web.StartTLS()
	defer web.Close()
	good, evil := &smtptest.Peer{TLS: config("mx.example.net")}, &smtptest.Peer{TLS: config("mx.evil.test")}
	where := map[string]string{"192.0.2.80:443": web.Listener.Addr().String(), "192.0.2.1:25": smtptest.Start(t, good), "192.0.2.66:25": smtptest.Start(t, evil)}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if where[address] == "" {
			return nil, fmt.Errorf("nobody is at %s", address)
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", where[address])
	}
	const mx = "example.net. 1 MX 10 mx.example.net.\nmx.example.net. 1 A 192.0.2.1\n"
	dns := dnstest.Start(t, mx+"_mta-sts.example.net. 1 TXT \"v=STSv1; id=1\"\nmta-sts.example.net. 1 A 192.0.2.80\n")
	path := filepath.Join(t.TempDir(), "kurir.db")
	send := func(text string) relay.Outcome { // by a server that has just started
		db, err := sqldb.Open(t.Context(), path, tlspolicy.Migrations())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		resolver := &dnsutil.Resolver{Servers: []string{dns.Addr()}, Timeout: time.Second, MaxCache: -1}
		fetcher := &dnsutil.STSFetcher{Resolver: resolver, RootCAs: ca.Pool(), Dial: dial}
		policies := tlspolicy.Open(tlspolicy.Options{DB: db, Resolver: resolver, Fetch: fetcher.Fetch})
		defer policies.Close()
		r := &relay.Relay{Resolver: resolver, RootCAs: ca.Pool(), STS: policies, Memory: policies, Dial: dial}
		defer r.Close()
		m := &relay.Message{Sender: "alice@local.test", Size: int64(len(text)), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
		return r.Send(t.Context(), "example.net", m, []relay.Recipient{{Address: "bob@example.net"}}, nil).Outcomes[0]
	}
	if o := send("Subject: 1\r\n\r\n"); o.Action != relay.Sent || o.Peer.Policy != "mta-sts enforce" || o.Peer.TLSName != "mx.example.net" {
		t.Errorf("%+v", o)
	}
	delete(where, "192.0.2.80:443")
	if err := dns.SetZone("example.net. MX 10 mx.evil.test.\nmx.evil.test. A 192.0.2.66\n"); err != nil {
		t.Fatal(err)
	}
	if o := send("Subject: 2\r\n\r\n"); o.Action != relay.Deferred || !strings.Contains(o.Reply.Text, "mx.evil.test (192.0.2.66) cannot be used: it is none of the mail servers") {
		t.Errorf("%+v", o)
	}
	if n := evil.Connections(); n != 0 {
		t.Errorf("%d connections to the wrong server", n)
	}
	if err := dns.SetZone(mx); err != nil {
		t.Fatal(err)
	}
	if o := send("Subject: 3\r\n\r\n"); o.Action != relay.Sent || o.Peer.Policy != "mta-sts enforce" {
		t.Errorf("%+v", o)
	}
}
