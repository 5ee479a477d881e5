package dnsutil

import (
	"context"
	"errors"
	"net"
	"testing"

	"kurir/dnsutil/dnstest"
)

// A TXT record is seen once all name servers of its zone that answer have it, whatever the
// resolver remembers.
func TestPublishedTXT(t *testing.T) {
	const base = "example.test. NS ns1.example.test.\nexample.test. NS ns2.example.test.\nns1.example.test. A 192.0.2.1\nns2.example.test. A 192.0.2.2\n"
	const with = base + "_acme-challenge.mail.example.test. TXT \"token\"\n"
	for _, c := range []struct {
		name       string
		zones      map[string]string // by the address of the name server; none: it is down
		resolver   string
		want, fail bool
	}{
		{"at both", map[string]string{"192.0.2.1": with, "192.0.2.2": with}, base, true, false},
		{"at one", map[string]string{"192.0.2.1": with, "192.0.2.2": base}, with, false, false},
		{"the other is down", map[string]string{"192.0.2.1": with}, base, true, false},
		{"both are down, the resolver has it", nil, with, true, false},
		{"both are down", nil, base, false, false},
		{"another value", map[string]string{"192.0.2.1": base + "_acme-challenge.mail.example.test. TXT \"old\"\n"}, with, false, false},
		{"no zone", nil, "_acme-challenge.mail.example.test. TXT \"token\"\n", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			servers := map[string]string{}
			for at, zone := range c.zones {
				servers[at+":53"] = dnstest.Start(t, zone).Addr()
			}
			own := dnstest.Start(t, c.resolver).Addr()
			r := &Resolver{Servers: []string{own}, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				to, ok := servers[address]
				if address == own {
					to, ok = own, true
				}
				if !ok {
					return nil, errors.New("nobody is there")
				}
				return new(net.Dialer).DialContext(ctx, network, to)
			}}
			if _, err := r.LookupTXT(t.Context(), "_acme-challenge.mail.example.test"); err != nil && !errors.Is(err, ErrNotFound) {
				t.Fatal(err) // and it is remembered
			}
			got, err := r.PublishedTXT(t.Context(), "_acme-challenge.mail.example.test", "token")
			if got != c.want || (err != nil) != c.fail {
				t.Errorf("%t, %v", got, err)
			}
		})
	}
	mute := &Resolver{Servers: []string{"192.0.2.9"}, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("down") }}
	if ok, err := mute.PublishedTXT(t.Context(), "a.test", "x"); ok || err == nil {
		t.Errorf("%t, %v", ok, err)
	}
	if _, err := mute.PublishedTXT(t.Context(), "..", "x"); !errors.Is(err, ErrName) {
		t.Errorf("%v", err)
	}
}
