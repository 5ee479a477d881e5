// Package relay takes a message to another host by SMTP, and says for each recipient what
// became of it: sent, failed for good, or to be tried again.
//
// A [Relay] chooses the way (the domain's mail servers, or a smarthost: [Route]), finds
// the hosts in the DNS (RFC 5321 section 5.1), connects to one after the other until one
// can be used, makes the message fit for what that one can do, and turns its replies into
// a [Result]. TLS is used wherever it is offered, and where it is demanded, by the
// administrator, the sender, or the domain (DANE, RFC 7672; MTA-STS, RFC 8461), nothing goes
// without it. A connection is kept for a few seconds for the next message.
//
// One call of Send is one attempt. When to try again, how many attempts at once, and what
// the sender hears is the queue's business; SMTP itself is spoken by smtpclient, and the
// DNS asked by dnsutil. The package writes nothing to disk.
package relay

import (
	"context"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"kurir/dnsutil"
	"kurir/internal/smtpclient"
)

// Resolver finds hosts, as *dnsutil.Resolver does.
type Resolver interface {
	Route(ctx context.Context, domain string, self dnsutil.Self, f dnsutil.Families) (dnsutil.Route, error)
	Addresses(ctx context.Context, host string, f dnsutil.Families) ([]netip.Addr, error)
	DANE(ctx context.Context, h dnsutil.RouteHost, port uint16) (dnsutil.DANE, error)
}

// Relay sends messages to other hosts. The zero value of a field, but for Resolver, is its
// default. Fields are set before the first Send; methods are safe for concurrent use.
type Relay struct {
	Hostname string   // what EHLO says we are; zero means "localhost"
	Resolver Resolver // needed
	Routes   []Route  // the first that fits decides; without one mail goes by MX
	// Destinations say how TLS is used with the mail servers of domains; the first that fits
	// decides.
	Destinations []Destination
	// Fallback is the way for mail by MX where the domain's servers refuse this one for its
	// reputation; no Smarthost: there is none. Detours remembers them, and is needed for it.
	Fallback Route
	Detours  Detours
	STS      STS    // nil: MTA-STS does not count
	Memory   Memory // nil: nothing is remembered

	Self     dnsutil.Self     // who we are: mail for others that leads to us is a loop
	Families dnsutil.Families // which addresses are of no use here
	Source4  netip.Addr       // to connect from by IPv4; zero means the system's choice
	Source6  netip.Addr       // the same by IPv6

	Port           uint16              // of the hosts of a domain; zero means 25
	ConnectTimeout time.Duration       // for one address; zero means 30 s
	FindTimeout    time.Duration       // after which no other host is begun with; zero means 3 min
	HostTimeout    time.Duration       // from greeting to TLS if there is another host to try; zero means 1 min
	Timeouts       smtpclient.Timeouts // zero means what RFC 5321 asks for

	IdleKeep    time.Duration // how long a connection waits for its next message; zero means 5 s, less than zero that it does not
	MaxIdle     int           // connections that wait; zero means 100
	MaxMessages int           // over one connection; zero means 100

	RootCAs *x509.CertPool // whom to trust; nil means whom the system does
	// Dial connects, network being "tcp4" or "tcp6". Nil: the system does, from Source4 or
	// Source6.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Resign makes new signatures for a message that had to be changed for a host: header
	// lines to put in front, none if it was not signed here. Nil: nothing is signed here.
	Resign func(ctx context.Context, open func() (io.ReadCloser, error)) ([]byte, error)
	Now    func() time.Time // nil means time.Now
	Log    *slog.Logger     // what was tried, at level Debug; nil means no log

	idle   idle
	ailing ailing
}

// maxRecipients of one transaction: what every server takes (RFC 5321 section 4.5.3.1.8).
const maxRecipients = 100

// Send makes one attempt to hand m over for the recipients to, which all go to destination
// as Destination names it; the way is that of Routes as they are now. The Result is never
// nil and has an Outcome for each of to. before is called once for every transaction in
// which the message is handed over; nil is allowed. When ctx ends, so does Send, soon.
func (r *Relay) Send(ctx context.Context, destination string, m *Message, to []Recipient, before BeforeDot) *Result {
	began := r.now()
	res := &Result{Outcomes: make([]Outcome, len(to)), Whole: len(to) > 0}
	for _, part := range r.parts(m.Sender, to) {
		a := r.handOver(ctx, part.way, m, part.to, before)
		for i, o := range a.outcomes {
			res.Outcomes[part.index[i]] = o
		}
		res.Tries = append(res.Tries, a.tries...)
		res.Whole = res.Whole && a.whole
	}
	res.Took = r.now().Sub(began)
	r.log().Debug("relay: attempt made", "id", m.ID, "destination", destination, "whole", res.Whole, "took", res.Took)
	return res
}

// attempt goes one way, to its end.
func (r *Relay) attempt(ctx context.Context, w way, m *Message, to []Recipient, before BeforeDot) *attempt {
	a := &attempt{r: r, way: w, m: m, to: to, before: before, outcomes: make([]Outcome, len(to)), done: make([]bool, len(to)),
		log: r.log().With("id", m.ID, "destination", w.name)}
	a.run(ctx)
	return a
}

// Close says goodbye on the connections that wait for a message, and returns when all are
// closed, after a few seconds at most. Attempts under way are not touched; their
// connections are not kept any more.
func (r *Relay) Close() { r.idle.close() }

func (r *Relay) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *Relay) log() *slog.Logger {
	if r.Log != nil {
		return r.Log
	}
	return slog.New(slog.DiscardHandler)
}

// or is the value of an option, or its default.
func or[T int | uint16 | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}
