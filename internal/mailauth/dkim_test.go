package mailauth

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/emersion/go-msgauth/dkim"
)

// Keys of the examples in RFC 6376 appendix C and RFC 8463 appendix A.
var exampleKeys = []string{
	"brisbane._domainkey.example.com", "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt" +
		"IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB",
	"brisbane._domainkey.football.example.com", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
	"test._domainkey.football.example.com", "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/b" +
		"yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
}

func TestDKIMExamples(t *testing.T) {
	z := texts(exampleKeys...)
	for _, c := range []struct{ file, want string }{
		{"rfc6376", "pass example.com brisbane joe@football.example.com rsa-sha256 1024 AuUoFEfD; "},
		{"rfc8463", "pass football.example.com brisbane @football.example.com ed25519-sha256 256 /gCrinpc; " +
			"pass football.example.com test @football.example.com rsa-sha256 1024 F45dVWDf; "},
	} {
		data, err := os.ReadFile("testdata/dkim/" + c.file + ".eml")
		must(t, err)
		for _, text := range []string{string(data), crlf(string(data))} { // stored with either line end
			results, err := VerifyDKIM(t.Context(), z, strings.NewReader(text))
			got := ""
			for _, d := range results {
				got += fmt.Sprintf("%s %s %s %s %s %d %s%s; ", d.Result, d.Domain, d.Selector, d.Identity, d.Algorithm, d.Bits, d.B, d.Reason)
			}
			if err != nil || got != c.want {
				t.Errorf("%s: %s, %v, want %s", c.file, got, err, c.want)
			}
		}
	}
	if n := z.questions(); n != 6 {
		t.Errorf("%d questions for 6 signatures", n)
	}
}

// keys are made once; RSA takes a while.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	all := map[string]crypto.Signer{"ed25519": ed}
	for _, bits := range []int{1024, 2048, 4096} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		all[fmt.Sprint(bits)] = key
	}
	return all
})

// published is the record of a key.
func published(key crypto.Signer) string {
	if pub, ok := key.Public().(ed25519.PublicKey); ok {
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(pub)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	return "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der)
}

// signed is a message with a signature of example.org, selector s, in front.
func signed(t testing.TB, key, canon, message string) string {
	t.Helper()
	header, body, _ := strings.Cut(canon, "/")
	var b bytes.Buffer
	err := dkim.Sign(&b, strings.NewReader(message), &dkim.SignOptions{
		Domain: "example.org", Selector: "s", Signer: keys()[key],
		HeaderCanonicalization: dkim.Canonicalization(header), BodyCanonicalization: dkim.Canonicalization(body),
		HeaderKeys: []string{"From", "Subject", "To", "From"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// verified is the result for the first signature.
func verified(t testing.TB, r Resolver, message string) DKIM {
	t.Helper()
	results, err := VerifyDKIM(t.Context(), r, strings.NewReader(message))
	if err != nil || len(results) == 0 {
		t.Fatalf("%v, %v", results, err)
	}
	return results[0]
}

const letterHeader = "From: A <a@example.org>\r\nTo: b@example.net\r\n\t, c@example.net\r\nSubject:  two  spaces \r\nX: y\r\n\r\n"

var letterBodies = []string{
	"", "\r\n", "\r\n\r\n\r\n", "text", "text\r\n", "text\r\n\r\n\r\n", "\r\n\r\ntext", " \r\n\t\r\n", "a  b\tc \r\n d\t\r\n\r\n \r\n",
	"no end ", "cr\rin the middle\r\n", strings.Repeat("0123456789 ", 20_000) + "\r\n", strings.Repeat("\r\n", 20_000) + "x", strings.Repeat("line \r\n", 20_000),
}

// What another program signs verifies here, however the octets arrive.
func TestDKIMAllForms(t *testing.T) {
	for _, key := range []string{"ed25519", "1024", "2048", "4096"} {
		z := texts("s._domainkey.example.org", published(keys()[key]))
		for _, canon := range []string{"simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"} {
			for _, body := range letterBodies {
				text := signed(t, key, canon, letterHeader+body)
				for _, r := range []io.Reader{strings.NewReader(text), iotest.HalfReader(strings.NewReader(text))} {
					results, err := VerifyDKIM(t.Context(), z, r)
					if err != nil || len(results) != 1 || results[0].Result != Pass {
						t.Errorf("%s %s %.20q: %+v, %v", key, canon, body, results, err)
					}
				}
				if len(body) > 0 && len(body) < 30 {
					results, _ := VerifyDKIM(t.Context(), z, iotest.OneByteReader(strings.NewReader(text)))
					wantResult(t, "octet by octet", results[0].Result, Pass, results[0].Reason, "")
				}
			}
			if key != "ed25519" {
				break
			}
		}
	}
}

// Whatever is changed of what was signed is found.
func TestDKIMChanges(t *testing.T) {
	z := texts("s._domainkey.example.org", published(keys()["ed25519"]))
	for _, c := range []struct{ canon, what, from, to, words string }{
		{"relaxed/relaxed", "the body", "text", "texts", "the body was changed"},
		{"relaxed/relaxed", "a line more", "end\r\n", "end\r\nmore\r\n", "the body was changed"},
		{"simple/simple", "white space", "text", "text ", "the body was changed"},
		{"relaxed/relaxed", "the author", "a@example.org", "x@example.org", "the signature does not fit"},
		{"relaxed/relaxed", "a second From", "From: A", "From: x@example.org\r\nFrom: A", "the signature does not fit"},
		{"simple/simple", "white space in the header", "  two  spaces ", " two spaces", "the signature does not fit"},
		{"simple/simple", "case of a name", "Subject:", "subject:", "the signature does not fit"},
		{"relaxed/relaxed", "the signature itself", "q=", "n=note; q=", "the signature does not fit"},
		{"relaxed/relaxed", "the signature itself", "s=s;", "s=s; z=x;", "the signature does not fit"},
	} {
		text := signed(t, "ed25519", c.canon, letterHeader+"text\r\nend\r\n")
		changed := strings.Replace(text, c.from, c.to, 1)
		if c.from == "q=" && changed == text {
			continue // not all that sign write it
		}
		if changed == text {
			t.Fatalf("nothing to change: %s", c.from)
		}
		d := verified(t, z, changed)
		wantResult(t, c.what, d.Result, Fail, d.Reason, c.words)
	}
	text := signed(t, "ed25519", "relaxed/relaxed", letterHeader+"text\r\nend\r\n")
	for _, c := range [][2]string{{"X: y", "X: z"}, {"Subject:  two  spaces ", "SUBJECT : two\r\n spaces"}, {"end", "end  \t"}, {"end\r\n", "end\r\n\r\n"}} {
		d := verified(t, z, strings.Replace(text, c[0], c[1], 1))
		wantResult(t, "harmless: "+c[1], d.Result, Pass, d.Reason, "")
	}
}

// errDisk is of a message that cannot be read.
var errDisk = errors.New("disk")

func TestDKIMUnreadable(t *testing.T) {
	text := signed(t, "ed25519", "relaxed/relaxed", letterHeader+"text")
	z := texts("s._domainkey.example.org", published(keys()["ed25519"]))
	for _, n := range []int{10, len(text) - 1} {
		_, err := VerifyDKIM(t.Context(), z, io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(errDisk)))
		if !errors.Is(err, errDisk) {
			t.Errorf("after %d octets: %v", n, err)
		}
	}
	results, err := VerifyDKIM(t.Context(), z, strings.NewReader(letterHeader))
	if results != nil || err != nil {
		t.Errorf("no signature: %v, %v", results, err)
	}
}
