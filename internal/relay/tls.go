package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// tlsConfig is for a connection to c. Where TLS is not demanded, any certificate will do,
// and any version: it is still better than none (RFC 7435 section 3).
func (r *Relay) tlsConfig(c candidate, demanded bool) *tls.Config {
	conf := &tls.Config{ServerName: c.certName(), RootCAs: r.RootCAs, Time: r.now, MinVersion: tls.VersionTLS12}
	if !demanded {
		conf.InsecureSkipVerify, conf.MinVersion = true, tls.VersionTLS10
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
