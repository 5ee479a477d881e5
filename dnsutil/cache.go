package dnsutil

import (
	"container/list"
	"time"

	"github.com/miekg/dns"
)

// Bounds of the cache, and how long failures are kept (RFC 9520 section 3.2: at least 1 s,
// at most 5 minutes).
const (
	defaultMaxCache    = 10_000
	defaultMaxTTL      = 24 * time.Hour
	defaultNegativeTTL = time.Hour
	maxCacheSize       = 32 << 20
	servFailTTL        = 30 * time.Second
	failureTTL         = 5 * time.Second
)

// cache keeps results until they expire, and drops those used longest ago when there is
// no room. It has no lock of its own.
type cache struct {
	entries map[question]*list.Element
	order   list.List // of *entry, used last in front
	size    int
}

type entry struct {
	q    question
	res  result
	size int
}

// get is the result kept for q, if it is still good.
func (c *cache) get(q question, now time.Time) (result, bool) {
	e := c.entries[q]
	if e == nil {
		return result{}, false
	}
	kept := e.Value.(*entry)
	if !now.Before(kept.res.expires) {
		c.remove(e)
		return result{}, false
	}
	c.order.MoveToFront(e)
	return kept.res, true
}

// put keeps a result, within bounds.
func (c *cache) put(q question, res result, most int) {
	if c.entries == nil {
		c.entries = map[question]*list.Element{}
	}
	if old := c.entries[q]; old != nil {
		c.remove(old)
	}
	kept := &entry{q, res, weight(q, res)}
	c.entries[q] = c.order.PushFront(kept)
	c.size += kept.size
	for len(c.entries) > max(most, 0) || c.size > maxCacheSize {
		c.remove(c.order.Back())
	}
}

func (c *cache) remove(e *list.Element) {
	kept := c.order.Remove(e).(*entry)
	delete(c.entries, kept.q)
	c.size -= kept.size
}

// clear forgets everything.
func (c *cache) clear() { *c = cache{} }

// weight is about what a result takes in memory. A name of odd octets is four times as
// long in memory as on the wire.
func weight(q question, res result) int {
	n := 300 + len(q.name) + len(res.name)
	for _, rr := range res.records {
		n += 100 + 2*dns.Len(rr)
	}
	return n
}

// keep puts a result that has just arrived into the cache, for as long as it may be kept.
func (r *Resolver) keep(q question, res *result) {
	now := r.now()
	switch res.kind {
	case nil:
		res.ttl = min(res.ttl, or(r.MaxTTL, defaultMaxTTL))
	case ErrTemporary:
	default:
		res.ttl = min(res.ttl, or(r.NegativeTTL, defaultNegativeTTL))
	}
	res.expires = now.Add(res.ttl)
	if res.ttl > 0 {
		r.cache.put(q, *res, or(r.MaxCache, defaultMaxCache))
	}
}
