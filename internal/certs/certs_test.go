package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/fsx"
)

// made is a certificate for names and addresses, signed by itself, and its PEM forms.
func made(t *testing.T, life time.Duration, names ...string) (pair tls.Certificate, certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "x", Organization: []string{"Test CA"}},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(life), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if strings.Contains(n, "@") {
			c.EmailAddresses = append(c.EmailAddresses, n)
		} else {
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	if pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	return pair, certPEM, keyPEM
}

// fallback serves one certificate, as tlsconf does.
func fallback(c tls.Certificate) *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c, nil }}
}

// names is a Resolver: addresses by name; "?" for a name that gets no answer.
type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	text, ok := n[host]
	switch {
	case !ok:
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	case text == "?":
		return nil, &net.DNSError{Err: "timeout", Name: host, IsTemporary: true}
	}
	var all []netip.Addr
	for a := range strings.FieldsSeq(text) {
		all = append(all, netip.MustParseAddr(a))
	}
	return all, nil
}

// fakeCA is a CA that is never reached.
func fakeCA(t *testing.T) *CA {
	return &CA{Directory: "https://ca.test/dir", HTTP: true, ALPN: true, Resolver: names{}, Files: fsx.OS{}, Dir: filepath.Join(t.TempDir(), "acme")}
}

// keep puts a certificate where one that was fetched lies.
func keep(t *testing.T, ca *CA, name string, certPEM, keyPEM []byte) {
	t.Helper()
	s, err := newStorage(ca.Files, ca.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for kind, text := range map[string][]byte{"crt": certPEM, "key": keyPEM, "json": []byte("{}")} {
		if err := s.Store(t.Context(), "certificates/ca.test-dir/"+name+"/"+name+"."+kind, text); err != nil {
			t.Fatal(err)
		}
	}
}

func hello(name string, protocols ...string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{ServerName: name, SupportedProtos: protocols}
}

// Each client is shown the certificate of the name that it asks for, else the host's, else
// what there was before there was any.
func TestWhichIsServed(t *testing.T) {
	ca := fakeCA(t)
	ca.Domains = func(context.Context) ([]string, error) { return []string{"a.test"}, nil }
	local, _, _ := made(t, time.Hour, "mail.a.test")
	m, err := Open(t.Context(), Options{Host: "Mail.a.test", Fallback: fallback(local), Local: true, CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	shows := func(m *Manager, name string) string {
		c, err := m.get(hello(name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(c.Leaf.DNSNames, " ")
	}
	if got := shows(m, "autoconfig.a.test"); got != "mail.a.test" {
		t.Errorf("before there is any: %s", got)
	}
	for _, n := range []string{"mail.a.test", "autoconfig.a.test", "gone.test"} {
		_, certPEM, keyPEM := made(t, 90*day, n)
		keep(t, ca, n, certPEM, keyPEM)
	}
	if m, err = Open(t.Context(), Options{Host: "mail.a.test", Fallback: fallback(local), Local: true, CA: ca}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"": "mail.a.test", "mail.a.test": "mail.a.test", "autoconfig.a.test": "autoconfig.a.test", "AutoConfig.A.test.": "autoconfig.a.test",
		"mta-sts.a.test": "mail.a.test", "gone.test": "mail.a.test", "192.0.2.1": "mail.a.test",
	} {
		if got := shows(m, name); got != want {
			t.Errorf("%q is shown %s", name, got)
		}
	}
	c, err := m.get(hello(""))
	if err != nil || c.Leaf.Equal(local.Leaf) {
		t.Error("the local certificate is still served")
	}
	chain, err := m.Chain()
	if err != nil || !chain[0].Equal(c.Leaf) {
		t.Errorf("%v", err)
	}
	stored, err := Stored(fsx.OS{}, ca.Dir, ca.Directory, "mail.a.test")
	if err != nil || len(stored) != 1 || !stored[0].Equal(c.Leaf) {
		t.Errorf("%v, %v", stored, err)
	}
	if none, err := Stored(fsx.OS{}, ca.Dir, ca.Directory, "b.test"); none != nil || err != nil {
		t.Errorf("%v, %v", none, err)
	}
	all := m.Certificates()
	if len(all) != 4 || !all[0].Host || !all[0].Managed || all[0].Local || all[0].Issuer != "Test CA x" || all[0].Problem != "" || !all[2].Ordering {
		t.Errorf("%+v", all)
	}
}

// Damaged files keep no server from starting.
func TestDamagedFiles(t *testing.T) {
	ca := fakeCA(t)
	keep(t, ca, "mail.a.test", []byte("no certificate"), []byte("no key"))
	local, _, _ := made(t, time.Hour, "mail.a.test")
	m, err := Open(t.Context(), Options{Host: "mail.a.test", Fallback: fallback(local), CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := m.get(hello("mail.a.test")); err != nil || !c.Leaf.Equal(local.Leaf) {
		t.Errorf("%v", err)
	}
}

// A CA's question is answered while it is asked, and by nobody else's port.
func TestChallengesOfStrangers(t *testing.T) {
	local, _, _ := made(t, time.Hour, "mail.a.test")
	m, err := Open(t.Context(), Options{Host: "mail.a.test", Fallback: fallback(local), CA: fakeCA(t)})
	if err != nil {
		t.Fatal(err)
	}
	if c := m.HTTPS(); !slices.Equal(c.NextProtos, []string{"h2", "http/1.1", "acme-tls/1"}) || c.MinVersion != tls.VersionTLS12 {
		t.Errorf("%+v", c)
	}
	if c := m.TLS(); len(c.NextProtos) > 0 {
		t.Errorf("%q on the mail ports", c.NextProtos)
	}
	if _, err := m.HTTPS().GetCertificate(hello("mail.a.test", "acme-tls/1")); err == nil {
		t.Error("a proof that nobody has asked for")
	}
	if _, err := m.HTTPS().GetCertificate(hello("mail.a.test", "acme-tls/1", "h2")); err != nil {
		t.Error(err)
	}
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, path := range []string{"/", "/.well-known/acme-challenge/abc", "/.well-known/acme-challenge/"} {
		w := httptest.NewRecorder()
		m.HTTPChallenge(next).ServeHTTP(w, httptest.NewRequest("GET", "http://mail.a.test"+path, nil))
		if w.Code != http.StatusTeapot {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// Clients may show a certificate where users log in, and only one of the CAs for it.
func TestClientCertificates(t *testing.T) {
	local, _, _ := made(t, time.Hour, "mail.a.test")
	good, goodPEM, _ := made(t, time.Hour, "alice@a.test")
	bad, _, _ := made(t, time.Hour, "alice@a.test")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(goodPEM)
	m, err := Open(t.Context(), Options{Host: "mail.a.test", Fallback: fallback(local), ClientCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	if m.TLS().ClientAuth != tls.NoClientCert || m.HTTPS().ClientAuth != tls.NoClientCert {
		t.Error("port 25 or 443 asks for certificates")
	}
	for _, c := range []struct {
		shows []tls.Certificate
		want  string // address, or "refused"
	}{{nil, ""}, {[]tls.Certificate{good}, "alice@a.test"}, {[]tls.Certificate{bad}, "refused"}} {
		here, there := net.Pipe()
		client := tls.Client(there, &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(c.shows) == 0 {
				return &tls.Certificate{}, nil
			}
			return &c.shows[0], nil
		}})
		go func() {
			if client.Handshake() == nil {
				client.Read(make([]byte, 1))
			}
		}()
		server := tls.Server(here, m.Users())
		err := server.Handshake()
		got := ""
		if err != nil {
			got = "refused"
		} else if chains := server.ConnectionState().VerifiedChains; len(chains) > 0 {
			got = chains[0][0].EmailAddresses[0]
		}
		if got != c.want {
			t.Errorf("%q, %v; want %q", got, err, c.want)
		}
		here.Close()
		there.Close()
	}
}

// A name is ordered only if it leads to where the host leads.
func TestAstray(t *testing.T) {
	ca := fakeCA(t)
	ca.Names = []string{"extra.test"}
	r := names{"mail.a.test": "192.0.2.1 2001:db8::1", "same.test": "2001:db8::1", "other.test": "198.51.100.1", "mute.test": "?"}
	ca.Resolver = r
	m := &Manager{o: Options{Host: "mail.a.test", CA: ca}}
	for name, want := range map[string]string{
		"mail.a.test": "", "same.test": "", "other.test": "other.test leads to 198.51.100.1, and this server mail.a.test to 192.0.2.1",
		"none.test": "none.test is not in the DNS", "mute.test": "the DNS does not say where mute.test is: lookup mute.test: timeout",
		"extra.test": "extra.test is not in the DNS",
	} {
		if got := m.astray(t.Context(), name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	ca.DNS.Name = "desec"
	for _, name := range []string{"mail.a.test", "extra.test"} { // which need not be in the DNS to be proved by it
		if got := m.astray(t.Context(), name); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	delete(r, "mail.a.test")
	if got := m.astray(t.Context(), "same.test"); got != "mail.a.test is not in the DNS" {
		t.Errorf("%q", got)
	}
}

// Names come and go with the domains; what is not known changes nothing; there is a bound.
func TestNames(t *testing.T) {
	ca := fakeCA(t)
	domains, fails := []string{"a.test"}, error(nil)
	ca.Names = []string{"webmail.a.test", "mail.a.test"}
	ca.Domains = func(context.Context) ([]string, error) { return domains, fails }
	m, err := Open(t.Context(), Options{Host: "mail.a.test", Fallback: &tls.Config{}, CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	wants := func() string { m.mu.Lock(); defer m.mu.Unlock(); return strings.Join(m.sorted(), " ") }
	const one = "mail.a.test autoconfig.a.test autodiscover.a.test mta-sts.a.test webmail.a.test"
	if wants() != one {
		t.Error(wants())
	}
	fails = errors.New("the disk burns")
	domains = nil
	if m.look(t.Context()); wants() != one {
		t.Error(wants())
	}
	fails = nil
	if m.look(t.Context()); wants() != "mail.a.test webmail.a.test" {
		t.Error(wants())
	}
	for i := range 200 {
		domains = append(domains, fmt.Sprintf("d%d.test", i))
	}
	if m.look(t.Context()); len(m.wanted) != maxNames {
		t.Errorf("%d names", len(m.wanted))
	}
}

// While the DNS leads the host nowhere it is asked again and again, less and less, and no
// CA is bothered.
func TestWaitsForTheDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeCA(t)
		asked := &counting{}
		ca.Resolver = asked
		m, err := Open(t.Context(), Options{Host: "mail.a.test", Fallback: &tls.Config{}, CA: ca})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.Run(ctx)
		}()
		time.Sleep(5 * time.Minute)
		if n := asked.n.Load(); n < 10 || n > 25 {
			t.Errorf("asked %d times in five minutes", n)
		}
		if s := m.Certificates()[0]; !s.Waiting || s.Problem != "mail.a.test is not in the DNS" || !s.NotAfter.IsZero() {
			t.Errorf("%+v", s)
		}
		time.Sleep(2 * time.Hour)
		before := asked.n.Load()
		time.Sleep(time.Hour)
		if n := asked.n.Load() - before; n < 3 || n > 5 {
			t.Errorf("asked %d times in a later hour", n)
		}
		stop()
		<-done
	})
}

type counting struct{ n atomic.Int64 }

func (c *counting) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	c.n.Add(1)
	return names{}.LookupNetIP(ctx, network, host)
}

// Renew says what is in the way.
func TestRenewRefuses(t *testing.T) {
	local, _, _ := made(t, time.Hour, "mail.a.test")
	m, err := Open(t.Context(), Options{Host: "mail.a.test", Fallback: fallback(local)})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Renew(t.Context(), nil, false); !errors.Is(err, ErrNoCA) {
		t.Errorf("%v", err)
	}
	if m, err = Open(t.Context(), Options{Host: "mail.a.test", Fallback: fallback(local), CA: fakeCA(t)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Renew(t.Context(), nil, false); err == nil {
		t.Error("before Run")
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	for m.engine.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	if err := m.Renew(t.Context(), []string{"x.test"}, false); !errors.Is(err, ErrNoName) {
		t.Errorf("%v", err)
	}
	if err := m.Renew(t.Context(), nil, false); err == nil || !strings.Contains(err.Error(), "mail.a.test is not in the DNS") {
		t.Errorf("%v", err)
	}
	stop()
	<-done
}

// A server that is started again goes on where it was with orders that fail, but tries at once.
func TestTriedIsKept(t *testing.T) {
	ca := fakeCA(t)
	open := func() *Manager {
		m, err := Open(t.Context(), Options{Host: "mail.a.test", Fallback: &tls.Config{}, CA: ca})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := open()
	m.wanted["mail.a.test"].failures = 3
	m.saveTried(t.Context())
	if w := open().wanted["mail.a.test"]; w.failures != 3 || !w.next.IsZero() {
		t.Errorf("%+v", w)
	}
	for _, text := range []string{"{", `{"mail.a.test": "x"}`, `{"other.test": 3}`, `{"mail.a.test": -5}`} {
		if err := m.storage.Store(t.Context(), triedKey, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if w := open().wanted["mail.a.test"]; w.failures != 0 {
			t.Errorf("%s: %+v", text, w)
		}
	}
	if err := m.storage.Store(t.Context(), triedKey, []byte(`{"mail.a.test": 4000000}`)); err != nil {
		t.Fatal(err)
	}
	if w := open().wanted["mail.a.test"]; w.failures > len(pauses) {
		t.Errorf("%+v", w)
	}
}
