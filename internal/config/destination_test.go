package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestDestinations(t *testing.T) {
	c := good(t, name+`[dns]
trusted = "yes"
[relay]
ca_file = "/etc/ssl/partners.pem"
[[destination]]
domain = "Partner.Example.NET."
tls = "verify"
[[destination]]
domain = "*.bücher.example"
tls = "none"
`)
	if got := fmt.Sprint(c.Destinations); got != "[{partner.example.net verify} {*.xn--bcher-kva.example none}]" {
		t.Error(got)
	}
	if c.DNS.Trusted != "yes" || c.Relay.CAFile != "/etc/ssl/partners.pem" || Default().DNS.Trusted != "auto" {
		t.Errorf("%+v, %+v", c.DNS, c.Relay)
	}
	c = good(t, name+"[dns]\ntrusted = 'yes'\nservers = ['10.0.0.53', '[2001:db8::53]:53', '127.0.0.1:5353']\n")
	if w := strings.Join(c.Warnings(), "\n"); strings.Count(w, "dns.trusted is") != 1 || !strings.Contains(w, `but [2001:db8::53]:53 is on the Internet`) {
		t.Error(w)
	}
	_, mistakes := load(t, name+`[dns]
trusted = "maybe"
[[destination]]
domain = "a@b.example"
tls = "must"
[[destination]]
`)
	want := []string{
		`kurir.toml:3:11: dns.trusted: "maybe" is none of ["auto" "yes" "no"]`,
		`kurir.toml:5:10: destination[1].domain: "a@b.example" is an address: write its domain alone, such as "example.net"`,
		`kurir.toml:6:7: destination[1].tls: "must" is none of ["verify" "encrypt" "may" "none"]`,
		`kurir.toml:7:3: destination[2]: domain is missing: whose mail servers it is about`,
		`kurir.toml:7:3: destination[2]: tls is missing: "verify", "encrypt", "may" or "none"`,
	}
	if got := strings.Join(mistakes, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// The first [[destination]] that fits decides, so that one behind it never would.
func TestDestinationTwice(t *testing.T) {
	const head = "hostname = 'mail.example.org'\n"
	entry := func(domain string) string { return "[[destination]]\ndomain = '" + domain + "'\ntls = 'may'\n" }
	good(t, head+entry("a.example.net")+entry("*.example.net")+entry("example.net")+entry("badexample.net"))
	for _, c := range [][3]string{
		{"a.example", "A.example", "a.example"},
		{"*.example.net", "a.example.net", "a.example.net"},
		{"*.example.net", "*.b.example.net", "*.b.example.net"},
		{"*.example.net", "*.example.net", "*.example.net"},
	} {
		_, mistakes := load(t, head+entry(c[0])+entry(c[1]))
		want := "kurir.toml:6:10: destination[2].domain: " + c[2] + " is in destination[1] already, which decides: put this one in front of it, or take it out"
		if len(mistakes) != 1 || mistakes[0] != want {
			t.Errorf("%s, %s: got %q, want %q", c[0], c[1], mistakes, want)
		}
	}
}

// What is not public would be published for nobody.
func TestOwnAddresses(t *testing.T) {
	if c := good(t, name+"dns.addresses = ['192.0.2.25', '2001:db8::25']"); len(c.DNS.Addresses) != 2 {
		t.Errorf("%+v", c.DNS)
	}
	for _, bad := range []string{"10.0.0.1", "127.0.0.1", "::1", "fe80::1%eth0", "mail.example.com", "0.0.0.0", "192.0.2.25:25"} {
		if _, mistakes := load(t, name+"dns.addresses = ['"+bad+"']"); len(mistakes) != 1 || !strings.Contains(mistakes[0], "dns.addresses: ") {
			t.Errorf("%s: %q", bad, mistakes)
		}
	}
}
