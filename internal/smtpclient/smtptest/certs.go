package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"time"
)

// CA makes certificates that those who have its Pool believe in.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes a CA.
func NewCA() (*CA, error) {
	t := template("smtptest CA", valid)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	c, err := sign(t, nil)
	if err != nil {
		return nil, err
	}
	return &CA{cert: c.Leaf, key: c.PrivateKey.(*ecdsa.PrivateKey)}, nil
}

// Pool has the CA's certificate.
func (ca *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	return p
}

// Config is for a server with a valid certificate for hosts, names or addresses.
func (ca *CA) Config(hosts ...string) (*tls.Config, error) {
	return serverConfig(ca, valid, hosts)
}

// Expired is Config with a certificate that has expired.
func (ca *CA) Expired(hosts ...string) (*tls.Config, error) {
	return serverConfig(ca, expired, hosts)
}

// SelfSigned is for a server with a certificate that nobody believes in.
func SelfSigned(hosts ...string) (*tls.Config, error) {
	return serverConfig(nil, valid, hosts)
}

// Old restricts a server to TLS 1.0, which no client of today speaks.
func Old(conf *tls.Config) *tls.Config {
	conf = conf.Clone()
	conf.MinVersion, conf.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	return conf
}

func serverConfig(ca *CA, until int, hosts []string) (*tls.Config, error) {
	t := template("smtptest", until)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	c, err := sign(t, ca)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{c}}, nil
}

// The year in which certificates end. In a bubble of testing/synctest it is 2000.
const (
	valid   = 2100
	expired = 1999
)

func template(name string, until int) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(until, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

// sign makes a key, and a certificate for it by ca, or by itself.
func sign(t *x509.Certificate, ca *CA) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	parent, signer := t, key
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// Certificate is the CA's own.
func (ca *CA) Certificate() *x509.Certificate { return ca.cert }
