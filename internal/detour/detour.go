// Package detour remembers domains whose mail servers refuse this one for its reputation, so
// that for a day their mail goes by another way and they are left in peace.
//
// In kurir.db, table detour, times in milliseconds since 1970; a row for each domain, all of
// which are in memory as well. The package knows no SMTP.
package detour

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"kurir/internal/sqldb"
)

// Migrations are the tables of this package, for sqldb.Open.
func Migrations() []sqldb.Migration {
	return []sqldb.Migration{{Name: "detour/1", SQL: `
CREATE TABLE detour (
	domain TEXT PRIMARY KEY,  -- in A-labels and small letters
	until  BIGINT NOT NULL,
	why    TEXT NOT NULL
);
`}}
}

// maxWhy bounds what is kept of a reason, in octets.
const maxWhy = 1000

// Options of Detours. Only DB is needed.
type Options struct {
	DB  *sqldb.DB        // with Migrations
	For time.Duration    // how long a refusal holds; zero means 24 hours
	Max int              // domains that are remembered; zero means 10,000. Further ones are not
	Now func() time.Time // zero means time.Now
	Log *slog.Logger     // zero means no log
}

// Detours are what is remembered. Its methods may be called from any goroutine.
type Detours struct {
	o       Options
	writing sync.Mutex // held over a change of both; taken before mu
	mu      sync.Mutex // guards all
	all     map[string]entry
}

type entry struct {
	until time.Time
	why   string
}

// Open reads what is remembered, and forgets what is over.
func Open(ctx context.Context, o Options) (*Detours, error) {
	o.For, o.Max = cmp.Or(o.For, 24*time.Hour), cmp.Or(o.Max, 10_000)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Detours{o: o, all: map[string]entry{}}
	if err := d.forget(ctx); err != nil {
		return nil, err
	}
	rows, err := o.DB.QueryContext(ctx, `SELECT domain, until, why FROM detour`)
	if err != nil {
		return nil, fmt.Errorf("detour: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var domain string
		var until int64
		var e entry
		if err := rows.Scan(&domain, &until, &e.why); err != nil {
			return nil, fmt.Errorf("detour: %w", err)
		}
		e.until = time.UnixMilli(until)
		d.all[domain] = e
	}
	return d, rows.Err()
}

// Detour tells until when mail for a domain takes the other way, and why; the zero time: it
// does not. A clock that is set back makes it no longer than Options.For.
func (d *Detours) Detour(domain string) (until time.Time, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, known := d.all[strings.ToLower(domain)]
	if left := e.until.Sub(d.o.Now()); !known || left <= 0 || left > d.o.For {
		return time.Time{}, ""
	}
	return e.until, e.why
}

// Refused takes note of a refusal, and returns until when it holds. What cannot be written
// down holds until this program ends.
func (d *Detours) Refused(ctx context.Context, domain, why string) (until time.Time) {
	domain = strings.ToLower(domain)
	if why = strings.ToValidUTF8(why, "?"); len(why) > maxWhy {
		why = strings.ToValidUTF8(why[:maxWhy], "")
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	until = time.UnixMilli(d.o.Now().Add(d.o.For).UnixMilli())
	d.mu.Lock()
	_, known := d.all[domain]
	full := !known && len(d.all) >= d.o.Max
	if !full {
		d.all[domain] = entry{until, why}
	}
	d.mu.Unlock()
	if full {
		if err := d.forget(ctx); err != nil {
			d.o.Log.Error("what is over cannot be forgotten", "error", err)
		}
		return until
	}
	_, err := d.o.DB.ExecContext(context.WithoutCancel(ctx), `INSERT INTO detour (domain, until, why) VALUES ($1, $2, $3)
		ON CONFLICT (domain) DO UPDATE SET until = $2, why = $3`, domain, until.UnixMilli(), why)
	if err != nil {
		d.o.Log.Error("a domain that refuses this server cannot be written down", "domain", domain, "error", err)
	}
	return until
}

// forget removes what is over.
func (d *Detours) forget(ctx context.Context) error {
	now := d.o.Now()
	if _, err := d.o.DB.ExecContext(context.WithoutCancel(ctx), `DELETE FROM detour WHERE until <= $1`, now.UnixMilli()); err != nil {
		return fmt.Errorf("detour: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for domain, e := range d.all {
		if !now.Before(e.until) {
			delete(d.all, domain)
		}
	}
	return nil
}
