// Package tlsconf owns the server's TLS configuration: where certificates come from
// and when they are read again. Files serves the admin's own certificate and follows
// its renewals; LocalCA makes a certificate authority of the server's own, for trying
// kurir out and for networks where each device can be told to trust it. Both give a
// *tls.Config for TLS 1.2 and newer, which all protocols share.
//
// Certificates and keys are PEM. This package knows nothing of the protocols on top.
package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"kurir/internal/fsx"
)

const maxFile = 1 << 20 // bytes of a file with certificates or a key

// soon is the time before the end of a certificate in which Problems speaks of it.
const soon = 7 * 24 * time.Hour

func config(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get}
}

// Load reads a certificate, followed by the rest of its chain, and its key; one file
// may hold both. Its errors name the file and say what is wrong with it. A certificate
// that is out of date is no error: see Problems.
func Load(cert, key string) (*tls.Certificate, error) {
	certPEM, err := fsx.ReadFile(fsx.OS{}, cert, maxFile)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	keyPEM, err := fsx.ReadFile(fsx.OS{}, key, maxFile)
	if err != nil {
		return nil, fmt.Errorf("key of the certificate: %w", err)
	}
	if err := holds(certPEM, "CERTIFICATE"); err != nil {
		return nil, fmt.Errorf("certificate: %s %w", cert, err)
	}
	if err := holds(keyPEM, "PRIVATE KEY"); err != nil {
		return nil, fmt.Errorf("key of the certificate: %s %w", key, err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", cert, key, err)
	}
	return &pair, nil
}

// Chain reads the certificates in a file, the server's own first, without its key.
func Chain(cert string) ([]*x509.Certificate, error) {
	text, err := fsx.ReadFile(fsx.OS{}, cert, maxFile)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	chain, err := ParseChain(text)
	if err != nil {
		return nil, fmt.Errorf("certificate: %s: %w", cert, err)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("certificate: %s holds none", cert)
	}
	return chain, nil
}

// ParseChain reads the certificates in PEM text; other blocks, such as keys, are left aside.
func ParseChain(text []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return chain, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
}

// holds returns nil if a PEM block in text is what is wanted; its type may have a word
// before that, as in "EC PRIVATE KEY".
func holds(text []byte, want string) error {
	var other string
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		switch {
		case strings.HasPrefix(block.Type, "ENCRYPTED"), block.Headers["DEK-Info"] != "":
			other = "an encrypted key, for which there is no place to give the password: store it decrypted"
		case strings.HasSuffix(block.Type, want):
			return nil
		case other == "":
			other = "something else (" + block.Type + "): are the two files swapped?"
		}
	}
	if other == "" {
		return errors.New("holds nothing in PEM format (-----BEGIN …)")
	}
	return fmt.Errorf("holds %s", other)
}

// Problems says what is wrong with a certificate for host at this time: not valid yet
// or any more, not for that name, or valid for less than a week. No host, no question
// about the name.
func Problems(leaf *x509.Certificate, host string, now time.Time) []error {
	var all []error
	if err := dated(leaf, now); err != nil {
		all = append(all, err)
	} else if left := leaf.NotAfter.Sub(now); left < soon {
		all = append(all, fmt.Errorf("the certificate ends in %.0f hours, on %s", left.Hours(), day(leaf.NotAfter)))
	}
	if host == "" {
		return all
	}
	if leaf.VerifyHostname(host) != nil {
		names := append([]string{}, leaf.DNSNames...)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		all = append(all, fmt.Errorf("the certificate is not for %s but for %s", host, strings.Join(names, ", ")))
	}
	return all
}

func dated(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate ended on %s: clients refuse it", day(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the certificate only begins on %s: clients refuse it (or is this machine's clock wrong?)", day(leaf.NotBefore))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006 15:04 UTC") }
