package tlsconf

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kurir/internal/fsx"
)

// What LocalCA keeps in its directory. A certificate and its key share a file, so that
// no crash can part them.
const (
	caFile     = "ca.pem"     // the CA's certificate alone, for the clients
	caKeyFile  = "ca-key.pem" // the CA's certificate and key
	serverFile = "server.pem" // the server's certificate and key
)

const (
	caLife      = 10 * 365 * 24 * time.Hour
	serverLife  = 365 * 24 * time.Hour // some clients refuse more than 398 days
	renewBefore = 30 * 24 * time.Hour
	retryRenew  = time.Hour
	clockSkew   = time.Hour // that a client's clock may be behind
)

// localCA is a CA, and the server's certificate from it.
type localCA struct {
	fsys    fsx.FS
	dir     string
	hosts   []string
	current atomic.Pointer[tls.Certificate]

	mu        sync.Mutex // held by the one that renews
	nextRenew time.Time
}

// LocalCA serves a certificate for hosts (names and IP addresses, at least one) from a
// certificate authority of its own, and returns the name of the file with the
// authority's certificate, which clients can be told to trust. It may sign for hosts
// and nothing else, so that a stolen key is of no use elsewhere.
//
// Both are kept in dir, which is made if need be, and used again as long as they are
// valid and fit hosts: the server's certificate for a year, the authority for ten. In
// its last month the server's certificate is renewed, during a handshake too.
func LocalCA(fsys fsx.FS, dir string, hosts ...string) (conf *tls.Config, caPath string, err error) {
	if len(hosts) == 0 || slices.Contains(hosts, "") {
		return nil, "", errors.New("local CA: no host name given")
	}
	if err := fsx.MkdirAll(fsys, dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("local CA: %w", err)
	}
	l := &localCA{fsys: fsys, dir: dir, hosts: hosts}
	c, err := l.ensure(time.Now())
	if err != nil {
		return nil, "", fmt.Errorf("local CA: %w", err)
	}
	l.current.Store(c)
	return config(l.get), filepath.Join(dir, caFile), nil
}

func (l *localCA) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c := l.current.Load()
	now := time.Now()
	if now.Before(c.Leaf.NotAfter.Add(-renewBefore)) || !l.mu.TryLock() {
		return c, nil
	}
	defer l.mu.Unlock()
	if now.Before(l.nextRenew) {
		return c, nil
	}
	l.nextRenew = now.Add(retryRenew)
	renewed, err := l.ensure(now)
	if err != nil {
		return c, nil // still valid for days: better than no handshake
	}
	l.current.Store(renewed)
	return renewed, nil
}

// ensure returns a certificate that is good for a month at least, from disk or new.
func (l *localCA) ensure(now time.Time) (*tls.Certificate, error) {
	ca, err := l.load(caKeyFile, func(c *tls.Certificate) bool { return l.goodCA(c.Leaf, now) })
	if err != nil {
		return nil, err
	}
	if ca == nil {
		if ca, err = l.issue(caKeyFile, l.caTemplate(now), nil); err != nil {
			return nil, err
		}
	}
	public := encode("CERTIFICATE", ca.Certificate[0])
	path := filepath.Join(l.dir, caFile)
	if old, err := fsx.ReadFile(l.fsys, path, maxFile); err != nil || !bytes.Equal(old, public) {
		if err := fsx.WriteFile(l.fsys, path, public, 0o644); err != nil {
			return nil, err
		}
	}
	server, err := l.load(serverFile, func(c *tls.Certificate) bool { return l.goodServer(c.Leaf, ca.Leaf, now) })
	if err != nil || server != nil {
		return server, err
	}
	return l.issue(serverFile, l.serverTemplate(now, ca.Leaf), ca)
}

// load reads a certificate with its key; nil if there is none, or none that is good.
func (l *localCA) load(name string, good func(*tls.Certificate) bool) (*tls.Certificate, error) {
	text, err := fsx.ReadFile(l.fsys, filepath.Join(l.dir, name), maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(text, text)
	if err != nil || !good(&c) {
		return nil, nil
	}
	return &c, nil
}

// goodCA tells whether a CA is valid for another month and may sign for exactly the
// hosts.
func (l *localCA) goodCA(ca *x509.Certificate, now time.Time) bool {
	want := l.caTemplate(now)
	return ca.IsCA && now.After(ca.NotBefore) && now.Add(renewBefore).Before(ca.NotAfter) &&
		slices.Equal(ca.PermittedDNSDomains, want.PermittedDNSDomains) &&
		slices.EqualFunc(ca.PermittedIPRanges, want.PermittedIPRanges, func(a, b *net.IPNet) bool { return a.String() == b.String() })
}

// goodServer tells whether a client that trusts ca would trust leaf for each host, now
// and in a month.
func (l *localCA) goodServer(leaf, ca *x509.Certificate, now time.Time) bool {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for _, at := range []time.Time{now, now.Add(renewBefore)} {
		for _, host := range l.hosts {
			if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: at}); err != nil {
				return false
			}
		}
	}
	return true
}

// split sorts the hosts into names and addresses.
func (l *localCA) split() (names []string, ips []net.IP) {
	for _, h := range l.hosts {
		if ip := net.ParseIP(h); ip != nil {
			ips = append(ips, ip)
		} else {
			names = append(names, strings.ToLower(h))
		}
	}
	return names, ips
}

func (l *localCA) caTemplate(now time.Time) *x509.Certificate {
	names, ips := l.split()
	t := &x509.Certificate{
		Subject:   commonName(localName + now.UTC().Format("2006-01-02") + " for " + l.hosts[0]),
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(caLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: names,
	}
	for _, ip := range ips {
		bits := 128
		if v4 := ip.To4(); v4 != nil {
			ip, bits = v4, 32
		}
		t.PermittedIPRanges = append(t.PermittedIPRanges, &net.IPNet{IP: ip, Mask: net.CIDRMask(bits, bits)})
	}
	// A kind of name without any constraint would be free (RFC 5280 section 4.2.1.10).
	if len(ips) == 0 {
		t.ExcludedIPRanges = []*net.IPNet{
			{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
			{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		}
	}
	if len(names) == 0 {
		t.ExcludedDNSDomains = []string{""}
	}
	return t
}

func (l *localCA) serverTemplate(now time.Time, ca *x509.Certificate) *x509.Certificate {
	names, ips := l.split()
	end := now.Add(serverLife)
	if end.After(ca.NotAfter) {
		end = ca.NotAfter
	}
	return &x509.Certificate{
		Subject:   commonName(l.hosts[0]),
		NotBefore: now.Add(-clockSkew), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              names, IPAddresses: ips,
	}
}

// commonName is for people to read; it has room for 64 octets (RFC 5280 appendix A.1).
func commonName(s string) pkix.Name { return pkix.Name{CommonName: s[:min(len(s), 64)]} }

// issue makes a key and a certificate, signed by ca or, without one, by itself, and
// writes both to the file name.
func (l *localCA) issue(name string, template *x509.Certificate, ca *tls.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	parent, signer := template, crypto.PrivateKey(key)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := append(encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER)...)
	if err := fsx.WriteFile(l.fsys, filepath.Join(l.dir, name), text, 0o600); err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
