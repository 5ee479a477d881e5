package dnsutil

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

const lookupZone = `
example.net.        TXT "v=spf1 " "-all"
example.net.        TXT "quote \" back \\ semicolon \; octet \200"
example.net.        MX 20 b.example.net.
example.net.        MX 10 a.example.net.
null.example.net.   MX 0 .
a.example.net.      A 192.0.2.1
a.example.net.      AAAA 2001:db8::1
four.example.net.   A 192.0.2.4
alias.example.net.  CNAME four.example.net.
odd\@l=x.example.net. TXT "odd"
odd\@l=x.example.net. A 192.0.2.5
1.2.0.192.in-addr.arpa. PTR a.example.net.
1.2.0.192.in-addr.arpa. PTR not\032a\032host.example.net.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR a.example.net.
mapped.example.net. AAAA ::ffff:192.0.2.1
`

func TestLookupTXT(t *testing.T) {
	r, _ := resolver(t, lookupZone)
	for name, want := range map[string][]string{
		"example.net":         {"quote \" back \\ semicolon ; octet \xc8", "v=spf1 -all"},
		"EXAMPLE.net.":        {"quote \" back \\ semicolon ; octet \xc8", "v=spf1 -all"},
		"odd@L=x.example.net": {"odd"},
	} {
		got, err := r.LookupTXT(t.Context(), name)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("LookupTXT(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestLookupMX(t *testing.T) {
	r, _ := resolver(t, lookupZone)
	for name, want := range map[string]string{
		"example.net":      "10 a.example.net. 20 b.example.net. ",
		"null.example.net": "0 . ",
	} {
		got, err := r.LookupMX(t.Context(), name)
		text := ""
		for _, mx := range got {
			text += fmt.Sprint(mx.Pref, " ", mx.Host, " ")
		}
		if err != nil || text != want {
			t.Errorf("LookupMX(%q) = %q, %v, want %q", name, text, err, want)
		}
	}
}

func TestLookupAddresses(t *testing.T) {
	r, s := resolver(t, lookupZone)
	for _, c := range []struct{ network, host, want string }{
		{"ip", "a.example.net", "[2001:db8::1 192.0.2.1]"},
		{"ip4", "a.example.net.", "[192.0.2.1]"},
		{"ip6", "a.example.net", "[2001:db8::1]"},
		{"ip", "alias.example.net", "[192.0.2.4]"},
		{"ip4", "odd@l=x.example.net", "[192.0.2.5]"},
	} {
		got, err := r.LookupNetIP(t.Context(), c.network, c.host)
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("LookupNetIP(%s, %s) = %v, %v, want %s", c.network, c.host, got, err, c.want)
		}
	}
	if n := s.Count("odd@l=x.example.net", dns.TypeAAAA); n != 0 {
		t.Errorf("%d questions for AAAA, but IPv4 was asked for", n)
	}
	if got, err := r.LookupIPAddr(t.Context(), "a.example.net"); err != nil || fmt.Sprint(got) != "[{2001:db8::1 } {192.0.2.1 }]" {
		t.Errorf("LookupIPAddr = %v, %v", got, err)
	}
	if _, err := r.LookupNetIP(t.Context(), "tcp", "a.example.net"); err == nil {
		t.Error("a network that is none is asked for")
	}
}

func TestLookupAddr(t *testing.T) {
	r, _ := resolver(t, lookupZone)
	for _, addr := range []string{"192.0.2.1", "2001:db8::1"} {
		got, err := r.LookupAddr(t.Context(), addr)
		if err != nil || !slices.Equal(got, []string{"a.example.net."}) {
			t.Errorf("LookupAddr(%s) = %q, %v", addr, got, err)
		}
	}
}

// A missing name and a name without such records are "not found"; what was not learnt is
// temporary; nothing is both.
func TestLookupErrors(t *testing.T) {
	r, s := resolver(t, lookupZone)
	s.ServFail("broken.example.net")
	s.Loop("loop.example.net")
	s.Rcode(dns.RcodeServerFailure, "half.example.net")
	type look = func(name string) error
	txt := func(name string) error { _, err := r.LookupTXT(t.Context(), name); return err }
	mx := func(name string) error { _, err := r.LookupMX(t.Context(), name); return err }
	ip := func(name string) error { _, err := r.LookupIPAddr(t.Context(), name); return err }
	addr := func(name string) error { _, err := r.LookupAddr(t.Context(), name); return err }
	for _, c := range []struct {
		what     string
		look     look
		name     string
		notFound bool
	}{
		{"no name", txt, "missing.example.net", true},
		{"no record", txt, "a.example.net", true},
		{"no record", mx, "a.example.net", true},
		{"no address", ip, "example.net", true},
		{"IPv4 in the clothes of IPv6", ip, "mapped.example.net", true},
		{"no reverse name", addr, "192.0.2.99", true},
		{"no address to reverse", addr, "a.example.net", true},
		{"empty", txt, "", true},
		{"root", txt, ".", true},
		{"empty label", ip, "a..example.net", true},
		{"long label", ip, strings.Repeat("a", 64) + ".example.net", true},
		{"long name", ip, strings.Repeat("a.", 130) + "net", true},
		{"an address is no name", ip, "192.0.2.1", true},
		{"odd octets", txt, "\xff\xfe.example.net", true},
		{"failing", txt, "broken.example.net", false},
		{"failing", mx, "broken.example.net", false},
		{"failing", ip, "half.example.net", false},
		{"circle", txt, "loop.example.net", false},
	} {
		err := c.look(c.name)
		var e *net.DNSError
		if !errors.As(err, &e) {
			t.Errorf("%s %q: %v is no DNSError", c.what, c.name, err)
			continue
		}
		var ours *Error
		if e.IsNotFound != c.notFound || e.IsTemporary == c.notFound || !errors.As(err, &ours) {
			t.Errorf("%s %q: %#v", c.what, c.name, e)
		}
	}
}

func TestLookupGivesUp(t *testing.T) {
	r, s := resolver(t, lookupZone)
	s.Silent("silent.example.net")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.LookupNetIP(ctx, "ip", "silent.example.net")
	var e *net.DNSError
	if !errors.As(err, &e) || !e.IsTemporary || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// One kind of address that fails makes the answer to "ip" temporary, and leaves the other.
func TestLookupHalf(t *testing.T) {
	r := &Resolver{Servers: []string{"192.0.2.53"}, Dial: fake(func(_, _ string, q *dns.Msg) [][]byte {
		if q.Question[0].Qtype == dns.TypeAAAA {
			return [][]byte{packed(t, reply(q, dns.RcodeServerFailure))}
		}
		return [][]byte{packed(t, reply(q, dns.RcodeSuccess, "half.test. 60 A 192.0.2.1"))}
	}).Dial}
	if got, err := r.LookupNetIP(t.Context(), "ip4", "half.test"); err != nil || !slices.Equal(got, []netip.Addr{netip.MustParseAddr("192.0.2.1")}) {
		t.Errorf("ip4: %v, %v", got, err)
	}
	_, err := r.LookupIPAddr(t.Context(), "half.test")
	var e *net.DNSError
	if !errors.As(err, &e) || !e.IsTemporary {
		t.Errorf("ip: %v", err)
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		``: "", `a`: "a", `\"`: `"`, `\\`: `\`, `\;`: ";", `\000\255`: "\x00\xff", `\`: `\`, `\1`: "1", `\12`: "12", `a\065b`: "aAb",
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%s) = %q, want %q", in, got, want)
		}
	}
}

// Whatever a macro makes of a name, it is none, or one that fits the DNS and comes back
// from it as it is.
func FuzzOddName(f *testing.F) {
	f.Add("a@b=c.example.org.")
	f.Add("\\065 (x).\"y\";.example")
	f.Add("1.2.3.4")
	f.Fuzz(func(t *testing.T, name string) {
		odd, ok := oddName(name)
		if !ok {
			return
		}
		wire := make([]byte, 300)
		n, err := dns.PackDomainName(dns.Fqdn(odd), wire, 0, nil, false)
		if err != nil {
			t.Fatalf("%q as %q: %v", name, odd, err)
		}
		again, _, err := dns.UnpackDomainName(wire[:n], 0)
		if err != nil || bare(again) != odd || n > 255 {
			t.Fatalf("%q as %q comes back as %q, %v", name, odd, again, err)
		}
	})
}
