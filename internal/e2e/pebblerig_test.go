package e2e

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A pebble is a CA that speaks ACME and believes nobody.
type pebble struct {
	t            *testing.T
	dns          string // host:port
	port, manage int
	nonces       int
	config       string // path
	ca           string // PEM file of who has signed its own certificate
	client       *http.Client
	run          *process
}

// pebbleOptions say how a pebble differs from the default.
type pebbleOptions struct {
	dns         string        // host:port of the name server that it asks; needed
	http, https int           // ports that it looks at in place of 80 and 443
	life        time.Duration // of its certificates; zero: 5 years
	eab         bool
	nonces      int // of a hundred it refuses for no reason; zero means 5
}

// newPebble starts one.
func newPebble(t *testing.T, o pebbleOptions) *pebble {
	t.Helper()
	c := newClient(t, "pebble")
	_, certPEM, keyPEM := certificate(t, time.Now().Add(24*time.Hour), "localhost")
	p := &pebble{t: t, dns: o.dns, port: aPort(t), manage: aPort(t), nonces: cmp.Or(o.nonces, 5), ca: c.file("pebble.pem", string(certPEM))}
	config := map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", p.port), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", p.manage),
		"certificate": p.ca, "privateKey": c.file("pebble-key.pem", string(keyPEM)),
		"httpPort": o.http, "tlsPort": o.https, "externalAccountBindingRequired": o.eab,
	}
	if o.life > 0 {
		config["certificateValidityPeriod"] = int(o.life.Seconds())
	}
	if o.eab {
		config["externalAccountMACKeys"] = map[string]string{"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}
	}
	text, err := json.Marshal(map[string]any{"pebble": config})
	ok(t, "configuration", err)
	p.config = c.file("pebble.json", string(text))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	p.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	p.start()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("pebble said:\n%s", clip(p.run.out.String()))
		}
		p.stop()
	})
	return p
}

// start runs it and waits until it answers.
func (p *pebble) start() {
	p.t.Helper()
	p.run = &process{out: &output{}, exited: make(chan struct{})}
	p.run.cmd = exec.Command("pebble", "-config", p.config, "-dnsserver", p.dns)
	p.run.cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", fmt.Sprintf("PEBBLE_WFE_NONCEREJECT=%d", p.nonces))
	p.run.cmd.Stdout, p.run.cmd.Stderr = p.run.out, p.run.out
	ok(p.t, "pebble", p.run.cmd.Start())
	run := p.run
	go func() {
		run.err = run.cmd.Wait()
		close(run.exited)
	}()
	ok(p.t, "pebble", eventually(patience, func() error {
		r, err := p.client.Get(p.directory())
		if err == nil {
			r.Body.Close()
		}
		return err
	}))
}

func (p *pebble) stop() {
	p.run.cmd.Process.Kill()
	<-p.run.exited
}

func (p *pebble) directory() string { return fmt.Sprintf("https://localhost:%d/dir", p.port) }

// root is the CA that signs what this pebble gives; it is another one after each start.
func (p *pebble) root() *x509.CertPool {
	p.t.Helper()
	r, err := p.client.Get(fmt.Sprintf("https://localhost:%d/roots/0", p.manage))
	ok(p.t, "root", err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	ok(p.t, "root", err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		p.t.Fatalf("no root: %q", text)
	}
	return pool
}

// acme is the part of a configuration that asks this CA.
func (p *pebble) acme(rest ...string) string {
	return fmt.Sprintf("[acme]\nenabled = true\nemail = \"admin@local.test\"\ndirectory = %q\nca_file = %q\n%s\n", p.directory(), p.ca, strings.Join(rest, "\n"))
}

// aPort is a port that nobody listens on, below those that the system gives to clients.
func aPort(t *testing.T) int {
	t.Helper()
	for range 100 {
		n := 1100 + rand.IntN(1800) // freeOffset has those above
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n)); err == nil {
			l.Close()
			return n
		}
	}
	t.Fatal("no free port")
	return 0
}

// shown is the certificate that a client is shown that asks for name at an address; roots
// nil believes any.
func shown(address, name string, roots *x509.CertPool) (*x509.Certificate, error) {
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: &tls.Config{ServerName: name, RootCAs: roots, InsecureSkipVerify: roots == nil}}
	conn, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// keyOf is the public key of a certificate, in the form that TLSA 3 1 1 is made of.
func keyOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: c.RawSubjectPublicKeyInfo}))
}
