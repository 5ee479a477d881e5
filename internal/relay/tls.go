package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// tlsConfig is for a connection. Where TLS is not demanded, any certificate will do, and
// any version: it is still better than none (RFC 7435 section 3). With DANE the name that
// has the records is asked for, and they alone count (RFC 7672 sections 8.1 and 3.1).
func (r *Relay) tlsConfig(n *negotiation) *tls.Config {
	conf := &tls.Config{ServerName: n.c.certName(), RootCAs: r.RootCAs, Time: r.now, MinVersion: tls.VersionTLS12}
	conf.InsecureSkipVerify = !n.verified() || n.mode == modeDANE
	if !n.demanded() {
		conf.MinVersion = tls.VersionTLS10
	}
	if n.mode == modeDANE {
		g := n.guard
		conf.ServerName = g.records.Base
		conf.VerifyConnection = func(s tls.ConnectionState) error {
			return g.records.Verify(s.PeerCertificates, g.names, r.now())
		}
	}
	return conf
}

// verify looks whether the certificate is valid and trusted for the host's name (RFC 6125,
// names in DNS or IP entries only).
func (r *Relay) verify(c candidate, state *tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("no certificate")
	}
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		DNSName: c.certName(), Roots: r.RootCAs, Intermediates: between, CurrentTime: r.now(),
	})
	return err
}
