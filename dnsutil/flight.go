package dnsutil

import (
	"context"
	"errors"

	"github.com/miekg/dns"
)

// maxInFlight is how many questions are on their way at once; others wait their turn. One
// who brings mail with ten signatures each over fifty connections, of names whose servers
// never answer, has 700 on their way: there has to be room for everybody else's.
const maxInFlight = 1024

// flight is a question on its way, and all who wait for it.
type flight struct {
	done    chan struct{} // closed once res is there
	res     result
	waiting int // guarded by Resolver.mu
	cancel  context.CancelFunc
}

// ask gives the result for q: a kept one, that of a question on its way, or that of a new
// one. The error is that of ctx alone. A caller that leaves doesn't disturb the others;
// when the last leaves, the question is given up.
func (r *Resolver) ask(ctx context.Context, q question) (result, error) {
	r.mu.Lock()
	if res, ok := r.cache.get(q, r.now()); ok {
		r.mu.Unlock()
		return res, nil
	}
	if err := ctx.Err(); err != nil {
		r.mu.Unlock()
		return result{}, err
	}
	f := r.flights[q]
	if f == nil {
		f = r.start(ctx, q)
	}
	f.waiting++
	r.mu.Unlock()

	select {
	case <-f.done:
		return f.res, nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
		r.land(q, f)
	}
	return result{}, ctx.Err()
}

// start sends a question on its way, in a goroutine of its own that ends with the answer,
// with the time-outs, or when nobody waits any more. The lock is held.
func (r *Resolver) start(ctx context.Context, q question) *flight {
	if r.flights == nil {
		r.flights = map[question]*flight{}
		r.slots = make(chan struct{}, maxInFlight)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{done: make(chan struct{}), cancel: cancel}
	r.flights[q] = f
	go func() {
		defer cancel()
		res := r.turn(ctx, q)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.land(q, f) {
			r.keep(q, &res)
		}
		f.res = res
		close(f.done)
	}()
	return f
}

// land takes a flight from those under way, and tells whether it was. The lock is held.
func (r *Resolver) land(q question, f *flight) bool {
	if r.flights[q] != f {
		return false
	}
	delete(r.flights, q)
	return true
}

// turn waits until there is room for one more question, and asks it.
func (r *Resolver) turn(ctx context.Context, q question) result {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
		return r.fetch(ctx, q)
	case <-ctx.Done():
		return result{kind: ErrTemporary, cause: ctx.Err()}
	}
}

// fetch asks the servers one after the other until one gives a proper answer. Those that
// could not be heard are asked again in the next round; those that failed are not.
func (r *Resolver) fetch(ctx context.Context, q question) result {
	up := r.upstream()
	failed := result{kind: ErrTemporary, name: q.name, ttl: failureTTL, cause: up.err}
	said := false // a server has answered, if badly: that tells more than silence
	servers := up.servers
	for range up.tries {
		var again []server
		for _, s := range r.health.order(servers, r.now()) {
			m, err := r.exchange(ctx, s, q, up.timeout)
			var res result
			if err == nil {
				res, err = digest(m, q)
			}
			if ctx.Err() != nil {
				return result{kind: ErrTemporary, cause: ctx.Err()}
			}
			if err == nil {
				r.health.good(s)
				res.server = s.String()
				return res
			}
			r.report(s, q, err)
			if !said {
				failed.cause, failed.server = err, s.String()
			}
			if silent(err) {
				again = append(again, s)
			} else {
				said = true
			}
		}
		servers = again
	}
	if errors.Is(failed.cause, errServFail) {
		failed.ttl = servFailTTL
	}
	return failed
}

// silent tells whether err is that there was no answer.
func silent(err error) bool { return errors.Is(err, errTimeout) || errors.Is(err, errNoServer) }

// report logs a server's failure. Silence counts against the server, unless it has at
// least answered over UDP.
func (r *Resolver) report(s server, q question, err error) {
	times := 1
	switch {
	case !silent(err) || errors.Is(err, errOverTCP):
		times = 0
	case errors.Is(err, errNoServer):
		times = downAfter // the network itself says so
	}
	if times > 0 && r.health.bad(s, times, r.now()) {
		r.log().Warn("DNS server does not answer", "server", s.String(), "name", bare(q.name), "error", err)
		return
	}
	r.log().Debug("DNS server failed", "server", s.String(), "name", bare(q.name), "type", dns.Type(q.qtype).String(), "error", err)
}
