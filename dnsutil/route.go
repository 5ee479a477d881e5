package dnsutil

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Self tells who we are, so that mail for others is not sent to ourselves.
type Self struct {
	Names []string                // of this server, as MX records may have them
	Is    func(a netip.Addr) bool // is that one of our addresses? Nil: none is
}

// HasName tells whether host is one of our names.
func (s Self) HasName(host string) bool {
	same := func(name string) bool {
		if ascii, err := Name(name); err == nil {
			name = ascii
		}
		return strings.EqualFold(name, host)
	}
	return slices.ContainsFunc(s.Names, same)
}

// HasAddress tells whether a is one of our addresses.
func (s Self) HasAddress(a netip.Addr) bool { return s.Is != nil && s.Is(a.Unmap()) }

// Route is the way of mail to a domain.
type Route struct {
	// Hosts are to be tried in this order. At least one, each with at least one address.
	Hosts []RouteHost
	// Unusable are the hosts that mail should have gone to, too, but cannot, and why.
	Unusable []UnusableHost
	// Secure tells that the hosts are those of the domain for certain: DNSSEC says so.
	Secure bool
	// Implicit tells that there are no MX records: the host is the domain itself.
	Implicit bool
	// Name is what the domain is an alias of, the domain itself if of nothing.
	Name string
}

// RouteHost is a host to try.
type RouteHost struct {
	Name       string // in A-labels
	Preference uint16
	Addresses  []netip.Addr // to be tried in this order
	// Secure tells that its addresses are for certain, and Alias what it is an alias of,
	// itself if of nothing.
	Secure bool
	Alias  string
}

// UnusableHost is one that has no address that could be used.
type UnusableHost struct {
	Name string
	Err  error // [ErrNotFound], [ErrNoData], [ErrTemporary], or [ErrLoop] if it leads to this machine
}

// Routable tells whether mail for others can be sent to a: not if it is an address of
// this machine only, one of no machine, or one of many.
func Routable(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() {
		return false
	}
	if a.Is6() {
		return true
	}
	first := a.As4()[0]
	return first != 0 && first < 240 // "this network" and class E, RFC 1122 section 3.2.1.3
}

// Route finds the way to a domain: the hosts of [Resolver.MX] with the addresses of
// [Resolver.Addresses]. If one of them is ourselves, by name or by address, it is left out
// with all that are not preferred to it (RFC 5321 section 5.1); so are addresses that are
// not [Routable]. Possible errors: [ErrNotFound], [ErrNoData], [ErrTemporary], [ErrName],
// [ErrNullMX]; [ErrLoop] if nothing but ourselves or this machine is left.
func (r *Resolver) Route(ctx context.Context, domain string, self Self, f Families) (Route, error) {
	hosts, answer, err := r.hosts(ctx, domain)
	if err != nil {
		return Route{}, err
	}
	before := func(h Host) []Host { // those preferred to h
		return slices.DeleteFunc(slices.Clone(hosts), func(o Host) bool { return o.Preference >= h.Preference })
	}
	all := len(hosts)
	if i := slices.IndexFunc(hosts, func(h Host) bool { return self.HasName(h.Name) }); i >= 0 {
		hosts = before(hosts[i])
	}
	hosts = hosts[:min(len(hosts), maxHosts)]
	found := r.locate(ctx, hosts, f)
	for i, l := range found {
		if slices.ContainsFunc(l.addresses, self.HasAddress) {
			hosts = before(hosts[i])
			break
		}
	}
	looped := len(hosts) < min(all, maxHosts)
	route := Route{Secure: answer.Secure, Name: answer.Name}
	for i, h := range hosts {
		l := found[i]
		usable := slices.DeleteFunc(slices.Clone(l.addresses), func(a netip.Addr) bool { return !Routable(a) })
		if l.err == nil && len(usable) == 0 {
			l.err = &Error{Name: h.Name, Err: ErrLoop, text: fmt.Sprintf("%s has only addresses that lead nowhere: %s", h.Name, fewAddresses(l.addresses))}
		}
		if l.err != nil {
			route.Unusable = append(route.Unusable, UnusableHost{h.Name, l.err})
			continue
		}
		route.Hosts = append(route.Hosts, RouteHost{h.Name, h.Preference, usable, l.secure, l.name})
		route.Implicit = route.Implicit || h.Implicit
	}
	if len(route.Hosts) == 0 {
		return Route{}, noRoute(domain, route.Unusable, looped)
	}
	return route, nil
}

// locate looks up the addresses of hosts, some at a time, and returns when all are there,
// in the order of hosts.
func (r *Resolver) locate(ctx context.Context, hosts []Host, f Families) []located {
	found := make([]located, len(hosts))
	slots := make(chan struct{}, 5)
	var all sync.WaitGroup
	for i, h := range hosts {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			found[i] = r.look(ctx, h.Name, f)
		})
	}
	all.Wait()
	return found
}

// noRoute says why no host is left. A host that may be reached later makes it temporary.
func noRoute(domain string, unusable []UnusableHost, looped bool) error {
	ascii, err := Name(domain)
	if err != nil {
		return err
	}
	e := &Error{Name: ascii, Type: dns.TypeMX, Err: ErrNoData}
	var names []string
	for _, u := range unusable {
		if errors.Is(u.Err, ErrTemporary) {
			e.Err, e.Cause = ErrTemporary, u.Err
			e.text = fmt.Sprintf("the mail servers of %s cannot be found just now: %v", ascii, u.Err)
			return e
		}
		looped = looped || errors.Is(u.Err, ErrLoop)
		names = append(names, u.Name)
	}
	if looped {
		e.Err = ErrLoop
	}
	switch {
	case len(unusable) == 1 && unusable[0].Name == ascii:
		e.text = unusable[0].Err.Error()
	case len(unusable) == 1:
		e.text = fmt.Sprintf("the mail server of %s cannot be reached: %v", ascii, unusable[0].Err)
	case !looped:
		e.text = fmt.Sprintf("none of the mail servers of %s has an address in the DNS: %s", ascii, few(names))
	}
	return e
}

func fewAddresses(all []netip.Addr) string {
	var s []string
	for _, a := range all {
		s = append(s, a.String())
	}
	return few(s)
}
