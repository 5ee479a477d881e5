package dnsutil

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const routeZone = `
$TTL 3600
example.net.  MX 10 a.example.net.
example.net.  MX 20 b.example.net.
example.net.  MX 30 c.example.net.
a.example.net. AAAA 2001:db8::a
a.example.net. A 192.0.2.10
b.example.net. A 192.0.2.20
c.example.net. A 192.0.2.30
equal.test.   MX 10 a.example.net.
equal.test.   MX 20 b.example.net.
equal.test.   MX 20 c.example.net.
best.test.    MX 10 a.example.net.
best.test.    MX 10 b.example.net.
local.test.   MX 10 lo.local.test.
lo.local.test. A 127.0.0.1
lo.local.test. AAAA ::1
mixed.test.   MX 10 m.mixed.test.
mixed.test.   MX 20 lo.local.test.
m.mixed.test. A 127.0.0.1
m.mixed.test. A 192.0.2.40
m.mixed.test. A 0.0.0.0
m.mixed.test. A 224.0.0.1
m.mixed.test. AAAA ::
m.mixed.test. AAAA fe80::1
m.mixed.test. AAAA ff02::1
plain.test.   A 192.0.2.10
plainlo.test. A 127.0.0.2
dead.test.    MX 10 nowhere.dead.test.
deads.test.   MX 10 nowhere.deads.test.
deads.test.   MX 20 dry.deads.test.
dry.deads.test. TXT x
partly.test.  MX 10 nowhere.partly.test.
partly.test.  MX 20 a.example.net.
sick.test.    MX 10 sick.example.net.
sickbut.test. MX 10 sick.example.net.
sickbut.test. MX 20 a.example.net.
sickloop.test. MX 10 sick.example.net.
sickloop.test. MX 20 a.example.net.
null.test.    MX 0 .
`

func routeText(r Route) string {
	var all []string
	for _, h := range r.Hosts {
		all = append(all, fmt.Sprintf("%s/%d%v", strings.TrimSuffix(h.Name, ".example.net"), h.Preference, h.Addresses))
	}
	for _, u := range r.Unusable {
		all = append(all, fmt.Sprintf("(%s: %v)", u.Name, u.Err))
	}
	return strings.Join(all, " ")
}

func TestRoute(t *testing.T) {
	r, s := resolver(t, routeZone)
	s.ServFail("sick.example.net")
	name := func(names ...string) Self { return Self{Names: names} }
	at := func(addresses ...string) Self {
		return Self{Is: func(a netip.Addr) bool { return strings.Contains(strings.Join(addresses, " ")+" ", a.String()+" ") }}
	}
	for _, c := range []struct {
		domain string
		self   Self
		want   string
		kind   error // in place of want, with this text
	}{
		{"example.net", Self{}, "a/10[2001:db8::a 192.0.2.10] b/20[192.0.2.20] c/30[192.0.2.30]", nil},
		// RFC 5321 section 5.1: a relay that finds itself among the hosts drops itself and
		// all that are not preferred to it.
		{"example.net", name("c.example.net"), "a/10[2001:db8::a 192.0.2.10] b/20[192.0.2.20]", nil},
		{"example.net", name("x.test", "B.Example.NET."), "a/10[2001:db8::a 192.0.2.10]", nil},
		{"example.net", name("a.example.net"), "the mail servers of example.net lead back to this server", ErrLoop},
		{"example.net", at("192.0.2.30"), "a/10[2001:db8::a 192.0.2.10] b/20[192.0.2.20]", nil},
		{"example.net", at("192.0.2.20", "192.0.2.30"), "a/10[2001:db8::a 192.0.2.10]", nil},
		{"example.net", at("2001:db8::a"), "the mail servers of example.net lead back to this server", ErrLoop},
		{"equal.test", name("b.example.net"), "a/10[2001:db8::a 192.0.2.10]", nil},
		{"equal.test", at("192.0.2.30"), "a/10[2001:db8::a 192.0.2.10]", nil},
		{"best.test", at("192.0.2.20"), "the mail servers of best.test lead back to this server", ErrLoop},
		{"plain.test", Self{}, "plain.test/0[192.0.2.10]", nil},
		{"plain.test", name("plain.test"), "the mail servers of plain.test lead back to this server", ErrLoop},
		{"plain.test", at("192.0.2.10"), "the mail servers of plain.test lead back to this server", ErrLoop},

		{"mixed.test", Self{}, "m.mixed.test/10[192.0.2.40] (lo.local.test: lo.local.test has only addresses that lead nowhere: ::1, 127.0.0.1)", nil},
		{"local.test", Self{}, "the mail server of local.test cannot be reached: lo.local.test has only addresses that lead nowhere: ::1, 127.0.0.1", ErrLoop},
		{"plainlo.test", Self{}, "plainlo.test has only addresses that lead nowhere: 127.0.0.2", ErrLoop},

		{"partly.test", Self{}, "a/20[2001:db8::a 192.0.2.10] (nowhere.partly.test: nowhere.partly.test does not exist in the DNS)", nil},
		{"sickbut.test", Self{}, "a/20[2001:db8::a 192.0.2.10] (sick.example.net: the DNS of sick.example.net is out of order)", nil},
		{"sick.test", Self{}, "the mail servers of sick.test cannot be found just now: the DNS of sick.example.net is out of order", ErrTemporary},
		{"sickloop.test", at("192.0.2.10"), "the mail servers of sickloop.test cannot be found just now: the DNS of sick.example.net is out of order", ErrTemporary},
		{"dead.test", Self{}, "the mail server of dead.test cannot be reached: nowhere.dead.test does not exist in the DNS", ErrNoData},
		{"deads.test", Self{}, "none of the mail servers of deads.test has an address in the DNS: nowhere.deads.test, dry.deads.test", ErrNoData},
		{"null.test", Self{}, "null.test takes no mail: its DNS says so", ErrNullMX},
		{"nowhere.test", Self{}, "nowhere.test does not exist in the DNS", ErrNotFound},
		{"no where", Self{}, `"no where" is not a domain name`, ErrName},
	} {
		route, err := r.Route(t.Context(), c.domain, c.self, Families{})
		switch {
		case c.kind != nil:
			wantErr(t, err, c.kind, c.want)
			if errors.Is(err, ErrNotFound) != (c.kind == ErrNotFound) {
				t.Errorf("%s: %v is said of the domain", c.domain, err)
			}
		case err != nil || routeText(route) != c.want:
			t.Errorf("%s: %s, %v\nwant %s", c.domain, routeText(route), err, c.want)
		}
	}
	route, err := r.Route(t.Context(), "example.net", Self{}, Families{NoIPv4: true})
	if err != nil || len(route.Hosts) != 1 || len(route.Unusable) != 2 {
		t.Errorf("IPv6 only: %s, %v", routeText(route), err)
	}
	_, err = r.Route(t.Context(), "best.test", name("a.example.net"), Families{NoIPv6: true})
	wantErr(t, err, ErrLoop, "")
}

// We are found among more hosts than are used.
func TestRouteSelfFarDown(t *testing.T) {
	var text strings.Builder
	for i := range 40 {
		fmt.Fprintf(&text, "many.test. MX 10 mx%d.many.test.\nmx%d.many.test. A 192.0.2.%d\n", i, i, i+1)
	}
	r, _ := resolver(t, text.String())
	for range 20 {
		_, err := r.Route(t.Context(), "many.test", Self{Names: []string{"mx7.many.test"}}, Families{})
		wantErr(t, err, ErrLoop, "the mail servers of many.test lead back to this server")
	}
	if route, err := r.Route(t.Context(), "many.test", Self{}, Families{}); err != nil || len(route.Hosts) != 20 {
		t.Errorf("%d hosts, %v", len(route.Hosts), err)
	}
}

// Hosts are looked up beside each other: silence of some does not add up.
func TestRouteTogether(t *testing.T) {
	r, s := resolver(t, routeZone)
	s.Delay(500*time.Millisecond, "a.example.net", "b.example.net", "c.example.net")
	start := time.Now()
	if route, err := r.Route(t.Context(), "example.net", Self{}, Families{}); err != nil || len(route.Hosts) != 3 {
		t.Errorf("%s, %v", routeText(route), err)
	}
	if took := time.Since(start); took > 1400*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

func TestRoutable(t *testing.T) {
	for _, s := range []string{"192.0.2.1", "10.0.0.1", "192.168.1.1", "2001:db8::1", "fd00::1", "::ffff:192.0.2.1"} {
		if !Routable(netip.MustParseAddr(s)) {
			t.Errorf("%s should be routable", s)
		}
	}
	for _, s := range []string{"127.0.0.1", "127.8.9.10", "0.0.0.0", "0.1.2.3", "224.0.0.5", "255.255.255.255", "240.0.0.1", "169.254.169.254", "::", "::1", "ff02::1", "fe80::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"} {
		if Routable(netip.MustParseAddr(s)) {
			t.Errorf("%s should not be routable", s)
		}
	}
	if Routable(netip.Addr{}) {
		t.Error("no address at all")
	}
}

func TestSelf(t *testing.T) {
	s := Self{Names: []string{"Mail.Bücher.example."}, Is: func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.1") }}
	if !s.HasName("mail.xn--bcher-kva.example") || s.HasName("mail.example") || (Self{}).HasName("") {
		t.Error("HasName")
	}
	if !s.HasAddress(netip.MustParseAddr("::ffff:192.0.2.1")) || s.HasAddress(netip.MustParseAddr("192.0.2.2")) || (Self{}).HasAddress(netip.MustParseAddr("192.0.2.1")) {
		t.Error("HasAddress")
	}
}
