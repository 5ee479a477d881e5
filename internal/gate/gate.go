// Package gate looks at strangers before their messages come: who connects, what they
// call themselves, and whom they write from and to. What it finds is a refusal with a
// reason, or notes for those who judge the message itself.
//
// It holds allow and block lists, limits on connections, messages and refusals, lists of
// spam sources and of good clients in the DNS, greylisting, and a look at the name in
// EHLO. It also knows which addresses stand for everybody (Shared), of whom none of that
// would be fair. All of it is bounded in memory, in the database and in time; where the
// DNS or the database fails, strangers are let in.
package gate

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"kurir/internal/sqldb"
)

// Resolver asks the DNS, as *net.Resolver does.
type Resolver interface {
	// LookupNetIP is asked for network "ip4" alone.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Options of a Gate. The zero value lets everybody in.
type Options struct {
	Hostname string // our own name
	Shared   *Shared
	Log      *slog.Logger // nil: nothing is logged
	Now      func() time.Time

	// Allow and Block are senders' addresses, domains ("example.com", ".example.com" with
	// all below it) and networks.
	Allow, Block []string

	Resolver Resolver // needed for lists
	DNSBL    []List   // of spam sources
	DNSWL    []List   // of good clients
	Refuse   int      // sum of weights in DNSBL that is refused; zero: none is

	DB    *sqldb.DB     // needed for greylisting
	Delay time.Duration // of greylisting; zero: there is none

	StrictHELO bool // a name that is no full host name is refused

	// From one IPv4 address or IPv6 /64; an IPv4 /24 may four times as much. Zero: no limit.
	ConnectionsMinute, MessagesHour, RefusalsHour int
}

// A Gate looks at clients. It is safe for concurrent use.
type Gate struct {
	o                              Options
	callers                        callers
	connections, messages, refused *rates
	grey                           *greylist // nil: there is none
	trouble                        trouble
}

// New makes a Gate. The error names an entry of Allow or Block that is none.
func New(o Options) (*Gate, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Gate{
		o:           o,
		connections: newRates(o.ConnectionsMinute, time.Minute, o.Now),
		messages:    newRates(o.MessagesHour, time.Hour, o.Now),
		refused:     newRates(o.RefusalsHour, time.Hour, o.Now),
	}
	if o.Delay > 0 {
		g.grey = &greylist{db: o.DB, delay: o.Delay, now: o.Now, most: maxWaiting}
	}
	var err error
	g.callers, err = newCallers(o.Allow, o.Block)
	return g, err
}

// Next makes a Gate that follows on g: it goes on with what clients have done, where the
// limit that bounds it is the same. The error is that of New.
func (g *Gate) Next(o Options) (*Gate, error) {
	n, err := New(o)
	if err != nil {
		return nil, err
	}
	for _, pair := range []struct{ was, is **rates }{
		{&g.connections, &n.connections}, {&g.messages, &n.messages}, {&g.refused, &n.refused},
	} {
		if (*pair.was).limit == (*pair.is).limit {
			*pair.is = *pair.was
		}
	}
	if g.grey != nil && n.grey != nil && g.grey.delay == n.grey.delay {
		n.grey = g.grey
	}
	return n, nil
}

// Refusal is a client or a recipient that is turned away. It is an error; its text says
// why, and whom to ask.
type Refusal struct {
	Code   int    // 400 to 599, RFC 5321 section 4.2; 421 closes the connection
	Status string // RFC 3463
	Text   string // one line of ASCII, safe to show a stranger
	Err    error  // cause: logged, never sent; may be nil
	Again  bool   // the same was said to this client a moment ago: no need to log it
}

// Error is what is logged.
func (r *Refusal) Error() string {
	s := fmt.Sprintf("%d %s %s", r.Code, r.Status, r.Text)
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

// Unwrap is the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Findings are what is known of a client besides its messages.
type Findings struct {
	Notes   []string // in words for the administrator, such as "client is listed by bl.example: spam source"
	Trusted bool     // the client is in a network that the administrator allows
	Junk    bool     // what it sends is for the Junk mailboxes
}
