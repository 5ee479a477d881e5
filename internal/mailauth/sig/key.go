package sig

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds of keys. Shorter RSA keys may be anybody's by now (RFC 8301 section 3.2); longer
// ones fit no use of them.
const (
	MinRSA    = 1024
	MaxRSA    = 4096
	maxRecord = 8 << 10 // octets of a record; RSA with 4096 bits takes some 750
	maxTXT    = 64      // records looked at for one name
)

// Key is a record that holds a key (RFC 6376 section 3.6.1).
type Key struct {
	Public  crypto.PublicKey // *rsa.PublicKey or ed25519.PublicKey
	Record  string           // the key alone, as a record
	Bits    int              // 256 for Ed25519
	Testing bool             // t=y: the domain is trying DKIM out
	Strict  bool             // t=s: i= has the very domain of d=
}

// ErrNoKey says that there is no key record.
var ErrNoKey = errors.New("there is no key record")

// FindKey takes the one key record out of the TXT records of a name, for a signature of
// the algorithm "rsa" or "ed25519" with SHA-256 and for mail. Other records, as a wildcard
// brings them, are passed over. An error says in words what is wrong with the record; it is
// for good.
func FindKey(records []string, algorithm string) (Key, error) {
	var found Tags
	for _, record := range records[:min(len(records), maxTXT)] {
		if len(record) > maxRecord {
			continue
		}
		tags, err := ParseTags(record)
		_, has := tags["p"]
		if v, ok := tags["v"]; err != nil || !has || ok && (v != "DKIM1" || !strings.HasPrefix(strings.TrimLeft(record, whitespace), "v")) {
			continue
		}
		if found != nil {
			return Key{}, errors.New("there are several key records")
		}
		found = tags
	}
	if found == nil {
		return Key{}, ErrNoKey
	}
	return parseKey(found, algorithm)
}

func parseKey(tags Tags, algorithm string) (Key, error) {
	kind := tags["k"]
	if kind == "" {
		kind = "rsa"
	}
	flags, hashes, services := tags.List("t"), tags.List("h"), tags.List("s")
	key := Key{Testing: slices.Contains(flags, "y"), Strict: slices.Contains(flags, "s")}
	switch {
	case tags["p"] == "":
		return key, errors.New("the key is revoked")
	case kind != algorithm:
		return key, fmt.Errorf("the key is one for %s, the signature says %s", Shown(kind), algorithm)
	case hashes != nil && !slices.Contains(hashes, "sha256"):
		return key, errors.New("the key is not for sha256")
	case services != nil && !slices.Contains(services, "*") && !slices.Contains(services, "email"):
		return key, errors.New("the key is not for mail")
	}
	der, err := Base64(tags["p"])
	if err != nil {
		return key, errors.New("the key is no base64")
	}
	key.Record = "k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(der)
	if kind == "ed25519" {
		if len(der) != ed25519.PublicKeySize {
			return key, fmt.Errorf("the Ed25519 key has %d octets, not 32", len(der))
		}
		key.Public, key.Bits = ed25519.PublicKey(der), 256
		return key, nil
	}
	return key, key.rsa(der)
}

// rsa takes a SubjectPublicKeyInfo or, as RFC 6376 has it in words (erratum 3017), an
// RSAPublicKey.
func (k *Key) rsa(der []byte) error {
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		public, err = x509.ParsePKCS1PublicKey(der)
	}
	pub, ok := public.(*rsa.PublicKey)
	if err != nil || !ok {
		return errors.New("the key is no RSA key")
	}
	k.Bits = pub.N.BitLen()
	if k.Bits < MinRSA {
		return fmt.Errorf("the RSA key has %d bits, fewer than %d", k.Bits, MinRSA)
	}
	if k.Bits > MaxRSA {
		return fmt.Errorf("the RSA key has %d bits, more than %d", k.Bits, MaxRSA)
	}
	k.Public = pub
	return nil
}

// Verify tells whether signature is one of the key over a SHA-256 hash (RFC 6376 section
// 3.3.2, RFC 8463 section 3).
func (k Key) Verify(hash, signature []byte) bool {
	switch pub := k.Public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, hash, signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(pub, hash, signature)
	}
	return false
}

// Base64 decodes what may be folded; the padding at the end may be missing.
func Base64(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(Compact(s), "="))
}
