package auth

// lru is a map that holds at most max entries and drops the one that was used longest
// ago. It has no lock of its own.
type lru[K comparable, V any] struct {
	max   int
	nodes map[K]*node[K, V]
	ring  node[K, V] // ring.next was used last, ring.prev longest ago
}

type node[K comparable, V any] struct {
	prev, next *node[K, V]
	key        K
	value      V
}

func newLRU[K comparable, V any](max int) *lru[K, V] {
	l := &lru[K, V]{max: max, nodes: map[K]*node[K, V]{}}
	l.ring.prev, l.ring.next = &l.ring, &l.ring
	return l
}

// get returns the value of key for reading and changing in place, nil if it isn't there.
func (l *lru[K, V]) get(key K) *V {
	n := l.nodes[key]
	if n == nil {
		return nil
	}
	l.unlink(n)
	l.front(n)
	return &n.value
}

// need is get that adds a zero value if there is none.
func (l *lru[K, V]) need(key K) *V {
	if v := l.get(key); v != nil {
		return v
	}
	if len(l.nodes) >= l.max {
		l.remove(l.ring.prev.key)
	}
	n := &node[K, V]{key: key}
	l.nodes[key] = n
	l.front(n)
	return &n.value
}

func (l *lru[K, V]) remove(key K) {
	if n := l.nodes[key]; n != nil {
		l.unlink(n)
		delete(l.nodes, key)
	}
}

// removeIf removes all entries that drop says true of.
func (l *lru[K, V]) removeIf(drop func(K, *V) bool) {
	for key, n := range l.nodes {
		if drop(key, &n.value) {
			l.remove(key)
		}
	}
}

func (l *lru[K, V]) front(n *node[K, V]) {
	n.prev, n.next = &l.ring, l.ring.next
	n.prev.next, n.next.prev = n, n
}

func (l *lru[K, V]) unlink(n *node[K, V]) {
	n.prev.next, n.next.prev = n.next, n.prev
}
