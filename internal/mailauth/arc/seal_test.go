package arc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"kurir/internal/mailauth"
	"kurir/internal/mailauth/sig"
)

const plain = "Received: from a by b; Thu, 14 Jan 2015 15:01:30 -0800\n" +
	"From: John Q Doe <jqd@d1.example.org>\nTo: arc@dmarc.org\nSubject: Example 1\n" +
	"Date: Thu, 14 Jan 2015 15:00:01 -0800\nMessage-ID: <1@d1.example.org>\n\nHey gang,\nThis is a test message.\n--J.\n"

const found = "mx.example.net;\r\n\tspf=pass smtp.mailfrom=jqd@d1.example.org;\r\n\tdkim=none"

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { // made once: it takes a while
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func at(unix int64) func() time.Time { return func() time.Time { return time.Unix(unix, 0) } }

// sealers are one of each kind, with the records that belong to them.
func sealers(t testing.TB) (bySelector map[string]*Sealer, r *records) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	r = &records{texts: map[string][]string{
		"r._domainkey.example.net": {"v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der)},
		"e._domainkey.example.net": {"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)},
	}}
	return map[string]*Sealer{
		"r": {Domain: "example.net", Selector: "r", Key: rsaKey(), Now: at(1700000000)},
		"e": {Domain: "example.net", Selector: "e", Key: private, Now: at(1700000000)},
	}, r
}

func sealText(t testing.TB, s *Sealer, r TXTResolver, msg string) string {
	t.Helper()
	header, err := s.Seal(strings.NewReader(msg), verifyText(t, r, msg), found)
	if err != nil {
		t.Fatal(err)
	}
	return string(header)
}

// Fifty servers seal one after the other, with both kinds of keys; the fifty-first adds
// nothing (RFC 8617 section 4.2.1).
func TestSealFifty(t *testing.T) {
	by, r := sealers(t)
	msg := crlf(plain)
	for i := 1; i <= maxSets; i++ {
		header := sealText(t, by[[]string{"e", "r"}[i%2]], r, msg)
		if strings.Count(header, "\r\n") != strings.Count(header, "\n") || !strings.HasSuffix(header, "\r\n") {
			t.Fatalf("line ends: %q", header)
		}
		msg = header + msg
		c := verifyText(t, r, msg)
		if c.Result != mailauth.Pass || len(c.Sets) != i || c.OldestPass != 0 {
			t.Fatalf("after %d: %v %s", i, c.Result, c.Reason)
		}
		if want := "mx.example.net;\tspf=pass smtp.mailfrom=jqd@d1.example.org;\tdkim=none"; c.Sets[i-1].Results != want {
			t.Fatalf("%q", c.Sets[i-1].Results)
		}
	}
	if header := sealText(t, by["r"], r, msg); header != "" {
		t.Errorf("a set after the fiftieth: %q", header)
	}
	r.asked = nil
	verifyText(t, r, msg)
	if len(r.asked) != 2 || r.asked["r._domainkey.example.net"] != 1 {
		t.Errorf("asked %v", r.asked)
	}
}

// No line is longer than 78 octets but the results, which are the caller's (RFC 5322 section 2.1.1).
func TestSealLines(t *testing.T) {
	by, r := sealers(t)
	msg := crlf(strings.Repeat("DKIM-Signature: v=1\n", 100) + plain)
	header := sealText(t, by["r"], r, msg)
	for line := range strings.SplitSeq(header, "\r\n") {
		if len(line) > 78 {
			t.Errorf("%d octets: %s", len(line), line)
		}
	}
	if n := strings.Count(header, "dkim-signature"); n != maxSigned {
		t.Errorf("DKIM-Signature is listed %d times", n)
	}
	if c := verifyText(t, r, header+msg); c.Result != mailauth.Pass {
		t.Errorf("%+v", c)
	}
}

// What is oversigned can't be added, and what people see can't be changed.
func TestSealCovers(t *testing.T) {
	by, r := sealers(t)
	msg := crlf(plain)
	msg = sealText(t, by["r"], r, msg) + msg
	for _, add := range []string{"From: a@example.com", "Subject: x", "Reply-To: a@example.com", "Content-Type: text/html"} {
		for _, changed := range []string{add + "\r\n" + msg, strings.Replace(msg, "\r\n\r\n", "\r\n"+add+"\r\n\r\n", 1)} {
			if c := verifyText(t, r, changed); c.Result != mailauth.Fail || !strings.Contains(c.Reason, "the header is not as it was") {
				t.Errorf("%s: %+v", add, c)
			}
		}
	}
	if c := verifyText(t, r, "Received: from x by y; date\r\nList-Id: <x>\r\n"+msg); c.Result != mailauth.Pass {
		t.Errorf("a server on the way: %+v", c)
	}
}

// RFC 8617 section 5.1.2: the set of a chain that failed covers itself alone, and is the last.
func TestSealFailed(t *testing.T) {
	by, r := sealers(t)
	msg := crlf(plain)
	msg = sealText(t, by["r"], r, msg) + msg
	msg = "Subject: another\r\n" + msg
	header := sealText(t, by["e"], r, msg)
	if !strings.Contains(header, "i=2; a=ed25519-sha256") || !strings.Contains(header, "cv=fail;") {
		t.Fatalf("%s", header)
	}
	set := parseOne(t, header)
	v := verifier{ctx: t.Context(), keys: keyring{resolver: r}, sets: []arcSet{set}}
	if err := v.seal(0); err != nil {
		t.Errorf("the seal of cv=fail does not cover its own set: %v", err)
	}
	c := verifyText(t, r, header+msg)
	if c.Result != mailauth.Fail || !strings.Contains(c.Reason, "example.net (i=2) found that the chain had failed before") {
		t.Errorf("%+v", c)
	}
	if again := sealText(t, by["r"], r, header+msg); again != "" {
		t.Errorf("a set after cv=fail: %s", again)
	}
	if again := sealText(t, by["r"], r, "ARC-Seal: i=7\r\n"+header+msg); again != "" {
		t.Errorf("a set after cv=fail in a broken chain: %s", again)
	}
}

// parseOne reads the three fields that Seal made, whatever their instance.
func parseOne(t *testing.T, header string) arcSet {
	t.Helper()
	h := sig.NewHeader([]byte(header))
	if len(h.Named(nameResults)) != 1 || len(h.Named(nameMessage)) != 1 || len(h.Named(nameSeal)) != 1 {
		t.Fatalf("%q", header)
	}
	return parseSet(h.Named(nameResults)[0].Raw, h.Named(nameMessage)[0].Raw, h.Named(nameSeal)[0].Raw)
}

// A chain whose form is broken gets the instance behind the highest that it claims.
func TestSealBrokenForm(t *testing.T) {
	by, r := sealers(t)
	for head, want := range map[string]string{
		"ARC-Seal: i=3\n":     " i=4;",
		"ARC-Seal: i=50\n":    "",
		"ARC-Seal: i=51\n":    " i=1;",
		"ARC-Seal: nothing\n": " i=1;",
	} {
		header := sealText(t, by["r"], r, crlf(head+plain))
		if (want == "") != (header == "") || strings.Count(header, want) != 3 && want != "" {
			t.Errorf("%q: %q", head, header)
		}
	}
}

// A chain that could not be judged is not sealed: any cv would be a guess.
func TestSealNothing(t *testing.T) {
	by, r := sealers(t)
	msg := crlf(plain)
	msg = sealText(t, by["r"], r, msg) + msg
	r.temp = map[string]bool{"r._domainkey.example.net": true}
	if header := sealText(t, by["e"], r, msg); header != "" {
		t.Errorf("sealed after %+v: %s", verifyText(t, r, msg), header)
	}
	long := strings.Repeat("X: "+strings.Repeat("x", 900)+"\r\n", 600) + msg
	if header := sealText(t, by["e"], r, long); header != "" {
		t.Errorf("a header that is too long was sealed")
	}
}

type noSigner struct{ crypto.Signer }

func (noSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the key is locked")
}

func TestSealErrors(t *testing.T) {
	by, r := sealers(t)
	msg := crlf(plain)
	sealed := sealText(t, by["r"], r, msg) + msg
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	none := Chain{Result: mailauth.None}
	for want, seal := range map[string]func() ([]byte, error){
		"the chain is not that of this message": func() ([]byte, error) { return by["r"].Seal(strings.NewReader(sealed), none, found) },
		"no signatures are made with keys of type *ecdsa.PublicKey": func() ([]byte, error) {
			return (&Sealer{Domain: "example.net", Selector: "r", Key: other}).Seal(strings.NewReader(msg), none, found)
		},
		"the key is locked": func() ([]byte, error) {
			return (&Sealer{Domain: "example.net", Selector: "r", Key: noSigner{rsaKey()}}).Seal(strings.NewReader(msg), none, found)
		},
		"the disk is gone": func() ([]byte, error) {
			return by["r"].Seal(iotest.ErrReader(errors.New("the disk is gone")), none, found)
		},
	} {
		if header, err := seal(); err == nil || !strings.Contains(err.Error(), want) || header != nil {
			t.Errorf("%q, %v; want %s", header, err, want)
		}
	}
	for _, results := range []string{"", " \r\n ", "x; none\r\nBcc: a@example.com", "x\ry", "x\n y", "x; none\r\n\r\n y", "a\x00"} {
		if header, err := by["r"].Seal(strings.NewReader(msg), none, results); err == nil {
			t.Errorf("%q made %s", results, header)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	by, r := sealers(b)
	for _, v := range []struct {
		name       string
		size, sets int
	}{{"10KB-1", 10 << 10, 1}, {"1MB-1", 1 << 20, 1}, {"10KB-5", 10 << 10, 5}} {
		msg := crlf(plain + strings.Repeat("Seventy octets of text, with spaces between the words, more or less.\n", v.size/70))
		for range v.sets {
			msg = sealText(b, by["r"], r, msg) + msg
		}
		b.Run(v.name, func(b *testing.B) {
			b.SetBytes(int64(len(msg)))
			for b.Loop() {
				if c := verifyText(b, r, msg); c.Result != mailauth.Pass {
					b.Fatal(c)
				}
			}
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	by, r := sealers(b)
	msg := crlf(plain + strings.Repeat("Seventy octets of text, with spaces between the words, more or less.\n", 150))
	for _, selector := range []string{"r", "e"} {
		b.Run(fmt.Sprintf("10KB-%s", selector), func(b *testing.B) {
			for b.Loop() {
				sealText(b, by[selector], r, msg)
			}
		})
	}
}
