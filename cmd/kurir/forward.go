package main

import (
	"context"
	"crypto"
	"errors"

	"kurir/internal/forward"
	"kurir/internal/signing"
)

// openForward opens what passes mail on from aliases to other servers.
func (d *data) openForward(ctx context.Context, o dataOptions) (err error) {
	fo := forward.Options{Directory: d.directory, Hourly: o.cfg.Forward.CopiesHour, Log: o.log}
	if !d.isLocal(o) {
		fo.SealKey = d.sealKey
	}
	d.forward, err = forward.New(ctx, d.db, fo)
	return err
}

// sealKey finds the key that a domain seals with, no key where it has none or nothing is
// signed here.
func (d *data) sealKey(ctx context.Context, domain string) (selector string, key crypto.Signer, err error) {
	if !d.config.Load().DKIM.Sign {
		return "", nil, nil
	}
	selector, key, err = d.signing.SealKey(ctx, domain)
	if errors.Is(err, signing.ErrNoKey) {
		return "", nil, nil
	}
	return selector, key, err
}
