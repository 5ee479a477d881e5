package arc

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// temporaryError says that the DNS did not tell, this time.
type temporaryError struct{ err error }

func (e *temporaryError) Error() string { return e.err.Error() }
func (e *temporaryError) Unwrap() error { return e.err }

// keyring looks each key up once.
type keyring struct {
	resolver TXTResolver
	known    map[string]foundKey
}

type foundKey struct {
	key crypto.PublicKey // *rsa.PublicKey or ed25519.PublicKey
	err error
}

// verify checks the signature of digest; changed says in words what it means when a good
// key does not fit. Possible errors: *temporaryError, and all others for good.
func (k *keyring) verify(ctx context.Context, s *signature, digest []byte, changed string) error {
	key, err := k.key(ctx, s.selector+"._domainkey."+s.domain)
	if err != nil {
		return err
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		if s.algorithm != "rsa-sha256" {
			return errors.New("its key is one of RSA, the signature is not")
		}
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, s.sig) != nil {
			return errors.New(changed)
		}
	case ed25519.PublicKey:
		if s.algorithm != "ed25519-sha256" {
			return errors.New("its key is one of Ed25519, the signature is not")
		}
		if !ed25519.Verify(key, digest, s.sig) { // RFC 8463 section 3: it signs the hash
			return errors.New(changed)
		}
	}
	return nil
}

func (k *keyring) key(ctx context.Context, name string) (crypto.PublicKey, error) {
	if f, ok := k.known[name]; ok {
		return f.key, f.err
	}
	if len(k.known) >= maxKeys {
		return nil, fmt.Errorf("its chain needs more than %d keys", maxKeys)
	}
	if k.known == nil {
		k.known = map[string]foundKey{}
	}
	key, err := lookupKey(ctx, k.resolver, name)
	k.known[name] = foundKey{key, err}
	return key, err
}

// lookupKey asks for the key record at name (RFC 6376 section 3.6.2).
func lookupKey(ctx context.Context, r TXTResolver, name string) (crypto.PublicKey, error) {
	if len(name) > 253 {
		return nil, errors.New("the name of its key is too long")
	}
	texts, err := r.LookupTXT(ctx, name)
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return nil, fmt.Errorf("there is no key at %s", name)
	}
	if err != nil {
		return nil, &temporaryError{fmt.Errorf("the key at %s could not be asked for: %w", name, err)}
	}
	var records []tagList
	for _, text := range texts[:min(len(texts), 20)] {
		if len(text) > maxRecord {
			continue
		}
		if tags, err := parseTags(text); err == nil && isKeyRecord(text, tags) {
			records = append(records, tags)
		}
	}
	switch len(records) {
	case 0:
		return nil, fmt.Errorf("there is no key at %s", name)
	case 1:
	default:
		return nil, fmt.Errorf("there are several keys at %s", name)
	}
	key, err := parseKey(records[0])
	if err != nil {
		return nil, fmt.Errorf("the key at %s: %w", name, err)
	}
	return key, nil
}

// isKeyRecord reports whether a TXT record is a key: v=DKIM1 comes first if it comes at all,
// and there is a key, be it an empty one.
func isKeyRecord(text string, tags tagList) bool {
	_, key := tags["p"]
	v, versioned := tags["v"]
	first, _, _ := strings.Cut(text, "=")
	return key && (!versioned || v == "DKIM1" && strings.Trim(first, " \t\r\n") == "v")
}

// parseKey reads a key record (RFC 6376 section 3.6.1, RFC 8463 section 4). RSA keys of 1024
// to 4096 bits are taken (RFC 8301 section 3.2). t= and g= say nothing that ARC needs.
func parseKey(tags tagList) (crypto.PublicKey, error) {
	if h, has := tags["h"]; has && !slices.Contains(list(h), "sha256") {
		return nil, errors.New("it is not for SHA-256")
	}
	if s, has := tags["s"]; has && !slices.Contains(list(s), "*") && !slices.Contains(list(s), "email") {
		return nil, errors.New("it is not for mail")
	}
	text := noSpace(tags["p"])
	if text == "" {
		return nil, errors.New("it was revoked")
	}
	p, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("it is no base64")
	}
	switch k := tags["k"]; k {
	case "", "rsa":
		return parseRSA(p)
	case "ed25519":
		if len(p) != ed25519.PublicKeySize {
			return nil, errors.New("it has not the length of Ed25519")
		}
		return ed25519.PublicKey(p), nil
	default:
		return nil, fmt.Errorf("k=%s is no kind of key that is known", short(k))
	}
}

// parseRSA reads a SubjectPublicKeyInfo, or the bare RSAPublicKey that RFC 6376 speaks of.
func parseRSA(der []byte) (crypto.PublicKey, error) {
	var key *rsa.PublicKey
	if any, err := x509.ParsePKIXPublicKey(der); err == nil {
		key, _ = any.(*rsa.PublicKey)
	} else if bare, err := x509.ParsePKCS1PublicKey(der); err == nil {
		key = bare
	}
	if key == nil {
		return nil, errors.New("it is no RSA key")
	}
	if bits := key.N.BitLen(); bits < 1024 || bits > 4096 {
		return nil, fmt.Errorf("RSA with %d bits is not accepted, only 1024 to 4096", bits)
	}
	return key, nil
}
