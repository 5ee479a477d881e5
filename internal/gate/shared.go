package gate

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	lookEvery   = time.Minute        // interfaces and routes are looked at again
	watchFor    = 24 * time.Hour     // names of an address are counted for so long
	manyNames   = 5                  // different ones make an address everybody's
	maxWatched  = 256                // addresses
	sightingAge = 7 * 24 * time.Hour // after which one that is not renewed is forgotten
)

// Sighting is an address that has turned out to stand for everybody.
type Sighting struct {
	Address netip.Addr `json:"address"`
	What    string     `json:"what"`  // "the gateway of this machine's network" …
	Names   []string   `json:"names"` // some that clients from there called themselves by
	Last    time.Time  `json:"last"`
}

// String is a sentence for the administrator.
func (s Sighting) String() string {
	return fmt.Sprintf("connections from %s (%s) stand for everybody, last seen %s (%s): the clients' own addresses are lost on the way, so that SPF, lists and limits do not work for them. "+
		"Have the proxy in front of this server send the PROXY protocol and name it in [proxy] networks; or, in a container, use the host's network or a published port without a userland proxy",
		s.Address, s.What, s.Last.Format(time.DateOnly), strings.Join(s.Names, ", "))
}

// SharedOptions say what is known of this machine. Functions that are nil look at the
// system.
type SharedOptions struct {
	Hostname string                 // our own name, which counts as nobody's
	Own      func() []netip.Addr    // addresses of this machine's interfaces
	Gateways func() []netip.Addr    // default routes
	Known    []Sighting             // of an earlier run
	Save     func([]Sighting) error // keeps them for the next run; nil: nothing does
	Now      func() time.Time       // nil: time.Now
	Log      *slog.Logger           // nil: nothing is logged
}

// Shared knows the addresses that stand for everybody: loopback, this machine's own, the
// gateways of its network, which in a container or behind a router that rewrites
// addresses make the connections of the whole world, and each private address from which
// clients of many names come. It is safe for concurrent use; the nil one knows loopback
// alone.
type Shared struct {
	o SharedOptions

	mu        sync.Mutex
	looked    time.Time
	owns      []netip.Addr
	gateways  []netip.Addr
	sightings map[netip.Addr]Sighting
	watched   map[netip.Addr]*watch
}

// watch is what an address is called by its clients.
type watch struct {
	since time.Time
	names []string
}

// NewShared begins with what is known from an earlier run.
func NewShared(o SharedOptions) *Shared {
	if o.Own == nil {
		o.Own = ownAddresses
	}
	if o.Gateways == nil {
		o.Gateways = gateways
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Shared{o: o, sightings: map[netip.Addr]Sighting{}, watched: map[netip.Addr]*watch{}}
	for _, k := range o.Known {
		age := o.Now().Sub(k.Last) // less than zero by a clock that was wrong, or a damaged file
		if k.Address.IsValid() && age > -watchFor && age < sightingAge && len(s.sightings) < maxWatched {
			s.sightings[k.Address] = k
		}
	}
	return s
}

// Is tells whether an address stands for everybody. Of no address it says yes.
func (s *Shared) Is(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() || ip.IsLoopback() {
		return true
	}
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	found, seen := s.sightings[ip]
	return seen && isInside(ip) && s.o.Now().Sub(found.Last) < sightingAge || slices.Contains(s.owns, ip) || slices.Contains(s.gateways, ip)
}

// own tells whether an address is this machine's.
func (s *Shared) own(ip netip.Addr) bool {
	if s == nil {
		return ip.IsLoopback()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	return ip.IsLoopback() || slices.Contains(s.owns, ip)
}

// look has a look at the system, if the last one is too old; s.mu is held.
func (s *Shared) look() {
	now := s.o.Now()
	if !s.looked.IsZero() && now.Sub(s.looked) < lookEvery {
		return
	}
	s.looked, s.owns, s.gateways = now, s.o.Own(), s.o.Gateways()
}

// Saw takes note of a stranger's connection and of the name in its EHLO. Addresses that
// could be somebody's own, those of the internet, are never made everybody's by it.
func (s *Shared) Saw(ip netip.Addr, name string) {
	ip = ip.Unmap().WithZone("")
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if s == nil || !ip.IsValid() || !isFullName(name) || name == strings.ToLower(s.o.Hostname) || len(name) > 253 {
		return
	}
	s.mu.Lock()
	what := s.kind(ip)
	_, before := s.sightings[ip]
	if what == "" || !before && len(s.sightings) >= maxWatched || !s.count(ip, name) {
		s.mu.Unlock()
		return
	}
	found := Sighting{Address: ip, What: what, Names: s.watched[ip].names, Last: s.o.Now().UTC()}
	delete(s.watched, ip)
	s.sightings[ip] = found
	all := s.all()
	s.mu.Unlock()
	s.o.Log.Warn("an address stands for everybody", "address", ip, "problem", found.String())
	if s.o.Save != nil {
		if err := s.o.Save(all); err != nil {
			s.o.Log.Error("addresses that stand for everybody could not be kept", "error", err)
		}
	}
}

// kind says in words what could make an address everybody's; "": nothing. s.mu is held.
func (s *Shared) kind(ip netip.Addr) string {
	s.look()
	switch {
	case ip.IsLoopback():
		return "this machine itself: a proxy on it?"
	case slices.Contains(s.owns, ip):
		return "an address of this machine: a proxy on it?"
	case slices.Contains(s.gateways, ip):
		return "the gateway of this machine's network"
	case isInside(ip):
		return "a private address: a proxy?"
	}
	return ""
}

// isInside tells whether an address is of a private network, or of a carrier's (RFC 1918,
// 4193, 6598).
func isInside(ip netip.Addr) bool {
	return ip.IsPrivate() || ip.IsLinkLocalUnicast() || netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10).Contains(ip)
}

// count adds a name of an address, and tells whether there are many now, of which nothing
// was said today; s.mu is held.
func (s *Shared) count(ip netip.Addr, name string) bool {
	now := s.o.Now()
	if last, ok := s.sightings[ip]; ok && now.Sub(last.Last) < watchFor {
		return false
	}
	if len(s.watched) >= maxWatched && s.watched[ip] == nil {
		clear(s.watched)
	}
	w := s.watched[ip]
	if w == nil || now.Sub(w.since) >= watchFor {
		w = &watch{since: now}
		s.watched[ip] = w
	}
	if !slices.Contains(w.names, name) {
		w.names = append(w.names, name)
	}
	return len(w.names) >= manyNames
}

// Sightings are the addresses that have turned out to be everybody's, latest first.
func (s *Shared) Sightings() []Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all()
}

// all forgets what is old; s.mu is held.
func (s *Shared) all() []Sighting {
	var all []Sighting
	for ip, k := range s.sightings {
		if s.o.Now().Sub(k.Last) >= sightingAge {
			delete(s.sightings, ip)
			continue
		}
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b Sighting) int {
		return cmp.Or(b.Last.Compare(a.Last), a.Address.Compare(b.Address))
	})
	return all[:min(len(all), maxWatched)]
}

// Gateways are the default routes of this machine.
func (s *Shared) Gateways() []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	return slices.Clone(s.gateways)
}

// ownAddresses are those of this machine's interfaces.
func ownAddresses() (all []netip.Addr) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, f := range found {
		if n, ok := f.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				all = append(all, ip.Unmap())
			}
		}
	}
	return all
}

// maxRoutes is as much of the system's tables as is read.
const maxRoutes = 1 << 20

// gateways are the default routes, by Linux's tables.
func gateways() []netip.Addr {
	return append(routes4(readTable("/proc/net/route")), routes6(readTable("/proc/net/ipv6_route"))...)
}

func readTable(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "" // another system
	}
	defer f.Close()
	b := make([]byte, 0, 64<<10)
	for len(b) < maxRoutes {
		if len(b) == cap(b) {
			b = slices.Grow(b, len(b))
		}
		n, err := f.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			break
		}
	}
	return string(b)
}
