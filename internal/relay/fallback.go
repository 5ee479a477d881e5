package relay

import (
	"context"
	"fmt"
	"time"
)

// Detours remembers domains whose servers refuse this one for its reputation.
type Detours interface {
	// Detour tells until when mail for a domain takes the other way, and why; the zero time:
	// it does not.
	Detour(domain string) (until time.Time, why string)
	// Refused takes note of a refusal, and returns until when it holds.
	Refused(ctx context.Context, domain, why string) (until time.Time)
}

// handOver makes the attempt for a part, by the fallback if the domain's own servers have
// refused this one, or do so now.
func (r *Relay) handOver(ctx context.Context, w way, m *Message, to []Recipient, before BeforeDot) *attempt {
	if !r.mayDetour(w, m) {
		return r.attempt(ctx, w, m, to, before)
	}
	if until, why := r.Detours.Detour(w.domain); !until.IsZero() {
		a := r.attempt(ctx, r.fallback(w), m, to, before)
		a.tries = append([]Try{{Peer: Peer{Host: w.domain}, Reply: Reply{Status: "4.7.0", Text: bounded(fmt.Sprintf("It goes by the fallback %s until %s, because the servers of %s refuse this one: %s",
			a.way.policy.smarthost, until.UTC().Format("2006-01-02 15:04 MST"), w.domain, why))}}}, a.tries...)
		return a
	}
	a := r.attempt(ctx, w, m, to, before)
	r.detour(ctx, a)
	return a
}

// mayDetour tells whether there is another way. What must be encrypted all the way
// (REQUIRETLS) has none, as nobody knows how the fallback goes on.
func (r *Relay) mayDetour(w way, m *Message) bool {
	return r.Fallback.Smarthost != "" && r.Detours != nil && w.policy.smarthost == "" && !m.RequireTLS
}

// fallback is the way in place of a domain's own servers. It keeps its name, by which the
// queue knows it.
func (r *Relay) fallback(w way) way { return way{name: w.name, policy: r.Fallback.policy()} }

// detour takes the recipients of an attempt that were refused for reputation the other way.
func (r *Relay) detour(ctx context.Context, a *attempt) {
	var index []int
	var to []Recipient
	for i, o := range a.outcomes {
		if o.Action != Sent && !o.Uncertain && reputation(o.Reply) {
			index, to = append(index, i), append(to, a.to[i])
		}
	}
	if len(index) == 0 || ctx.Err() != nil {
		return
	}
	first := a.outcomes[index[0]]
	why := first.Reply.String()
	if host := first.Peer.show(); host != "" {
		why = host + ": " + why
	}
	until := r.Detours.Refused(ctx, a.way.domain, why)
	a.log.Info("refused for the reputation of this server: mail goes by the fallback", "domain", a.way.domain, "until", until, "reply", first.Reply.String())
	b := r.attempt(ctx, r.fallback(a.way), a.m, to, a.before)
	for k, i := range index {
		a.outcomes[i] = b.outcomes[k]
	}
	a.tries = append(append(a.tries, Try{first.Peer, first.Reply}), b.tries...)
	a.whole = b.whole && len(index) == len(a.to)
}
