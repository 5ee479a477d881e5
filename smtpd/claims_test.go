package smtpd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestAuthservID(t *testing.T) {
	for _, c := range []struct {
		value, id string
		cut, ok   bool
	}{
		{" mx.local.test; none", "mx.local.test", false, true},
		{"mx.local.test;none", "mx.local.test", false, true},
		{" mx.local.test 1; none", "mx.local.test", false, true},
		{" (a (nested) \\) comment)\tmx.local.test(x); none", "mx.local.test", false, true},
		{` "mx\.local.test"; none`, "mx.local.test", false, true},
		{" mx.local.test", "mx.local.test", false, true},
		{" mx.local.test", "mx.local.test", true, false}, // more of the name may follow
		{" mx.local.test ", "mx.local.test", true, true},
		{" (never ends mx.local.test; none", "", false, false},
		{` "never ends`, "", false, false},
		{` mx"x"; none`, "mx", false, false},
		{` "mx".local.test; none`, "", false, false},
		{` mx(x).local.test; none`, "", false, false},
		{` mx.local.test(x)(y)`, "mx.local.test", false, true},
		{` mx.local.test(x)`, "", true, false},
		{` mx(never ends`, "", false, false},
		{` =?us-ascii?q?mx=2Elocal.test?=; none`, "", false, false},
		{" ; none", "", false, false},
		{"", "", false, false},
	} {
		if id, _, ok := authservID(c.value, c.cut); ok != c.ok || ok && id != c.id {
			t.Errorf("%q: %q %t, want %q %t", c.value, id, ok, c.id, c.ok)
		}
	}
}

// RFC 8601 section 5: "an MTA MUST remove such a header field" ("bearing a version
// (express or implied) that it does not support") "if the [SMTP] connection relaying the
// message is not from a trusted internal MTA".
func TestVersionOfResults(t *testing.T) {
	for rest, one := range map[string]bool{
		"; none": true, "": true, " ": true, " 1; none": true, "\r\n\t(2) 1 (x); none": true, " 01; none": true, " x; none": true,
		" 2; none": false, " 10; none": false, "\t0; none": false, "(1) 2": false, " (never ends": false,
	} {
		if got := isVersion1(rest, false); got != one {
			t.Errorf("%q: %t, want %t", rest, got, one)
		}
	}
	for _, rest := range []string{" 1", "  "} { // 12 may have been cut
		if isVersion1(rest, true) {
			t.Errorf("%q was cut, and is taken for version 1", rest)
		}
	}
	if !isVersion1(" ; spf=pass", true) {
		t.Error("what follows the version does not matter")
	}
}

func TestSameHost(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"MX.Local.Test", "mx.local.test", true},
		{"mx.local.test.", "mx.local.test", true},
		{"bücher.example", "xn--bcher-kva.example", true},
		{"local.test", "mx.local.test", false},
		{"mx.local.test.example", "mx.local.test", false},
		{"", "mx.local.test", false},
	} {
		if got := sameHost(c.a, c.b); got != c.same {
			t.Errorf("%q and %q: %t", c.a, c.b, got)
		}
	}
}

// claimed is what of a message is renamed when it comes in pieces of n octets.
func claimed(t *testing.T, text string, n int) (*scanner, *fakeStaged) {
	t.Helper()
	m := &fakeStaged{s: &fakeStore{}}
	h := &scanner{to: m, claims: claims{hostname: "mx.local.test"}}
	for p := []byte(text); len(p) > 0; p = p[min(n, len(p)):] {
		if err := h.write(p[:min(n, len(p))]); err != nil {
			t.Fatal(err)
		}
	}
	return h, m
}

func TestClaimsAreRenamed(t *testing.T) {
	blanks := strings.Repeat(" ", 600)
	// ~ stands where the name is to change.
	for _, text := range []string{
		"~Authentication-Results: mx.local.test; dmarc=pass\r\nSubject: x\r\n\r\nX-Kurir-Reason: body\r\n",
		"Subject: x\r\n~authentication-RESULTS :\r\n\tMX.Local.Test;\r\n dmarc=pass\r\n~X-Kurir-Reason: accept\r\n\r\n",
		"Authentication-Results: other.example; dmarc=pass\r\nX-Kurir-Reasons: x\r\n\r\n",
		"Authentication-Results: other.example; dmarc=pass (mx.local.test)\r\n\r\n",
		"~Authentication-Results: (;" + strings.Repeat("x", 500) + "\r\n " + strings.Repeat("x", 600) + "\r\n\r\n",
		"~Authentication-Results: \r\n" + blanks + "\r\n" + blanks + "\r\n mx.local.test; none\r\n\r\n",
		"~Authentication-Results" + blanks + ": mx.local.test; none\r\n\r\n",
		"~Authentication-Results: " + blanks + "mx.local.test; dmarc=pass\r\n other.example; none\r\n\r\n",
		"~Authentication-Results: other.example 2; dmarc=pass\r\nAuthentication-Results: other.example 1; none\r\n\r\n",
		"~X-Kurir-Reason: lone LF\n~X-Kurir-Reason: x\n\nX-Kurir-Reason: body\n",
		"~X-Kurir-Reason: no end",
		"~Authentication-Results: mx.local.test",
		" X-Kurir-Reason: continues nothing\r\n\r\n",
	} {
		want := strings.ReplaceAll(text, "~", renamed)
		for _, n := range []int{1, 7, 1 << 20} {
			h, m := claimed(t, strings.ReplaceAll(text, "~", ""), n)
			if err := h.finish(); err != nil {
				t.Fatal(err)
			}
			if m.Prepend(nil); m.String() != want {
				t.Errorf("in pieces of %d: %q, want %q", n, m.String(), want)
			}
		}
	}
}

// A header of nothing but claims costs little memory, and is refused.
func TestManyClaims(t *testing.T) {
	for n, want := range map[int]error{maxClaims: nil, maxClaims + 1: replyTooManyClaims, 100_000: replyTooManyClaims} {
		h, _ := claimed(t, strings.Repeat("X-Kurir-Reason: x\r\n", n)+"\r\n", 1<<20)
		err := h.finish()
		if err != want {
			t.Errorf("%d fields: %v, want %v", n, err, want)
		}
		if len(h.claims.found) > maxClaims {
			t.Errorf("%d places are remembered", len(h.claims.found))
		}
	}
}

func FuzzClaims(f *testing.F) {
	f.Add("Authentication-Results: mx.local.test; dmarc=pass\r\n\r\n", 3)
	f.Add("A: b\r\nX-Kurir-Reason: x", 1)
	f.Add("Authentication-Results: (\r\n \"mx.local.test\"\n\n", 2)
	f.Fuzz(func(t *testing.T, text string, n int) {
		n = max(1, min(n, 1000))
		a, _ := claimed(t, text, n)
		b, _ := claimed(t, text, len(text)+1)
		aerr, berr := a.finish(), b.finish()
		if aerr != berr || !slices.Equal(a.claims.found, b.claims.found) {
			t.Fatalf("pieces of %d: %v %v, whole: %v %v", n, a.claims.found, aerr, b.claims.found, berr)
		}
		for _, at := range a.claims.found {
			if at > 0 && text[at-1] != '\n' {
				t.Fatal(fmt.Sprint(at, " is no beginning of a line"))
			}
		}
	})
}
