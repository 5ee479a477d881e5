package mailauth

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"kurir/dnsutil"
	"kurir/dnsutil/dnstest"
)

// served is a resolver whose answers come from a zone text.
func served(t testing.TB, text string) (*dnsutil.Resolver, *dnstest.Server) {
	t.Helper()
	s := dnstest.Start(t, text)
	return &dnsutil.Resolver{Servers: []string{s.Addr()}, Timeout: 2 * time.Second, Tries: 1, MaxCache: -1}, s
}

func TestCheckIPRev(t *testing.T) {
	text := `
1.2.0.192.in-addr.arpa.  PTR MX.example.org.
mx.example.org.          A   192.0.2.1
mx.example.org.          AAAA 2001:db8::1
2.2.0.192.in-addr.arpa.  PTR liar.example.org.
liar.example.org.        A   192.0.2.99
3.2.0.192.in-addr.arpa.  PTR gone.example.org.
4.2.0.192.in-addr.arpa.  PTR a.liar.example.org.
4.2.0.192.in-addr.arpa.  PTR b.example.org.
b.example.org.           A   192.0.2.4
5.2.0.192.in-addr.arpa.  PTR broken.example.org.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx.example.org.
`
	for i := range 100 {
		text += fmt.Sprintf("9.2.0.192.in-addr.arpa. PTR n%d.example.org.\n", i)
	}
	r, s := served(t, text)
	s.ServFail("broken.example.org", "7.2.0.192.in-addr.arpa")
	for ip, want := range map[string]string{
		"192.0.2.1":        "pass mx.example.org",
		"::ffff:192.0.2.1": "pass mx.example.org",
		"2001:db8::1":      "pass mx.example.org",
		"192.0.2.2":        "fail liar.example.org",
		"192.0.2.3":        "fail gone.example.org",
		"192.0.2.4":        "pass b.example.org",
		"192.0.2.5":        "temperror broken.example.org",
		"192.0.2.6":        "permerror ",
		"192.0.2.7":        "temperror ",
	} {
		got := CheckIPRev(t.Context(), r, netip.MustParseAddr(ip))
		if text := fmt.Sprint(got.Result, " ", got.Name); text != want {
			t.Errorf("%s: %s, want %s", ip, text, want)
		}
	}
	s.ResetCounts()
	if got := CheckIPRev(t.Context(), r, netip.MustParseAddr("192.0.2.9")); got.Result != Fail || s.Count("", 0) > 1+maxNames+1 {
		t.Errorf("100 names: %v, %d questions", got, s.Count("", 0))
	}
}
