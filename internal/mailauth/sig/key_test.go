package sig

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
)

// encoded is a public key as records have it.
func encoded(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// ofBits is a key that nobody could sign with, of a size.
func ofBits(bits uint) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
}

func TestFindKey(t *testing.T) {
	pub, _, _ := ed25519.GenerateKey(rand.Reader)
	ed := base64.StdEncoding.EncodeToString(pub)
	good := encoded(t, ofBits(2048))
	bare := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(ofBits(2048)))
	for _, c := range []struct {
		records string // with | between them
		words   string // of the error, "" for none
		bits    int
	}{
		{"v=DKIM1; k=rsa; p=" + good, "", 2048},
		{"p=" + good, "", 2048},
		{"k=rsa; h=sha1:sha256; s=other:email; t=x; n=a note; g=*; p=" + good, "", 2048},
		{"v=DKIM1; s=*; p=" + bare, "", 2048},
		{"p=" + strings.TrimRight(good[:40]+" \t"+good[40:], "="), "", 2048},
		{"v=spf1 -all|other|v=DKIM1; p=" + good, "", 2048},
		{"p=" + encoded(t, ofBits(1024)), "", 1024},
		{"p=" + encoded(t, ofBits(4096)), "", 4096},
		{"", "there is no key record", 0},
		{"v=spf1 -all", "there is no key record", 0},
		{"v=DKIM2; p=" + good, "there is no key record", 0},
		{"p=" + good + "; v=DKIM1", "there is no key record", 0}, // RFC 6376 section 3.6.1: v= comes first
		{"p=" + good + "|p=" + good, "there are several key records", 0},
		{"p=" + good + "; n=" + strings.Repeat("x", maxRecord), "there is no key record", 0},
		{"v=DKIM1; p=", "the key is revoked", 0},
		{"k=ed25519; p=" + ed, "the key is one for ed25519, the signature says rsa", 0},
		{"h=sha1; p=" + good, "the key is not for sha256", 0},
		{"s=tlsrpt; p=" + good, "the key is not for mail", 0},
		{"p=!", "the key is no base64", 0},
		{"p=AAAA", "the key is no RSA key", 0},
		{"p=" + encoded(t, pub), "the key is no RSA key", 0},
		{"p=" + encoded(t, ofBits(1023)), "the RSA key has 1023 bits, fewer than 1024", 1023},
		{"p=" + encoded(t, ofBits(8192)), "the RSA key has 8192 bits, more than 4096", 8192},
		{strings.Repeat("x|", maxTXT) + "p=" + good, "there is no key record", 0},
	} {
		key, err := FindKey(strings.Split(c.records, "|"), "rsa")
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != c.words || key.Bits != c.bits {
			t.Errorf("%.60q: %q, %d bits, want %q, %d", c.records, text, key.Bits, c.words, c.bits)
		}
	}
	for _, record := range []string{"k=ed25519; p=" + ed, "k=ed25519; t=y:s; p=" + ed} {
		key, err := FindKey([]string{record}, "ed25519")
		flags := strings.Contains(record, "t=")
		if err != nil || key.Bits != 256 || key.Testing != flags || key.Strict != flags {
			t.Errorf("%s: %+v, %v", record, key, err)
		}
	}
	if _, err := FindKey([]string{"k=ed25519; p=AAAA"}, "ed25519"); err == nil || err.Error() != "the Ed25519 key has 3 octets, not 32" {
		t.Errorf("a short key: %v", err)
	}
}

func TestVerify(t *testing.T) {
	sum := sha256.Sum256([]byte("text"))
	pub, private, _ := ed25519.GenerateKey(rand.Reader)
	signature := ed25519.Sign(private, sum[:])
	key := Key{Public: pub}
	if !key.Verify(sum[:], signature) {
		t.Error("a good signature does not verify")
	}
	signature[0] ^= 1
	if key.Verify(sum[:], signature) || key.Verify(sum[:], nil) || (Key{}).Verify(sum[:], signature) {
		t.Error("a bad signature verifies")
	}
}
