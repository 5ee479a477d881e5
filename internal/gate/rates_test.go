package gate

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(60, time.Hour, time.Now)
		ip := addr("192.0.2.1")
		for i := range 60 {
			if wait, _ := r.take(ip); wait != 0 {
				t.Fatalf("number %d of 60 has to wait %v", i+1, wait)
			}
		}
		wait, again := r.take(ip)
		if wait != time.Minute || again {
			t.Errorf("number 61 has to wait %v, want a minute; said before: %v", wait, again)
		}
		if _, again = r.take(ip); !again {
			t.Error("the second refusal is said to be the first")
		}
		if wait, _ := r.take(addr("192.0.2.2")); wait != 0 {
			t.Errorf("a neighbour has to wait %v", wait)
		}
		time.Sleep(time.Minute)
		if wait, _ := r.take(ip); wait != 0 {
			t.Errorf("after a minute: %v", wait)
		}
		if wait, again := r.take(ip); wait == 0 || again {
			t.Errorf("but one only: %v, said a moment ago: %v", wait, again)
		}
		// What was refused does not count: who hammers is let in as soon as who waits.
		for range 1000 {
			r.take(ip)
		}
		time.Sleep(time.Minute)
		if wait, _ := r.take(ip); wait != 0 {
			t.Errorf("who hammers has to wait %v", wait)
		}
	})
}

func TestRatesOfNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(10, time.Hour, time.Now)
		taken := 0
		for i := range 100 {
			if wait, _ := r.take(addr(fmt.Sprintf("192.0.2.%d", i))); wait == 0 {
				taken++
			}
		}
		if taken != 10*widerBy {
			t.Errorf("a /24 may %d times, want %d", taken, 10*widerBy)
		}
		if wait, _ := r.take(addr("192.0.3.1")); wait != 0 {
			t.Errorf("the next /24 has to wait %v", wait)
		}
		taken = 0
		for i := range 100 {
			if wait, _ := r.take(addr(fmt.Sprintf("2001:db8::%x", i))); wait == 0 {
				taken++
			}
		}
		if taken != 10 {
			t.Errorf("a /64 may %d times, want 10", taken)
		}
		if wait, _ := r.take(addr("2001:db8:0:1::1")); wait != 0 {
			t.Errorf("the next /64 has to wait %v", wait)
		}
	})
}

func TestRatesOff(t *testing.T) {
	r := newRates(0, time.Hour, time.Now)
	for range 1000 {
		r.add(addr("192.0.2.1"), 1)
		if wait, _ := r.take(addr("192.0.2.1")); wait != 0 {
			t.Fatal(wait)
		}
	}
	if len(r.new) > 0 {
		t.Error("what has no limit is counted")
	}
}

// Refusals past the limit keep nobody out for longer than they take to leak.
func TestRatesAddIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(30, time.Hour, time.Now)
		ip := addr("192.0.2.1")
		for range 10_000 {
			r.add(ip, 1)
		}
		if wait, _ := r.full(ip); wait == 0 || wait > 2*time.Minute {
			t.Errorf("waits %v", wait)
		}
		time.Sleep(2 * time.Minute)
		if wait, _ := r.full(ip); wait != 0 {
			t.Errorf("waits %v", wait)
		}
	})
}

// However many clients come, what is remembered of them is bounded; the busy stay.
func TestRatesForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(10, time.Hour, time.Now)
		busy := addr("192.0.2.1")
		for i := range 4 * maxClients {
			if i%1000 == 0 {
				r.add(busy, 1)
			}
			r.take(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 16), byte(i >> 8), byte(i)}))
		}
		if n := len(r.new) + len(r.old); n > 2*maxClients {
			t.Errorf("%d clients are remembered", n)
		}
		if wait, _ := r.take(busy); wait == 0 {
			t.Error("who came all the time was forgotten")
		}
	})
}

func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trouble
		if !tr.say("a", time.Now()) || tr.say("a", time.Now()) || !tr.say("b", time.Now()) {
			t.Error("each is said once")
		}
		time.Sleep(time.Hour)
		if !tr.say("a", time.Now()) {
			t.Error("and again after an hour")
		}
		for i := range 1000 {
			tr.say(fmt.Sprint(i), time.Now())
		}
		if len(tr.said) > 101 {
			t.Errorf("%d are remembered", len(tr.said))
		}
	})
}
