package main

import (
	"context"
	"net/netip"

	"github.com/spf13/cobra"

	"kurir/dnsutil"
)

func dnsCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "dns",
		Short: "What the DNS should say of your domains, and what it says",
		Long: `What the DNS should say of your domains, and what it says. Both commands work while the
server runs and while it is stopped, and need no root; only for the DKIM keys they have
to reach the data, as the other commands do. docs/dns.md explains every record.`,
		Example: `  kurir dns records example.org
  kurir dns check example.org`,
	}, dnsRecords(e), dnsCheck(e))
}

// dnsFlags are what the configuration cannot know.
type dnsFlags struct {
	ipv4, ipv6, include      []string
	policyHost, autoconfHost string
	dmarc                    string
}

func addDNSFlags(c *cobra.Command) *dnsFlags {
	var d dnsFlags
	f := c.Flags()
	f.StringSliceVar(&d.ipv4, "ipv4", nil, "public IPv4 `ADDRESS` of the server, if this machine does not have it itself")
	f.StringSliceVar(&d.ipv6, "ipv6", nil, "public IPv6 `ADDRESS`, likewise")
	f.StringSliceVar(&d.include, "include", nil, "`DOMAIN` whose SPF record names further senders, such as a smarthost's provider")
	f.StringVar(&d.policyHost, "mta-sts-host", "", "`HOST` of a web server that serves the policy for MTA-STS")
	f.StringVar(&d.autoconfHost, "autoconfig-host", "", "`HOST` of a web server that tells mail apps their settings")
	f.StringVar(&d.dmarc, "dmarc", "quarantine", "what others should do with forged mail, as `POLICY`: none, quarantine or reject")
	return &d
}

// addresses are those of --ipv4 and --ipv6.
func (d *dnsFlags) addresses() ([]netip.Addr, error) {
	var all []netip.Addr
	for _, given := range []struct {
		flag, family string
		values       []string
	}{{"--ipv4", "IPv4", d.ipv4}, {"--ipv6", "IPv6", d.ipv6}} {
		for _, text := range given.values {
			a, err := netip.ParseAddr(text)
			switch {
			case err != nil || a.Is4() != (given.family == "IPv4") || a.Zone() != "":
				return nil, usagef("%s: %q is no %s address", given.flag, text, given.family)
			case !public(a):
				return nil, usagef("%s %s is a private address: nobody outside can reach it; give the one that the world sees, which your provider or router shows", given.flag, text)
			}
			all = append(all, a)
		}
	}
	return all, nil
}

// apply puts what the flags say into the site.
func (d *dnsFlags) apply(s *dnsutil.Site) (err error) {
	for _, host := range []struct {
		flag, value string
		to          *string
	}{{"--mta-sts-host", d.policyHost, &s.PolicyHost}, {"--autoconfig-host", d.autoconfHost, &s.AutoconfigHost}} {
		if host.value == "" {
			continue
		}
		if *host.to, err = dnsutil.Name(host.value); err != nil {
			return usagef("%s: %v", host.flag, err)
		}
	}
	for _, domain := range d.include {
		name, err := dnsutil.Name(domain)
		if err != nil {
			return usagef("--include: %v", err)
		}
		s.Include = append(s.Include, name)
	}
	switch d.dmarc {
	case "none", "quarantine", "reject":
		s.DMARC = d.dmarc
	default:
		return usagef("--dmarc %q is none of none, quarantine and reject", d.dmarc)
	}
	return nil
}

// dnsTarget is one domain's site, and what could not be found out about it.
type dnsTarget struct {
	dnsutil.Site
	notes []string
}

// dnsSite gathers what is known of a domain on this server.
func (e *env) dnsSite(ctx context.Context, domain string, flags *dnsFlags) (dnsTarget, error) {
	t := dnsTarget{}
	name, err := dnsutil.Name(domain)
	if err != nil {
		return t, usagef("%v", err)
	}
	cfg, err := e.settings()
	if err != nil {
		return t, err
	}
	if cfg.Hostname == "" {
		return t, errNameless
	}
	t.Domain, t.Reports = name, "postmaster@"+name
	if t.Host, err = dnsutil.Name(cfg.Hostname); err != nil {
		return t, err
	}
	t.findPages(cfg)
	if err := flags.apply(&t.Site); err != nil {
		return t, err
	}
	given, err := flags.addresses()
	if err != nil {
		return t, err
	}
	t.findAddresses(cfg, given)
	t.findServices(cfg)
	e.findCertificate(ctx, cfg, &t)
	t.findSmarthosts(cfg)
	e.findDomain(ctx, cfg, &t)
	return t, nil
}
