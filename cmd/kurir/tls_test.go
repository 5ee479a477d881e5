package main

import (
	"bytes"
	"net/netip"
	"testing"

	"kurir/dnsutil"
	"kurir/dnsutil/dnstest"
	"kurir/internal/relay"
)

func TestTLSCommand(t *testing.T) {
	dns := dnstest.Start(t, "null.test. MX 0 .\nhere.test. MX 10 mx.here.test.\nmx.here.test. A 127.0.0.1\n")
	s := newTestSite(t, "[dns]", `servers = ["`+dns.Addr()+`"]`)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"tls"}, exitUsage, "DOMAIN is missing"},
		{[]string{"tls", "no name"}, exitUsage, `"no name" is not a domain name`},
		{[]string{"tls", "none.test"}, exitFailed, "none.test does not exist in the DNS"},
		{[]string{"tls", "null.test"}, exitFailed, "null.test takes no mail"},
		{[]string{"tls", "here.test", "--json"}, exitFailed, "The mail servers of here.test lead back to this server"},
	} {
		code, _, errs := s.do("", c.args...)
		if code != c.code {
			t.Errorf("%q: exit %d: %s", c.args, code, errs)
		}
		contains(t, errs, c.want)
	}
}

// What stands between a domain and its policy is told, but not that there is none.
func TestFetchedSTS(t *testing.T) {
	dns := dnstest.Start(t, `_mta-sts.two.test. TXT "v=STSv1; id=1"
_mta-sts.two.test. TXT "v=STSv1; id=2"
_mta-sts.far.test. TXT "v=STSv1; id=1"
mta-sts.far.test. A 127.0.0.1
_mta-sts.other.test. TXT "hello"`)
	c := newConsole(t)
	r := &dnsutil.Resolver{Servers: []string{dns.Addr()}}
	sts := fetchedSTS{r, &dnsutil.STSFetcher{Resolver: r}, c.env}
	for _, domain := range []string{"two.test", "far.test", "other.test", "none.test"} {
		if p, ok := sts.Policy(t.Context(), domain); ok {
			t.Errorf("%s: %v", domain, p)
		}
	}
	const want = "MTA-STS: _mta-sts.two.test has 2 records of MTA-STS, where one is allowed\n" +
		"MTA-STS: the policy cannot be fetched: mta-sts.far.test: it has only addresses that lead nowhere\n"
	if got := c.err.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What is found, in the words of people and of scripts.
func TestTLSHosts(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.1:25")
	hosts := tlsHosts([]relay.Probed{
		{Peer: relay.Peer{Host: "a.test", Address: at, TLSVersion: "TLS 1.3", TLSCipher: "C", TLSName: "a.test", Policy: "mta-sts enforce"}},
		{Peer: relay.Peer{Host: "b.test", Address: at, TLSVersion: "TLS 1.2", Policy: "opportunistic"}},
		{Peer: relay.Peer{Host: "c.test", Address: at, Policy: "none"}},
		{Peer: relay.Peer{Host: "d.test"}, Reply: relay.Reply{Status: "4.4.3", Text: "It is\nout of order."}},
	})
	c := newConsole(t)
	var out bytes.Buffer
	c.env.stdout = &out
	c.env.printTLS(hosts)
	const want = "a.test 192.0.2.1:25\n  TLS policy  mta-sts enforce\n  connection  TLS 1.3 C, verified as a.test\n" +
		"b.test 192.0.2.1:25\n  TLS policy  opportunistic\n  connection  TLS 1.2, certificate not verified\n" +
		"c.test 192.0.2.1:25\n  TLS policy  none\n  connection  without TLS\n" +
		"d.test\n  problem     4.4.3 It is out of order.\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
