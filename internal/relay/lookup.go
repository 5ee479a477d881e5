package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"kurir/dnsutil"
)

// lookup finds the hosts to try. The hosts that the DNS has, but no use can be made of,
// are among the tries in vain. The verdict is nil if there is at least one host.
func (a *attempt) lookup(ctx context.Context) (*search, *verdict) {
	if a.way.policy.smarthost != "" {
		return a.lookupSmarthost(ctx)
	}
	port := or(a.r.Port, 25)
	if isLiteral(a.way.domain) {
		return a.lookupLiteral(port)
	}
	route, err := a.r.Resolver.Route(ctx, a.way.domain, a.r.Self, a.r.Families)
	if err != nil {
		return nil, noRoute(err)
	}
	a.route = route
	for _, u := range route.Unusable {
		a.failed(Try{Peer{Host: u.Name}, Reply{Status: temporary(noRoute(u.Err).reply.Status), Text: sentence(u.Err.Error())}})
	}
	return a.r.search(route.Hosts, port), nil
}

// noRoute is what an error of the resolver means for the recipients.
func noRoute(err error) *verdict {
	for _, m := range []struct {
		is     error
		action Action
		status string
	}{
		{dnsutil.ErrTemporary, Deferred, "4.4.3"},
		{dnsutil.ErrNullMX, Failed, "5.1.10"}, // RFC 7505 section 4.2
		{dnsutil.ErrLoop, Failed, "5.4.6"},
		{dnsutil.ErrNotFound, Failed, "5.1.2"},
		{dnsutil.ErrNoData, Failed, "5.4.4"},
		{dnsutil.ErrName, Failed, "5.1.2"},
	} {
		if errors.Is(err, m.is) {
			return &verdict{action: m.action, whole: m.action == Deferred, reply: Reply{Status: m.status, Text: sentence(err.Error())}}
		}
	}
	return &verdict{whole: true, reply: Reply{Status: "4.4.3", Text: sentence(err.Error())}}
}

// lookupLiteral makes a search of an address in place of a domain.
func (a *attempt) lookupLiteral(port uint16) (*search, *verdict) {
	fail := func(status, format string) (*search, *verdict) {
		return nil, &verdict{action: Failed, reply: Reply{Status: status, Text: fmt.Sprintf(format, a.way.domain)}}
	}
	addr, ok := parseLiteral(a.way.domain)
	switch f := a.r.Families; {
	case !ok:
		return fail("5.1.2", "%s is not an IP address.")
	case a.r.Self.HasAddress(addr):
		return fail("5.4.6", "%s is an address of this server, which has no such mailbox.")
	case !dnsutil.Routable(addr):
		return fail("5.4.6", "%s is not an address that mail could be sent to.")
	case addr.Is4() && f.NoIPv4:
		return fail("5.4.4", "%s cannot be reached: this server does not use IPv4.")
	case addr.Is6() && f.NoIPv6:
		return fail("5.4.4", "%s cannot be reached: this server does not use IPv6.")
	}
	return a.r.search([]dnsutil.RouteHost{{Name: a.way.domain, Addresses: []netip.Addr{addr}}}, port), nil
}

// lookupSmarthost makes a search of the smarthost's addresses, be they what they may: the
// administrator has named it. What is wrong with it is no reason to give up any mail.
func (a *attempt) lookupSmarthost(ctx context.Context) (*search, *verdict) {
	host, text := a.way.policy.host()
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return nil, &verdict{whole: true, reply: Reply{Status: "4.3.5",
			Text: fmt.Sprintf("The smarthost %s has no valid port. The administrator must set it right.", a.way.policy.smarthost)}}
	}
	addrs, err := a.addresses(ctx, host)
	if err != nil {
		return nil, &verdict{whole: true, peer: Peer{Host: host}, reply: Reply{Status: "4.4.3",
			Text: fmt.Sprintf("The smarthost %s cannot be found: %v.", host, err)}}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = literal(ip.Unmap())
	}
	return a.r.search([]dnsutil.RouteHost{{Name: host, Addresses: addrs}}, uint16(port)), nil
}

// addresses of a smarthost. "localhost" is this machine, whatever the DNS says (RFC 6761
// section 6.3).
func (a *attempt) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if host != "localhost" {
		return a.r.Resolver.Addresses(ctx, host, a.r.Families)
	}
	var all []netip.Addr
	if !a.r.Families.NoIPv6 {
		all = append(all, netip.IPv6Loopback())
	}
	if !a.r.Families.NoIPv4 {
		all = append(all, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return all, nil
}
