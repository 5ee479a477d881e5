package mailauth

import (
	"strings"
	"testing"
	"time"

	"kurir/dnsutil"
)

func TestAuthorDomain(t *testing.T) {
	for _, c := range []struct{ header, want, words string }{
		{"From: a@example.org", "example.org", ""},
		{"From: \"A, B\" <a@Example.ORG>, c@example.org (nobody@else.test)", "example.org", ""},
		{"Subject: x\r\nfrom :\r\n\ta@example.org\r\n\r\nFrom: body@else.test", "example.org", ""},
		{"From: A: a@example.org, b@example.org;", "example.org", ""},
		{"From: \"x@else.test\" <a@example.org>", "example.org", ""},
		{"From: \"x\\\"@else.test\" <a@example.org>", "example.org", ""},
		{"From: \"a b\"@example.org", "example.org", ""},
		{"From: a@example.org <a@example.org>", "example.org", ""},
		{"From: a@m\u00fcnchen.example", "xn--mnchen-3ya.example", ""},
		{"From: =?utf-8?q?J=C3=B6=40else.test?= <a@example.org>", "example.org", ""},
		{"From: a @ example . org", "", "several domains: example and example.org"},
		{"From: a@(else)example.org", "example.org", ""},

		{"To: a@example.org", "", "there is no From field"},
		{"", "", "there is no From field"},
		{"From: a@example.org\r\nFrom: a@example.org", "", "there are 2 From fields"},
		{"From: a@example.org\r\nFROM : b@else.test", "", "there are 2 From fields"},
		{"From: a@example.org, b@else.test", "", "several domains: example.org and else.test"},
		{"From: A: a@example.org;, B: b@else.test;", "", "several domains"},
		{"From:", "", "the From field has no address"},
		{"From: A:;", "", "the From field has no address"},
		{"From: just a name", "", "an address without a domain"},
		{"From: <>", "", "an address without a domain"},
		{"From: a@", "", "an address without a domain"},
		{"From: a@[192.0.2.1]", "", "an address without a domain"},
		{"From: a@192.0.2.1", "", "an address without a domain"},
		{"From: a@example.org.", "", "an address without a domain"},
		{"From: a@example..org", "", "an address without a domain"},
		{"From: a@\xff\xfe.org", "", "an address without a domain"},
		{"From: a@" + strings.Repeat("x", 64) + ".org", "", "an address without a domain"},
		// What one program takes for a name, another takes for the address.
		{"From: evil@else.test <a@example.org>", "", "several domains: else.test and example.org"},
		{"From: a@example.org <evil@else.test>", "", "several domains"},
		{"From: <evil@else.test> <a@example.org>", "", "several domains"},
		{"From: evil@else.test; a@example.org", "", "several domains"},
		{"From: evil@else.test a@example.org", "", "several domains"},
		{"From: <@else.test:a@example.org>", "", "several domains"},
		{"From: =?utf-8?q?a@example.org?= <evil@else.test>", "", "domain"},
		{"From: \"a@example.org <evil@else.test>", "", "several domains"},
		{"From: (a@example.org <evil@else.test>", "", "several domains"},
		{"From: evil@else.test (comment <a@example.org>", "", "several domains"},
		{"From: a@example.org\x00.else.test", "", "an address without a domain"},
		{"From: a@example.org\x00@else.test", "", "domain"},
		{"From: evil@else.test\\, a@example.org", "", "domain"},
		{"From: evil@else.test \"x <a@example.org>", "", "several domains"},
		{"From: evil@else.test \" <a@example.org> \"", "", "several domains"},
		{"From: evil@else.test ('\")\"<a@example.org>", "", "several domains"},
		{"From: evil@else.test [\" <a@example.org>]", "", "several domains"},
		{"From: evil@else.test <a\\@example.org>", "", "several domains"},
		{"From: evil@else.test <a@(x)example.org>", "", "several domains"},
		{"From: evil@else.test a@ (x) (y)example.org", "", "several domains"},
		{"From: evil@else.test (x (y) <a@example.org>", "", "domain"},
		{"From: \"x\" <a@example.org>, \"y@else.test\" <b@example.org>", "example.org", ""},
	} {
		got, err := AuthorDomain([]byte(c.header))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != c.want || !strings.Contains(text, c.words) || (err == nil) == (c.want == "") {
			t.Errorf("%.80q: %q, %q, want %q, %q", c.header, got, text, c.want, c.words)
		}
	}
}

func FuzzAuthorDomain(f *testing.F) {
	f.Add("a@example.org")
	f.Add("A: \"b\\\"@c\" <@d:e@f>, (g@h) i@j;")
	f.Fuzz(func(t *testing.T, value string) {
		got, err := AuthorDomain([]byte("From: " + value + "\r\n"))
		if err != nil {
			for _, c := range []byte(err.Error()) {
				if c < ' ' || c > '~' {
					t.Fatalf("%q is not fit for a log", err)
				}
			}
			return
		}
		if name, err := dnsutil.Name(got); err != nil || name != got {
			t.Fatalf("%q gives %q", value, got)
		}
	})
}

// A From field as long as a header may be takes a time in proportion to its length.
func TestAuthorDomainHostile(t *testing.T) {
	for _, piece := range []string{"@", "@(", "@()", "(", "\"", `\"`, "((a)", "a@b.test,", "\",", "(@", "<@a:", "\r\n "} {
		begun := time.Now()
		AuthorDomain([]byte("From: " + strings.Repeat(piece, maxHeader/len(piece))))
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%q: %v", piece, took)
		}
	}
}
