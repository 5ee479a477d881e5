package relay

import "context"

// Probed is what Send would find at one address of a mail server.
type Probed struct {
	Peer  Peer
	Reply Reply // why it cannot be used; zero: it can
}

// Probe connects to every address that Send may try for mail to a domain, says hello, begins
// TLS, logs in at a smarthost, and goes, without a message. Why there is none to connect to
// is the second result, else nil. It takes as long as a few connections do, one after
// the other.
func (r *Relay) Probe(ctx context.Context, domain string) ([]Probed, *Reply) {
	a := &attempt{r: r, way: r.way("", "postmaster@"+domain), m: &Message{}, fresh: true, log: r.log()}
	search, v := a.lookup(ctx)
	var all []Probed
	for _, t := range a.tries { // hosts that have no address
		all = append(all, Probed(t))
	}
	if v != nil {
		return all, &v.reply
	}
	for ctx.Err() == nil {
		c, _, ok := search.next(r.now())
		if !ok {
			break
		}
		g, f := a.guard(ctx, c)
		var s *session
		if f == nil {
			s, f = a.connect(ctx, c, g, false)
		}
		if f != nil {
			all = append(all, Probed{f.peer, f.reply})
			continue
		}
		all = append(all, Probed{Peer: s.peer})
		r.idle.leave(s)
	}
	return all, nil
}
