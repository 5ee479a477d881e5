package listen

import (
	"cmp"
	"net/netip"
	"sync"
)

// Reasons why a connection is refused, for Observer and the log.
const (
	ReasonConns   = "connections"             // no more connections in all
	ReasonPerAddr = "connections_per_address" // no more connections from this address
)

// A Limiter counts open connections, in all and per address. Several Listeners may
// share one.
type Limiter struct {
	mu                   sync.Mutex
	maxConns, maxPerAddr int // less than zero: any number
	open                 int
	perAddr              map[netip.Addr]int // by limitKey; no zero entries
}

// NewLimiter returns a Limiter; zero means the defaults (2000 and 50), less than zero
// any number.
func NewLimiter(maxConns, maxPerAddr int) *Limiter {
	l := &Limiter{perAddr: make(map[netip.Addr]int)}
	l.Set(maxConns, maxPerAddr)
	return l
}

// Set changes the bounds, which are as for NewLimiter, for the connections to come. Open
// ones count on, and none is closed.
func (l *Limiter) Set(maxConns, maxPerAddr int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.maxConns, l.maxPerAddr = cmp.Or(maxConns, DefaultMaxConns), cmp.Or(maxPerAddr, DefaultMaxPerAddr)
}

// Open is how many connections are counted now.
func (l *Limiter) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// take counts a connection from ip, or returns the reason why there is no room. The
// zero Addr is not counted per address.
func (l *Limiter) take(ip netip.Addr) (reason string) {
	key := limitKey(ip)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.maxConns >= 0 && l.open >= l.maxConns {
		return ReasonConns
	}
	if key.IsValid() {
		if l.maxPerAddr >= 0 && l.perAddr[key] >= l.maxPerAddr {
			return ReasonPerAddr
		}
		l.perAddr[key]++
	}
	l.open++
	return ""
}

// release takes back one take of the same ip.
func (l *Limiter) release(ip netip.Addr) {
	l.releaseAddr(ip)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

// releaseAddr takes back what one take counted for ip; in all, it counts on.
func (l *Limiter) releaseAddr(ip netip.Addr) {
	key := limitKey(ip)
	if !key.IsValid() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.perAddr[key]--; l.perAddr[key] == 0 {
		delete(l.perAddr, key)
	}
}

// limitKey is what counts as one client: an IPv4 address, or the /64 that one IPv6
// customer has at least.
func limitKey(ip netip.Addr) netip.Addr {
	if !ip.Is6() {
		return ip
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return ip
	}
	return p.Addr()
}
