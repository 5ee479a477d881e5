package dnsutil

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// PublishedTXT reports whether a TXT record with that value can be seen at each of the name
// servers of the zone that name is in, which are asked themselves: a resolver may remember
// that there was none. Those that do not answer are left aside; if none does, or the zone's
// cannot be found, the resolver's own servers are asked anew. The error is that of the last
// one that said nothing.
func (r *Resolver) PublishedTXT(ctx context.Context, name, value string) (bool, error) {
	ascii, err := Name(name)
	if err != nil {
		return false, err
	}
	answered := false
	for _, s := range r.zoneServers(ctx, ascii) {
		found, err := r.fresh(s).hasTXT(ctx, ascii, value)
		switch {
		case err != nil:
			continue
		case !found:
			return false, nil
		}
		answered = true
	}
	if answered {
		return true, nil
	}
	return r.fresh(r.Servers...).hasTXT(ctx, ascii, value)
}

// fresh is a resolver without a memory, and without a log: a name server that is down is not
// our trouble.
func (r *Resolver) fresh(servers ...string) *Resolver {
	return &Resolver{Servers: servers, Timeout: r.Timeout, Tries: r.Tries, MaxCache: -1, ResolvConf: r.ResolvConf, Dial: r.Dial}
}

// zoneServers are addresses of the name servers of the zone that name is in, as far as they
// are known.
func (r *Resolver) zoneServers(ctx context.Context, name string) (all []string) {
	for zone := name; strings.Contains(zone, "."); _, zone, _ = strings.Cut(zone, ".") {
		answer, err := r.Lookup(ctx, zone, dns.TypeNS)
		if err != nil || answer.Name != zone {
			continue
		}
		for _, rr := range answer.Records[:min(len(answer.Records), maxHosts)] {
			if ns, ok := rr.(*dns.NS); ok {
				found, _ := r.Addresses(ctx, bare(dns.CanonicalName(ns.Ns)), Families{})
				for _, a := range found[:min(len(found), 2)] {
					all = append(all, a.String())
				}
			}
		}
		return all
	}
	return nil
}

// hasTXT looks for one TXT record.
func (r *Resolver) hasTXT(ctx context.Context, name, value string) (bool, error) {
	all, err := r.LookupTXT(ctx, name)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoData) {
		return false, nil
	}
	return slices.Contains(all, value), err
}
