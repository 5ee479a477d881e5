package queue

import (
	"math/rand/v2"
	"testing"
)

type item struct{ key, place int }

// Random changes, compared with a search through all.
func TestHeap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	h := heap[*item]{less: func(a, b *item) bool { return a.key < b.key }, place: func(x *item) *int { return &x.place }}
	all := make([]*item, 50)
	for i := range all {
		all[i] = &item{}
	}
	in := map[*item]bool{}
	for range 20_000 {
		x := all[rnd.IntN(len(all))]
		if rnd.IntN(3) == 0 {
			h.take(x)
			delete(in, x)
		} else {
			x.key = rnd.IntN(100)
			h.put(x)
			in[x] = true
		}
		if len(h.items) != len(in) || h.has(x) != in[x] {
			t.Fatalf("%d items, want %d", len(h.items), len(in))
		}
		for y := range in {
			if h.items[y.place-1] != y {
				t.Fatal("an item does not know its place")
			}
			if y.key < h.top().key {
				t.Fatalf("%d is before %d", h.top().key, y.key)
			}
		}
	}
}
