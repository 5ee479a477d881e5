package relay

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"kurir/dnsutil"
)

// Bounds of what is tried in one attempt.
const (
	maxHosts     = 5
	maxAddresses = 10
)

// candidate is one address of a host.
type candidate struct {
	host string // its name, as the DNS or the configuration has it; a literal for an address
	addr netip.AddrPort
}

// certName is the name that its certificate is to be for.
func (c candidate) certName() string {
	if a, ok := parseLiteral(c.host); ok {
		return a.String()
	}
	return c.host
}

// search goes through the candidates of an attempt.
type search struct {
	left     []candidate
	deadline time.Time // after which no other is begun with
	no4, no6 bool      // this machine has no way to such addresses
}

// next is the candidate to try, and whether it is the last. Addresses of a kind that this
// machine cannot reach at all are left out.
func (s *search) next(now time.Time) (c candidate, last, ok bool) {
	s.left = slices.DeleteFunc(s.left, func(c candidate) bool {
		return s.no4 && c.addr.Addr().Is4() || s.no6 && c.addr.Addr().Is6()
	})
	if len(s.left) == 0 || now.After(s.deadline) {
		return candidate{}, false, false
	}
	c, s.left = s.left[0], s.left[1:]
	return c, len(s.left) == 0, true
}

// back has a candidate tried next, and a new deadline for all.
func (s *search) back(c candidate, deadline time.Time) {
	s.left, s.deadline = slices.Insert(s.left, 0, c), deadline
}

// unreachable notes that the system knows no way to addresses like a.
func (s *search) unreachable(a netip.Addr) {
	if a.Is4() {
		s.no4 = true
	} else {
		s.no6 = true
	}
}

// search begins one over the first hosts. If they have more addresses than are tried, each
// host comes with some of both kinds.
func (r *Relay) search(hosts []dnsutil.RouteHost, port uint16) *search {
	hosts = hosts[:min(len(hosts), maxHosts)]
	type taken struct{ six, four []netip.Addr }
	from, to := make([]taken, len(hosts)), make([]taken, len(hosts))
	for i, h := range hosts {
		for _, a := range h.Addresses {
			if a = a.Unmap(); a.Is4() {
				from[i].four = append(from[i].four, a)
			} else {
				from[i].six = append(from[i].six, a)
			}
		}
	}
	n := 0
	take := func(from []netip.Addr, to *[]netip.Addr) (more bool) {
		if have := len(*to); have < len(from) && n < maxAddresses {
			*to = append(*to, from[have])
			n++
			return true
		}
		return false
	}
	for more := true; more; {
		more = false
		for i := range hosts {
			six := take(from[i].six, &to[i].six)
			four := take(from[i].four, &to[i].four)
			more = more || six || four
		}
	}
	s := &search{deadline: r.findBy()}
	for i, h := range hosts {
		for _, a := range append(to[i].six, to[i].four...) {
			s.left = append(s.left, candidate{h.Name, netip.AddrPortFrom(a, port)})
		}
	}
	r.ailing.last(s.left, r.now())
	return s
}

// findBy is until when a host is to be found, from now on.
func (r *Relay) findBy() time.Time { return r.now().Add(or(r.FindTimeout, 3*time.Minute)) }

// Bounds of what is remembered of addresses that could not be reached.
const (
	ailingFor  = 2 * time.Minute
	ailingMost = 1000
)

// ailing knows the addresses that could not be reached a moment ago. They are tried after
// others, so that a dead first host does not hold up every message (RFC 5321 section
// 4.5.4.1).
type ailing struct {
	mu    sync.Mutex
	until map[netip.AddrPort]time.Time
}

// add notes that a could not be reached.
func (l *ailing) add(a netip.AddrPort, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil || len(l.until) >= ailingMost {
		l.until = make(map[netip.AddrPort]time.Time)
	}
	l.until[a] = now.Add(ailingFor)
}

// remove notes that a was reached.
func (l *ailing) remove(a netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.until, a)
}

// last moves the ailing ones of candidates behind the others.
func (l *ailing) last(all []candidate, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.until) == 0 {
		return
	}
	ill := func(c candidate) int {
		if until, ok := l.until[c.addr]; ok && now.Before(until) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return ill(a) - ill(b) })
}
