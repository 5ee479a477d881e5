package queue

// heap keeps items in order, and each of them knows its place: it can be taken out or moved
// from anywhere.
type heap[T any] struct {
	items []T
	less  func(a, b T) bool
	place func(T) *int // where an item keeps its place, counted from 1; 0: it is not in here
}

func (h *heap[T]) has(x T) bool { return *h.place(x) > 0 }

// top is the first of all; there must be one.
func (h *heap[T]) top() T { return h.items[0] }

// put adds an item, or moves it to its new place.
func (h *heap[T]) put(x T) {
	if !h.has(x) {
		h.items = append(h.items, x)
		*h.place(x) = len(h.items)
	}
	i := *h.place(x) - 1
	if !h.down(i) {
		h.up(i)
	}
}

// take takes an item out, if it is in here.
func (h *heap[T]) take(x T) {
	if !h.has(x) {
		return
	}
	i, last := *h.place(x)-1, len(h.items)-1
	h.swap(i, last)
	var none T
	h.items[last] = none
	h.items = h.items[:last]
	*h.place(x) = 0
	if i < last && !h.down(i) {
		h.up(i)
	}
}

func (h *heap[T]) swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	*h.place(h.items[i]), *h.place(h.items[j]) = i+1, j+1
}

func (h *heap[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(h.items[i], h.items[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h *heap[T]) down(i int) (moved bool) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			return moved
		}
		if child+1 < len(h.items) && h.less(h.items[child+1], h.items[child]) {
			child++
		}
		if !h.less(h.items[child], h.items[i]) {
			return moved
		}
		h.swap(i, child)
		i, moved = child, true
	}
}
