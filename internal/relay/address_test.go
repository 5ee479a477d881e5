package relay

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSplit(t *testing.T) {
	for address, want := range map[string][2]string{
		"a@b.test": {"a", "b.test"}, `"x@y"@b.test`: {`"x@y"`, "b.test"}, "postmaster": {"postmaster", ""}, "": {"", ""}, "a@": {"a", ""}, "@b": {"", "b"},
	} {
		if local, domain := split(address); [2]string{local, domain} != want {
			t.Errorf("%q: %q %q", address, local, domain)
		}
	}
}

// # RFC 5321 section 4.1.3: "[192.0.2.1]", and "IPv6:" before addresses of IPv6.
func TestLiterals(t *testing.T) {
	for text, want := range map[string]string{
		"[192.0.2.1]": "192.0.2.1", "[IPv6:2001:db8::1]": "2001:db8::1", "[ipv6:::1]": "::1", "[IPv6:::ffff:192.0.2.1]": "192.0.2.1",
		"192.0.2.1": "", "[]": "", "[": "", "[x]": "", "[IPv6:]": "", "[IPv6:192.0.2.1]": "", "[2001:db8::1]": "", "[IPv6:fe80::1%eth0]": "",
		"[192.0.2.1": "", "[192.0.2.01]": "", "[ 192.0.2.1]": "", "[tag:text]": "",
	} {
		a, ok := parseLiteral(text)
		if ok != (want != "") || ok && a != netip.MustParseAddr(want) {
			t.Errorf("%q: %v %v, want %q", text, a, ok, want)
		}
		if ok {
			if back, ok := parseLiteral(literal(a)); !ok || back != a {
				t.Errorf("%v is printed as %q", a, literal(a))
			}
		}
	}
}

func TestASCIIAddress(t *testing.T) {
	for address, want := range map[string]string{
		"a@b.test": "a@b.test", "a@b\u00fccher.test": "a@xn--bcher-kva.test", "a@B\u00dcCHER.test": "a@xn--bcher-kva.test",
		"\u00e4@b.test": "", "\u00e4@b\u00fccher.test": "", "a@\u00fc..test": "", "": "",
	} {
		got, ok := asciiAddress(address)
		if ok != (want != "" || address == "") || ok && got != want {
			t.Errorf("%q: %q %v, want %q", address, got, ok, want)
		}
	}
}

// # RFC 6533 section 3: in ASCII, utf-8 addresses have \x{…} for other characters.
func TestASCIIORCPT(t *testing.T) {
	for orcpt, want := range map[string]string{
		"":                              "",
		"rfc822;a+2Bb@c.test":           "rfc822;a+2Bb@c.test",
		"utf-8;b\u00f6b@c.test":         `utf-8;b\x{F6}b@c.test`,
		"UTF-8;\u4f8b@\U0001f600.test":  `UTF-8;\x{4F8B}@\x{1F600}.test`,
		"rfc822;b\u00f6b@c.test":        "",
		"x-\u00f6;b":                    "",
		"\u00f6":                        "",
		`utf-8;already\x{F6}@\u00f6.c`:  `utf-8;already\x{F6}@\u00f6.c`,
		"utf-8;already\\x{F6}@\u00f6.c": `utf-8;already\x{F6}@\x{F6}.c`,
	} {
		if got := asciiORCPT(orcpt); got != want {
			t.Errorf("%q: %q, want %q", orcpt, got, want)
		}
	}
}

// Whatever an address is, it goes to some place whose name does not change once it is one,
// and its form in ASCII is ASCII.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"a@b.test", "a@[192.0.2.1]", "a@[IPv6:::1]", "a@B\u00dccher.test.", "\u00e4@x", "@", "a@[IPv6:x]", "a@\xff", "a@xn--a", "utf-8;\u00f6", "@\u04c0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		domain := domainOf(s)
		if utf8.ValidString(s) && domainOf("x@"+domain) != domain && !strings.Contains(domain, "@") {
			t.Errorf("%q goes to %q, which goes to %q", s, domain, domainOf("x@"+domain))
		}
		if a, ok := asciiAddress(s); ok && !isASCII(a) || !ok && a != s {
			t.Errorf("%q: %q %v", s, a, ok)
		}
		if !isASCII(asciiORCPT(s)) {
			t.Errorf("%q: %q", s, asciiORCPT(s))
		}
		if a, ok := parseLiteral(domain); ok && literal(a) != domain {
			t.Errorf("%q: %v", domain, a)
		}
	})
}
