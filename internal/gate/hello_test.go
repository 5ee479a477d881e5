package gate

import (
	"net/netip"
	"testing"
)

func TestHello(t *testing.T) {
	shared := NewShared(SharedOptions{
		Own:      func() []netip.Addr { return []netip.Addr{addr("203.0.113.25"), addr("2001:db8::25")} },
		Gateways: func() []netip.Addr { return nil },
	})
	const fine, odd, lie = 0, 1, 2
	for name, want := range map[string]int{
		"mx.other.example": fine, "MX.Other.Example.": fine, "a_b.example": fine, "1and1.example": fine, "bücher.example": fine,
		"[192.0.2.1]": fine, "xn--bcher-kva.example": fine,
		"": odd, "other": odd, "a..example": odd, "-a.example": odd, "a b.example": odd, "a.123": odd, "x@y.example": odd,
		"localhost": odd, "localhost.localdomain": odd, "192.0.2.1": odd, "[192.0.2.2]": odd, "[IPv6:2001:db8::1]": odd, "2001:db8::1": odd, "[]": odd,
		"mx.here.example": lie, "MX.HERE.example.": lie, "[203.0.113.25]": lie, "203.0.113.25": lie, "[IPv6:2001:db8::25]": lie, "[127.0.0.1]": lie, "[::ffff:203.0.113.25]": lie,
	} {
		for _, strict := range []bool{false, true} {
			g, _ := New(Options{Hostname: "mx.here.example", Shared: shared, StrictHELO: strict})
			v, err := g.Connect(t.Context(), addr("192.0.2.1"))
			if err != nil {
				t.Fatal(err)
			}
			v.Hello(name)
			f := v.helloFault()
			if (f.text != "") != (want != fine) || f.refused != (want == lie || want == odd && strict) {
				t.Errorf("%q, strict %v: %+v", name, strict, f)
			}
		}
	}
}
