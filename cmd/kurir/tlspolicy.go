package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"

	"kurir/dnsutil"
	"kurir/internal/config"
	"kurir/internal/relay"
	"kurir/internal/tlspolicy"
)

// openTLS opens what is remembered of TLS with other servers: what the domains ask for,
// and who has offered it before.
func (d *data) openTLS(o dataOptions) {
	to := tlspolicy.Options{DB: d.db, Resolver: d.dns, Log: o.log}
	to.Fetch = func(ctx context.Context, domain string) (dnsutil.STSPolicy, error) {
		return d.fetcher.Load().Fetch(ctx, domain)
	}
	if m := o.metrics; m != nil {
		to.Stopped = func(string) { m.TLSStopped() }
	}
	d.tlsPolicies = tlspolicy.Open(to)
	d.closers = append(d.closers, d.tlsPolicies.Close)
}

// useRelay makes a relay as configured, with what is known of other servers, and has it
// used from now on.
func (d *data) useRelay(o dataOptions, roots *x509.CertPool) {
	r := o.relay(d.dns)
	r.Resign, r.Detours = d.resign, d.detours
	r.RootCAs, r.STS, r.Memory = roots, d.tlsPolicies, d.tlsPolicies
	r.Destinations = destinations(o.cfg.Destinations)
	d.fetcher.Store(&dnsutil.STSFetcher{Resolver: d.dns, RootCAs: roots, Families: r.Families})
	d.relay = r
	d.transport.now.Store(r)
}

func destinations(from []config.Destination) (to []relay.Destination) {
	for _, d := range from {
		to = append(to, relay.Destination{Domain: d.Domain, TLS: d.TLS})
	}
	return to
}

// authorities are the CAs that the system trusts and those of a file; nil without a file,
// which stands for the system's.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("relay.ca_file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("relay.ca_file: %s holds no certificate in PEM form", file)
	}
	return roots, nil
}

// checkTLSPolicy looks at what TLS with other servers relies on.
func checkTLSPolicy(r *report, cfg *config.Config) {
	if _, err := authorities(cfg.Relay.CAFile); err != nil {
		r.fail("config", "%v", err)
	}
	if (dataOptions{cfg: cfg}).resolver().Trusted() {
		r.pass("dns", "the resolvers are believed about DNSSEC: DANE is used where they verify it")
	} else {
		r.pass("dns", "the resolvers are not believed about DNSSEC (dns.trusted): DANE is not used for mail to other servers")
	}
}
