package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"kurir/dnsutil"
	"kurir/internal/admin"
	"kurir/internal/config"
	"kurir/internal/directory"
	"kurir/internal/signing"
)

// note keeps something that a person should know.
func (t *dnsTarget) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// notPublic are networks that no address of the Internet comes from: those of
// netip.Addr.IsPrivate are private networks (RFC 1918, RFC 4193).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("100.64.0.0/10"), // behind a provider's NAT, RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),  // RFC 6890
	netip.MustParsePrefix("198.18.0.0/15"), // measurements, RFC 2544
	netip.MustParsePrefix("fec0::/10"),     // RFC 3879
}

// public tells whether the world can reach an address.
func public(a netip.Addr) bool {
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	return dnsutil.Routable(a) && !a.IsPrivate() && !slices.ContainsFunc(notPublic, in)
}

// findAddresses takes the addresses that were given; else those that the configuration
// names, and those of this machine if it names none.
func (t *dnsTarget) findAddresses(cfg *config.Config, given []netip.Addr) {
	if t.Addresses = given; len(given) > 0 {
		return
	}
	for _, text := range cfg.DNS.Addresses {
		if a, err := netip.ParseAddr(text); err == nil {
			t.Addresses = append(t.Addresses, a.Unmap())
		}
	}
	if len(t.Addresses) > 0 {
		return
	}
	named, all := listenAddresses(cfg.SMTP.Address)
	if all {
		named = append(named, machineAddresses()...)
	}
	named = append(named, cfg.Relay.SourceIPv4, cfg.Relay.SourceIPv6)
	var private []string
	for _, a := range named {
		switch {
		case !a.IsValid() || a.IsLoopback() || a.IsLinkLocalUnicast() || slices.Contains(t.Addresses, a):
		case public(a):
			t.Addresses = append(t.Addresses, a)
		default:
			private = append(private, a.String())
		}
	}
	if len(t.Addresses) > 0 {
		return
	}
	which := "This machine has no public address"
	if len(private) > 0 {
		which = "This machine has only private addresses (" + strings.Join(private, ", ") + "), which must not be published"
	}
	t.note("%s: say with --ipv4 and --ipv6 by which the world reaches it.", which)
}

// listenAddresses are the addresses that a protocol is served on; all: every one of
// this machine's.
func listenAddresses(listen []string) (named []netip.Addr, all bool) {
	for _, address := range listen {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			continue
		}
		a, err := netip.ParseAddr(host)
		if err != nil || a.IsUnspecified() {
			all = all || host != "localhost"
			continue
		}
		named = append(named, a.Unmap())
	}
	return named, all
}

// machineAddresses are those of the network interfaces that are meant to last: IPv6
// addresses that change with time (RFC 8981) are left out.
func machineAddresses() []netip.Addr {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	passing := passingAddresses()
	var all []netip.Addr
	for _, f := range found {
		n, ok := f.(*net.IPNet)
		if !ok {
			continue
		}
		if a, ok := netip.AddrFromSlice(n.IP); ok && !passing[a.Unmap()] {
			all = append(all, a.Unmap())
		}
	}
	return all
}

// findServices says which protocols mail apps can use. What is served on loopback alone
// is not offered, unless a proxy on this machine passes it on.
func (t *dnsTarget) findServices(cfg *config.Config) {
	proxied := slices.ContainsFunc(cfg.Proxy.Networks, func(p netip.Prefix) bool { return p.Addr().IsLoopback() })
	t.Services = offeredServices(cfg, proxied)
	if offeredPort(cfg.SMTP.Address, proxied) == 0 {
		t.note("No mail comes in: smtp.address of the configuration has no address that others can reach.")
	}
}

// offeredPort is the first port that others can reach; 0: none. proxied tells that
// loopback is reached by a proxy.
func offeredPort(listen []string, proxied bool) uint16 {
	for _, address := range listen {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			continue
		}
		a, err := netip.ParseAddr(host)
		if local := host == "localhost" || err == nil && a.IsLoopback(); local && !proxied {
			continue
		}
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			return uint16(n)
		}
	}
	return 0
}

// findCertificate reads the certificate in service, of which no record is made if it
// comes from our own CA.
func (e *env) findCertificate(ctx context.Context, cfg *config.Config, t *dnsTarget) {
	chain, err := e.certificateChain(ctx, cfg)
	switch {
	case err != nil:
		t.note("The certificate could not be read, so there are no records about it: %v.", err)
	case len(chain) > 0:
		t.Chain = chain
	case cfg.ACME.Enabled:
		t.note("The certificate was not fetched yet, so there are no records about it: ask again when the server runs and has it (kurir certificate list).")
	default:
		t.PolicyHost = ""
		t.note("The certificate is of kurir's own CA: there are no records about it, and MTA-STS cannot be used. docs/certificates.md says how to get another.")
	}
}

// findSmarthosts says whose mail servers all mail leaves through.
func (t *dnsTarget) findSmarthosts(cfg *config.Config) {
	add := func(address string) {
		host, _, err := net.SplitHostPort(address)
		if err != nil || address == "mx" {
			return
		}
		if name, err := dnsutil.Name(host); err == nil && !slices.Contains(t.Smarthosts, name) {
			t.Smarthosts = append(t.Smarthosts, name)
		}
	}
	for _, r := range cfg.Routes {
		if len(r.Recipients) == 0 && (len(r.Senders) == 0 || slices.Contains(r.Senders, t.Domain)) {
			add(r.Smarthost.Address)
			return // the first that fits decides
		}
	}
	add(cfg.Relay.Smarthost.Address)
}

// findDomain asks the data for the domain and its keys. Without them the rest is told.
func (e *env) findDomain(ctx context.Context, cfg *config.Config, t *dnsTarget) {
	err := e.with(ctx, func(ctx context.Context, o admin.Operations) error {
		keys, err := o.DKIMRecords(ctx, t.Domain)
		switch {
		case errors.Is(err, directory.ErrNoDomain):
			t.note("kurir does not take mail for %s yet: kurir domain add %s. Its DKIM keys are made then.", t.Domain, t.Domain)
			return nil
		case err == nil && len(keys) == 0:
			t.note("%s has no DKIM keys yet: the server makes them when it starts.", t.Domain)
		}
		if err == nil && !cfg.DKIM.Sign {
			t.note("kurir signs nothing (dkim.sign of the configuration), so nothing is said of its keys.")
			return nil
		}
		for _, k := range keys {
			if k.State != signing.Retired {
				t.DKIM = append(t.DKIM, dnsutil.DKIMKey{Name: k.Name, Value: k.Value, Next: k.State == signing.Pending, Retired: k.State == signing.Retiring})
			}
		}
		return err
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.note("The data could not be asked, so nothing is said of DKIM keys: %v", err)
	}
}
