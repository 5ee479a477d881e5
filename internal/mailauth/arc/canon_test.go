package arc

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// canonicalBody is the text of RFC 6376 sections 3.4.3 and 3.4.4 word by word.
func canonicalBody(c canon, body string) string {
	body = regexp.MustCompile(`\r?\n`).ReplaceAllString(body, "\r\n")
	if c == relaxed {
		body = regexp.MustCompile(`[ \t]+(\r\n|$)`).ReplaceAllString(body, "$1") // at the end of a line
		body = regexp.MustCompile(`[ \t]+`).ReplaceAllString(body, " ")
	}
	body = regexp.MustCompile(`(\r\n)+$`).ReplaceAllString(body, "")
	if body != "" || c == simple {
		body += "\r\n"
	}
	return body
}

func checkBody(t *testing.T, body string, cut int) {
	t.Helper()
	for _, c := range []canon{simple, relaxed} {
		h := bodyHash{hash: sha256.New(), relaxed: c == relaxed}
		for rest := []byte(body); len(rest) > 0; rest = rest[min(cut, len(rest)):] {
			h.write(rest[:min(cut, len(rest))])
		}
		h.end()
		if want := sha256.Sum256([]byte(canonicalBody(c, body))); !bytes.Equal(h.sum, want[:]) {
			t.Fatalf("canonicalization %d of %q in pieces of %d is not %q", c, body, cut, canonicalBody(c, body))
		}
	}
}

func TestBodyCanonical(t *testing.T) {
	for _, body := range []string{
		"", "\r\n", "\r\n\r\n", " ", " \r\n", "\t\r\n\r\n", "a", "a\r\n", "a\r\n\r\n", " C \r\nD \t E\r\n\r\n\r\n", // the last is RFC 6376 section 3.4.5
		"\r", "\r\r", "\r\r\n", "a\r", "a\rb", "a\r\r\nb", " \r \r\n", "a \r", "a \r\r\n", "\n", "a\nb\n\n", "\r\na", " a", "a  b", "a\t", "\ta", "a b \n c",
	} {
		for cut := 1; cut <= len(body)+1; cut++ {
			checkBody(t, body, cut)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		body := make([]byte, rnd.IntN(20))
		for i := range body {
			body[i] = "\r\n\r\n \tab"[rnd.IntN(8)]
		}
		checkBody(t, string(body), 1+rnd.IntN(5))
	}
}

// RFC 6376 section 3.4.5 has the first; the others are its rules one by one.
func TestFieldCanonical(t *testing.T) {
	for _, c := range []struct{ field, relaxed string }{
		{"A: X\r\n", "a:X"},
		{"B : Y\t\r\n\tZ  \r\n", "b:Y Z"},
		{"B:\r\n \r\n", "b:"},
		{"B: \t \r\n x\r\n \r\n", "b:x"},
		{"Subject:a\r\n\tb\n  c\r\n", "subject:a b c"},
		{"X: a\rb\r\n", "x:a\rb"},
		{"X: a\r\r\n", "x:a\r"},
		{"X: end", "x:end"},
		{"X-Ü: Ü\n", "x-Ü:Ü"},
		{"D\u212aIM: \u212a\n", "d\u212aim:\u212a"}, // the sign of kelvin, whose lower case is k
	} {
		if got := string(relaxed.appendField(nil, []byte(c.field))); got != c.relaxed {
			t.Errorf("%q became %q, want %q", c.field, got, c.relaxed)
		}
		want := strings.TrimSuffix(strings.ReplaceAll(strings.ReplaceAll(c.field, "\r\n", "\n"), "\n", "\r\n"), "\r\n")
		if got := string(simple.appendField(nil, []byte(c.field))); got != want {
			t.Errorf("%q became %q, want %q", c.field, got, want)
		}
	}
}

func TestWithoutB(t *testing.T) {
	for field, want := range map[string]string{
		"ARC-Seal: i=1; b=abc\r\n d; d=x\r\n":  "ARC-Seal: i=1; b=; d=x",
		"ARC-Seal: b = abc ; bh=b=1\r\n":       "ARC-Seal: b =; bh=b=1",
		"ARC-Seal: i=1; bh=abc;\r\n\tb=x \r\n": "ARC-Seal: i=1; bh=abc;\r\n\tb=",
		"ARC-Seal: i=1; B=x\r\n":               "ARC-Seal: i=1; B=x",
		"ARC-Seal:b=":                          "ARC-Seal:b=",
	} {
		raw := []byte(field)
		if got := string(withoutB(raw)); got != want || string(raw) != field {
			t.Errorf("%q became %q, want %q; it itself %q", field, got, want, raw)
		}
	}
}
