package dnsutil

import (
	"errors"
	"testing"

	"github.com/miekg/dns"
)

func TestTrusted(t *testing.T) {
	for _, c := range []struct {
		trust   string
		servers []string
		want    bool
	}{
		{"auto", []string{"127.0.0.1"}, true},
		{"auto", []string{"127.0.0.53", "[::1]:5353"}, true},
		{"auto", []string{"127.0.0.11"}, false}, // it repeats what others say
		{"auto", []string{"127.0.0.1", "192.0.2.53"}, false},
		{"auto", []string{"192.0.2.53"}, false},
		{"auto", []string{"not an address"}, false},
		{"yes", []string{"192.0.2.53"}, true},
		{"no", []string{"127.0.0.1"}, false},
	} {
		trust, err := ParseTrust(c.trust)
		if err != nil || trust.String() != c.trust {
			t.Errorf("%q: %v, %v", c.trust, trust, err)
		}
		if got := (&Resolver{Trust: trust, Servers: c.servers}).Trusted(); got != c.want {
			t.Errorf("%q with %q: %v", c.trust, c.servers, got)
		}
	}
	if _, err := ParseTrust("maybe"); err == nil {
		t.Error(`"maybe" is no trust`)
	}
}

// # RFC 7672 section 2.1.3: only what the AD bit of a trusted resolver stands for counts.
func TestSecure(t *testing.T) {
	const zone = `
signed.test.    MX 10 mx.signed.test.
mx.signed.test. A  192.0.2.1
mixed.test.     MX 10 mx.plain.test.
mx.plain.test.  A  192.0.2.2
bare.test.      A  192.0.2.3
away.test.      CNAME signed.test.`
	r, s := resolver(t, zone)
	s.Authentic("signed.test", "mx.signed.test", "mixed.test", "bare.test", "away.test")
	for _, c := range []struct {
		domain           string
		domains, hosts   bool
		implicit         bool
		name, host, what string
	}{
		{"signed.test", true, true, false, "signed.test", "mx.signed.test", "signed all the way"},
		{"mixed.test", true, false, false, "mixed.test", "mx.plain.test", "a host in a zone that is not signed"},
		{"bare.test", true, true, true, "bare.test", "bare.test", "no MX"},
		{"away.test", true, true, false, "signed.test", "mx.signed.test", "an alias"},
	} {
		route, err := r.Route(t.Context(), c.domain, Self{}, Families{})
		if err != nil {
			t.Fatal(err)
		}
		if h := route.Hosts[0]; route.Secure != c.domains || route.Implicit != c.implicit || route.Name != c.name || h.Secure != c.hosts || h.Name != c.host {
			t.Errorf("%s: %+v", c.what, route)
		}
	}
	r.Trust = TrustNone
	if route, err := r.Route(t.Context(), "signed.test", Self{}, Families{}); err != nil || route.Secure || route.Hosts[0].Secure {
		t.Errorf("nobody is trusted: %+v, %v", route, err)
	}
	if a, err := r.Lookup(t.Context(), "signed.test", dns.TypeMX); err != nil || !a.Authentic || a.Secure {
		t.Errorf("%+v, %v", a, err)
	}
	r.Trust = TrustAll
	if a, err := r.Lookup(t.Context(), "none.signed.test", dns.TypeMX); !errors.Is(err, ErrNotFound) || a.Secure {
		t.Errorf("not signed: %+v, %v", a, err)
	}
}
