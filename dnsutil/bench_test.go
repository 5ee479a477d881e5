package dnsutil

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

func benchResolver(b *testing.B) *Resolver {
	r, _ := resolver(b, `
example.net. MX 10 a.example.net.
example.net. MX 20 b.example.net.
a.example.net. A 192.0.2.1
a.example.net. AAAA 2001:db8::1
b.example.net. A 192.0.2.2
*.test. MX 10 a.example.net.`)
	if _, err := r.Route(b.Context(), "example.net", Self{}, Families{}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return r
}

func BenchmarkLookupCached(b *testing.B) {
	r := benchResolver(b)
	for b.Loop() {
		if _, err := r.Lookup(b.Context(), "example.net", dns.TypeMX); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMXCached(b *testing.B) {
	r := benchResolver(b)
	for b.Loop() {
		if _, err := r.MX(b.Context(), "example.net"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRouteCached(b *testing.B) {
	r := benchResolver(b)
	for b.Loop() {
		if _, err := r.Route(b.Context(), "example.net", Self{Names: []string{"mx.example.org"}}, Families{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLookupAsked asks a server on loopback each time, several at once.
func BenchmarkLookupAsked(b *testing.B) {
	r := benchResolver(b)
	var n atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Lookup(b.Context(), fmt.Sprintf("d%d.test", n.Add(1)), dns.TypeMX); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "questions/s")
}
