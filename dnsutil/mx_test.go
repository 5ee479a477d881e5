package dnsutil

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const mxZone = `
$TTL 3600
example.net.        MX 20 second.example.net.
example.net.        MX 10 First.Example.NET.
example.net.        MX 30 third.example.net.
example.net.        MX 25 first.example.net.
alias.test.         CNAME example.net.
null.test.          MX 0 .
nullandmore.test.   MX 0 .
nullandmore.test.   MX 10 mx.example.net.
plain.test.         A 192.0.2.1
plain6.test.        AAAA 2001:db8::1
plainalias.test.    CNAME plain.test.
oddalias.test.      CNAME a/b.test.
a/b.test.           A 192.0.2.1
dry.test.           TXT nothing
dryalias.test.      CNAME dry.test.
deadalias.test.     CNAME nowhere.test.
address.test.       MX 10 192.0.2.1.
address.test.       MX 20 mx.example.net.
onlyaddress.test.   MX 10 192.0.2.1.
odd.test.           MX 10 a\032b.test.
odd.test.           MX 10 *.odd.test.
odd.test.           MX 10 \000\255.odd.test.
odd.test.           MX 10 a@b.odd.test.
xn--bcher-kva.test. MX 10 _mx.xn--bcher-kva.test.
`

func names(hosts []Host) string {
	var all []string
	for _, h := range hosts {
		all = append(all, fmt.Sprintf("%s/%d", h.Name, h.Preference))
		if h.Implicit {
			all[len(all)-1] += "/implicit"
		}
	}
	return strings.Join(all, " ")
}

// RFC 5321 section 5.1 and RFC 7505.
func TestMX(t *testing.T) {
	r, _ := resolver(t, mxZone)
	for _, c := range []struct{ domain, want string }{
		{"example.net", "first.example.net/10 second.example.net/20 third.example.net/30"},
		{"EXAMPLE.net.", "first.example.net/10 second.example.net/20 third.example.net/30"},
		// "If a CNAME record is found, the resulting name is processed as if it were the
		// initial name."
		{"alias.test", "first.example.net/10 second.example.net/20 third.example.net/30"},
		// "If an empty list of MXs is returned, the address is treated as if it was
		// associated with an implicit MX RR, with a preference of 0, pointing to that host."
		{"plain.test", "plain.test/0/implicit"},
		{"plain6.test", "plain6.test/0/implicit"},
		{"plainalias.test", "plain.test/0/implicit"},
		{"oddalias.test", "oddalias.test/0/implicit"},
		{"nullandmore.test", "mx.example.net/10"},
		{"address.test", "mx.example.net/20"},
		{"bücher.test", "_mx.xn--bcher-kva.test/10"},
	} {
		if hosts, err := r.MX(t.Context(), c.domain); err != nil || names(hosts) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.domain, names(hosts), err, c.want)
		}
	}
	for _, c := range []struct {
		domain string
		kind   error
		text   string
	}{
		// RFC 7505 section 3: a null MX is "no service".
		{"null.test", ErrNullMX, "null.test takes no mail: its DNS says so"},
		// RFC 5321 section 5.1: "If a non-existent domain error is returned, this situation
		// MUST be reported as an error."
		{"nowhere.test", ErrNotFound, "nowhere.test does not exist in the DNS"},
		{"deadalias.test", ErrNotFound, "deadalias.test does not exist in the DNS"},
		{"dry.test", ErrNoData, "dry.test has neither a mail server nor an address in the DNS"},
		{"dryalias.test", ErrNoData, "dryalias.test has neither a mail server nor an address in the DNS"},
		{"onlyaddress.test", ErrNoData, `the MX records of onlyaddress.test name no host: "192.0.2.1"`},
		{"odd.test", ErrNoData, ""},
		{"192.0.2.1", ErrName, `"192.0.2.1" is not a domain name`},
		{"", ErrName, `"" is not a domain name`},
	} {
		hosts, err := r.MX(t.Context(), c.domain)
		wantErr(t, err, c.kind, c.text)
		if len(hosts) > 0 || !isASCII(err.Error()) {
			t.Errorf("%s: %v, %q", c.domain, hosts, err)
		}
	}
}

// "If a temporary error is returned, the message MUST be queued and retried later."
func TestMXTemporary(t *testing.T) {
	r, s := resolver(t, mxZone)
	s.ServFail("example.net", "nowhere.test")
	for _, domain := range []string{"example.net", "alias.test", "nowhere.test"} {
		_, err := r.MX(t.Context(), domain)
		if domain == "alias.test" { // the server follows the alias by itself
			if err != nil {
				t.Error(err)
			}
			continue
		}
		wantErr(t, err, ErrTemporary, "the DNS of "+domain+" is out of order")
	}
	// No MX record; the addresses are not to be had.
	r.Dial = fake(func(_, _ string, q *dns.Msg) [][]byte {
		if q.Question[0].Qtype == dns.TypeMX {
			return [][]byte{packed(t, reply(q, 0))}
		}
		return [][]byte{packed(t, reply(q, dns.RcodeServerFailure))}
	}).Dial
	_, err := r.MX(t.Context(), "half.test")
	wantErr(t, err, ErrTemporary, "the DNS of half.test is out of order")
}

// Equal preferences in any order; at most 20 hosts, the preferred ones.
func TestMXShuffle(t *testing.T) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "many.test. MX %d mx%02d.many.test.\n", i/10, i)
	}
	r, _ := resolver(t, text.String())
	orders := map[string]bool{}
	first := map[string]int{}
	for range 200 {
		hosts, err := r.MX(t.Context(), "many.test")
		if err != nil || len(hosts) != 20 || hosts[9].Preference != 0 || hosts[10].Preference != 1 || hosts[19].Preference != 1 {
			t.Fatal(hosts, err)
		}
		orders[names(hosts)] = true
		first[hosts[0].Name]++
	}
	if len(orders) < 190 || len(first) != 10 {
		t.Errorf("%d orders, first ones %v", len(orders), first)
	}
}

func TestAddresses(t *testing.T) {
	r, s := resolver(t, `
both.test.  A 192.0.2.1
both.test.  A 192.0.2.2
both.test.  AAAA 2001:db8::1
both.test.  AAAA 2001:db8::2
four.test.  A 192.0.2.4
six.test.   AAAA 2001:db8::6
alias.test. CNAME both.test.
dry.test.   TXT x
mapped.test. AAAA ::ffff:192.0.2.1
slow4.test. AAAA 2001:db8::1
slow4.test. A 192.0.2.1
`)
	for _, c := range []struct {
		host string
		f    Families
		want string
		kind error
		text string
	}{
		{host: "both.test", want: "2001:db8::1 2001:db8::2 192.0.2.1 192.0.2.2"},
		{host: "Alias.test.", want: "2001:db8::1 2001:db8::2 192.0.2.1 192.0.2.2"},
		{host: "both.test", f: Families{NoIPv6: true}, want: "192.0.2.1 192.0.2.2"},
		{host: "both.test", f: Families{NoIPv4: true}, want: "2001:db8::1 2001:db8::2"},
		{host: "four.test", want: "192.0.2.4"},
		{host: "six.test", want: "2001:db8::6"},
		{host: "192.0.2.9", want: "192.0.2.9"},
		{host: "::ffff:192.0.2.9", want: "192.0.2.9"},
		{host: "2001:db8::9", want: "2001:db8::9"},
		{host: "four.test", f: Families{NoIPv4: true}, kind: ErrNoData, text: "four.test has no IPv6 address, and IPv4 is switched off"},
		{host: "six.test", f: Families{NoIPv6: true}, kind: ErrNoData, text: "six.test has no IPv4 address, and IPv6 is switched off"},
		{host: "192.0.2.9", f: Families{NoIPv4: true}, kind: ErrNoData, text: "192.0.2.9 has no IPv6 address, and IPv4 is switched off"},
		{host: "both.test", f: Families{NoIPv4: true, NoIPv6: true}, kind: ErrNoData, text: "both.test cannot be reached: IPv4 and IPv6 are both switched off"},
		{host: "dry.test", kind: ErrNoData, text: "dry.test has no address in the DNS"},
		{host: "mapped.test", kind: ErrNoData, text: "mapped.test has no address in the DNS"},
		{host: "nowhere.test", kind: ErrNotFound, text: "nowhere.test does not exist in the DNS"},
		{host: "no where", kind: ErrName},
	} {
		all, err := r.Addresses(t.Context(), c.host, c.f)
		if c.kind != nil {
			wantErr(t, err, c.kind, c.text)
			continue
		}
		i := slices.IndexFunc(all, netip.Addr.Is4)
		if i < 0 {
			i = len(all)
		}
		if slices.ContainsFunc(all[i:], netip.Addr.Is6) {
			t.Errorf("%s: IPv6 comes first: %v", c.host, all)
		}
		slices.SortFunc(all[:i], netip.Addr.Compare)
		slices.SortFunc(all[i:], netip.Addr.Compare)
		if got := strings.Trim(fmt.Sprint(all), "[]"); err != nil || got != c.want {
			t.Errorf("%s %+v: %s, %v; want %s", c.host, c.f, got, err, c.want)
		}
	}
	if n := s.Count("four.test", dns.TypeAAAA); n != 1 {
		t.Errorf("%d questions", n)
	}
}

// One kind fails, the other is there.
func TestAddressesHalf(t *testing.T) {
	answer := map[uint16]string{}
	r := &Resolver{Servers: []string{"192.0.2.53"}, MaxCache: -1, Tries: 1, Timeout: time.Second, Dial: fake(func(_, _ string, q *dns.Msg) [][]byte {
		switch text := answer[q.Question[0].Qtype]; text {
		case "fail":
			return [][]byte{packed(t, reply(q, dns.RcodeServerFailure))}
		case "none":
			return [][]byte{packed(t, reply(q, 0))}
		case "name":
			return [][]byte{packed(t, reply(q, dns.RcodeNameError))}
		default:
			return [][]byte{packed(t, reply(q, 0, "a.test. "+text))}
		}
	}).Dial}
	for _, c := range []struct {
		four, six, want string
		kind            error
	}{
		{"A 192.0.2.1", "fail", "[192.0.2.1]", nil},
		{"fail", "AAAA 2001:db8::1", "[2001:db8::1]", nil},
		{"none", "fail", "", ErrTemporary},
		{"fail", "none", "", ErrTemporary},
		{"none", "none", "", ErrNoData},
		{"name", "fail", "", ErrNotFound},
		{"name", "name", "", ErrNotFound},
		{"fail", "fail", "", ErrTemporary},
	} {
		answer = map[uint16]string{dns.TypeA: c.four, dns.TypeAAAA: c.six}
		all, err := r.Addresses(t.Context(), "a.test", Families{})
		if c.kind != nil {
			wantErr(t, err, c.kind, "")
		} else if err != nil || fmt.Sprint(all) != c.want {
			t.Errorf("%+v: %v, %v", c, all, err)
		}
	}
}

// At most 20 addresses, and never all of one kind.
func TestAddressesMany(t *testing.T) {
	for _, c := range [][4]int{{100, 100, 10, 10}, {100, 0, 20, 0}, {0, 100, 0, 20}, {100, 3, 17, 3}, {3, 100, 3, 17}, {5, 5, 5, 5}} {
		var text strings.Builder
		for i := range c[0] {
			fmt.Fprintf(&text, "many.test. AAAA 2001:db8::%x\nmany.test. AAAA 2001:db8::%x\n", i, i)
		}
		for i := range c[1] {
			fmt.Fprintf(&text, "many.test. A 192.0.2.%d\n", i)
		}
		r, _ := resolver(t, text.String())
		all, err := r.Addresses(t.Context(), "many.test", Families{})
		six := 0
		for _, a := range all {
			if a.Is6() {
				six++
			}
		}
		if err != nil || six != c[2] || len(all)-six != c[3] {
			t.Errorf("%v: %d of IPv6, %d of IPv4, %v", c, six, len(all)-six, err)
		}
	}
}
