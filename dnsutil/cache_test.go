package dnsutil

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const cacheZone = `
example.net. 300 SOA ns.example.net. admin.example.net. 1 3600 600 86400 7200
example.net. 100 MX 10 mx.example.net.
long.example.net. 2000000 MX 10 mx.example.net.
zero.example.net. 0 MX 10 mx.example.net.`

// Each row is asked for at once, just before the answer expires, and just after.
func TestCacheTTL(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*Resolver)
		ttl  time.Duration
	}{
		{"example.net", nil, 100 * time.Second},
		{"long.example.net", nil, 24 * time.Hour},
		{"long.example.net", func(r *Resolver) { r.MaxTTL = time.Minute }, time.Minute},
		{"zero.example.net", nil, 0},
		{"nowhere.example.net", nil, 300 * time.Second},
		{"nowhere.example.net", func(r *Resolver) { r.NegativeTTL = time.Minute }, time.Minute},
		{"nowhere.elsewhere", nil, time.Minute},
		{"servfail.example.net", nil, 30 * time.Second},
		{"refused.example.net", nil, 5 * time.Second},
		{"example.net", func(r *Resolver) { r.MaxCache = -1 }, 0},
	} {
		r, s := resolver(t, cacheZone)
		s.ServFail("servfail.example.net")
		s.Refused("refused.example.net")
		clock := newClock()
		r.Now = clock.Now
		if c.set != nil {
			c.set(r)
		}
		look := func() int {
			a, err := r.Lookup(t.Context(), c.name, dns.TypeMX)
			if err == nil && c.ttl > 0 && !a.Expires.After(clock.Now()) {
				t.Errorf("%s: got what has expired", c.name)
			}
			return s.Count(c.name, 0)
		}
		first := look()
		if first != 1 {
			t.Errorf("%s: %d questions, want 1", c.name, first)
		}
		clock.pass(c.ttl - time.Nanosecond)
		if n := look(); c.ttl > 0 && n != first {
			t.Errorf("%s: %d questions before it expires after %v", c.name, n, c.ttl)
		}
		clock.pass(time.Nanosecond)
		if n := look(); n <= first {
			t.Errorf("%s: no question after %v", c.name, c.ttl)
		}
	}
}

// The bound of negative answers is none for others.
func TestCacheNegativeCap(t *testing.T) {
	r, _ := resolver(t, `
example.net. 86400 SOA ns.example.net. admin.example.net. 1 3600 600 86400 86400
example.net. 86400 MX 10 mx.example.net.`)
	for name, want := range map[string]time.Duration{"example.net": 24 * time.Hour, "no.example.net": time.Hour} {
		a, err := r.Lookup(t.Context(), name, dns.TypeMX)
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		if ttl := time.Until(a.Expires); ttl > want || ttl < want-time.Minute {
			t.Errorf("%s: %v, want %v", name, ttl, want)
		}
	}
}

func TestCacheBounds(t *testing.T) {
	r, s := resolver(t, `*.test. MX 10 mx.test.`)
	r.MaxCache = 3
	look := func(name string) {
		t.Helper()
		if _, err := r.Lookup(t.Context(), name, dns.TypeMX); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		look(fmt.Sprintf("d%d.test", i))
		look("d0.test") // is used again and again, and stays
	}
	look("d1.test")
	if s.Count("d0.test", 0) != 1 || s.Count("d1.test", 0) != 2 || s.Count("d3.test", 0) != 1 {
		t.Errorf("questions %v", s.Counts())
	}
	if n := len(r.cache.entries); n != 3 || r.cache.order.Len() != 3 {
		t.Errorf("%d entries", n)
	}
}

// Giant answers are kept within a bound of octets.
func TestCacheSize(t *testing.T) {
	var c cache
	var records []dns.RR
	for range 200 {
		records = append(records, &dns.TXT{Hdr: dns.RR_Header{Name: "test."}, Txt: []string{strings.Repeat("x", 255)}})
	}
	now := time.Unix(1_800_000_000, 0)
	res := result{records: records, expires: now.Add(time.Hour)}
	sum := 0
	for i := range 1000 {
		c.put(question{fmt.Sprint(i), dns.TypeTXT}, res, 10_000)
		c.put(question{"again", dns.TypeTXT}, res, 10_000)
		if c.size > maxCacheSize {
			t.Fatalf("%d octets", c.size)
		}
	}
	for e := c.order.Front(); e != nil; e = e.Next() {
		sum += e.Value.(*entry).size
	}
	if n := len(c.entries); n < 100 || n > 900 || n != c.order.Len() || sum != c.size {
		t.Errorf("%d entries of %d octets, counted %d", n, sum, c.size)
	}
	if _, ok := c.get(question{"999", dns.TypeTXT}, now); !ok {
		t.Error("the last one is gone")
	}
	if _, ok := c.get(question{"999", dns.TypeTXT}, now.Add(time.Hour)); ok {
		t.Error("it has expired")
	}
	if _, ok := c.entries[question{"999", dns.TypeTXT}]; ok {
		t.Error("what has expired stays")
	}
}
