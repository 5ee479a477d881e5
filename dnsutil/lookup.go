package dnsutil

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// The methods below answer as those of [net.Resolver] do, so that what was written for it
// can ask here. Errors are a [*net.DNSError] that wraps an [*Error]: IsNotFound for a name
// that isn't there, that has no such records or that can be none, IsTemporary for all else.
//
// Names may be of any ASCII, as macros of RFC 7208 make them. An address is no name.

// LookupTXT gives the TXT records of a name, each with its strings put together (RFC 1035
// section 3.3.14), as the octets that they are.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	answer, err := r.lookupAny(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, dnsError(name, err)
	}
	var all []string
	for _, rr := range answer.Records {
		if txt, ok := rr.(*dns.TXT); ok {
			all = append(all, plain(strings.Join(txt.Txt, "")))
		}
	}
	return all, nil
}

// LookupMX gives the MX records of a name by preference, with the dot at the end of each
// host. That of a null MX (RFC 7505) is ".". See [Resolver.MX] for where mail goes.
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	answer, err := r.lookupAny(ctx, name, dns.TypeMX)
	if err != nil {
		return nil, dnsError(name, err)
	}
	var all []*net.MX
	for _, rr := range answer.Records {
		if mx, ok := rr.(*dns.MX); ok {
			all = append(all, &net.MX{Host: mx.Mx, Pref: mx.Preference})
		}
	}
	slices.SortStableFunc(all, func(a, b *net.MX) int { return int(a.Pref) - int(b.Pref) })
	return all, nil
}

// LookupIPAddr gives the addresses of a host, IPv6 first. If one kind could not be looked
// up, there are none: a caller who needs one kind alone asks [Resolver.LookupNetIP].
func (r *Resolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	addresses, err := r.LookupNetIP(ctx, "ip", host)
	all := make([]net.IPAddr, 0, len(addresses))
	for _, a := range addresses {
		all = append(all, net.IPAddr{IP: a.AsSlice()})
	}
	return all, err
}

// LookupNetIP gives the addresses of a host: of both kinds if network is "ip", or those of
// "ip4" or "ip6".
func (r *Resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	type found struct {
		addresses []netip.Addr
		err       error
	}
	look := func(qtype uint16) found {
		answer, err := r.lookupAny(ctx, host, qtype)
		return found{addressesOf(answer.Records), err}
	}
	var six, four found
	switch network {
	case "ip4":
		four = look(dns.TypeA)
	case "ip6":
		six = look(dns.TypeAAAA)
	case "ip":
		other := make(chan found, 1) // filled when lookupAny returns, which ends with ctx
		go func() { other <- look(dns.TypeAAAA) }()
		four = look(dns.TypeA)
		six = <-other
	default:
		return nil, &net.DNSError{Err: net.UnknownNetworkError(network).Error(), Name: host}
	}
	for _, err := range []error{four.err, six.err} {
		if err != nil && !errors.Is(err, ErrNoData) {
			return nil, dnsError(host, err)
		}
	}
	all := append(six.addresses, four.addresses...)
	if len(all) == 0 {
		if four.err == nil {
			four.err = six.err
		}
		if four.err == nil { // IPv4 in the clothes of IPv6 alone
			four.err = &Error{Name: host, Type: dns.TypeAAAA, Err: ErrNoData}
		}
		return nil, dnsError(host, four.err)
	}
	return all, nil
}

// LookupAddr gives the names that an address is said to have, with the dot at their end.
// What names no host is left out.
func (r *Resolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	name, err := dns.ReverseAddr(addr)
	if err != nil {
		return nil, dnsError(addr, &Error{Name: addr, Err: ErrName, Cause: err})
	}
	answer, err := r.lookupAny(ctx, name, dns.TypePTR)
	if err != nil {
		return nil, dnsError(addr, err)
	}
	var all []string
	for _, rr := range answer.Records {
		ptr, ok := rr.(*dns.PTR)
		if !ok {
			continue
		}
		if host, ok := hostname(ptr.Ptr); ok {
			all = append(all, dns.Fqdn(host))
		}
	}
	return all, nil
}

// lookupAny is Lookup for names of any octets in labels that fit the DNS.
func (r *Resolver) lookupAny(ctx context.Context, name string, qtype uint16) (Answer, error) {
	if ascii, err := Name(name); err == nil {
		return r.lookup(ctx, ascii, qtype)
	}
	odd, ok := oddName(name)
	if !ok {
		return Answer{}, &Error{Name: name, Type: qtype, Err: ErrName}
	}
	return r.lookup(ctx, odd, qtype)
}

// oddName gives a name that is no host's as the dns package writes it, with its odd octets
// escaped. Dots part its labels.
func oddName(name string) (string, bool) {
	name = bare(name)
	if _, err := netip.ParseAddr(name); err == nil || !isASCII(name) || name == "" || len(name) > maxName {
		return "", false
	}
	var wire []byte
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return "", false
		}
		wire = append(wire, byte(len(label)))
		wire = append(wire, strings.ToLower(label)...)
	}
	escaped, _, err := dns.UnpackDomainName(append(wire, 0), 0)
	return bare(escaped), err == nil
}

// plain undoes the escapes in which the dns package keeps the octets of strings.
func plain(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			b = append(b, s[i])
		case i+3 < len(s) && isDigits(s[i+1:i+4]):
			b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+s[i+3]-'0')
			i += 3
		default:
			i++
			b = append(b, s[i])
		}
	}
	return string(b)
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// dnsError puts an error of Lookup into the clothes that callers of net.Resolver know.
func dnsError(name string, err error) error {
	e := &net.DNSError{UnwrapErr: err, Err: err.Error(), Name: name}
	for _, kind := range []error{ErrNotFound, ErrNoData, ErrName} {
		e.IsNotFound = e.IsNotFound || errors.Is(err, kind)
	}
	e.IsTemporary = !e.IsNotFound
	e.IsTimeout = e.IsTemporary && (errors.Is(err, errTimeout) || errors.Is(err, context.DeadlineExceeded))
	return e
}
