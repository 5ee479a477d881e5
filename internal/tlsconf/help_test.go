package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kurir/internal/fsx"
)

// handshake connects to a server with conf, and returns what a client that trusts the
// CA in caPath (anyone, if empty) says of the server's certificate. It checks after the
// handshake: on a pipe an alert in the middle of it would wait for ever.
func handshake(t *testing.T, conf *tls.Config, caPath, host string) error {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go tls.Server(a, conf).Handshake()
	c := tls.Client(b, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil || caPath == "" {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read(t, caPath)) {
		t.Fatal("no certificate in " + caPath)
	}
	_, err := c.ConnectionState().PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: host})
	return err
}

// serial tells certificates apart.
func serial(t *testing.T, conf *tls.Config) string {
	t.Helper()
	c, err := conf.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.SerialNumber.String()
}

// pair is a certificate and its key as PEM, for host, valid from now on for life.
func pair(t *testing.T, host string, now time.Time, life time.Duration) (cert, key []byte) {
	t.Helper()
	l := &localCA{fsys: fsx.OS{}, dir: t.TempDir(), hosts: []string{host}}
	template := l.serverTemplate(now, &x509.Certificate{NotAfter: now.Add(life)})
	if _, err := l.issue("x.pem", template, nil); err != nil {
		t.Fatal(err)
	}
	c, rest := pem.Decode(read(t, filepath.Join(l.dir, "x.pem")))
	return pem.EncodeToMemory(c), rest
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := fsx.WriteFile(fsx.OS{}, path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
