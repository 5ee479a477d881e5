package relay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"kurir/dnsutil"
)

// STS knows the policies of domains by MTA-STS (RFC 8461).
type STS interface {
	// Policy gives the policy of a domain, in A-labels, that is in force now. It takes a
	// minute at most; ok is false if there is none, or none that could be had.
	Policy(ctx context.Context, domain string) (p dnsutil.STSPolicy, ok bool)
}

// Memory remembers which hosts offer TLS.
type Memory interface {
	// SawTLS notes whether a host has offered TLS. If it has not, but did before, until is
	// when it did last; else until is zero.
	SawTLS(ctx context.Context, host string, offered bool) (until time.Time)
}

// The words of Destination.TLS.
const (
	DestinationNone    = "none"    // no TLS
	DestinationMay     = "may"     // where it is offered, whatever the domain asks for
	DestinationEncrypt = "encrypt" // with any certificate at least; demanded
	DestinationVerify  = "verify"  // with a valid certificate; demanded
)

// Destination is how TLS is used with the mail servers of some domains. "none" and "may" go
// before what the domain asks for by DANE and MTA-STS; of "encrypt" and "verify", and that,
// the stricter holds.
type Destination struct {
	Domain string // in A-labels; "*.example.net" is all below example.net
	TLS    string // one of the words above
}

// destination is the policy for mail to a domain's own servers, as the administrator has
// it.
func (r *Relay) destination(domain string, p policy) policy {
	i := slices.IndexFunc(r.Destinations, func(d Destination) bool { return within(domain, []string{d.Domain}) })
	if i < 0 {
		return p
	}
	switch r.Destinations[i].TLS {
	case DestinationNone:
		p.tls, p.fixed = TLSNone, true
	case DestinationMay:
		p.tls, p.fixed = TLSOpportunistic, true
	case DestinationEncrypt:
		p.tls, p.fixed = modeEncrypt, false
	case DestinationVerify:
		p.tls, p.fixed = TLSStartTLS, false
	}
	return p
}

// Modes of TLS beside the words of Route.TLS.
const (
	modeEncrypt = "encrypt" // STARTTLS is demanded, with any certificate
	modeDANE    = "dane"    // STARTTLS is demanded, with a certificate as TLSA records name it
)

// rule is what TLS with a host must be like. A connection is used again only where the
// rule is the same.
type rule struct {
	mode string // a word of Route.TLS, or one of the modes
	name string // for people: "dane", "mta-sts enforce" and so on
	dane string // which records and names count, with modeDANE
	lax  bool   // the sender waives what the domain asks for
}

// demands tells whether nothing may go without TLS.
func (r rule) demands() bool { return r.mode != TLSNone && r.mode != TLSOpportunistic }

// guard is a rule for one host, with what it takes to keep it.
type guard struct {
	rule
	records dnsutil.DANE
	names   []string // beside the host's, that its certificate may be for, with DANE
	by      string   // who demands TLS, in brackets for people; "" if we do
	refused string   // why a policy that is being tested would have refused the host
	testing bool     // there is such a policy
	known   bool     // this is for certain a mail server of the domain (RFC 8689 section 4.2.1)
}

// guard finds out what TLS with a candidate must be like: as the administrator has it,
// else by DANE, else by MTA-STS, which must not make up for DANE that fails (RFC 8461
// section 2). The fault is of a host that must not be used, or not now.
func (a *attempt) guard(ctx context.Context, c candidate) (*guard, *fault) {
	p := a.way.policy
	g := &guard{rule: rule{mode: p.tls, name: p.words()}}
	if p.smarthost != "" || isLiteral(a.way.domain) {
		g.known = true
		return g, nil
	}
	g.known = a.route.Secure || a.route.Implicit
	switch {
	case a.lax():
		g.lax, g.name = true, g.name+", what the domain asks for does not count (TLS-Required: No)"
		return g, nil
	case p.fixed || p.tls == TLSNone:
		return g, nil
	}
	if done, f := a.guardDANE(ctx, c, g); done || f != nil {
		return g, f
	}
	return g, a.guardSTS(ctx, c, g)
}

// lax tells whether the sender waives what domains ask for. Who demands TLS as well gets
// that (RFC 8689 section 5).
func (a *attempt) lax() bool { return a.m.TLSOptional && !a.m.RequireTLS }

// guardDANE does so by the host's TLSA records (RFC 7672 section 2.2). done: there is
// nothing more to ask for.
func (a *attempt) guardDANE(ctx context.Context, c candidate, g *guard) (done bool, f *fault) {
	i := slices.IndexFunc(a.route.Hosts, func(h dnsutil.RouteHost) bool { return h.Name == c.host })
	if i < 0 || !a.route.Secure {
		return false, nil
	}
	d, err := a.r.Resolver.DANE(ctx, a.route.Hosts[i], c.addr.Port())
	switch {
	case err != nil: // section 2.1.2
		g.name = "dane"
		return true, a.unfit(c, g, "4.4.3", "the DNS does not say whether it has TLSA records (DANE), without which it must not be used: "+err.Error())
	case !d.Found:
		return false, nil
	}
	g.by = " by its TLSA records (DANE)"
	if len(d.Records) == 0 {
		if !g.demands() {
			g.mode = modeEncrypt
		}
		g.name = "dane, but none of the TLSA records can be used"
		return false, nil
	}
	g.mode, g.name, g.dane, g.records = modeDANE, "dane", d.String(), d
	if d.NeedsName() {
		g.names = []string{a.way.domain, a.route.Name}
		g.dane += " for " + strings.Join(g.names, ", ")
	}
	return true, nil
}

// guardSTS does so by the domain's policy (RFC 8461 section 4).
func (a *attempt) guardSTS(ctx context.Context, c candidate, g *guard) *fault {
	if a.r.STS == nil {
		return nil
	}
	if a.sts == nil {
		p, ok := a.r.STS.Policy(ctx, a.way.domain)
		a.sts = &stsAnswer{p, ok}
	}
	if !a.sts.ok {
		return nil
	}
	named := a.sts.Allows(c.host)
	g.known = g.known || named
	if a.sts.Mode == dnsutil.STSTesting {
		g.testing = true
		g.name += ", mta-sts testing"
		if !named {
			g.refused = "it is none of the mail servers that the policy names"
		}
		return nil
	}
	g.name = "mta-sts " + a.sts.Mode
	if !named {
		return a.unfit(c, g, "4.7.5", fmt.Sprintf("it is none of the mail servers that the policy of %s names (MTA-STS)", a.way.domain))
	}
	g.mode, g.by = TLSStartTLS, " by the policy of its domain (MTA-STS)"
	return nil
}

// stsAnswer is what is known of a domain's policy.
type stsAnswer struct {
	dnsutil.STSPolicy
	ok bool
}

// unfit is the fault of a host that is not even connected to.
func (a *attempt) unfit(c candidate, g *guard, status, why string) *fault {
	p := Peer{Host: c.host, Address: c.addr, Policy: g.name}
	return &fault{kind: unfit, peer: p, reply: Reply{Status: status, Text: bounded(fmt.Sprintf("%s cannot be used: %s.", p.show(), why))}}
}

// judgeTesting notes what a policy that is being tested would have refused a host for,
// now that TLS is there or is not.
func (g *guard) judgeTesting(p *Peer) {
	switch {
	case !g.testing:
		return
	case g.refused != "":
	case p.TLSVersion == "":
		g.refused = "there is no TLS"
	case p.TLSName == "":
		g.refused = "its certificate is not valid"
	default:
		return
	}
	p.Policy = g.name + " (enforced, it would have refused this host: " + g.refused + ")"
}

// remember notes whether a host that was spoken with has offered TLS, and says so where it
// did before and does not now.
func (r *Relay) remember(ctx context.Context, g *guard, p *Peer, offered bool) {
	if r.Memory == nil || g.mode == TLSNone || isLiteral(p.Host) {
		return
	}
	if until := r.Memory.SawTLS(ctx, p.Host, offered); !until.IsZero() {
		p.Policy += "; it offered TLS until " + until.UTC().Format(time.DateOnly)
	}
}
