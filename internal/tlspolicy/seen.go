package tlspolicy

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// host is what is known of one; its fields do not change.
type host struct {
	last int64 // when it offered TLS
	lost int64 // since when it does not; 0: it does
}

// SawTLS notes whether a host has offered TLS. If it has not, but did before, until is when
// it did last; else until is zero.
func (p *Policies) SawTLS(ctx context.Context, name string, offered bool) (until time.Time) {
	was, err := p.host(ctx, name)
	if err != nil {
		p.o.Log.Error("what is known of a host's TLS cannot be read", "host", name, "error", err)
		return time.Time{}
	}
	now := p.now()
	switch {
	case was == nil && !offered:
	case offered && (was == nil || was.lost != 0 || now-was.last > noteEvery.Milliseconds()):
		if was != nil && was.lost != 0 {
			p.o.Log.Info("a mail server offers TLS again", "host", name)
		}
		p.see(ctx, name, &host{last: now})
	case !offered:
		if was.lost == 0 {
			p.o.Log.Warn("a mail server that used to offer TLS does not any more: its mail goes in the clear", "host", name,
				"until", time.UnixMilli(was.last).UTC())
			p.see(ctx, name, &host{was.last, now})
			p.o.Stopped(name)
		}
		return time.UnixMilli(was.last)
	}
	return time.Time{}
}

// host is what is known of one, from memory or from the database; nil: nothing.
func (p *Policies) host(ctx context.Context, name string) (*host, error) {
	p.mu.Lock()
	h := p.seen[name]
	p.mu.Unlock()
	if h != nil {
		return h, nil
	}
	h = &host{}
	err := p.o.DB.QueryRowContext(ctx, `SELECT last, lost FROM tlspolicy_seen WHERE host = $1`, name).Scan(&h.last, &h.lost)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	p.remember(name, h)
	return h, nil
}

// see writes down what is known of a host.
func (p *Policies) see(ctx context.Context, name string, h *host) {
	_, err := p.o.DB.ExecContext(context.WithoutCancel(ctx), `INSERT INTO tlspolicy_seen (host, last, lost) VALUES ($1, $2, $3)
		ON CONFLICT (host) DO UPDATE SET last = $2, lost = $3`, name, h.last, h.lost)
	if err != nil {
		p.o.Log.Error("what is known of a host's TLS cannot be written", "host", name, "error", err)
	}
	p.remember(name, h)
}

func (p *Policies) remember(name string, h *host) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) >= maxCached {
		clear(p.seen)
	}
	p.seen[name] = h
}
