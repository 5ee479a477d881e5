package setup

import (
	"strings"
	"testing"
)

func TestParseDomain(t *testing.T) {
	for typed, want := range map[string]string{
		"example.org": "example.org", " Example.ORG. ": "example.org", "@example.org": "example.org",
		"https://www.example.org/": "example.org", "www.org": "www.org", "bücher.example": "xn--bcher-kva.example",
		"xn--bcher-kva.example": "xn--bcher-kva.example", "a.b.example.co.uk": "a.b.example.co.uk",
	} {
		if got, err := ParseDomain(typed); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", typed, got, err, want)
		}
	}
	for typed, want := range map[string]string{
		"": "missing", "  ": "missing", "you@example.org": "mail address", "example": "no dot", "192.0.2.1": "no domain name",
		"exa mple.org": "no domain name", "_dmarc.example.org": `the part "_dmarc"`, "-a.example.org": `the part "-a"`, "a..org": "no domain name",
		strings.Repeat("a", 64) + ".org": "no domain name",
	} {
		if got, err := ParseDomain(typed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
}

func TestParseHostname(t *testing.T) {
	for typed, want := range map[string]string{
		"": "mail.example.org", "mx": "mx.example.org", "MX1.Example.Org": "mx1.example.org", "post.example.net.": "post.example.net", "example.org": "example.org",
	} {
		if got, err := ParseHostname(typed, "example.org"); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", typed, got, err, want)
		}
	}
	for _, typed := range []string{"192.0.2.1", "a_b.example.org", "box.local", "localhost.localdomain", "a b"} {
		if got, err := ParseHostname(typed, "example.org"); err == nil {
			t.Errorf("%q: %q", typed, got)
		}
	}
}

func TestParseAccount(t *testing.T) {
	for typed, want := range map[string]string{
		"": "admin@example.org", "Anna": "anna@example.org", "Anna.B@EXAMPLE.org": "anna.b@example.org",
	} {
		if got, err := ParseAccount(typed, "example.org"); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", typed, got, err, want)
		}
	}
	for _, typed := range []string{"a@example.net", "a b", "@", "a@", "@example.org", "ann@sub.example.org"} {
		if got, err := ParseAccount(typed, "example.org"); err == nil {
			t.Errorf("%q: %q", typed, got)
		}
	}
}

func TestCheckElsewhere(t *testing.T) {
	for typed, good := range map[string]bool{"": true, "me@example.net": true, "me@example.org": false, "me": false, "@example.net": false} {
		if err := CheckElsewhere(typed, "example.org"); (err == nil) != good {
			t.Errorf("%q: %v", typed, err)
		}
	}
}
