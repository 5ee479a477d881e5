package gate

import (
	"net/netip"
	"testing"
)

func TestCallers(t *testing.T) {
	c, err := newCallers(
		[]string{"192.0.2.0/28", "2001:db8:1::/48", "good.example", ".family.example", "Boss@bad.example", "bücher.example"},
		[]string{"192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "bad.example", "black.sheep.family.example", "spam@good.example"},
	)
	if err != nil {
		t.Fatal(err)
	}
	for ip, want := range map[string]standing{
		"192.0.2.1": allowed, "192.0.2.7": blocked, "192.0.2.16": blocked, "192.0.3.1": unknown,
		"2001:db8:1::5": allowed, "2001:db8:2::5": blocked, "2001:db9::1": unknown,
	} {
		if got := c.network(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %d, want %d", ip, got, want)
		}
	}
	if got := c.network(netip.Addr{}); got != unknown {
		t.Errorf("no address: %d", got)
	}
	for from, want := range map[string]standing{
		"a@good.example": allowed, "A@Good.Example": allowed, "a@mail.good.example": unknown, "spam@good.example": blocked, "SPAM@good.EXAMPLE": blocked,
		"a@family.example": allowed, "a@x.y.family.example": allowed, "a@black.sheep.family.example": blocked, "a@notfamily.example": unknown,
		"a@bad.example": blocked, "boss@bad.example": allowed, "a@sub.bad.example": unknown,
		"a@bücher.example": allowed, "a@xn--bcher-kva.example": allowed, "": unknown, "postmaster": unknown, `"a@good.example"@x.example`: unknown,
	} {
		if got := c.sender(from); got != want {
			t.Errorf("%q: %d, want %d", from, got, want)
		}
	}
	for _, bad := range []string{"", ".", "1.2.3.4/33", "a b", "@", "fe80::1%eth0/64"} {
		if _, err := newCallers([]string{bad}, nil); err == nil {
			t.Errorf("%q is taken", bad)
		}
		if _, err := newCallers(nil, []string{bad}); err == nil {
			t.Errorf("%q is taken as blocked", bad)
		}
	}
}
