package gate

import (
	"net/netip"
	"testing"
)

// BenchmarkStranger is all that a stranger's message costs at the gate, lists in the DNS and
// greylisting aside: each comes from another address.
func BenchmarkStranger(b *testing.B) {
	g, err := New(Options{
		Hostname: "mx.here.example", Shared: NewShared(SharedOptions{}),
		Allow: []string{"198.51.100.0/24", ".friend.example"}, Block: []string{"2001:db8:bad::/48", "spam.example"},
		ConnectionsMinute: 300, MessagesHour: 10_000, RefusalsHour: 300,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		v, err := g.Connect(b.Context(), netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)}))
		if err != nil {
			b.Fatal(err)
		}
		v.Hello("client.example")
		if err := v.Mail(b.Context(), "sender@mail.example.net"); err != nil {
			b.Fatal(err)
		}
		if err := v.Rcpt(b.Context(), "alice@here.example"); err != nil {
			b.Fatal(err)
		}
		if f := v.Findings(); len(f.Notes) > 0 {
			b.Fatal(f.Notes)
		}
		v.Count(true)
	}
}
