package arc

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"kurir/internal/mailauth"
)

func spki(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// ofBits is an RSA public key of that size; nobody has the private one.
func ofBits(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
}

// RFC 6376 section 3.6.1, RFC 8301 section 3.2, RFC 8463 section 4.
func TestKeyRecords(t *testing.T) {
	good := spki(t, rsaKey().Public())
	bare := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey))
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	none, several := "there is no key at r._domainkey.example.net", "there are several keys"
	for _, c := range []struct {
		name    string
		records []string
		reason  string // "" for a chain that passes
	}{
		{"as RFC 6376 has it", []string{"v=DKIM1; k=rsa; p=" + good}, ""},
		{"the least", []string{"p=" + good}, ""},
		{"a bare RSAPublicKey", []string{"v=DKIM1; p=" + bare}, ""},
		{"all tags", []string{"v=DKIM1; h=sha1:sha256; k=rsa; n=some notes; s=email; t=y:s; g=x; p=" + good + ";"}, ""},
		{"any service", []string{"s=*; p=" + good}, ""},
		{"white space in the key", []string{"v=DKIM1;p = " + good[:80] + " \t " + good[80:]}, ""},
		{"beside what is no key", []string{"v=spf1 -all", "p", "", "v=DKIM1; p=" + good, "v=DMARC1; p=none; zz"}, ""},
		{"beside a giant", []string{"v=DKIM1; p=" + strings.Repeat("A", 60000), "v=DKIM1; p=" + good}, ""},

		{"v= behind", []string{"k=rsa; v=DKIM1; p=" + good}, none},
		{"another version", []string{"v=DKIM2; p=" + good}, none},
		{"no records", []string{}, none},
		{"a record of 20 before it", append(make([]string, 20), "v=DKIM1; p="+good), none},
		{"revoked", []string{"v=DKIM1; p="}, "it was revoked"},
		{"two", []string{"v=DKIM1; p=" + good, "v=DKIM1; p="}, several},
		{"for SHA-1 alone", []string{"v=DKIM1; h=sha1; p=" + good}, "it is not for SHA-256"},
		{"for another service", []string{"v=DKIM1; s=tlsrpt; p=" + good}, "it is not for mail"},
		{"of another kind", []string{"v=DKIM1; k=dsa; p=" + good}, "k=dsa is no kind of key"},
		{"no base64", []string{"v=DKIM1; p=!" + good}, "it is no base64"},
		{"cut off", []string{"v=DKIM1; p=" + good[:200]}, "it is no RSA key"},
		{"Ed25519 called RSA", []string{"v=DKIM1; p=" + spki(t, public)}, "it is no RSA key"},
		{"Ed25519 with a wrapping", []string{"v=DKIM1; k=ed25519; p=" + spki(t, public)}, "not the length of Ed25519"},
		{"Ed25519 where RSA signed", []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)}, "its key is one of Ed25519"},
		{"another key", []string{"v=DKIM1; p=" + spki(t, ofBits(2048))}, "the header is not as it was"},
		{"512 bits", []string{"v=DKIM1; p=" + spki(t, ofBits(512))}, "RSA with 512 bits"},
		{"1023 bits", []string{"v=DKIM1; p=" + spki(t, ofBits(1023))}, "RSA with 1023 bits"},
		{"1024 bits", []string{"v=DKIM1; p=" + spki(t, ofBits(1024))}, "the header is not as it was"},
		{"4096 bits", []string{"v=DKIM1; p=" + spki(t, ofBits(4096))}, "the header is not as it was"},
		{"4097 bits", []string{"v=DKIM1; p=" + spki(t, ofBits(4097))}, "RSA with 4097 bits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			by, _ := sealers(t)
			r := &records{texts: map[string][]string{"r._domainkey.example.net": c.records}}
			chain := verifyText(t, r, forge(t, by["r"], crlf(plain), heads{}))
			if want := chain.Result == mailauth.Pass; want != (c.reason == "") || !strings.Contains(chain.Reason, c.reason) {
				t.Errorf("%s %q; want %q", chain.Result, chain.Reason, c.reason)
			}
		})
	}
}

// The name of a key can be no longer than a name, so that no resolver is troubled with it.
func TestKeyNameTooLong(t *testing.T) {
	by, r := sealers(t)
	long := strings.Repeat("a234567890123456789012345678901234567890.", 5) + "example.net"
	ams := "i=1; " + strings.Replace(honestAMS, "d=example.net; s=r", "d="+long+"; s="+long[:50], 1)
	fails(t, r, forge(t, by["r"], crlf(plain), heads{ams: ams}), "the name of its key is too long")
}
