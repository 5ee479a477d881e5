package tlsconf

import (
	"crypto/x509"
	"strings"
)

// localName begins the names of CAs that LocalCA makes.
const localName = "kurir local CA "

// IsLocal tells whether a certificate was issued by a CA that LocalCA has made.
func IsLocal(c *x509.Certificate) bool {
	return strings.HasPrefix(c.Issuer.CommonName, localName)
}
