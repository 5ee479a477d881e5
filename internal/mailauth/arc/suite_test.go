package arc

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/mailauth"
	"kurir/internal/mailauth/sig"
)

// suiteKey is the record at dummy._domainkey.example.org of the suite.
const suiteKey = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3id" +
	" Y6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lx" +
	" j+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"

// records is a resolver: texts by name, each asked for as often as asked says.
type records struct {
	texts map[string][]string
	temp  map[string]bool // these can't be asked for now
	asked map[string]int
}

func (r *records) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if r.asked == nil {
		r.asked = map[string]int{}
	}
	r.asked[name]++
	if err := ctx.Err(); err != nil {
		return nil, &net.DNSError{Err: err.Error(), Name: name, IsTimeout: true}
	}
	if r.temp[name] {
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	if t, ok := r.texts[name]; ok {
		return t, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func suiteDNS() *records {
	ed := suiteSealer().Key.Public().(ed25519.PublicKey)
	return &records{texts: map[string][]string{
		"dummy._domainkey.example.org": {suiteKey},
		"e._domainkey.example.org":     {"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(ed)},
	}}
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func suiteMessage(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "suite", name+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func verifyText(t testing.TB, r TXTResolver, msg string) Chain {
	t.Helper()
	c, err := Verify(t.Context(), r, strings.NewReader(msg))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSuitePasses(t *testing.T) {
	for name, want := range map[string]struct{ sets, oldest int }{
		"cv_pass_i1_1":              {1, 0},
		"cv_pass_i1_2":              {1, 0},
		"cv_pass_i2_1":              {2, 0},
		"cv_pass_i2_2":              {2, 0},
		"cv_pass_i2_1_ams1_invalid": {2, 2}, // From was changed between the two
	} {
		t.Run(name, func(t *testing.T) {
			text := suiteMessage(t, name)
			for _, msg := range []string{text, crlf(text)} {
				r := suiteDNS()
				c := verifyText(t, r, msg)
				if c.Result != mailauth.Pass || len(c.Sets) != want.sets || c.OldestPass != want.oldest {
					t.Fatalf("%+v", c)
				}
				if n := r.asked["dummy._domainkey.example.org"]; n != 1 {
					t.Errorf("the key was asked for %d times", n)
				}
				for i, s := range c.Sets {
					if s.Instance != i+1 || s.Domain != "example.org" || !strings.HasPrefix(s.Results, "lists.example.org;    spf=pass smtp.mfrom=jqd@d1.example;") {
						t.Errorf("%+v", s)
					}
				}
			}
		})
	}
}

// What relaxed canonicalization lets pass, and what it does not.
func TestSuiteCanonicalization(t *testing.T) {
	for _, v := range []struct {
		name, old, new string
		want           mailauth.Result
	}{
		{"message_body_eol_wsp", "Hey gang,", "Hey gang,  ", mailauth.Pass},
		{"message_body_inl_wsp", "Hey gang,", "Hey \t gang,", mailauth.Pass},
		{"message_body_end_lines", "--J.\n", "--J.\n\n \n\n", mailauth.Pass},
		{"message_body_trail_crlf", "--J.\n", "--J.", mailauth.Pass},
		{"headers_field_name_case", "\nFrom:", "\nFROM:", mailauth.Pass},
		{"headers_field_unfold", "John Q Doe <", "John Q Doe\n  <", mailauth.Pass},
		{"headers_eol_wsp", "MIME-Version: 1.0", "MIME-Version: 1.0   ", mailauth.Pass},
		{"headers_inl_wsp", "14 Jan 2015 15:00:01", "14 Jan   2015   15:00:01", mailauth.Pass},
		{"headers_col_wsp", "\nFrom:", "\nFrom :   ", mailauth.Pass},
		{"a field that nobody signed", "\nMessage-ID: <", "\nMessage-ID: <x", mailauth.Pass},
		{"space where there was none", "Hey gang", "Hey gan g", mailauth.Fail},
		{"no space where there was some", "Hey gang", "Heygang", mailauth.Fail},
		{"a space at the beginning of a line", "Hey gang", " Hey gang", mailauth.Fail},
		{"a line more", "Hey gang,\n", "Hey gang,\n\n", mailauth.Fail},
		{"another subject", "Subject: Example 1", "Subject: Example 2", mailauth.Fail},
		{"another From below", "\n\nHey", "\nFrom: x@example.com\n\nHey", mailauth.Fail},
		{"other results", "lists.example.org;\n    spf=pass", "lists.example.org;\n    spf=fail", mailauth.Fail},
		{"another time of the seal", "s=dummy;\n    t=12345", "s=dummy;\n    t=12346", mailauth.Fail},
	} {
		t.Run(v.name, func(t *testing.T) {
			text := suiteMessage(t, "cv_pass_i1_1")
			changed := strings.Replace(text, v.old, v.new, 1)
			if changed == text {
				t.Fatal("nothing was changed")
			}
			if c := verifyText(t, suiteDNS(), crlf(changed)); c.Result != v.want {
				t.Errorf("%+v", c)
			}
		})
	}
}

// RFC 8617 section 5.2 step 1: without ARC Sets there is nothing to check, nor to ask for.
func TestSuiteNone(t *testing.T) {
	for _, msg := range []string{"", "\n", "Hey gang,\nThis is a test message.\n", "Subject: x\n", "Subject: x\n\nARC-Seal: i=1\n"} {
		r := suiteDNS()
		if c := verifyText(t, r, crlf(msg)); c.Result != mailauth.None || len(c.Sets) != 0 || len(r.asked) != 0 {
			t.Errorf("%q: %+v", msg, c)
		}
	}
}

// RFC 8463 appendix A: the peers do not seal with Ed25519, but a message signature is made
// as one of DKIM is.
func TestEd25519Vector(t *testing.T) {
	const text = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\n" +
		" d=football.example.com; i=@football.example.com;\n" +
		" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\n" +
		" subject : date : message-id : from : subject : date;\n" +
		" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n" +
		" b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\n" +
		" Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\n" +
		"From: Joe SixPack <joe@football.example.com>\n" +
		"To: Suzie Q <suzie@shopping.example.net>\n" +
		"Subject: Is dinner ready?\n" +
		"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\n" +
		"Message-ID: <20030712040037.46341.5F8J@football.example.com>\n\n"
	const body = "Hi.\n\nWe lost the game.  Are you hungry yet?\n\nJoe.\n"
	header := sig.NewHeader([]byte(crlf(text)))
	m := messageSignature{signature: signature{raw: header.Named("dkim-signature")[0].Raw}}
	if err := m.parse(); err != nil || !bytes.Equal(hashOf(m.body, crlf(body)), m.bodyHash) {
		t.Fatalf("%v, %+v", err, m)
	}
	k := keyring{resolver: &records{texts: map[string][]string{
		"brisbane._domainkey.football.example.com": {"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="},
	}}}
	if err := k.verify(t.Context(), &m.signature, messageDigest(header, &m), "changed"); err != nil {
		t.Error(err)
	}
}
