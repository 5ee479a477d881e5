package auth

import "testing"

func TestLRU(t *testing.T) {
	l := newLRU[int, string](3)
	for i := range 3 {
		*l.need(i) = string(rune('a' + i))
	}
	if *l.get(0) != "a" || *l.need(1) != "b" { // 2 is now the oldest
		t.Error("values got mixed up")
	}
	*l.need(3) = "d"
	if l.get(2) != nil || *l.get(0) != "a" || len(l.nodes) != 3 {
		t.Error("the one used longest ago should have gone")
	}
	l.remove(0)
	l.remove(0)
	if l.get(0) != nil || len(l.nodes) != 2 {
		t.Error("still there")
	}
	l.removeIf(func(k int, v *string) bool { return *v == "d" })
	if l.get(3) != nil || *l.get(1) != "b" {
		t.Error("removeIf took the wrong one")
	}
	for i := range 100 {
		l.need(i)
	}
	n := 0
	for e := l.ring.next; e != &l.ring; e = e.next {
		n++
	}
	if n != 3 || len(l.nodes) != 3 {
		t.Errorf("ring of %d, map of %d, want 3", n, len(l.nodes))
	}
}
