package relay_test

import (
	"net/netip"
	"strings"
	"testing"

	"kurir/dnsutil"
	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// What the DNS says of a domain decides whether its mail waits or fails.
func TestWhatTheDNSSays(t *testing.T) {
	const zone = `
example.net.    SOA ns. admin. 1 2 3 4 60
null.test.      MX 0 .
bare.test.      A  192.0.2.1
nothing.test.   TXT "no mail here"
alias.test.     CNAME bare.test.
noaddress.test. MX 10 txt.noaddress.test.
txt.noaddress.test. TXT "no address"
gone.test.      MX 10 nowhere.test.
servfail.test.  A 192.0.2.1
silent.test.    A 192.0.2.1
refused.test.   A 192.0.2.1
circle.test.    A 192.0.2.1
out.test.       MX 10 servfail.test.
local.test.     MX 10 mx.local.test.
mx.local.test.  A  127.0.0.1
xn--bcher-kva.test. A 192.0.2.1
`
	for _, c := range []struct{ about, domain, want string }{
		{"NXDOMAIN", "nowhere.test", "failed 5.1.2 nowhere.test does not exist in the DNS."},
		{"RFC 7505 section 4.2: null MX", "null.test", "failed 5.1.10 null.test takes no mail: its DNS says so."},
		{"no MX and no address", "nothing.test", "failed 5.4.4 nothing.test has neither a mail server nor an address in the DNS."},
		{"MX without address", "noaddress.test", "failed 5.4.4 The mail server of noaddress.test cannot be reached: txt.noaddress.test has no address in the DNS."},
		{"MX that does not exist", "gone.test", "failed 5.4.4 The mail server of gone.test cannot be reached: nowhere.test does not exist in the DNS."},
		{"no domain name", "not..a.name", `failed 5.1.2 "not..a.name" is not a domain name.`},
		{"an address without brackets", "192.0.2.1", `failed 5.1.2 "192.0.2.1" is not a domain name.`},
		{"SERVFAIL", "servfail.test", "deferred 4.4.3 The DNS of servfail.test is out of order. whole"},
		{"silence", "silent.test", "deferred 4.4.3 The DNS of silent.test does not answer. whole"},
		{"REFUSED", "refused.test", "deferred 4.4.3 The DNS refuses to answer for refused.test. whole"},
		{"aliases in a circle", "circle.test", "deferred 4.4.3 The DNS of circle.test leads in a circle, from alias to alias. whole"},
		{"MX whose address cannot be looked up", "out.test",
			"deferred 4.4.3 The mail servers of out.test cannot be found just now: the DNS of servfail.test is out of order. whole"},
		{"MX that leads to this machine", "local.test", "failed 5.4.6 The mail server of local.test cannot be reached: mx.local.test has only addresses that lead nowhere: 127.0.0.1."},
		{"RFC 5321 section 5.1: no MX, the domain itself", "bare.test", "bare.test 192.0.2.1: sent 250 2.0.0 ok, taken"},
		{"RFC 5321 section 5.1: an alias", "alias.test", "bare.test 192.0.2.1: sent 250 2.0.0 ok, taken"},
		{"RFC 5891: U-labels", "B\u00fccher.test", "xn--bcher-kva.test 192.0.2.1: sent 250 2.0.0 ok, taken"},
	} {
		t.Run(c.about, func(t *testing.T) {
			g := newRig(t, zone)
			g.dns.ServFail("servfail.test")
			g.dns.Silent("silent.test")
			g.dns.Refused("refused.test")
			g.dns.Loop("circle.test")
			g.peer(nil, "192.0.2.1")
			res := g.send("bob@" + c.domain)
			if got := strings.Join(lines(res), " "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// # RFC 5321 section 5.1: if the host finds itself among the MX hosts, all of its own and
// higher preference values are dropped; none left is an error.
func TestLoops(t *testing.T) {
	const zone = `
backup.test.     MX 10 first.test.
backup.test.     MX 20 kurir.test.
backup.test.     MX 30 third.test.
ours.test.       MX 10 kurir.test.
ours.test.       MX 20 third.test.
hidden.test.     MX 10 other-name.test.
kurir.test.      A 192.0.2.50
other-name.test. A 192.0.2.50
first.test.      A 192.0.2.1
third.test.      A 192.0.2.3`
	ours := netip.MustParseAddr("192.0.2.50")
	self := dnsutil.Self{Names: []string{"kurir.test"}, Is: func(a netip.Addr) bool { return a == ours }}
	for _, c := range []struct{ domain, dials, want string }{
		{"backup.test", "192.0.2.1", "first.test 192.0.2.1: deferred 4.4.1 first.test (192.0.2.1) cannot be reached: it refuses connections. whole"},
		{"ours.test", "", "failed 5.4.6 The mail servers of ours.test lead back to this server."},
		{"hidden.test", "", "failed 5.4.6 The mail servers of hidden.test lead back to this server."},
		{"[192.0.2.50]", "", "failed 5.4.6 [192.0.2.50] is an address of this server, which has no such mailbox."},
	} {
		g := newRig(t, zone)
		g.Self = self
		if got := strings.Join(lines(g.send("bob@"+c.domain)), " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.domain, got, c.want)
		}
		g.wantDials(c.dials)
	}
}

// Hosts that the DNS has, but no use can be made of, are among the tries in vain.
func TestUnusableHosts(t *testing.T) {
	g := newRig(t, `
example.net. MX 10 nowhere.test.
example.net. MX 20 out.test.
example.net. MX 30 mx3.example.net.
out.test.        A 192.0.2.2
mx3.example.net. A 192.0.2.3`)
	g.dns.ServFail("out.test")
	g.peer(nil, "192.0.2.3")
	want(t, g.send("bob@example.net"), "mx3.example.net 192.0.2.3: sent 250 2.0.0 ok, taken",
		"tried nowhere.test: 4.1.2 nowhere.test does not exist in the DNS.",
		"tried out.test: 4.4.3 The DNS of out.test is out of order.")
}

// # RFC 5321 section 4.1.3: an address literal stands for the host itself, without the DNS.
func TestAddressLiterals(t *testing.T) {
	for _, c := range []struct {
		to, dials, want string
		f               dnsutil.Families
	}{
		{to: "[192.0.2.1]", dials: "192.0.2.1", want: "[192.0.2.1] 192.0.2.1: sent 250 2.0.0 ok, taken"},
		{to: "[IPv6:2001:DB8::1]", dials: "[2001:db8::1]", want: "[IPv6:2001:db8::1] 2001:db8::1: sent 250 2.0.0 ok, taken"},
		{to: "[ipv6:2001:db8:0::1]", dials: "[2001:db8::1]", want: "[IPv6:2001:db8::1] 2001:db8::1: sent 250 2.0.0 ok, taken"},
		{to: "[192.0.2.300]", want: "failed 5.1.2 [192.0.2.300] is not an IP address."},
		{to: "[2001:db8::1]", want: "failed 5.1.2 [2001:db8::1] is not an IP address."},
		{to: "[127.0.0.1]", want: "failed 5.4.6 [127.0.0.1] is not an address that mail could be sent to."},
		{to: "[IPv6:::1]", want: "failed 5.4.6 [IPv6:::1] is not an address that mail could be sent to."},
		{to: "[IPv6:::ffff:127.0.0.1]", want: "failed 5.4.6 [127.0.0.1] is not an address that mail could be sent to."},
		{to: "[224.0.0.1]", want: "failed 5.4.6 [224.0.0.1] is not an address that mail could be sent to."},
		{to: "[192.0.2.1]", want: "failed 5.4.4 [192.0.2.1] cannot be reached: this server does not use IPv4.", f: dnsutil.Families{NoIPv4: true}},
		{to: "[IPv6:2001:db8::1]", want: "failed 5.4.4 [IPv6:2001:db8::1] cannot be reached: this server does not use IPv6.", f: dnsutil.Families{NoIPv6: true}},
	} {
		g := newRig(t, "")
		g.Families = c.f
		g.peer(nil, "192.0.2.1", "2001:db8::1")
		want(t, g.send("bob@"+c.to), c.want)
		g.wantDials(c.dials)
		if n := g.dns.Count("", 0); n != 0 {
			t.Errorf("%s: the DNS was asked %d questions", c.to, n)
		}
	}
	g := newRig(t, "")
	want(t, g.send("bob@[192.0.2.9]"), "[192.0.2.9] 192.0.2.9: deferred 4.4.1 192.0.2.9 cannot be reached: it refuses connections.", "whole")
}

// Mail to several domains may be handed to one Send: each goes its own way.
func TestSeveralWays(t *testing.T) {
	g := newRig(t, threeHosts+"\nexample.org. MX 10 mx.example.org.\nmx.example.org. A 192.0.2.7")
	net := g.peer(nil, "192.0.2.1")
	org := g.peer(script(smtptest.Rcpt, smtptest.For("carol", smtptest.Reply("550 5.1.1 who?"))), "192.0.2.7")
	want(t, g.send("bob@example.net", "bob@example.org", "carol@EXAMPLE.net", "bob@nowhere.test", "carol@example.org"),
		"mx1.example.net 192.0.2.1: sent 250 2.0.0 ok, taken",
		"mx.example.org 192.0.2.7: sent 250 2.0.0 ok, taken",
		"mx1.example.net 192.0.2.1: sent 250 2.0.0 ok, taken",
		"failed 5.1.2 nowhere.test does not exist in the DNS.",
		"mx.example.org 192.0.2.7: failed 550 5.1.1 who?")
	if n, o := len(net.Delivered()), len(org.Delivered()); n != 1 || o != 1 {
		t.Errorf("%d and %d messages", n, o)
	}
	if res := g.Send(t.Context(), "example.net", letter("to nobody"), nil, nil); len(res.Outcomes) != 0 || res.Whole {
		t.Errorf("to nobody: %+v", res)
	}
}

// Destination is the name that limits and backoff go by.
func TestDestination(t *testing.T) {
	var r relay.Relay
	for to, want := range map[string]string{
		"bob@Example.NET":                     "example.net",
		"bob@example.net.":                    "example.net",
		"bob@B\u00fccher.example":             "xn--bcher-kva.example",
		"\"a@b\"@example.net":                 "example.net",
		"bob@[192.0.2.1]":                     "[192.0.2.1]",
		"bob@[IPV6:2001:DB8:0:0::1]":          "[IPv6:2001:db8::1]",
		"bob@[IPv6:::ffff:192.0.2.1]":         "[192.0.2.1]",
		"bob@[x]":                             "[x]",
		"bob@Not_A..Name":                     "not_a..name",
		"bob":                                 "",
		"bob@xn--bcher-kva.example":           "xn--bcher-kva.example",
		"b\u00f6b@mail.example.com":           "mail.example.com",
		"bob@\u4f8b\u3048.\u30c6\u30b9\u30c8": "xn--r8jz45g.xn--zckzah",
	} {
		if got := r.Destination("alice@local.test", to); got != want {
			t.Errorf("%q goes to %q, want %q", to, got, want)
		}
	}
}
