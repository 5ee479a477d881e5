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

// What records can be is tried in package sig; here is what becomes of the chain.
func TestKeyRecords(t *testing.T) {
	good := spki(t, rsaKey().Public())
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		records []string
		reason  string // "" for a chain that passes
	}{
		{"good", []string{"v=DKIM1; k=rsa; p=" + good}, ""},
		{"beside what is no key", []string{"v=spf1 -all", "v=DKIM1; p=" + good}, ""},
		{"beside a giant", []string{"v=DKIM1; p=" + strings.Repeat("A", 60000), "v=DKIM1; p=" + good}, ""},
		{"t= and g= say nothing that ARC needs", []string{"v=DKIM1; t=y:s; g=x; p=" + good}, ""},
		{"no records", []string{}, "r._domainkey.example.net: there is no key record"},
		{"revoked", []string{"v=DKIM1; p="}, "r._domainkey.example.net: the key is revoked"},
		{"two", []string{"v=DKIM1; p=" + good, "v=DKIM1; p="}, "there are several key records"},
		{"of another kind", []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)}, "the key is one for ed25519, the signature says rsa"},
		{"another key", []string{"v=DKIM1; p=" + spki(t, ofBits(2048))}, "the header is not as it was"},
		{"too short a key", []string{"v=DKIM1; p=" + spki(t, ofBits(1023))}, "the RSA key has 1023 bits"},
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
