package dnsutil

import (
	"testing"

	"github.com/miekg/dns"

	"kurir/dnsutil/dnstest"
)

// Use puts other servers in the place of those before, and forgets what these have said.
func TestUse(t *testing.T) {
	one := dnstest.Start(t, `a.test. 300 TXT "one"`)
	other := dnstest.Start(t, `a.test. 300 TXT "other"`)
	r := &Resolver{Servers: []string{one.Addr()}, Trust: TrustNone}
	says := func(want string) {
		t.Helper()
		a, err := r.Lookup(t.Context(), "a.test", dns.TypeTXT)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Records[0].(*dns.TXT).Txt[0]; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	says("one")
	if r.Trusted() {
		t.Error("trusted")
	}
	list := []string{other.Addr()}
	r.Use(list, TrustAll)
	list[0] = "changed later"
	says("other")
	if !r.Trusted() {
		t.Error("not trusted")
	}
	r.Use([]string{one.Addr()}, TrustNone)
	says("one")
}
