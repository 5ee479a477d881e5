package gate

import (
	"iter"
	"net/netip"
	"sync"
	"time"
)

const (
	maxClients = 1 << 15          // remembered in each of two generations
	widerBy    = 4                // times the limit of an address is that of its /24
	sayEvery   = 10 * time.Second // a refusal of the same client is logged
)

// rates counts what clients do, in buckets that leak. Those that were not used for a
// while are forgotten when room is needed.
type rates struct {
	limit  float64 // zero: there is none
	period time.Duration
	now    func() time.Time

	mu       sync.Mutex
	new, old map[netip.Prefix]*bucket
}

// bucket is a count that leaks its limit in a period.
type bucket struct {
	level  float64
	at     time.Time // when level was right
	logged time.Time // when a refusal was
}

func newRates(limit int, period time.Duration, now func() time.Time) *rates {
	return &rates{limit: float64(limit), period: period, now: now, new: map[netip.Prefix]*bucket{}}
}

// take counts one more of ip, or says how long it has to wait for that; again tells that
// it was told so a moment ago.
func (r *rates) take(ip netip.Addr) (wait time.Duration, again bool) {
	if r.limit <= 0 {
		return 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if wait, again = r.judge(ip); wait == 0 {
		r.count(ip, 1)
	}
	return wait, again
}

// add counts n more of ip, or less, come what may.
func (r *rates) add(ip netip.Addr, n float64) {
	if r.limit <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(ip, n)
}

// full is take that counts nothing.
func (r *rates) full(ip netip.Addr) (wait time.Duration, again bool) {
	if r.limit <= 0 {
		return 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.judge(ip)
}

// judge looks at the buckets of ip; r.mu is held.
func (r *rates) judge(ip netip.Addr) (wait time.Duration, again bool) {
	now := r.now()
	for key, limit := range r.shares(ip) {
		b := r.find(key)
		if b == nil {
			continue
		}
		b.leak(now, limit, r.period)
		if over := b.level + 1 - limit; over > 0 {
			w := max(time.Duration(over/limit*float64(r.period)), time.Second)
			wait, again = max(wait, w), now.Sub(b.logged) < sayEvery
			if !again {
				b.logged = now
			}
		}
	}
	return wait, again
}

// count adds n to the buckets of ip; r.mu is held. A bucket holds no more than its limit,
// so that nobody is kept out for longer than it takes to leak.
func (r *rates) count(ip netip.Addr, n float64) {
	now := r.now()
	for key, limit := range r.shares(ip) {
		b := r.find(key)
		if b == nil && n < 0 {
			continue
		}
		if b == nil {
			b = &bucket{at: now}
			r.keep(key, b)
		}
		b.leak(now, limit, r.period)
		b.level = max(0, min(b.level+n, limit))
	}
}

func (b *bucket) leak(now time.Time, limit float64, period time.Duration) {
	if d := now.Sub(b.at); d > 0 {
		b.level = max(0, b.level-limit*float64(d)/float64(period))
		b.at = now
	}
}

// find returns the bucket of a key, nil if there is none.
func (r *rates) find(key netip.Prefix) *bucket {
	if b := r.new[key]; b != nil {
		return b
	}
	b := r.old[key]
	if b != nil {
		delete(r.old, key)
		r.keep(key, b)
	}
	return b
}

func (r *rates) keep(key netip.Prefix, b *bucket) {
	if len(r.new) >= maxClients {
		r.old, r.new = r.new, map[netip.Prefix]*bucket{}
	}
	r.new[key] = b
}

// shares are what an address counts for, each with its limit: itself and its /24, or its /64.
func (r *rates) shares(ip netip.Addr) iter.Seq2[netip.Prefix, float64] {
	return func(yield func(netip.Prefix, float64) bool) {
		if !ip.Is4() {
			p, _ := ip.WithZone("").Prefix(64)
			yield(p, r.limit)
			return
		}
		if yield(netip.PrefixFrom(ip, 32), r.limit) {
			p, _ := ip.Prefix(24)
			yield(p, r.limit*widerBy)
		}
	}
}

// trouble is when something was last complained of.
type trouble struct {
	mu   sync.Mutex
	said map[string]time.Time
}

// say tells whether to complain of what now: once an hour.
func (t *trouble) say(what string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.said[what]; ok && now.Sub(last) < time.Hour {
		return false
	}
	if t.said == nil || len(t.said) > 100 {
		t.said = map[string]time.Time{}
	}
	t.said[what] = now
	return true
}
