package relay

import (
	"net"
	"slices"
	"strings"
)

// How TLS is used with the hosts of a Route.
const (
	TLSStartTLS      = "starttls"      // STARTTLS, and a valid certificate: demanded
	TLSImplicit      = "tls"           // TLS from the first octet, and a valid certificate: demanded
	TLSOpportunistic = "opportunistic" // where it is offered; the certificate does not matter
	TLSNone          = "none"          // never
)

// Route is a way for some of the mail.
type Route struct {
	// Recipients and Senders are the domains of those whose mail goes this way, in A-labels;
	// "*.example.net" is all below example.net. Empty: all. A sender without an address, of
	// bounces, is in no domain.
	Recipients, Senders []string
	Smarthost           string // "host:port"; "" or "mx": each domain's own mail servers
	// TLS is one of the words above. Zero means "starttls" for a smarthost and
	// "opportunistic" for mail servers.
	TLS string
	// Username and Password log in to a smarthost; no name: no login. They are sent over
	// TLS only, or to an address of this machine.
	Username, Password string
}

// policy is how to speak to a host. Connections are shared where it is the same.
type policy struct {
	smarthost          string // "host:port", "" by MX
	tls                string // one of the words, or modeEncrypt
	fixed              bool   // what domains ask for does not count
	username, password string
}

// way is where mail goes, and how.
type way struct {
	name   string // as Destination gives it
	domain string // whose mail servers are asked for; "" with a smarthost
	policy policy
}

// part is those recipients of a message that have the same way.
type part struct {
	way   way
	to    []Recipient
	index []int // of each, among all recipients
}

// Destination names where mail from sender to recipient goes: "example.net", in A-labels
// and lower case, an address literal as "[192.0.2.1]" or "[IPv6:2001:db8::1]", or
// "smarthost:host:port".
func (r *Relay) Destination(sender, recipient string) string {
	return r.way(sender, recipient).name
}

// way finds the way of mail from sender to recipient.
func (r *Relay) way(sender, recipient string) way {
	domain, from := domainOf(recipient), domainOf(sender)
	p := policy{tls: TLSOpportunistic}
	i := slices.IndexFunc(r.Routes, func(t Route) bool { return within(domain, t.Recipients) && within(from, t.Senders) })
	if i >= 0 {
		p = r.Routes[i].policy()
	}
	if p.smarthost != "" {
		return way{name: SmarthostPrefix + p.smarthost, policy: p}
	}
	return way{name: domain, domain: domain, policy: r.destination(domain, p)}
}

// parts sorts recipients by their way, which as a rule is the same for all.
func (r *Relay) parts(sender string, to []Recipient) []*part {
	var all []*part
	for i, rcpt := range to {
		w := r.way(sender, rcpt.Address)
		at := slices.IndexFunc(all, func(p *part) bool { return p.way == w })
		if at < 0 {
			at = len(all)
			all = append(all, &part{way: w})
		}
		all[at].to = append(all[at].to, rcpt)
		all[at].index = append(all[at].index, i)
	}
	return all
}

func (t Route) policy() policy {
	p := policy{tls: t.TLS}
	if t.Smarthost != "" && !strings.EqualFold(t.Smarthost, "mx") {
		p.smarthost, p.username, p.password = strings.ToLower(t.Smarthost), t.Username, t.Password
	}
	switch {
	case p.tls != "":
	case p.smarthost != "":
		p.tls = TLSStartTLS
	default:
		p.tls = TLSOpportunistic
	}
	return p
}

// host and port of the smarthost. Without a port it is 587, or 465 with TLS from the first
// octet (RFC 6409 section 3.1, RFC 8314 section 3.3).
func (p policy) host() (host, port string) {
	if host, port, err := net.SplitHostPort(p.smarthost); err == nil {
		return host, port
	}
	host = strings.TrimSuffix(strings.TrimPrefix(p.smarthost, "["), "]")
	if p.tls == TLSImplicit {
		return host, "465"
	}
	return host, "587"
}

// words are what is said of how TLS is used.
func (p policy) words() string {
	switch p.tls {
	case TLSOpportunistic:
		return "opportunistic"
	case TLSNone:
		return "none"
	case modeEncrypt:
		return "encrypt"
	}
	return "verify"
}

// within tells whether a domain is one of a list, or the list empty.
func within(domain string, list []string) bool {
	if len(list) == 0 {
		return true
	}
	return slices.ContainsFunc(list, func(entry string) bool {
		if below, ok := strings.CutPrefix(entry, "*"); ok { // ".example.net"
			n := len(domain) - len(below)
			return n > 0 && below != "" && strings.EqualFold(domain[n:], below)
		}
		return domain != "" && strings.EqualFold(domain, entry)
	})
}
