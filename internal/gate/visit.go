package gate

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Visit is one connection. It is used by one goroutine at a time.
type Visit struct {
	g    *Gate
	ip   netip.Addr // zero: nobody's in particular
	seen netip.Addr // the address that the connection has come from
	helo string
	from string // sender of the message under way, "" for the null reverse-path

	network standing // of the client's network
	sender  standing // the lists' word on the message under way
	lists   *inquiry // nil: no list is asked
}

// Connect begins a visit that ends with ctx. ip is the client's address, the zero Addr if
// it has none. The error is a *Refusal that closes the connection.
func (g *Gate) Connect(ctx context.Context, ip netip.Addr) (*Visit, error) {
	seen := ip
	if g.o.Shared.Is(ip) {
		ip = netip.Addr{}
	}
	v := &Visit{g: g, ip: ip, seen: seen, network: g.callers.network(ip)}
	if !ip.IsValid() || v.network == allowed {
		return v, nil
	}
	if wait, again := g.refused.full(ip); wait > 0 {
		return nil, &Refusal{Code: 421, Status: "4.7.0", Again: again,
			Text: fmt.Sprintf("too much from %s was refused within an hour: come again in %s", literal(ip), minutes(wait))}
	}
	if wait, again := g.connections.take(ip); wait > 0 {
		return nil, &Refusal{Code: 421, Status: "4.7.0", Again: again,
			Text: fmt.Sprintf("too many connections from %s or its neighbours within a minute: come again later", literal(ip))}
	}
	if v.network != blocked {
		v.lists = g.inquire(ctx, ip)
	}
	return v, nil
}

// Hello takes the name of EHLO or HELO; the last one counts.
func (v *Visit) Hello(name string) { v.helo = name }

// Mail is asked about the sender of a message, "" being the null reverse-path. The error
// is a *Refusal.
func (v *Visit) Mail(ctx context.Context, from string) error {
	v.from = from
	v.g.o.Shared.Saw(v.seen, v.helo)
	v.sender = v.network
	if by := v.g.callers.sender(from); by != unknown {
		v.sender = by
	}
	switch v.sender {
	case allowed:
		return nil
	case blocked:
		return v.blocked()
	}
	if !v.ip.IsValid() {
		return nil
	}
	if wait, again := v.g.refused.full(v.ip); wait > 0 {
		return &Refusal{Code: 421, Status: "4.7.0", Again: again, Text: fmt.Sprintf("too much from %s was refused within an hour: come again in %s", literal(v.ip), minutes(wait))}
	}
	if wait, again := v.g.messages.take(v.ip); wait > 0 {
		return &Refusal{Code: 450, Status: "4.7.0", Again: again, Text: fmt.Sprintf("too many messages from %s or its neighbours within an hour: come again in %s", literal(v.ip), minutes(wait))}
	}
	return nil
}

// blocked refuses by the administrator's list.
func (v *Visit) blocked() error {
	what := "mail from " + literal(v.ip)
	if v.g.callers.sender(v.from) == blocked {
		what = "mail from <" + v.from + ">"
	}
	return &Refusal{Code: 550, Status: "5.7.1", Text: ascii(what + " is blocked by the administrator here: whoever needs to write has to ask him by another way")}
}

// Rcpt is asked about a recipient here, an address with its domain. The error is a
// *Refusal. The postmaster hears from everybody (RFC 5321 section 4.5.1): he is the one
// whom the refusals say to ask.
func (v *Visit) Rcpt(ctx context.Context, to string) error {
	local, domain := cutAddress(to)
	if v.sender == allowed || !v.ip.IsValid() || strings.EqualFold(local, "postmaster") {
		return nil
	}
	ask := "ask postmaster@" + domain
	if fault := v.helloFault(); fault.refused {
		return &Refusal{Code: 550, Status: "5.7.1", Text: ascii(fmt.Sprintf("your server calls itself %q, %s; if that is a mistake, %s", v.helo, fault.text, ask))}
	}
	found := v.lists.wait(ctx)
	if v.g.o.Refuse > 0 && found.weight >= v.g.o.Refuse && len(found.white) == 0 {
		return &Refusal{Code: 550, Status: "5.7.1", Text: ascii(fmt.Sprintf("%s is listed by %s; have it removed there, or %s", literal(v.ip), join(found.black), ask))}
	}
	if v.g.grey == nil || len(found.white) > 0 {
		return nil
	}
	wait, err := v.g.grey.check(ctx, v.ip, v.from, to)
	if err != nil {
		if ctx.Err() == nil && v.g.trouble.say("greylist", v.g.o.Now()) {
			v.g.o.Log.Error("greylisting failed, mail is let in", "error", err)
		}
		return nil
	}
	if wait > 0 {
		return &Refusal{Code: 451, Status: "4.7.1",
			Text: ascii(fmt.Sprintf("your server is not known here yet: it has to come again in %s, as mail servers do by themselves", minutes(wait)))}
	}
	return nil
}

// Count takes note of a message that was taken, or of a command that was refused for
// good. The one makes up for the other: a server that filters for this one passes on much
// that is refused, and much that is not.
func (v *Visit) Count(taken bool) {
	switch {
	case !v.ip.IsValid() || v.network == allowed:
	case taken:
		v.g.refused.add(v.ip, -1)
	default:
		v.g.refused.add(v.ip, 1)
	}
}

// Findings are those about the message under way.
func (v *Visit) Findings() Findings {
	f := Findings{Trusted: v.network == allowed && v.sender == allowed}
	note := func(format string, args ...any) { f.Notes = append(f.Notes, ascii(fmt.Sprintf(format, args...))) }
	switch {
	case f.Trusted:
		note("%s is in a network that the administrator allows", literal(v.ip))
		return f
	case v.sender == allowed:
		note("the administrator allows the sender %s", v.from)
	}
	if !v.ip.IsValid() {
		note("the client's address is not known: it stands for everybody")
		return f
	}
	if fault := v.helloFault(); fault.text != "" {
		note("the client calls itself %q, %s", v.helo, fault.text)
	}
	found := v.lists.now()
	if len(found.white) > 0 {
		note("%s is on the list of good clients %s", literal(v.ip), join(found.white))
	}
	if len(found.black) > 0 {
		note("%s is listed by %s", literal(v.ip), join(found.black))
		f.Junk = len(found.white) == 0 && v.sender != allowed && v.g.o.Refuse > 0
	}
	return f
}

// literal writes an address as people know it from mail.
func literal(ip netip.Addr) string {
	if !ip.IsValid() {
		return "this client"
	}
	return "[" + ip.String() + "]"
}

// minutes says a wait in words.
func minutes(d time.Duration) string {
	n := int((d + time.Minute - 1) / time.Minute)
	if n <= 1 {
		return "a minute"
	}
	return fmt.Sprintf("%d minutes", n)
}

// cutAddress parts an address at its last @.
func cutAddress(address string) (local, domain string) {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return address, ""
	}
	return address[:i], strings.ToLower(address[i+1:])
}

// ascii makes one line of text fit for a reply: strangers may have had a say in it.
func ascii(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	const most = 400 // of the 512 of a line (RFC 5321 section 4.5.3.1.5)
	if len(text) > most {
		text = text[:most-3] + "..."
	}
	return text
}
