package dnsutil

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Bounds of what is done for one domain or host.
const (
	maxHosts     = 20
	maxAddresses = 20
)

// Host takes mail for a domain.
type Host struct {
	Name       string // in A-labels
	Preference uint16 // lower ones first
	Implicit   bool   // the domain has no MX record and takes its mail itself; preference 0
}

// Families tells which addresses are of no use here.
type Families struct{ NoIPv4, NoIPv6 bool }

// MX gives the hosts that take mail for a domain (RFC 5321 section 5.1): those of its MX
// records by preference, equal ones in any order, at most 20; without an MX record the
// domain itself, if it has an address. What an alias stands for is taken for the domain.
// Records that name no host, like "192.0.2.1.", are passed over. Possible errors:
// [ErrNotFound], [ErrNoData], [ErrTemporary], [ErrName], [ErrNullMX].
func (r *Resolver) MX(ctx context.Context, domain string) ([]Host, error) {
	hosts, _, err := r.hosts(ctx, domain)
	return hosts[:min(len(hosts), maxHosts)], err
}

// hosts is MX without its bound, with the answer that the hosts are from.
func (r *Resolver) hosts(ctx context.Context, domain string) ([]Host, Answer, error) {
	answer, err := r.Lookup(ctx, domain, dns.TypeMX)
	if errors.Is(err, ErrNoData) {
		hosts, err := r.implicit(ctx, domain, answer.Name)
		return hosts, answer, err
	}
	if err != nil {
		return nil, answer, err
	}
	var hosts []Host
	var odd []string
	null := 0
	for _, rr := range answer.Records {
		mx, ok := rr.(*dns.MX)
		if !ok {
			continue
		}
		name, ok := hostname(mx.Mx)
		switch {
		case mx.Mx == ".":
			null++
		case !ok:
			odd = append(odd, shown(bare(mx.Mx)))
		default:
			hosts = append(hosts, Host{Name: name, Preference: mx.Preference})
		}
	}
	domain, _ = Name(domain) // it is one, as Lookup has found
	if len(hosts) == 0 && len(odd) == 0 && null > 0 {
		return nil, answer, &Error{Name: domain, Type: dns.TypeMX, Err: ErrNullMX}
	}
	if len(hosts) == 0 {
		return nil, answer, &Error{Name: domain, Type: dns.TypeMX, Err: ErrNoData,
			text: fmt.Sprintf("the MX records of %s name no host: %s", domain, few(odd))}
	}
	return ordered(hosts), answer, nil
}

// implicit is the host of a domain without MX records: what its name, after aliases,
// stands for.
func (r *Resolver) implicit(ctx context.Context, domain, name string) ([]Host, error) {
	if !isHostname(name) {
		name, _ = Name(domain) // the alias leads to an odd name; only the DNS needs to know
	}
	_, err := r.Addresses(ctx, name, Families{})
	if err == nil {
		return []Host{{Name: name, Implicit: true}}, nil
	}
	var e *Error
	if errors.As(err, &e) && errors.Is(err, ErrNoData) {
		e.Name, _ = Name(domain)
		e.Type, e.text = dns.TypeMX, fmt.Sprintf("%s has neither a mail server nor an address in the DNS", e.Name)
	}
	return nil, err
}

// ordered sorts by preference, equal ones at random to share the load. A host that is
// there twice is taken where it is preferred.
func ordered(hosts []Host) []Host {
	rand.Shuffle(len(hosts), func(i, k int) { hosts[i], hosts[k] = hosts[k], hosts[i] })
	slices.SortStableFunc(hosts, func(a, b Host) int { return cmp.Compare(a.Preference, b.Preference) })
	seen := map[string]bool{}
	return slices.DeleteFunc(hosts, func(h Host) bool {
		twice := seen[h.Name]
		seen[h.Name] = true
		return twice
	})
}

// Addresses gives the addresses of a host, those of IPv6 first, each kind in random order;
// at most 20, of which 10 or fewer are of one kind if there are more of both. An address
// in place of a name stands for itself. If one kind could not be looked up, the other is
// the answer. Possible errors: [ErrNotFound], [ErrNoData], [ErrTemporary], [ErrName].
func (r *Resolver) Addresses(ctx context.Context, host string, f Families) ([]netip.Addr, error) {
	l := r.look(ctx, host, f)
	return l.addresses, l.err
}

// located is a host's addresses, or why there are none.
type located struct {
	addresses []netip.Addr
	name      string // end of the chain of aliases
	secure    bool   // all that was heard of it, at least something
	err       error
}

// look is Addresses, with how they were found.
func (r *Resolver) look(ctx context.Context, host string, f Families) located {
	if a, err := netip.ParseAddr(host); err == nil {
		l := located{name: a.String()}
		l.addresses, l.err = literal(a, f)
		return l
	}
	ascii, err := Name(host)
	if err != nil {
		return located{err: err}
	}
	type found struct {
		answer Answer
		err    error
	}
	look := func(qtype uint16) (got found) {
		got.answer, got.err = r.Lookup(ctx, ascii, qtype)
		return got
	}
	var all []found
	switch {
	case f.NoIPv4 && f.NoIPv6:
	case f.NoIPv6:
		all = []found{look(dns.TypeA)}
	case f.NoIPv4:
		all = []found{look(dns.TypeAAAA)}
	default:
		other := make(chan found, 1) // filled when Lookup returns, which ends with ctx
		go func() { other <- look(dns.TypeAAAA) }()
		all = []found{look(dns.TypeA), <-other}
	}
	l := located{name: ascii}
	var six, four []netip.Addr
	heard, insecure := 0, 0
	for _, got := range all {
		for _, a := range addressesOf(got.answer.Records) {
			if a.Is4() {
				four = append(four, a)
			} else {
				six = append(six, a)
			}
		}
		if got.answer.Name == "" {
			continue
		}
		if heard++; !got.answer.Secure {
			insecure++
		}
		if len(got.answer.Records) > 0 {
			l.name = got.answer.Name
		}
	}
	l.secure = heard > 0 && insecure == 0
	if l.addresses = shuffled(six, four); len(l.addresses) > 0 {
		return l
	}
	for _, got := range all {
		if l.err == nil && got.err != nil && !errors.Is(got.err, ErrNoData) {
			l.err = got.err
		}
	}
	if l.err == nil {
		l.err = noAddress(ascii, f)
	}
	return l
}

// literal is an address given as such.
func literal(a netip.Addr, f Families) ([]netip.Addr, error) {
	a = a.Unmap()
	if a.Is4() && f.NoIPv4 || a.Is6() && f.NoIPv6 {
		return nil, noAddress(a.String(), f)
	}
	return []netip.Addr{a}, nil
}

func noAddress(host string, f Families) error {
	e := &Error{Name: host, Type: dns.TypeA, Err: ErrNoData}
	switch {
	case f.NoIPv4 && f.NoIPv6:
		e.text = fmt.Sprintf("%s cannot be reached: IPv4 and IPv6 are both switched off", host)
	case f.NoIPv4:
		e.Type, e.text = dns.TypeAAAA, fmt.Sprintf("%s has no IPv6 address, and IPv4 is switched off", host)
	case f.NoIPv6:
		e.text = fmt.Sprintf("%s has no IPv4 address, and IPv6 is switched off", host)
	default:
		e.text = fmt.Sprintf("%s has no address in the DNS", host)
	}
	return e
}

// addressesOf takes the addresses out of records. IPv4 in the clothes of IPv6 is none
// that anything could be sent to.
func addressesOf(records []dns.RR) []netip.Addr {
	var all []netip.Addr
	for _, rr := range records {
		var b []byte
		switch rr := rr.(type) {
		case *dns.A:
			b = rr.A.To4()
		case *dns.AAAA:
			b = rr.AAAA
		}
		a, ok := netip.AddrFromSlice(b)
		if ok && !a.Is4In6() && !slices.Contains(all, a) && len(all) < 10*maxAddresses {
			all = append(all, a)
		}
	}
	return all
}

// shuffled puts both kinds behind each other, within the bound.
func shuffled(six, four []netip.Addr) []netip.Addr {
	for _, all := range [][]netip.Addr{six, four} {
		rand.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	}
	n6 := min(len(six), max(maxAddresses/2, maxAddresses-len(four)))
	n4 := min(len(four), maxAddresses-n6)
	return append(six[:n6:n6], four[:n4]...)
}

// few joins names for a text, not too many.
func few(names []string) string {
	if len(names) > 3 {
		names = append(slices.Clone(names[:3]), "...")
	}
	return strings.Join(names, ", ")
}
