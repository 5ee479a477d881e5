// Package tlspolicy remembers what is known of TLS with other mail servers: the policies of
// MTA-STS (RFC 8461), for as long as their domains have said, and which hosts have offered
// TLS. All is in SQL, so that a restart forgets nothing:
//
//	tlspolicy_sts   domain, id, policy, fetched, expires, used, tried   a policy as it was fetched
//	tlspolicy_seen  host, last, lost                                    who offers TLS
//
// Times are in milliseconds; lost is since when a host does not offer TLS any more, 0 if it
// does. A policy that is kept holds until it expires, whatever the DNS says meanwhile and
// whether or not its host can be reached: who can hinder the one cannot remove the other.
//
// The package decides nothing about connections, which is relay's business, and neither
// asks the DNS nor fetches policies itself, which is dnsutil's.
package tlspolicy

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"kurir/dnsutil"
	"kurir/internal/sqldb"
)

// Migrations are the tables of this package, for sqldb.Open.
func Migrations() []sqldb.Migration {
	return []sqldb.Migration{{Name: "tlspolicy/1", SQL: `
CREATE TABLE tlspolicy_sts (
	domain  TEXT PRIMARY KEY,
	id      TEXT NOT NULL,
	policy  TEXT NOT NULL,
	fetched BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	used    BIGINT NOT NULL, -- about when mail went there
	tried   BIGINT NOT NULL  -- when it was fetched or could not be
);
CREATE TABLE tlspolicy_seen (
	host TEXT PRIMARY KEY,
	last BIGINT NOT NULL,
	lost BIGINT NOT NULL
);
CREATE INDEX tlspolicy_seen_last ON tlspolicy_seen (last);
`}}
}

// Bounds, and how often things are done.
const (
	maxCached    = 10_000          // domains, and hosts, that are held in memory
	maxHeld      = 32 << 20        // octets of policies in memory, about
	maxKept      = 10_000          // policies that are remembered, those used last
	maxSeen      = 100_000         // hosts that are remembered
	fetchPause   = 5 * time.Minute // between two fetches for a domain (RFC 8461 section 3.3)
	refreshAfter = 24 * time.Hour  // a policy in use is fetched anew
	inUse        = 30 * 24 * time.Hour
	noteEvery    = 24 * time.Hour       // that something is in use, or offers TLS, is written down
	forgetAfter  = 180 * 24 * time.Hour // a host that was not seen with TLS
	choreEvery   = time.Hour
)

// Resolver finds the ids of policies, as *dnsutil.Resolver does.
type Resolver interface {
	STSRecord(ctx context.Context, domain string) (id string, err error)
}

// Options of Open. All but Now, Log and Stopped is needed.
type Options struct {
	DB       *sqldb.DB
	Resolver Resolver
	// Fetch fetches the policy of a domain, in bounded time.
	Fetch func(ctx context.Context, domain string) (dnsutil.STSPolicy, error)
	Now   func() time.Time // nil means time.Now
	Log   *slog.Logger     // nil means no log
	// Stopped is told of a host that has offered TLS and does not any more; nil: nobody is.
	Stopped func(host string)
}

// Policies are what is remembered. Methods are safe for concurrent use.
type Policies struct {
	o      Options
	ctx    context.Context // of fetches
	cancel context.CancelFunc
	work   sync.WaitGroup // fetches under way

	mu       sync.Mutex // guards what follows
	sts      map[string]*policy
	held     int                      // octets of sts
	fetching map[string]chan struct{} // closed when the fetch is over
	seen     map[string]*host
}

// Open gives what the database remembers. Close ends what is under way.
func Open(o Options) *Policies {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Stopped == nil {
		o.Stopped = func(string) {}
	}
	p := &Policies{o: o, sts: map[string]*policy{}, fetching: map[string]chan struct{}{}, seen: map[string]*host{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Close ends fetches that are under way and waits for them.
func (p *Policies) Close() error {
	p.cancel()
	p.work.Wait()
	return nil
}

// Run fetches policies that are in use anew, a day after they were fetched, and forgets
// what is of no more use, until ctx ends.
func (p *Policies) Run(ctx context.Context) {
	t := time.NewTicker(choreEvery)
	defer t.Stop()
	for {
		p.Refresh(ctx)
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// Refresh does once what Run does.
func (p *Policies) Refresh(ctx context.Context) {
	if err := errors.Join(p.forget(ctx), p.refresh(ctx)); err != nil && ctx.Err() == nil {
		p.o.Log.Error("what is known of TLS with other servers cannot be kept up", "error", err)
	}
}

// forget removes policies that have expired, and hosts that were not seen for long.
func (p *Policies) forget(ctx context.Context) error {
	now := p.now()
	for _, q := range []struct {
		text string
		args []any
	}{
		{`DELETE FROM tlspolicy_sts WHERE expires < $1`, []any{now}},
		{`DELETE FROM tlspolicy_sts WHERE used < (SELECT used FROM tlspolicy_sts ORDER BY used DESC LIMIT 1 OFFSET $1)`, []any{maxKept}},
		{`DELETE FROM tlspolicy_seen WHERE last < $1`, []any{now - forgetAfter.Milliseconds()}},
		{`DELETE FROM tlspolicy_seen WHERE last < (SELECT last FROM tlspolicy_seen ORDER BY last DESC LIMIT 1 OFFSET $1)`, []any{maxSeen}},
	} {
		if _, err := p.o.DB.ExecContext(ctx, q.text, q.args...); err != nil {
			return err
		}
	}
	return nil
}

func (p *Policies) now() int64 { return p.o.Now().UnixMilli() }
