package dnsutil

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// issued is a certificate with its key.
type issued struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// issue makes a certificate by another, or by itself; a CA without names.
func issue(t testing.TB, by *issued, until time.Time, names ...string) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test " + strings.Join(names, " ")}, DNSNames: names,
		NotBefore: time.Unix(0, 0), NotAfter: until, BasicConstraintsValid: true, IsCA: names == nil}
	if by == nil {
		by = &issued{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.Certificate, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &issued{c, key}
}

// tlsa is a record that names c.
func tlsa(usage, selector, matching uint8, c *issued) TLSA {
	data := c.Raw
	if selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return TLSA{usage, selector, matching, data}
}

// # RFC 7672 section 3.1: what certificates the records of a host allow.
func TestDANEVerify(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	later, before := now.Add(time.Hour), now.Add(-time.Hour)
	ca, otherCA := issue(t, nil, later), issue(t, nil, later)
	between := issue(t, ca, later)
	leaf, deep := issue(t, ca, later, "mx.test"), issue(t, between, later, "mx.test")
	old, alone := issue(t, ca, before, "mx.test"), issue(t, nil, before, "other.test")
	chain := func(all ...*issued) (certs []*x509.Certificate) {
		for _, c := range all {
			certs = append(certs, c.Certificate)
		}
		return certs
	}
	for _, c := range []struct {
		what    string
		records []TLSA
		certs   []*x509.Certificate
		ok      bool
	}{
		{"3 1 1: the key", []TLSA{tlsa(3, 1, 1, leaf)}, chain(leaf), true},
		{"3 0 2: the certificate", []TLSA{tlsa(3, 0, 2, leaf)}, chain(leaf), true},
		{"3 1 0: the key itself", []TLSA{tlsa(3, 1, 0, leaf)}, chain(leaf), true},
		{"3 0 0: the certificate itself", []TLSA{tlsa(3, 0, 0, leaf)}, chain(leaf), true},
		{"section 3.1.1: neither its names nor its dates matter", []TLSA{tlsa(3, 1, 1, alone)}, chain(alone), true},
		{"one of several", []TLSA{tlsa(3, 1, 1, otherCA), tlsa(3, 1, 1, leaf)}, chain(leaf), true},
		{"another", []TLSA{tlsa(3, 1, 1, otherCA)}, chain(leaf), false},
		{"the CA is not the server's own", []TLSA{tlsa(3, 1, 1, ca)}, chain(leaf, ca), false},
		{"no certificate", []TLSA{tlsa(3, 1, 1, leaf)}, nil, false},
		{"2 1 1: issued by", []TLSA{tlsa(2, 1, 1, ca)}, chain(leaf, ca), true},
		{"2 0 1: by way of another", []TLSA{tlsa(2, 0, 1, ca)}, chain(deep, between, ca), true},
		{"an anchor in the middle", []TLSA{tlsa(2, 0, 1, between)}, chain(deep, between), true},
		{"2 0 0: it need not be sent", []TLSA{tlsa(2, 0, 0, ca)}, chain(leaf), true},
		{"it was not sent", []TLSA{tlsa(2, 1, 1, ca)}, chain(leaf), false},
		{"by another", []TLSA{tlsa(2, 1, 1, otherCA)}, chain(leaf, otherCA), false},
		{"section 3.1.2: dates matter", []TLSA{tlsa(2, 1, 1, ca)}, chain(old, ca), false},
		{"of the server's own, too", []TLSA{tlsa(2, 1, 1, old)}, chain(old), false},
		{"section 3.1.2: names matter", []TLSA{tlsa(2, 1, 1, ca)}, chain(issue(t, ca, later, "elsewhere.test"), ca), false},
		{"the name of the domain", []TLSA{tlsa(2, 1, 1, ca)}, chain(issue(t, ca, later, "domain.test"), ca), true},
		{"nothing usable: any", nil, chain(alone), true},
	} {
		err := DANE{Found: true, Base: "mx.test", Records: c.records}.Verify(c.certs, []string{"domain.test"}, now)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrTLSA) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestTLSAUsable(t *testing.T) {
	c := issue(t, nil, time.Now(), "x.test")
	for _, r := range []struct {
		t    TLSA
		want bool
	}{
		{tlsa(3, 1, 1, c), true}, {tlsa(2, 0, 2, c), true}, {tlsa(3, 0, 0, c), true},
		{tlsa(0, 1, 1, c), false}, {tlsa(1, 1, 1, c), false}, {tlsa(4, 1, 1, c), false}, // section 3.1.3
		{tlsa(3, 2, 1, c), false}, {TLSA{3, 1, 3, []byte("x")}, false},
		{TLSA{3, 1, 1, []byte("short")}, false}, {TLSA{3, 1, 2, make([]byte, 32)}, false}, {TLSA{3, 1, 0, nil}, false},
	} {
		if got := r.t.Usable(); got != r.want {
			t.Errorf("%v: %v", r.t, got)
		}
	}
	// # RFC 7671 section 9: of several digests, the strongest counts.
	weak, strong := tlsa(3, 1, 1, c), tlsa(3, 1, 2, c)
	got := strongest([]TLSA{weak, strong, tlsa(2, 1, 1, c), tlsa(1, 1, 1, c)})
	if fmt.Sprint(got) != fmt.Sprint([]TLSA{strong, tlsa(2, 1, 1, c)}) {
		t.Errorf("%v", got)
	}
	if d := (DANE{Base: "x", Records: got}); !d.NeedsName() || (DANE{Records: []TLSA{strong}}).NeedsName() || !strings.HasPrefix(d.String(), "x 2 1 1 ") {
		t.Errorf("%v", d)
	}
}

// # RFC 7672 section 2.2: which records count, and when the host must not be used at all.
func TestDANE(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	zone := strings.ReplaceAll(`
_25._tcp.mx.test.     TLSA 3 1 1 SUM
_25._tcp.pkix.test.   TLSA 1 1 1 SUM
_25._tcp.far.test.    TLSA 2 1 1 SUM
_25._tcp.near.test.   TLSA 3 1 1 SUM
_25._tcp.tail.test.   TLSA 3 0 1 SUM
_25._tcp.plain.test.  TLSA 3 1 1 SUM
_465._tcp.mx.test.    TLSA 3 0 1 SUM
_25._tcp.cname.test.  CNAME _25._tcp.mx.test.
half.test.            CNAME away.test.
_25._tcp.half.test.   TLSA 3 1 1 SUM
open.test.            CNAME away.test.
_25._tcp.open.test.   TLSA 3 1 1 SUM
away.test.            A 192.0.2.9
`, "SUM", sum)
	r, s := resolver(t, zone)
	s.Authentic()
	s.Authentic("_25._tcp.broken.test")
	s.ServFail("_25._tcp.broken.test")
	s.Silent("_25._tcp.silent.test")
	s.Lie("_25._tcp.lie.test")
	s.Delay(0, "_25._tcp.plain.test", "open.test")
	r.Timeout = 100 * time.Millisecond
	data, _ := hex.DecodeString(sum)
	one := func(usage, selector uint8) []TLSA { return []TLSA{{usage, selector, 1, data}} }
	for _, c := range []struct {
		what string
		host RouteHost
		want DANE
		bad  bool
	}{
		{"records", RouteHost{Name: "mx.test", Secure: true}, DANE{true, "mx.test", one(3, 1)}, false},
		{"none", RouteHost{Name: "none.test", Secure: true}, DANE{}, false},
		{"none is usable: TLS all the same", RouteHost{Name: "pkix.test", Secure: true}, DANE{true, "pkix.test", nil}, false},
		{"section 2.2.2: addresses that are not signed", RouteHost{Name: "mx.test"}, DANE{}, false},
		{"records that are not signed", RouteHost{Name: "plain.test", Secure: true}, DANE{}, false},
		{"records by way of an alias", RouteHost{Name: "cname.test", Secure: true}, DANE{true, "cname.test", one(3, 1)}, false},
		{"what the host stands for goes first", RouteHost{Name: "near.test", Alias: "far.test", Secure: true}, DANE{true, "far.test", one(2, 1)}, false},
		{"then the host", RouteHost{Name: "tail.test", Alias: "nothing.test", Secure: true}, DANE{true, "tail.test", one(3, 0)}, false},
		{"a signed alias of what is not signed", RouteHost{Name: "half.test", Alias: "away.test"}, DANE{true, "half.test", one(3, 1)}, false},
		{"an alias that is not signed", RouteHost{Name: "open.test", Alias: "away.test"}, DANE{}, false},
		{"section 2.1.2: SERVFAIL", RouteHost{Name: "broken.test", Secure: true}, DANE{}, true},
		{"silence", RouteHost{Name: "silent.test", Secure: true}, DANE{}, true},
		{"lies", RouteHost{Name: "lie.test", Secure: true}, DANE{}, true},
	} {
		got, err := r.DANE(t.Context(), c.host, 25)
		if fmt.Sprint(got) != fmt.Sprint(c.want) || got.Found != c.want.Found || (err != nil) != c.bad || err != nil && !errors.Is(err, ErrTemporary) {
			t.Errorf("%s: %+v, %v", c.what, got, err)
		}
	}
	r.Trust = TrustNone
	if got, err := r.DANE(t.Context(), RouteHost{Name: "half.test", Alias: "away.test"}, 25); err != nil || got.Found {
		t.Errorf("nobody is trusted: %+v, %v", got, err)
	}
	if got, secure, err := r.TLSA(t.Context(), "mx.test", 465); err != nil || secure || fmt.Sprint(got) != fmt.Sprint(one(3, 0)) {
		t.Errorf("%v, %v, %v", got, secure, err)
	}
	if _, _, err := r.TLSA(t.Context(), "no name", 25); !errors.Is(err, ErrName) {
		t.Error(err)
	}
}
