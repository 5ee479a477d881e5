package directory

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// maxCached bounds each map of the cache, in entries of a few hundred bytes.
const maxCached = 1 << 15

// cache holds what was read since the last change. A change puts a new one in its
// place; whoever still holds the old one can't spoil the new.
type cache struct {
	mu          sync.RWMutex
	domains     map[string]Domain // all of them; nil until first needed
	names       map[nameKey]*entry
	strangers   map[nameKey]struct{} // names that nobody has: apart, so that guessing can't crowd out the others
	credentials map[int64][]Credential
}

// nameKey is a local part in a (real) domain; "" is the catch-all, firstAccountKey the
// account that mail for postmaster falls to.
type nameKey struct {
	domain int64
	local  string
}

const firstAccountKey = "\x00first"

// entry is what a name leads to; never changed after it was read.
type entry struct {
	account    bool // the name of recipients[0] itself
	maySend    bool // an alias given with may-send
	post       Post // who may write to an alias
	recipients []Recipient
}

func newCache() *cache {
	return &cache{names: map[nameKey]*entry{}, strangers: map[nameKey]struct{}{}, credentials: map[int64][]Credential{}}
}

// lookup finds key in the map m of c, or calls read and keeps its answer if keep is true.
func lookup[K comparable, V any](c *cache, m map[K]V, key K, read func() (v V, keep bool, err error)) (V, error) {
	c.mu.RLock()
	v, ok := m[key]
	c.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, keep, err := read()
	if err == nil && keep {
		c.mu.Lock()
		put(m, key, v)
		c.mu.Unlock()
	}
	return v, err
}

// put adds to a map that is bounded by dropping any one entry.
func put[K comparable, V any](m map[K]V, key K, v V) {
	if len(m) >= maxCached {
		for old := range m {
			delete(m, old)
			break
		}
	}
	m[key] = v
}

// domain finds the real domain that a canonical name means, if it is ours.
func (d *Directory) domain(ctx context.Context, c *cache, name string) (Domain, bool, error) {
	c.mu.RLock()
	all := c.domains
	c.mu.RUnlock()
	if all == nil {
		list, err := listDomains(ctx, d.db)
		if err != nil {
			return Domain{}, false, err
		}
		all = make(map[string]Domain, len(list))
		for _, dom := range list {
			all[dom.Name] = dom
		}
		c.mu.Lock()
		c.domains = all
		c.mu.Unlock()
	}
	dom, ok := all[name]
	if ok && dom.AliasOf != "" {
		dom, ok = all[dom.AliasOf]
	}
	return dom, ok, nil
}

// name finds what a local part in a real domain leads to; nil if nobody has it.
func (d *Directory) name(ctx context.Context, c *cache, key nameKey) (*entry, error) {
	c.mu.RLock()
	_, stranger := c.strangers[key]
	c.mu.RUnlock()
	if stranger {
		return nil, nil
	}
	return lookup(c, c.names, key, func() (e *entry, keep bool, err error) {
		err = d.db.View(ctx, func(tx *sql.Tx) error {
			e, err = readName(ctx, tx, key)
			return err
		})
		if err == nil && e == nil {
			c.mu.Lock()
			put(c.strangers, key, struct{}{})
			c.mu.Unlock()
		}
		return e, e != nil, err
	})
}

func readName(ctx context.Context, q querier, key nameKey) (*entry, error) {
	var acc Account
	var err error
	if key.local == firstAccountKey {
		acc, err = firstAccount(ctx, q, ` WHERE a.domain = $1 ORDER BY a.disabled, a.id LIMIT 1`, key.domain)
		if errors.Is(err, sql.ErrNoRows) {
			acc, err = firstAccount(ctx, q, ` ORDER BY d.disabled OR a.disabled, a.id LIMIT 1`)
		}
	} else {
		acc, err = findAccount(ctx, q, key.domain, key.local)
	}
	if err == nil {
		return &entry{account: true, recipients: []Recipient{{Account: acc}}}, nil
	} else if !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	alias, err := findAlias(ctx, q, key.domain, key.local)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	recipients, err := expand(ctx, q, alias.id)
	if err != nil {
		return nil, err
	}
	return &entry{maySend: alias.maySend, post: alias.post, recipients: recipients}, nil
}
