package tlspolicy

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"kurir/dnsutil"
)

// policy is what is known of a domain. Its fields do not change; another takes its place.
type policy struct {
	dnsutil.STSPolicy
	id                            string // "": there is no policy, but a fetch was tried
	fetched, expires, used, tried int64
}

// holds tells whether the policy is in force.
func (k *policy) holds(now int64) bool { return k != nil && k.id != "" && now < k.expires }

// Policy gives the policy of a domain that is in force now: the one that is kept, or, if the
// DNS names another, that one if it can be fetched. A domain is asked for its policy once
// in 5 minutes at most. It takes as long as a question to the DNS and a fetch.
func (p *Policies) Policy(ctx context.Context, domain string) (dnsutil.STSPolicy, bool) {
	kept, err := p.kept(ctx, domain)
	if err != nil {
		p.o.Log.Error("policy of MTA-STS cannot be read", "domain", domain, "error", err)
	}
	// What the DNS does not say, for whatever reason, changes nothing (RFC 8461 section 3.3).
	id, err := p.o.Resolver.STSRecord(ctx, domain)
	if err == nil && (!kept.holds(p.now()) || kept.id != id) {
		p.fetchOnce(ctx, domain, id)
		if kept, err = p.kept(ctx, domain); err != nil {
			p.o.Log.Error("policy of MTA-STS cannot be read", "domain", domain, "error", err)
		}
	}
	now := p.now()
	if !kept.holds(now) {
		return dnsutil.STSPolicy{}, false
	}
	if now-kept.used > noteEvery.Milliseconds() {
		p.note(ctx, domain, kept, now)
	}
	return kept.STSPolicy, kept.Mode != dnsutil.STSNone
}

// kept is what is known of a domain, from memory or from the database; nil: nothing.
func (p *Policies) kept(ctx context.Context, domain string) (*policy, error) {
	p.mu.Lock()
	k, ok := p.sts[domain]
	p.mu.Unlock()
	if ok {
		return k, nil
	}
	k = &policy{}
	var text string
	err := p.o.DB.QueryRowContext(ctx, `SELECT id, policy, fetched, expires, used, tried FROM tlspolicy_sts WHERE domain = $1`, domain).
		Scan(&k.id, &text, &k.fetched, &k.expires, &k.used, &k.tried)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil // not remembered, as there are many such domains
	case err != nil:
		return nil, err
	}
	if k.STSPolicy, err = dnsutil.ParseSTSPolicy(text); err != nil {
		return nil, err
	}
	p.hold(domain, k)
	return k, nil
}

// hold takes a policy into memory.
func (p *Policies) hold(domain string, k *policy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.sts[domain]; old != nil {
		p.held -= old.size()
		delete(p.sts, domain)
	}
	if len(p.sts) >= maxCached || p.held+k.size() > maxHeld {
		clear(p.sts)
		p.held = 0
	}
	p.sts[domain] = k
	p.held += k.size()
}

// size is about what the policy takes in memory, in octets.
func (k *policy) size() int {
	n := 200
	for _, mx := range k.MX {
		n += 32 + len(mx)
	}
	return n
}

// note writes down that a policy is in use.
func (p *Policies) note(ctx context.Context, domain string, k *policy, now int64) {
	if _, err := p.o.DB.ExecContext(ctx, `UPDATE tlspolicy_sts SET used = $1 WHERE domain = $2`, now, domain); err != nil {
		p.o.Log.Error("policy of MTA-STS cannot be written", "domain", domain, "error", err)
	}
	used := *k
	used.used = now
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sts[domain] == k {
		p.sts[domain] = &used
	}
}

// fetchOnce fetches the policy of a domain, or waits for somebody who does. Not long after
// another fetch it does nothing.
func (p *Policies) fetchOnce(ctx context.Context, domain, id string) {
	p.mu.Lock()
	done := p.fetching[domain]
	if k := p.sts[domain]; done == nil && k != nil && p.now()-k.tried < fetchPause.Milliseconds() && p.now() >= k.tried {
		p.mu.Unlock()
		return
	}
	if done == nil && p.ctx.Err() == nil {
		done = make(chan struct{})
		p.fetching[domain] = done
		p.work.Go(func() { // ends with the fetch, or with Close
			p.fetch(p.ctx, domain, id)
			p.mu.Lock()
			delete(p.fetching, domain)
			p.mu.Unlock()
			close(done)
		})
	}
	p.mu.Unlock()
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// fetch fetches a policy and keeps it. Where that fails, the one that was kept stays.
func (p *Policies) fetch(ctx context.Context, domain, id string) {
	was, err := p.kept(ctx, domain)
	if err != nil {
		p.o.Log.Error("policy of MTA-STS cannot be read", "domain", domain, "error", err)
	}
	got, err := p.o.Fetch(ctx, domain)
	if ctx.Err() != nil {
		return
	}
	now := p.now()
	is := policy{}
	if was != nil {
		is = *was
	}
	is.tried = now
	if err != nil {
		if was.holds(now) {
			p.o.Log.Warn("policy of MTA-STS cannot be fetched; the one that is known holds on", "domain", domain,
				"until", time.UnixMilli(was.expires).UTC(), "error", err)
		} else {
			p.o.Log.Info("the domain names a policy of MTA-STS that cannot be fetched", "domain", domain, "error", err)
			is = policy{tried: now}
		}
		p.hold(domain, &is)
		return
	}
	is = policy{got, id, now, now + got.MaxAge.Milliseconds(), cmp.Or(is.used, now), now}
	if was == nil || !was.holds(now) || was.STSPolicy.String() != got.String() {
		p.o.Log.Info("policy of MTA-STS fetched", "domain", domain, "mode", got.Mode, "mx", got.MX, "max_age", got.MaxAge)
	}
	_, err = p.o.DB.ExecContext(ctx, `INSERT INTO tlspolicy_sts (domain, id, policy, fetched, expires, used, tried)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (domain) DO UPDATE SET id = $2, policy = $3, fetched = $4, expires = $5, used = $6, tried = $7`,
		domain, id, got.String(), is.fetched, is.expires, is.used, is.tried)
	if err != nil {
		p.o.Log.Error("policy of MTA-STS cannot be written", "domain", domain, "error", err)
	}
	p.hold(domain, &is)
}

// refresh fetches policies that are in use and were last tried a day ago or more, one after
// the other.
func (p *Policies) refresh(ctx context.Context) error {
	now := p.now()
	rows, err := p.o.DB.QueryContext(ctx, `SELECT domain, id FROM tlspolicy_sts WHERE tried <= $1 AND used > $2 ORDER BY expires LIMIT 1000`,
		now-refreshAfter.Milliseconds(), now-inUse.Milliseconds())
	if err != nil {
		return err
	}
	var due [][2]string
	for rows.Next() {
		var d [2]string
		if err := rows.Scan(&d[0], &d[1]); err != nil {
			return errors.Join(err, rows.Close())
		}
		due = append(due, d)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, d := range due {
		if ctx.Err() != nil {
			return nil
		}
		id := d[1]
		if now, err := p.o.Resolver.STSRecord(ctx, d[0]); err == nil {
			id = now
		}
		p.refreshOne(ctx, d[0], id)
	}
	return nil
}

// refreshOne fetches a policy that may not have been read since the start.
func (p *Policies) refreshOne(ctx context.Context, domain, id string) {
	if _, err := p.kept(ctx, domain); err != nil {
		p.o.Log.Error("policy of MTA-STS cannot be read", "domain", domain, "error", err)
	}
	p.fetchOnce(ctx, domain, id)
}
