package e2e

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// tlsa is a line of a zone: a record for DANE that names a certificate's key.
func tlsa(t *testing.T, host string, cert tls.Certificate) string {
	t.Helper()
	c, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return fmt.Sprintf("_25._tcp.%s. 1 IN TLSA 3 1 1 %s\n", host, hex.EncodeToString(sum[:]))
}

// policyHost serves a policy of MTA-STS at an address of its own, which it returns. Its
// certificate is for every name.
func policyHost(t *testing.T, cert tls.Certificate, policy string) string {
	t.Helper()
	a := ownAddress(t)
	l, err := net.Listen("tcp", a+":443")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, policy)
		})}
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(l, "", "") }() // until Close
	t.Cleanup(func() {
		s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return a
}

// TestOutboundTLS sends to domains that demand TLS by DANE and by MTA-STS: what is as it
// should be gets the mail, what is not gets none until it is, and what a sender waives is
// waived. The administrator sees which policy applied.
func TestOutboundTLS(t *testing.T) {
	t.Parallel()
	day := time.Now().Add(24 * time.Hour)
	hosts := []string{"mx.dane.test", "mx.baddane.test", "mx.sts.test", "mx.badsts.test", "mta-sts.sts.test", "mta-sts.badsts.test"}
	trusted, caPEM, _ := certificate(t, day, hosts...)
	odd, _, _ := certificate(t, day, "elsewhere.test")
	ca := filepath.Join(tempDir(t), "ca.pem")
	if err := os.WriteFile(ca, caPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	policy := policyHost(t, trusted, "version: STSv1\nmode: enforce\nmx: mx.sts.test\nmx: mx.badsts.test\nmax_age: 604800\n")
	peers := map[string]*peer{}
	zone := ""
	var mended atomic.Bool
	conf := func(cert tls.Certificate) *tls.Config {
		return &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName == "mx.badsts.test" && mended.Load() {
				return &trusted, nil
			}
			return &cert, nil
		}}
	}
	for name, cert := range map[string]tls.Certificate{"dane": odd, "baddane": odd, "sts": trusted, "badsts": odd} {
		a := ownAddress(t)
		peers[name] = startPeer(t, a+":25", &peer{tls: conf(cert)})
		zone += fmt.Sprintf("%[1]s.test. 1 IN MX 10 mx.%[1]s.test.\nmx.%[1]s.test. 1 IN A %[2]s\n", name, a)
		if strings.HasSuffix(name, "sts") {
			zone += fmt.Sprintf("_mta-sts.%[1]s.test. 1 IN TXT \"v=STSv1; id=1\"\nmta-sts.%[1]s.test. 1 IN A %[2]s\n", name, policy)
		}
	}
	wrong := zone + tlsa(t, "mx.dane.test", odd) + tlsa(t, "mx.baddane.test", trusted)
	m := newMailer(t, setup{zone: wrong, relay: append(soon, fmt.Sprintf("ca_file = %q", ca))})
	m.dns.Authentic()
	ids := map[string]string{}
	for name := range peers {
		ids[name] = m.sends(alice, letter(alice, "you@"+name+".test", "to "+name, "Hello"), "you@"+name+".test")
	}
	waived := letter(alice, "you@badsts.test", "to badsts at last", "Hello")
	waived = strings.Replace(waived, "Subject:", "TLS-Required: No\r\nSubject:", 1)
	lax := m.sends(alice, waived, "you@badsts.test")
	for name, want := range map[string][]string{
		"dane":    {"TLS policy: dane\n", "verified as mx.dane.test"},
		"sts":     {"TLS policy: mta-sts enforce\n", "verified as mx.sts.test"},
		"baddane": {"TLS policy: dane\n", "offers no safe encryption, as is demanded by its TLSA records (DANE)"},
		"badsts":  {"TLS policy: mta-sts enforce\n", "offers no safe encryption, as is demanded by the policy of its domain (MTA-STS)"},
	} {
		m.shows(ids[name], want...)
	}
	for _, name := range []string{"dane", "sts", "badsts"} {
		got := peers[name].gets(t, 1)[0]
		if !got.tls || name == "badsts" && !strings.Contains(got.text, "to badsts at last") {
			t.Errorf("%s got, TLS %v:\n%s", name, got.tls, clip(got.text))
		}
	}
	m.shows(lax, "what the recipient's domain asks for does not count", "certificate not verified")
	if n := len(peers["baddane"].messages()); n != 0 {
		t.Errorf("%d messages in spite of DANE", n)
	}
	contains(t, m.kurir("", "tls", "sts.test"), "TLS policy  mta-sts enforce", "verified as mx.sts.test")
	if out, code := m.tryKurir("", "tls", "baddane.test"); code != 1 {
		t.Errorf("exit %d:\n%s", code, out)
	}

	// The domains' administrators mend it.
	mended.Store(true)
	if err := m.dns.SetZone(zone + tlsa(t, "mx.baddane.test", odd)); err != nil {
		t.Fatal(err)
	}
	peers["baddane"].gets(t, 1)
	peers["badsts"].gets(t, 2)
	m.empty(patience)
	health(t, m)
}

// shows waits until "kurir queue show" has all the parts.
func (m *mailer) shows(id string, parts ...string) {
	m.t.Helper()
	err := eventually(patience, func() error {
		out := m.kurir("", "queue", "show", id)
		for _, p := range parts {
			if !strings.Contains(out, p) {
				return fmt.Errorf("no %q in:\n%s", p, out)
			}
		}
		return nil
	})
	if err != nil {
		m.t.Error(err)
	}
}
