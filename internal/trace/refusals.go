package trace

import (
	"net/netip"
	"sync"
	"time"
)

// Refusals that are noted, of each client and of all together: so many at once, and one
// more in each time.
const (
	clientBurst, allBurst = 20, 300
	clientEvery           = 6 * time.Minute
	allEvery              = 12 * time.Second
	maxClients            = 4096
)

// bucket holds what may still be noted.
type bucket struct {
	left int
	last time.Time // when one was added
}

// take takes one, if there is one.
func (b *bucket) take(now time.Time, burst int, every time.Duration) bool {
	if b.last.IsZero() || now.Before(b.last) {
		b.left, b.last = burst, now
	}
	if n := now.Sub(b.last) / every; n > 0 {
		b.left = int(min(int64(burst), int64(b.left)+int64(n)))
		b.last = b.last.Add(n * every)
	}
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}

// refusals bounds what strangers get of the trace.
type refusals struct {
	mu      sync.Mutex
	all     bucket
	clients map[string]*bucket
}

// take tells whether one more refusal of a client is noted.
func (r *refusals) take(client string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := network(client)
	b := r.clients[key]
	if b == nil {
		if len(r.clients) >= maxClients || r.clients == nil {
			r.clients = map[string]*bucket{} // all begin anew; the bound for all holds on
		}
		b = &bucket{}
		r.clients[key] = b
	}
	return b.take(now, clientBurst, clientEvery) && r.all.take(now, allBurst, allEvery)
}

// network is an IPv4 address, or the /64 of an IPv6 address, whose owner has all of it.
func network(client string) string {
	a, err := netip.ParseAddr(client)
	if err != nil || a.Unmap().Is4() {
		return client
	}
	p, _ := a.WithZone("").Prefix(64)
	return p.String()
}
