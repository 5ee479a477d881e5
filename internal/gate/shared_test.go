package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func testShared(o SharedOptions) *Shared {
	o.Hostname = "mx.here.example"
	o.Own = func() []netip.Addr { return []netip.Addr{addr("172.17.0.2"), addr("203.0.113.25")} }
	o.Gateways = func() []netip.Addr { return []netip.Addr{addr("172.17.0.1")} }
	return NewShared(o)
}

func TestShared(t *testing.T) {
	s := testShared(SharedOptions{})
	for ip, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "127.5.5.5": true, "::ffff:127.0.0.1": true,
		"172.17.0.1": true, "::ffff:172.17.0.1": true, "172.17.0.2": true, "203.0.113.25": true,
		"172.17.0.3": false, "192.0.2.1": false, "2001:db8::1": false, "10.0.0.1": false,
	} {
		if got := s.Is(addr(ip)); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
	if !s.Is(netip.Addr{}) {
		t.Error("no address is somebody's")
	}
	var none *Shared
	if !none.Is(addr("127.0.0.1")) || none.Is(addr("172.17.0.1")) || !none.own(addr("::1")) || none.own(addr("192.0.2.1")) {
		t.Error("without anything known")
	}
	none.Saw(addr("172.17.0.1"), "a.example")
}

// A container whose user-land proxy hides all addresses is noticed by the many names that
// come from one.
func TestSightings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var saved []Sighting
		s := testShared(SharedOptions{Save: func(all []Sighting) error { saved = all; return nil }})
		saw := func(ip string, names ...string) {
			for _, n := range names {
				s.Saw(addr(ip), n)
			}
		}
		saw("172.17.0.1", "a.example", "A.example.", "mx.here.example", "localhost", "[1.2.3.4]", "printer", "b.example", "c.example", "d.example")
		saw("192.0.2.1", "a.example", "b.example", "c.example", "d.example", "e.example", "f.example") // a large sender, perhaps
		if len(saved) != 0 {
			t.Fatalf("too few names make it everybody's: %v", saved)
		}
		saw("172.17.0.1", "e.example")
		if len(saved) != 1 || saved[0].Address != addr("172.17.0.1") || len(saved[0].Names) != manyNames || !strings.Contains(saved[0].String(), "gateway") {
			t.Fatalf("%v", saved)
		}
		last := saved[0].Last
		saw("172.17.0.1", "f.example", "g.example", "h.example", "i.example", "j.example")
		if !saved[0].Last.Equal(last) {
			t.Error("it is said more than once a day")
		}
		// A proxy on a private address is everybody's from then on.
		if s.Is(addr("10.1.1.1")) {
			t.Error("10.1.1.1 is everybody's before")
		}
		time.Sleep(time.Hour)
		saw("10.1.1.1", "a.example", "b.example", "c.example", "d.example", "e.example")
		if !s.Is(addr("10.1.1.1")) || len(saved) != 2 || saved[0].Address != addr("10.1.1.1") {
			t.Errorf("10.1.1.1 is not noticed: %v", saved)
		}
		// It outlives a restart, and is forgotten when it is not seen any more.
		again := testShared(SharedOptions{Known: saved})
		if !again.Is(addr("10.1.1.1")) || len(again.Sightings()) != 2 {
			t.Errorf("after a restart: %v", again.Sightings())
		}
		time.Sleep(sightingAge)
		if s.Is(addr("10.1.1.1")) || len(s.Sightings()) != 0 {
			t.Errorf("after a week: %v", s.Sightings())
		}
		if again = testShared(SharedOptions{Known: saved}); again.Is(addr("10.1.1.1")) {
			t.Error("what is old comes back with a restart")
		}
		// A clock that was wrong, or a damaged file, makes nobody everybody's for ever.
		again = testShared(SharedOptions{Known: []Sighting{{Last: time.Now()}, {Address: addr("10.1.1.2"), Last: time.Now().AddDate(50, 0, 0)}}})
		if again.Is(addr("10.1.1.2")) || len(again.Sightings()) != 0 {
			t.Errorf("%v", again.Sightings())
		}
	})
}

// Names count for a day, and what is remembered is bounded.
func TestSightingsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testShared(SharedOptions{Save: func([]Sighting) error { return errors.New("disk full") }})
		for i := range 10 {
			s.Saw(addr("10.0.0.1"), fmt.Sprintf("host%d.example", i))
			time.Sleep(watchFor / 2)
		}
		if found := s.Sightings(); len(found) != 0 {
			t.Errorf("two names a day: %v", found)
		}
		for i := range 3 * maxWatched {
			s.Saw(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), "a.example")
		}
		if len(s.watched) > maxWatched {
			t.Errorf("%d addresses are watched", len(s.watched))
		}
		for i := range 3 * maxWatched {
			for n := range manyNames {
				s.Saw(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), fmt.Sprintf("host%d.example", n))
			}
		}
		if n := len(s.sightings); n != maxWatched {
			t.Errorf("%d sightings", n)
		}
	})
}

const (
	route4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" +
		"wg0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"tun0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n"
	route6 = "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n" +
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000003 00000000 00000003     eth0\n" +
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
)

func TestRoutes(t *testing.T) {
	// The table is of a little-endian machine.
	if got := routes4(route4); !slices.Equal(got, []netip.Addr{addr("172.17.0.1")}) {
		t.Errorf("%v", got)
	}
	if got := routes6(route6); !slices.Equal(got, []netip.Addr{addr("fd00::1")}) {
		t.Errorf("%v", got)
	}
	if got := append(routes4(""), routes6("")...); len(got) > 0 {
		t.Errorf("%v", got)
	}
	gateways() // whatever this system has
}

func FuzzRoutes(f *testing.F) {
	f.Add(route4)
	f.Add(route6)
	f.Fuzz(func(t *testing.T, table string) {
		for _, ip := range append(routes4(table), routes6(table)...) {
			if !ip.IsValid() || ip.IsUnspecified() {
				t.Errorf("%v is a gateway", ip)
			}
		}
	})
}
