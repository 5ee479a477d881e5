package relay

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"kurir/dnsutil"
	"kurir/internal/smtpclient"
)

// attempt is one message on its way to recipients who share that way.
type attempt struct {
	r      *Relay
	way    way
	m      *Message
	to     []Recipient
	before BeforeDot
	log    *slog.Logger

	outcomes []Outcome
	done     []bool // the outcome is there
	tries    []Try
	whole    bool

	route    dnsutil.Route // as the DNS has it, by MX
	sts      *stsAnswer    // nil: not asked for yet
	search   *search       // hosts that are left to try; nil: none were looked up
	fresh    bool          // no more of the connections that have waited
	reached  bool          // at least one host took a connection and had something to say
	lacking  int           // hosts that cannot do what RequireTLS wants
	barred   int           // hosts that are not as the domain demands
	content  *content
	chunk    int   // recipients that a host takes at once, as it turned out; 0: unknown
	ownFault error // of BeforeDot
}

// run goes on until all recipients have an outcome.
func (a *attempt) run(ctx context.Context) {
	for len(a.pending(1)) > 0 {
		s, v := a.session(ctx)
		if s == nil {
			a.settleAll(v)
			return
		}
		a.converse(ctx, s)
		a.release(s)
	}
}

// pending are the recipients without an outcome, by their index, at most so many.
func (a *attempt) pending(most int) []int {
	var all []int
	for i, done := range a.done {
		if !done && len(all) < most {
			all = append(all, i)
		}
	}
	return all
}

// settle gives a recipient its outcome.
func (a *attempt) settle(i int, v *verdict) {
	a.done[i] = true
	a.outcomes[i] = Outcome{Action: v.action, Reply: v.reply, Peer: v.peer, Uncertain: v.uncertain}
}

// settleAll gives it to all that have none.
func (a *attempt) settleAll(v *verdict) {
	rest := a.pending(len(a.to))
	a.whole = v.whole && len(rest) == len(a.to)
	for _, i := range rest {
		a.settle(i, v)
	}
}

// failed notes a host that was tried in vain.
func (a *attempt) failed(t Try) {
	a.log.Debug("relay: tried in vain", "host", t.Peer.Host, "address", t.Peer.Address, "code", t.Reply.Code, "text", t.Reply.Text)
	a.tries = append(a.tries, t)
}

// session gives a connection to use: one that has waited, or a new one to the first host
// that can be used. Without any, the verdict says why.
func (a *attempt) session(ctx context.Context) (*session, *verdict) {
	if s := a.waiting(func(s *session) bool { return s.name == a.way.name }); s != nil {
		return s, nil
	}
	if a.search == nil {
		var v *verdict
		if a.search, v = a.lookup(ctx); v != nil {
			return nil, a.or(ctx, v)
		}
	}
	for {
		c, last, ok := a.search.next(a.r.now())
		if !ok {
			return nil, a.or(ctx, a.nobody())
		}
		g, f := a.guard(ctx, c)
		var s *session
		if f == nil {
			if s := a.waiting(func(s *session) bool { return s.candidate == c && (s.rule == g.rule || a.lax()) }); s != nil {
				return s, nil
			}
			s, f = a.connect(ctx, c, g, last)
		}
		if s != nil {
			a.r.ailing.remove(c.addr)
			a.reached = true
			return s, nil
		}
		if ctx.Err() != nil { // which says nothing about the host
			return nil, a.or(ctx, &verdict{peer: f.peer})
		}
		if v := a.fault(c, g, f); v != nil {
			return nil, a.or(ctx, v)
		}
	}
}

// waiting takes a connection that has waited and fits. One for which the sender of another
// message waived what the domain asks for is not for this one.
func (a *attempt) waiting(fits func(*session) bool) *session {
	if a.fresh {
		return nil
	}
	return a.r.idle.take(func(s *session) bool {
		return s.policy == a.way.policy && (s.requireTLS || !a.requires()) && (!s.rule.lax || a.lax()) && fits(s)
	})
}

// connect connects to a candidate, in bounded time if it is not the last.
func (a *attempt) connect(ctx context.Context, c candidate, g *guard, last bool) (*session, *fault) {
	if !last {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, or(a.r.HostTimeout, time.Minute), smtpclient.ErrTimeout)
		defer cancel()
	}
	return a.r.connect(ctx, &negotiation{c: c, p: a.way.policy, guard: g, requireTLS: a.requires()})
}

// requires tells whether a host must do what RequireTLS wants. A report that nobody has
// sent is not lost for it (RFC 8689 section 5).
func (a *attempt) requires() bool { return a.m.RequireTLS && a.m.Sender != "" }

// fault notes why a host cannot be used. A verdict ends the search.
func (a *attempt) fault(c candidate, g *guard, f *fault) *verdict {
	switch f.kind {
	case unreached:
		if noFamily(f.err) {
			a.search.unreachable(c.addr.Addr())
		}
		a.r.ailing.add(c.addr, a.r.now())
	case noRequire:
		a.lacking++
		a.reached = true
	case unfit:
		a.barred++
		a.reached = true
	case untrusted:
		if g.by != "" {
			a.barred++
		}
		if a.requires() && !g.demands() && !passing(f.err) {
			a.lacking++
		}
		a.reached = true
	case noLogin:
		return &verdict{whole: true, peer: f.peer, reply: f.reply}
	}
	a.failed(Try{f.peer, f.reply})
	return nil
}

// or is the verdict, unless it is we who broke the attempt off.
func (a *attempt) or(ctx context.Context, v *verdict) *verdict {
	if ctx.Err() == nil {
		return v
	}
	return &verdict{peer: v.peer, uncertain: v.uncertain,
		reply: Reply{Status: "4.3.2", Text: "This server broke the attempt off, because it was stopped. It goes on when the server runs again."}}
}

// nobody is the verdict when no host is left to try.
func (a *attempt) nobody() *verdict {
	n := len(a.tries)
	switch {
	case n == 0:
		return &verdict{whole: true, reply: Reply{Status: "4.4.1", Text: a.none("could be tried") + "."}}
	case a.lacking == n: // RFC 8689 section 5
		return &verdict{action: Failed, reply: Reply{Status: "5.7.30", Text: bounded("The sender demands that the message is encrypted all the way, and " +
			lower(a.none("supports that")) + a.reasons())}}
	}
	whole := (!a.requires() || a.lacking == 0) && a.barred == 0 // others may ask for less
	last := n - 1
	for i, t := range a.tries { // what a server said tells more than our own words
		if t.Reply.Code != 0 {
			last = i
		}
	}
	if t := a.tries[last]; n == 1 || t.Reply.Code != 0 {
		a.tries = append(a.tries[:last:last], a.tries[last+1:]...)
		return &verdict{whole: whole, peer: t.Peer, reply: t.Reply}
	}
	return &verdict{whole: whole, reply: Reply{Status: temporary(a.tries[last].Reply.Status), Text: bounded(a.none("can be used at the moment") + a.reasons())}}
}

// none begins a sentence about all hosts.
func (a *attempt) none(what string) string {
	switch {
	case a.way.policy.smarthost != "":
		return fmt.Sprintf("No address of the smarthost %s %s", a.way.policy.smarthost, what)
	case isLiteral(a.way.domain):
		return fmt.Sprintf("The mail server %s is none that %s", a.way.domain, what)
	case !a.reached && what == "can be used at the moment":
		what = "could be reached"
	}
	return fmt.Sprintf("None of the mail servers of %s %s", a.way.domain, what)
}

// reasons ends a sentence with what is wrong with each host.
func (a *attempt) reasons() string {
	var all []string
	for i, t := range a.tries {
		if i == maxHosts {
			all = append(all, "and others")
			break
		}
		all = append(all, strings.TrimSuffix(bounded(t.Reply.Text), "."))
	}
	return ": " + strings.Join(all, "; ") + "."
}

func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// release keeps a connection for the next message, or ends it.
func (a *attempt) release(s *session) {
	r := a.r
	s.name = a.way.name
	switch {
	case !s.another(or(r.MaxMessages, 100)):
		if s.conn.Usable() {
			r.idle.leave(s)
		}
	default:
		r.idle.keep(s, or(r.IdleKeep, 5*time.Second), or(r.MaxIdle, 100))
	}
}
