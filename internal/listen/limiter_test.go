package listen

import "testing"

// Bounds that change hold for who comes; who is there counts on.
func TestLimiterSet(t *testing.T) {
	l := NewLimiter(2, -1)
	a, b := ip("192.0.2.1"), ip("192.0.2.2")
	for range 2 {
		if why := l.take(a); why != "" {
			t.Fatal(why)
		}
	}
	if l.take(b) != ReasonConns {
		t.Error("a third one is let in")
	}
	l.Set(3, 1)
	if why := l.take(b); why != "" {
		t.Errorf("with room for three: %s", why)
	}
	l.Set(10, 1)
	if l.take(a) != ReasonPerAddr {
		t.Error("an address has more than it may")
	}
	l.release(a)
	l.release(a)
	if why := l.take(a); why != "" || l.Open() != 2 {
		t.Errorf("after the end of both: %q, %d open", why, l.Open())
	}
	l.Set(0, 0)
	if l.maxConns != DefaultMaxConns || l.maxPerAddr != DefaultMaxPerAddr {
		t.Errorf("zero is %d and %d", l.maxConns, l.maxPerAddr)
	}
}
