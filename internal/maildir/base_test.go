package maildir

import (
	"strings"
	"sync"
	"testing"
	"time"
)

func TestBaseMaker(t *testing.T) {
	at := time.Unix(1790000000, 123456789)
	m := NewBaseMaker("mx.example.org", 42, func() time.Time { return at })
	for _, want := range []string{"1790000000.M123456P42Q1.mx.example.org", "1790000000.M123456P42Q2.mx.example.org"} {
		if got := m.Next(); got != want {
			t.Errorf("Next() = %q, want %q", got, want)
		}
	}
	at = time.Unix(1790000001, 5000)
	if got, want := m.Next(), "1790000001.M5P42Q3.mx.example.org"; got != want {
		t.Errorf("Next() = %q, want %q", got, want)
	}
	at = time.Unix(-5, 0) // a clock that is quite wrong still gives a usable name
	if got, want := m.Next(), "0.M0P42Q4.mx.example.org"; got != want {
		t.Errorf("Next() = %q, want %q", got, want)
	}
}

func TestBaseMakerNeverTwice(t *testing.T) {
	m := NewBaseMaker("mx", 1, func() time.Time { return time.Unix(1, 0) })
	const workers, each = 8, 1000
	var wg sync.WaitGroup
	all := make([][]string, workers)
	for w := range workers {
		wg.Go(func() {
			for range each {
				all[w] = append(all[w], m.Next())
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	for _, names := range all {
		for _, n := range names {
			seen[n] = true
		}
	}
	if len(seen) != workers*each {
		t.Errorf("%d different bases of %d", len(seen), workers*each)
	}
}

func TestSafeHost(t *testing.T) {
	for host, want := range map[string]string{
		"mx.example.org":               "mx.example.org",
		"":                             "localhost",
		"a/b:c,d":                      `a\057b\072c\054d`,
		`back\slash`:                   `back\134slash`,
		"ü":                            `\303\274`,
		strings.Repeat("x", 40):        strings.Repeat("x", 32),
		strings.Repeat("x", 30) + "/":  strings.Repeat("x", 30),
		strings.Repeat("x", 28) + "/y": strings.Repeat("x", 28) + `\057`,
	} {
		if got := SafeHost(host); got != want {
			t.Errorf("SafeHost(%q) = %q, want %q", host, got, want)
		}
	}
}

var packTests = []struct {
	base string
	ok   bool
}{
	{"1790000000.M123456P42Q1.mx.example.org", true},
	{"0.M0P0Q0.x", true},
	{"4294967295.M4294967295P4294967295Q4294967295.h", true},
	{"4294967296.M1P1Q1.h", false},
	{"1.M01P1Q1.h", false},
	{"1.M1P1Q1.", false},
	{"1.M1P1Q1", false},
	{"1.M1P1.h", false},
	{"1.4711.h", false},
	{"1.M123P45V00I00_0.h", false},
	{"x", false},
	{"", false},
	{"1.M1P1Q1." + strings.Repeat("x", 32), true},
	{"1.M1P1Q1." + strings.Repeat("x", 33), false},
}

func TestPack(t *testing.T) {
	var hosts HostTable
	for _, tt := range packTests {
		p, ok := Pack(tt.base, &hosts)
		if ok != tt.ok {
			t.Errorf("Pack(%q) ok = %v", tt.base, ok)
		} else if ok && p.Unpack(&hosts) != tt.base {
			t.Errorf("%q came back as %q", tt.base, p.Unpack(&hosts))
		}
	}
	if n := len(hosts.hosts); n != 4 {
		t.Errorf("%d hosts", n)
	}
	if got := (Packed{Host: 99}).Unpack(&hosts); got != "0.M0P0Q0." {
		t.Errorf("unknown host: %q", got)
	}
	m := NewBaseMaker("mx.example.org", 42, nil)
	for range 100 {
		base := m.Next()
		if p, ok := Pack(base, &hosts); !ok || p.Unpack(&hosts) != base {
			t.Fatalf("%q does not survive", base)
		}
	}
}

func TestHostTableIsBounded(t *testing.T) {
	hosts := HostTable{hosts: make([]string, 1<<16)}
	if _, ok := Pack("1.M1P1Q1.new", &hosts); ok {
		t.Error("a host beyond 65,536 was taken")
	}
}

func FuzzPack(f *testing.F) {
	for _, tt := range packTests {
		f.Add(tt.base)
	}
	f.Fuzz(func(t *testing.T, base string) {
		var hosts HostTable
		if p, ok := Pack(base, &hosts); ok && p.Unpack(&hosts) != base {
			t.Fatalf("%q came back as %q", base, p.Unpack(&hosts))
		}
	})
}

func BenchmarkPack(b *testing.B) {
	var hosts HostTable
	b.ReportAllocs()
	for b.Loop() {
		Pack("1790000000.M123456P4711Q58.mx.example.org", &hosts)
	}
}

func TestBaseMakerSeq(t *testing.T) {
	m := NewBaseMaker("mx", 42, func() time.Time { return time.Unix(7, 5000) })
	first, second := m.Next(), m.Next()
	for base, want := range map[string]uint64{first: 1, second: 2, "1.M1P42Q2.mx": 2} {
		if got, ok := m.Seq(base); got != want || !ok {
			t.Errorf("Seq(%q) = %d, %v; want %d", base, got, ok, want)
		}
	}
	for _, base := range []string{"", "7.M5P42Q3.mx", "7.M5P43Q1.mx", "7.M5P42Q1.other", "7.M5P42Qx.mx", "7.M5P42Q.mx", ".mx"} {
		if got, ok := m.Seq(base); ok {
			t.Errorf("Seq(%q) = %d", base, got)
		}
	}
}
