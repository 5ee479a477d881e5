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
		// Longer than a message may be on its way from here.
		Retire: max(7*24*time.Hour, o.cfg.Relay.GiveUp+2*24*time.Hour),
		Log:    o.log,
	}
	if !d.isLocal(o) {
		dns := o.resolver()
		dns.MaxCache = -1 // what was not there a minute ago may have been published since
		so.DNS, so.Domains = dns, d.domainNames
	}
	return signing.New(d.db, so)
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

// sign signs notices; nil if nothing is to be signed.
func (d *data) sign(o dataOptions) func(context.Context, string, io.Reader) ([]byte, error) {
	if !o.cfg.DKIM.Sign {
		return nil
	}
	return d.signing.Sign
}

// resign signs again what was changed for a host; nil if nothing is to be signed.
func (d *data) resign(o dataOptions) func(context.Context, func() (io.ReadCloser, error)) ([]byte, error) {
	if !o.cfg.DKIM.Sign {
		return nil
	}
	return d.signing.Resign
}

// signer signs what is submitted; nil if nothing is to be signed.
func (d *data) signer(c *config.Config) smtpd.Signer {
	if !c.DKIM.Sign {
		return nil
	}
	return d.signing
}
