package main

import (
	"context"
	"io"
	"time"

	"kurir/internal/config"
	"kurir/internal/signing"
	"kurir/smtpd"
)

// newSigning has the keys of the domains. Those of the command local have none.
func (d *data) newSigning(o dataOptions) *signing.Signer {
	so := signing.Options{
		Retire: retire(o.cfg),
		Log:    o.log,
	}
	if !d.isLocal(o) {
		dns := o.resolver()
		dns.MaxCache = -1 // what was not there a minute ago may have been published since
		so.DNS, so.Domains = dns, d.domainNames
		d.signingDNS = dns
	}
	return signing.New(d.db, so)
}

// retire is how long a key's record is needed: longer than a message may be on its way from here.
func retire(c *config.Config) time.Duration {
	return max(7*24*time.Hour, c.Relay.GiveUp+2*24*time.Hour)
}

// isLocal tells whether these are data of the command local, which signs nothing.
func (d *data) isLocal(o dataOptions) bool { return o.local || isLocal(o.files, d.dir) }

// domainNames are the domains and domain aliases: a mail from an alias's address is signed
// as the alias, since receivers compare with that.
func (d *data) domainNames(ctx context.Context) ([]string, error) {
	all, err := d.directory.ListDomains(ctx)
	var names []string
	for _, a := range all {
		names = append(names, a.Name)
	}
	return names, err
}

// sign signs notices; without a signature if nothing is to be signed.
func (d *data) sign(ctx context.Context, domain string, message io.Reader) ([]byte, error) {
	if !d.config.Load().DKIM.Sign {
		return nil, nil
	}
	return d.signing.Sign(ctx, domain, message)
}

// resign signs again what was changed for a host; without a signature if nothing is to be
// signed.
func (d *data) resign(ctx context.Context, open func() (io.ReadCloser, error)) ([]byte, error) {
	if !d.config.Load().DKIM.Sign {
		return nil, nil
	}
	return d.signing.Resign(ctx, open)
}

// signer signs what is submitted; nil if nothing is to be signed.
func (d *data) signer(c *config.Config) smtpd.Signer {
	if !c.DKIM.Sign {
		return nil
	}
	return d.signing
}
