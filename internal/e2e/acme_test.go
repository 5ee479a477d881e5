package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kurir/dnsutil"
	"kurir/dnsutil/dnstest"
)

// namesHere leads the host and the names of its domain to this machine, all but one.
const namesHere = `
mail.local.test.          A 127.0.0.1
autoconfig.local.test.    A 127.0.0.1
mta-sts.local.test.       CNAME mail.local.test.
autodiscover.local.test.  A 127.0.0.9
`

// servesFrom waits until a name is shown with a certificate of roots.
func servesFrom(t *testing.T, address, name string, roots *x509.CertPool) (c *x509.Certificate) {
	t.Helper()
	ok(t, name, eventually(patience, func() (err error) {
		if c, err = shown(address, name, roots); err != nil {
			time.Sleep(100 * time.Millisecond) // the log has a line for each of these
		}
		return err
	}))
	return c
}

// TestACME fetches certificates from a CA by each way that needs a port, serves them on
// every port, and has names join when the DNS leads them here.
func TestACME(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"http-01", "tls-alpn-01"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			web, webs := aPort(t), aPort(t)
			dns := dnstest.Start(t, namesHere)
			p := newPebble(t, pebbleOptions{dns: dns.Addr(), http: web, https: webs})
			m := newMailer(t, setup{dns: dns.Addr(), rest: fmt.Sprintf("[web]\nhttp = [\"127.0.0.1:%d\"]\nhttps = [\"127.0.0.1:%d\"]\n", web, webs) +
				p.acme(fmt.Sprintf("challenges = [%q]", way))})
			root, https := p.root(), fmt.Sprintf("127.0.0.1:%d", webs)
			host := servesFrom(t, m.at(imapsPort), "mail.local.test", root)
			for _, at := range []string{m.at(submissionsPort), m.at(pop3sPort), https} {
				if c := servesFrom(t, at, "mail.local.test", root); !c.Equal(host) {
					t.Errorf("%s shows another certificate", at)
				}
			}
			for _, name := range []string{"autoconfig.local.test", "mta-sts.local.test"} {
				if c := servesFrom(t, https, name, root); len(c.DNSNames) != 1 || c.DNSNames[0] != name {
					t.Errorf("%s: %q", name, c.DNSNames)
				}
			}
			for _, name := range []string{"", "autodiscover.local.test", "elsewhere.test"} {
				if c, err := shown(m.at(imapsPort), name, nil); err != nil || !c.Equal(host) {
					t.Errorf("a client that asks for %q is shown %v, %v", name, c, err)
				}
			}
			if err := dns.SetZone(strings.ReplaceAll(namesHere, "127.0.0.9", "127.0.0.1")); err != nil {
				t.Fatal(err)
			}
			servesFrom(t, https, "autodiscover.local.test", root)
			m.kurir("", "domain", "add", "second.test")
			if err := dns.SetZone(namesHere + "autoconfig.second.test. A 127.0.0.1\n"); err != nil {
				t.Fatal(err)
			}
			servesFrom(t, https, "autoconfig.second.test", root)
		})
	}
}

// TestACMEByDNS proves its names by records that it puts into a zone of Knot's itself (RFC
// 2136, with a TSIG key): no port is open for the CA. The token comes from a file.
func TestACMEByDNS(t *testing.T) {
	t.Parallel()
	const key = "c2VjcmV0IG9mIHRoZSB0ZXN0IGFuZCBub2JvZHkgZWxzZQ=="
	c := newClient(t, "knotd")
	at := fmt.Sprintf("127.0.0.1:%d", aPort(t))
	file := c.file("local.test.zone", "local.test. 60 SOA ns.local.test. admin.local.test. 1 3600 600 86400 3600\nlocal.test. NS ns.local.test.\nns.local.test. A 127.0.0.9\n"+namesHere)
	daemon(t, at, "knotd", "-c", c.file("knot.conf", fmt.Sprintf("server:\n  rundir: %[1]s\n  listen: 127.0.0.1@%[2]s\ndatabase:\n  storage: %[1]s\n"+
		"key:\n  - id: kurir.key\n    algorithm: hmac-sha512\n    secret: %[3]s\nacl:\n  - id: kurir\n    key: kurir.key\n    action: update\n    update-type: TXT\n"+
		"zone:\n  - domain: local.test\n    file: %[4]s\n    acl: kurir\n", c.home, port(at), key, file)))
	p := newPebble(t, pebbleOptions{dns: at, http: 9, https: 9, eab: true})
	m := newMailer(t, setup{dns: at, rest: p.acme("eab_key_id = \"kid-1\"", "eab_key = \"zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\"",
		"names = [\"inside.local.test\"]", "dns_provider = \"rfc2136\"", fmt.Sprintf("dns_server = %q", at), "dns_user = \"hmac-sha512:kurir.key\"",
		fmt.Sprintf("dns_token_file = %q", c.file("key", key+"\n")))})
	root := p.root()
	for _, name := range []string{"mail.local.test", "autoconfig.local.test", "inside.local.test"} { // the last is not in the DNS
		servesFrom(t, m.at(imapsPort), name, root)
	}
	for _, name := range []string{"mail", "autoconfig", "inside"} {
		ok(t, "a record is left", eventually(patience, func() error {
			r := &dnsutil.Resolver{Servers: []string{at}, MaxCache: -1}
			all, err := r.LookupTXT(t.Context(), "_acme-challenge."+name+".local.test")
			if !errors.Is(err, dnsutil.ErrNotFound) {
				return fmt.Errorf("%s: %q, %v", name, all, err)
			}
			return nil
		}))
	}
}

// certificates is what the command says of them, by name.
func (m *mailer) certificates() map[string]map[string]any {
	m.t.Helper()
	var all []map[string]any
	ok(m.t, "certificate list", json.Unmarshal([]byte(m.kurir("", "certificate", "list", "--json")), &all))
	named := map[string]map[string]any{}
	for _, c := range all {
		named[c["names"].([]any)[0].(string)] = c
	}
	return named
}

// TestACMERenewal has certificates of a minute renewed by themselves and by command, while
// clients come and go: none is shown one that has ended, none is cut off, and the key stays
// unless a new one is asked for.
func TestACMERenewal(t *testing.T) {
	t.Parallel()
	web := aPort(t)
	dns := dnstest.Start(t, "mail.local.test. A 127.0.0.1\n")
	p := newPebble(t, pebbleOptions{dns: dns.Addr(), http: web, https: 9, life: time.Minute})
	m := newMailer(t, setup{dns: dns.Addr(), rest: fmt.Sprintf("[web]\nhttp = [\"127.0.0.1:%d\"]\n", web) + p.acme()})
	root := p.root()
	first := servesFrom(t, m.at(imapsPort), "mail.local.test", root)
	long, err := tls.Dial("tcp", m.at(imapsPort), &tls.Config{ServerName: "mail.local.test", RootCAs: root})
	ok(t, "a long session", err)
	defer long.Close()

	stop, failed := make(chan struct{}), make(chan error, 1)
	var clients sync.WaitGroup
	handshakes := atomic.Int64{}
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := shown(m.at(imapsPort), "mail.local.test", root); err != nil {
					select {
					case failed <- err:
					default:
					}
					return
				}
				handshakes.Add(1)
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	changed := func(from *x509.Certificate) (now *x509.Certificate) {
		t.Helper()
		ok(t, "renewal", eventually(patience, func() (err error) {
			if now, err = shown(m.at(imapsPort), "mail.local.test", root); err == nil && now.Equal(from) {
				err = fmt.Errorf("it is still the one that ends %v", from.NotAfter)
			}
			time.Sleep(100 * time.Millisecond)
			return err
		}))
		return now
	}
	second := changed(first)
	if keyOf(second) != keyOf(first) {
		t.Error("the renewed certificate has another key")
	}
	m.kurir("", "certificate", "renew")
	third := changed(second)
	if keyOf(third) != keyOf(first) {
		t.Error("the certificate renewed by command has another key")
	}
	m.kurir("", "certificate", "renew", "mail.local.test", "--new-key")
	if fourth := changed(third); keyOf(fourth) == keyOf(first) {
		t.Error("--new-key has made no new key")
	}
	close(stop)
	clients.Wait()
	select {
	case err := <-failed:
		t.Errorf("a client was refused: %v", err)
	default:
	}
	t.Logf("%d handshakes", handshakes.Load())
	_, err = fmt.Fprintf(long, "a NOOP\r\n")
	ok(t, "the long session", err)
	line := make([]byte, 4096)
	n, err := long.Read(line)
	if !strings.Contains(string(line[:n]), "OK") {
		t.Errorf("the long session: %q, %v", line[:n], err)
	}
}

// TestACMEWithoutCA starts while the CA is down: mail is served at once, the trouble is
// told, and once the CA is there the certificate is fetched. Killed in an order, the server
// fetches it after its next start.
func TestACMEWithoutCA(t *testing.T) {
	t.Parallel()
	web := aPort(t)
	dns := dnstest.Start(t, "mail.local.test. A 127.0.0.1\n")
	p := newPebble(t, pebbleOptions{dns: dns.Addr(), http: web, https: 9, nonces: 20})
	p.stop()
	m := newMailer(t, setup{dns: dns.Addr(), rest: fmt.Sprintf("[web]\nhttp = [\"127.0.0.1:%d\"]\n", web) + p.acme()})
	if c, err := shown(m.at(imapsPort), "mail.local.test", nil); err != nil || c.VerifyHostname("mail.local.test") != nil {
		t.Fatalf("without a CA clients are shown %v, %v", c, err)
	}
	ok(t, "trouble", eventually(patience, func() error {
		c := m.certificates()["mail.local.test"]
		if problem, _ := c["problem"].(string); c["state"] != "missing" || !strings.Contains(problem, "cannot be reached") {
			return fmt.Errorf("%v", c)
		}
		return nil
	}))
	m.kill()
	for range 3 { // wherever it is killed
		p.start()
		ok(t, "start", m.launch())
		time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
		m.kill()
		p.stop()
	}
	p.start()
	ok(t, "start", m.launch())
	servesFrom(t, m.at(imapsPort), "mail.local.test", p.root())
	if c := m.certificates()["mail.local.test"]; c["state"] != "valid" || c["source"] != "ca" || c["host"] != true {
		t.Errorf("%v", c)
	}
	if out := m.kurir("", "dns", "records", "local.test", "--ipv4", "203.0.113.25"); !strings.Contains(out, "TLSA") {
		t.Errorf("no TLSA record:\n%s", out)
	}
	contains(t, m.kurir("", "check"), "certificate for mail.local.test, valid until")
}

// TestACMEReload switches [acme] on in a running server, as one behind a proxy has it, and a client certificate's CA: it
// logs in by that (SASL EXTERNAL), and only as the account of its address.
func TestACMEReload(t *testing.T) {
	t.Parallel()
	dns := dnstest.Start(t, "mail.local.test. A 127.0.0.1\n")
	m := newMailer(t, setup{dns: dns.Addr()})
	behind, err := strconv.Atoi(m.port(httpPort))
	ok(t, "port", err)
	p := newPebble(t, pebbleOptions{dns: dns.Addr(), http: behind, https: 9})
	before, err := shown(m.at(imapsPort), "mail.local.test", nil)
	ok(t, "before", err)
	pair, ca := clientCertificate(t, alice)
	text, err := os.ReadFile(m.config)
	ok(t, "configuration", err)
	lines := strings.Replace(string(text), "[tls]\n", fmt.Sprintf("[tls]\nclient_ca = %q\n", newClient(t).file("clients.pem", string(ca))), 1)
	ok(t, "configuration", os.WriteFile(m.config, []byte(lines+p.acme("challenges = [\"http-01\"]")), 0o600))
	contains(t, m.kurir("", "reload"), "acme.enabled", "tls.client_ca")
	root := p.root()
	if after := servesFrom(t, m.at(imapsPort), "mail.local.test", root); after.Equal(before) {
		t.Error("nothing has changed")
	}
	login := func(pair *tls.Certificate, as string) string {
		conf := &tls.Config{ServerName: "mail.local.test", RootCAs: root}
		if pair != nil {
			conf.Certificates = []tls.Certificate{*pair}
		}
		conn, err := tls.Dial("tcp", m.at(imapsPort), conf)
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		lines := bufio.NewScanner(conn)
		lines.Scan() // greeting
		if lines.Err() != nil {
			return lines.Err().Error()
		}
		fmt.Fprintf(conn, "a AUTHENTICATE EXTERNAL %s\r\n", as)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "a ") {
				return lines.Text()
			}
		}
		return fmt.Sprint(lines.Err())
	}
	base := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct{ what, got, want string }{
		{"by the certificate", login(&pair, "="), "a OK"},
		{"as the account of its address", login(&pair, base(alice)), "a OK"},
		{"as another", login(&pair, base(bob)), "a NO"},
		{"without a certificate", login(nil, "="), "a NO"},
	} {
		if !strings.HasPrefix(c.got, c.want) {
			t.Errorf("%s: %q, not %s", c.what, c.got, c.want)
		}
	}
	stranger, _ := clientCertificate(t, alice)
	if got := login(&stranger, "="); strings.HasPrefix(got, "a OK") || !strings.Contains(got, "certificate") && !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") {
		t.Errorf("a certificate of another CA: %q", got)
	}
	if _, err := shown(m.at(submissionsPort), "mail.local.test", root); err != nil {
		t.Error(err)
	}
}

// clientCertificate is one for an address, and the PEM of the CA that has signed it: itself.
func clientCertificate(t *testing.T, address string) (pair tls.Certificate, ca []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	ok(t, "key", err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "client"}, EmailAddresses: []string{address},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(crand.Reader, c, c, key.Public(), key)
	ok(t, "certificate", err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
