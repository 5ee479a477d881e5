package config

import (
	"fmt"
	"slices"
	"strings"
)

// Destination is how TLS is used with the mail servers of a domain.
type Destination struct {
	Domain string // as A-labels in lower case, "*.example.net" for all below
	TLS    string // "none", "may", "encrypt" or "verify"
}

// destinationList is [[destination]].
func destinationList() list {
	return list{
		name: "destination",
		doc: "How TLS is used with the mail servers of a domain, where the usual is not right: TLS where\n" +
			"it is offered, and demanded where the domain itself does so by DANE or MTA-STS. There may be\n" +
			"several; the first that fits decides.",
		sample: func() []field {
			return destinationFields("", &Destination{Domain: "partner.example.net", TLS: "verify"})
		},
		add: func(l *loader, prefix string) []field {
			d := &Destination{}
			l.destinations = append(l.destinations, d)
			return destinationFields(prefix, d)
		},
		count: func(l *loader) int { return len(l.destinations) },
	}
}

func destinationFields(prefix string, d *Destination) []field {
	return []field{
		{key: prefix + "domain", target: &d.Domain, entry: true,
			doc: "The domain of the recipients; \"*.example.net\" is all below example.net. It must be set."},
		{key: prefix + "tls", target: &d.TLS, entry: true,
			doc: "\"verify\" (nothing goes without a valid certificate), \"encrypt\" (nothing without TLS), \"may\"\n" +
				"(TLS where it is offered, whatever the domain demands) or \"none\" (no TLS). It must be set."},
	}
}

// checkDestinations looks at each [[destination]], and writes its domain as A-labels.
func (l *loader) checkDestinations() {
	for i, d := range l.destinations {
		name := fmt.Sprintf("destination[%d]", i+1)
		if d.Domain == "" && !l.bad(name+".domain") {
			l.wrong(l.first(name+".domain", name), "domain is missing: whose mail servers it is about")
		}
		if d.Domain != "" {
			domains := []string{d.Domain}
			l.checkDomains(name+".domain", domains)
			d.Domain = domains[0]
			if j := slices.IndexFunc(l.destinations[:i], func(e *Destination) bool { return e.covers(d.Domain) }); j >= 0 {
				l.wrong(name+".domain", "%s is in destination[%d] already, which decides: put this one in front of it, or take it out", d.Domain, j+1)
			}
		}
		if d.TLS == "" && !l.bad(name+".tls") {
			l.wrong(l.first(name+".tls", name), "tls is missing: \"verify\", \"encrypt\", \"may\" or \"none\"")
		}
		if d.TLS != "" {
			l.oneOf(name+".tls", d.TLS, "verify", "encrypt", "may", "none")
		}
	}
}

// covers tells whether what is for domain, which may begin with "*.", is for d as well.
func (d *Destination) covers(domain string) bool {
	below, all := strings.CutPrefix(d.Domain, "*")
	return domain == d.Domain || all && strings.HasSuffix(domain, below)
}

// dnsFields are the keys of [dns].
func dnsFields(c *Config) []field {
	return []field{
		{key: "dns.servers", target: &c.DNS.Servers,
			doc: "Resolvers, such as \"192.0.2.53\", \"192.0.2.53:5353\" or \"[2001:db8::53]:53\".\n[] is those of the system."},
		{key: "dns.trusted", target: &c.DNS.Trusted,
			doc: "Whether they are believed when they say that DNSSEC has verified an answer, which DANE needs:\n" +
				"\"yes\", \"no\", or \"auto\": if all of them are on this machine. Say \"yes\" only where nobody can change\n" +
				"what comes from them on its way here."},
		{key: "dns.addresses", target: &c.DNS.Addresses,
			doc: "Public addresses of this server, for what \"kurir dns\" prints and compares, where the machine has\nnone of its own: behind a router, or in a container. [] is those of the machine."},
	}
}
