package main

import (
	"crypto/x509"
	"fmt"
	"os"

	"kurir/dnsutil"
	"kurir/internal/config"
	"kurir/internal/relay"
	"kurir/internal/tlspolicy"
)

// openTLS gives the relay what it needs to know of TLS with other servers: whom to trust,
// what the administrator and the domains ask for, and who has offered TLS before.
func (d *data) openTLS(o dataOptions) (err error) {
	roots, err := authorities(o.cfg.Relay.CAFile)
	if err != nil {
		return err
	}
	fetcher := &dnsutil.STSFetcher{Resolver: d.dns, RootCAs: roots, Families: d.relay.Families}
	to := tlspolicy.Options{DB: d.db, Resolver: d.dns, Fetch: fetcher.Fetch, Log: o.log}
	if m := o.metrics; m != nil {
		to.Stopped = func(string) { m.TLSStopped() }
	}
	d.tlsPolicies = tlspolicy.Open(to)
	d.closers = append(d.closers, d.tlsPolicies.Close)
	d.relay.RootCAs, d.relay.STS, d.relay.Memory = roots, d.tlsPolicies, d.tlsPolicies
	d.relay.Destinations = destinations(o.cfg.Destinations)
	return nil
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
