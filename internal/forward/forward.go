// Package forward passes mail on from aliases to addresses of other servers. It makes the
// sender address that such mail leaves with, in the alias's domain, so that SPF there knows
// this server (the Sender Rewriting Scheme, package srs), recognises these addresses when
// something comes back to them, seals what was found about a message (RFC 8617, package
// arc), and bounds what an alias passes on in an hour.
//
// The secret by which return addresses are recognised is made once and kept in the SQL
// table forward_secret (Migrations): without it, what comes back from mail that left before
// is refused. What was passed on is counted in memory. The message itself, its envelope and
// its way into the queue are others' business.
package forward

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"kurir/internal/directory"
	"kurir/internal/mailauth/arc"
	"kurir/internal/mailauth/srs"
	"kurir/internal/policy"
	"kurir/internal/sqldb"
)

// Directory says who has an address; *directory.Directory is one.
type Directory interface {
	Resolve(ctx context.Context, address string) ([]directory.Recipient, error)
}

// SealKey finds the key, and its selector, that a domain seals with; a nil key where it has
// none.
type SealKey func(ctx context.Context, domain string) (selector string, key crypto.Signer, err error)

// Options of a Forwarder.
type Options struct {
	Directory Directory
	SealKey   SealKey          // nil: nothing is sealed
	Hourly    int              // copies that one alias passes on in an hour; zero means no bound
	Now       func() time.Time // zero means time.Now
	Log       *slog.Logger     // zero means slog.Default
}

// Forwarder makes mail ready to be passed on. Its methods may be called from any goroutine.
type Forwarder struct {
	o      Options
	secret []byte
	meter  meter
}

// New returns the Forwarder whose secret is in db, which was opened with Migrations. The
// first call makes the secret.
func New(ctx context.Context, db *sqldb.DB, o Options) (*Forwarder, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	secret, err := readSecret(ctx, db, o.Now())
	if err != nil {
		return nil, fmt.Errorf("forward: %w", err)
	}
	return &Forwarder{o: o, secret: secret, meter: meter{hourly: o.Hourly, now: o.Now}}, nil
}

// SetHourly changes Options.Hourly, also while the Forwarder is used.
func (f *Forwarder) SetHourly(copies int) { f.meter.bound(copies) }

// rewriter makes and reads the return addresses of a domain.
func (f *Forwarder) rewriter(domain string) *srs.Rewriter {
	return &srs.Rewriter{Secret: f.secret, Domain: domain, Now: f.o.Now}
}

// Sender is the reverse-path with which an alias, given by its address, passes on mail from
// sender; "" for "". The error says why there can be none, which is the sender's fault.
func (f *Forwarder) Sender(sender, alias string) (string, error) {
	if sender == "" {
		return "", nil
	}
	return f.rewriter(domainOf(alias)).Forward(sender)
}

// Return says who gets what comes back to an address that Sender has made: the original
// sender, who may be here, or elsewhere as a Recipient with Remote and no Alias. is is
// false for addresses that do not have the form of one, or are of a domain that is not
// ours. Errors: directory.ErrNoAccount for one that is forged or too old, and those of
// the directory.
func (f *Forwarder) Return(ctx context.Context, address string) (to []directory.Recipient, is bool, err error) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 || !srs.Is(address[:at]) {
		return nil, false, nil
	}
	switch _, err := f.o.Directory.Resolve(ctx, address); {
	case errors.Is(err, directory.ErrNoDomain):
		return nil, false, nil
	case err != nil && !errors.Is(err, directory.ErrNoAccount) && !errors.Is(err, directory.ErrInvalidAddress):
		return nil, true, err
	}
	original, err := f.rewriter(address[at+1:]).Reverse(address)
	if err != nil {
		return nil, true, fmt.Errorf("%w: %w", directory.ErrNoAccount, err)
	}
	to, err = f.o.Directory.Resolve(ctx, original)
	if errors.Is(err, directory.ErrNoDomain) {
		return []directory.Recipient{{Remote: original}}, true, nil
	}
	return to, true, err
}

// Senders is the directory as whoever writes to senders needs it: a return address leads to
// the sender that it stands for.
type Senders struct{ *Forwarder }

// Resolve is that of the Forwarder's Directory for all other addresses.
func (s Senders) Resolve(ctx context.Context, address string) ([]directory.Recipient, error) {
	if to, is, err := s.Return(ctx, address); is {
		return to, err
	}
	return s.o.Directory.Resolve(ctx, address)
}

// Room tells whether an alias may pass on so many copies more now.
func (f *Forwarder) Room(alias string, copies int) bool { return f.meter.room(alias, copies) }

// Passed counts copies that an alias passes on.
func (f *Forwarder) Passed(alias string, copies int) { f.meter.add(alias, copies) }

// Seal makes the ARC Set by which the alias's domain says what a verdict found about a
// message, to be put on top of it; nil where there is no verdict, or no key. A seal helps
// the message to be believed and is no condition for passing it on: what stands in the
// way of one is logged.
func (f *Forwarder) Seal(ctx context.Context, alias string, v policy.Verdict, open policy.Open) []byte {
	if v.Results == "" || f.o.SealKey == nil {
		return nil
	}
	header, err := f.seal(ctx, domainOf(alias), v, open)
	if err != nil {
		f.o.Log.Error("message is passed on without a seal", "alias", alias, "error", err)
		return nil
	}
	return header
}

func (f *Forwarder) seal(ctx context.Context, domain string, v policy.Verdict, open policy.Open) ([]byte, error) {
	selector, key, err := f.o.SealKey(ctx, domain)
	if err != nil || key == nil {
		return nil, err
	}
	msg, err := open()
	if err != nil {
		return nil, err
	}
	s := arc.Sealer{Domain: domain, Selector: selector, Key: key, Now: f.o.Now}
	header, err := s.Seal(msg, v.Chain, v.Results)
	return header, errors.Join(err, msg.Close())
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
