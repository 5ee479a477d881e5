package main

import (
	"context"
	"crypto/x509"
	"io"
	"sync/atomic"

	"kurir/dnsutil"
	"kurir/internal/admin"
	"kurir/internal/relay"
)

// transport is the relay in force, for the queue.
type transport struct{ now atomic.Pointer[relay.Relay] }

// Destination implements queue.Transport.
func (t *transport) Destination(sender, recipient string) string {
	return t.now.Load().Destination(sender, recipient)
}

// Send implements queue.Transport.
func (t *transport) Send(ctx context.Context, destination string, m *relay.Message, to []relay.Recipient, before relay.BeforeDot) *relay.Result {
	return t.now.Load().Send(ctx, destination, m, to, before)
}

// admin is the mail address of who looks after the server; empty if none is named.
func (d *data) admin() string { return d.config.Load().Admin }

// submit hands a message in as a program of this machine.
func (d *data) submit(ctx context.Context, o admin.Outgoing, message io.Reader) (admin.Sent, error) {
	return d.submitter.Load().submit(ctx, o, message)
}

// use puts another configuration into force for all that has to do with the data. Of the
// changed keys it takes those that are none of the front-ends'. roots are those of
// relay.ca_file. What is under way ends as it began.
func (d *data) use(o dataOptions, changed []string, roots *x509.CertPool) {
	d.config.Store(o.cfg)
	if touches(changed, "dns.") {
		trust, err := dnsutil.ParseTrust(o.cfg.DNS.Trusted)
		if err != nil { // config has looked at it
			trust = dnsutil.TrustNone
		}
		d.dns.Use(o.cfg.DNS.Servers, trust)
		if d.signingDNS != nil {
			d.signingDNS.Use(o.cfg.DNS.Servers, trust)
		}
	}
	if touches(changed, "relay.", "smtp.address", "route", "destination") {
		before := d.relay
		d.useRelay(o, roots)
		before.Close()
	}
	q := o.queueOptions()
	d.queue.Change(q.Settings())
	d.signing.SetRetire(retire(o.cfg))
	d.forward.SetHourly(o.cfg.Forward.CopiesHour)
	d.suppression.SetKeep(o.cfg.Relay.SuppressFor)
	d.submitter.Store(newSubmitter(d, o))
}
