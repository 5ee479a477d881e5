package mailauth

import (
	"context"
	"net"
	"net/netip"
	"strings"
)

// maxNames is how many names of an address are looked at.
const maxNames = 5

// IPRev is the outcome of [CheckIPRev].
type IPRev struct {
	Result Result // Pass, Fail, TempError or PermError
	Name   string // that leads back to the address, or else the first it is said to have; "" if there is none
}

// CheckIPRev tells whether an address has a name that has this address (RFC 8601 section
// 3). An address without a name is PermError, as that section has it.
func CheckIPRev(ctx context.Context, r Resolver, ip netip.Addr) IPRev {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	ip = ip.Unmap().WithZone("")
	names, err := r.LookupAddr(ctx, ip.String())
	switch {
	case err != nil && !notFound(err):
		return IPRev{Result: TempError}
	case len(names) == 0:
		return IPRev{Result: PermError}
	}
	family := familyOf(r, ip)
	rev := IPRev{Result: Fail, Name: strings.ToLower(strings.TrimSuffix(names[0], "."))}
	for _, name := range names[:min(len(names), maxNames)] {
		addresses, err := family.LookupIPAddr(ctx, name)
		if err != nil && !notFound(err) {
			rev.Result = TempError
		}
		for _, a := range addresses {
			if found, ok := netip.AddrFromSlice(a.IP); ok && found.Unmap() == ip {
				return IPRev{Pass, strings.ToLower(strings.TrimSuffix(name, "."))}
			}
		}
	}
	return rev
}

// family asks for addresses of the one family that a client has. The other has nothing to
// say about it, and is not to fail in its place.
type family struct {
	Resolver
	network string // "ip4" or "ip6"
}

// familyOf is r for an IP of a client, if r can do that.
func familyOf(r Resolver, ip netip.Addr) family {
	network := "ip6"
	if ip.Is4() {
		network = "ip4"
	}
	return family{r, network}
}

// LookupIPAddr gives the addresses of a host.
func (f family) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	one, ok := f.Resolver.(interface {
		LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	})
	if !ok {
		return f.Resolver.LookupIPAddr(ctx, host)
	}
	addresses, err := one.LookupNetIP(ctx, f.network, host)
	all := make([]net.IPAddr, 0, len(addresses))
	for _, a := range addresses {
		all = append(all, net.IPAddr{IP: a.AsSlice()})
	}
	return all, err
}
