package gate

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	"kurir/internal/sqldb"
)

// Bounds of greylisting.
const (
	maxWaiting = 200_000             // rows of each table
	maxClient  = 1000                // rows of one client that waits
	patience   = 24 * time.Hour      // in which a client has to come again
	knownFor   = 36 * 24 * time.Hour // after it last did; a monthly newsletter comes within
	renewAfter = 24 * time.Hour      // a row that is younger is good enough
)

// Migrations are the tables of this package, for sqldb.Open. Times are in seconds.
func Migrations() []sqldb.Migration {
	return []sqldb.Migration{{Name: "gate/1 greylist", SQL: `
CREATE TABLE gate_waiting (
	client    TEXT NOT NULL,   -- IPv4 /24 or IPv6 /64
	sender    TEXT NOT NULL,   -- its domain, '' for the null reverse-path
	recipient TEXT NOT NULL,   -- address
	first     BIGINT NOT NULL, -- when it was told to come again
	PRIMARY KEY (client, sender, recipient)
);
CREATE INDEX gate_waiting_first ON gate_waiting (first);
CREATE TABLE gate_known (
	client TEXT NOT NULL,      -- as above; '' for an address that was written to from here
	sender TEXT NOT NULL,      -- as above; or that address
	last   BIGINT NOT NULL,    -- when it last came, or was written to
	PRIMARY KEY (client, sender)
);
CREATE INDEX gate_known_last ON gate_known (last);
`}}
}

// greylist tells who is known, and who has to come again. A client waits with one
// recipient, so that a run of spam through a list of recipients never becomes known by
// itself; once it has come again, its network is known with that domain of senders.
type greylist struct {
	db    *sqldb.DB
	delay time.Duration
	now   func() time.Time
	most  int // rows of each table

	mu     sync.Mutex
	pruned time.Time
	full   bool // of those that wait, when last pruned
	added  int  // rows since
}

// check returns how long a client has to wait before it may write to a recipient; zero:
// it may.
func (g *greylist) check(ctx context.Context, ip netip.Addr, from, to string) (wait time.Duration, err error) {
	_, sender := cutAddress(from)
	t, now := triplet{network(ip), sender, strings.ToLower(to)}, g.now().Unix()
	known, fresh, err := g.known(ctx, t, strings.ToLower(from), now)
	if err != nil || known && fresh {
		return 0, err
	}
	full, err := g.prune(ctx)
	if err != nil {
		return 0, err
	}
	err = g.db.Group(ctx, func(tx *sql.Tx) error {
		wait = 0
		if !known {
			var again bool
			var err error
			if wait, again, err = g.waits(ctx, tx, t, now, full); err != nil || !again {
				return err
			}
		}
		return remember(ctx, tx, t.client, t.sender, now)
	})
	return wait, err
}

// triplet is who waits: a row of gate_waiting.
type triplet struct{ client, sender, recipient string }

// known tells whether a client's network has come before with that domain of senders, or
// the sender was written to from here; fresh, that nothing has to be written for it.
func (g *greylist) known(ctx context.Context, t triplet, from string, now int64) (known, fresh bool, err error) {
	var last, wrote int64
	err = g.db.QueryRowContext(ctx, `SELECT
		COALESCE((SELECT last FROM gate_known WHERE client = $1 AND sender = $2), 0),
		COALESCE((SELECT last FROM gate_known WHERE client = '' AND sender = $3 AND sender <> ''), 0)`,
		t.client, t.sender, from).Scan(&last, &wrote)
	oldest := now - int64(knownFor/time.Second)
	if wrote > oldest {
		return true, true, err
	}
	return last > oldest, last > now-int64(renewAfter/time.Second), err
}

// waits returns how long a client that was not known just now has to wait with a
// recipient; again tells that it has waited. Who comes too late begins anew, and so does
// who came before a clock that was wrong was set back; where there is no room for more,
// nobody has to wait.
func (g *greylist) waits(ctx context.Context, tx *sql.Tx, t triplet, now int64, full bool) (wait time.Duration, again bool, err error) {
	var n int64
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM gate_known WHERE client = $1 AND sender = $2 AND last > $3`,
		t.client, t.sender, now-int64(knownFor/time.Second)).Scan(&n)
	if err != nil || n > 0 { // it came on another connection meanwhile
		return 0, err == nil, err
	}
	var first int64
	err = tx.QueryRowContext(ctx, `SELECT first FROM gate_waiting WHERE client = $1 AND sender = $2 AND recipient = $3`,
		t.client, t.sender, t.recipient).Scan(&first)
	delay := int64(g.delay / time.Second)
	switch {
	case err == nil && first > now-int64((patience+g.delay)/time.Second) && first <= now+delay:
		wait = time.Duration(max(first+delay-now, 0)) * time.Second
		return wait, wait == 0, nil
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return 0, false, err
	case full:
		return 0, false, nil
	}
	if full, err = crowded(ctx, tx, t.client); err != nil || full {
		return 0, false, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO gate_waiting (client, sender, recipient, first) VALUES ($1, $2, $3, $4)
		ON CONFLICT (client, sender, recipient) DO UPDATE SET first = excluded.first`, t.client, t.sender, t.recipient, now)
	g.mu.Lock()
	g.added++
	g.mu.Unlock()
	return g.delay, false, err
}

// crowded tells whether a client waits with as much as it may: who fills the table would
// end greylisting for everybody else.
func crowded(ctx context.Context, tx *sql.Tx, client string) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM gate_waiting WHERE client = $1 LIMIT $2) AS rows`, client, maxClient).Scan(&n)
	return n >= maxClient, err
}

// remember makes a client known.
func remember(ctx context.Context, tx *sql.Tx, client, sender string, now int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO gate_known (client, sender, last) VALUES ($1, $2, $3)
		ON CONFLICT (client, sender) DO UPDATE SET last = excluded.last`, client, sender, now)
	if err == nil && client != "" {
		_, err = tx.ExecContext(ctx, `DELETE FROM gate_waiting WHERE client = $1 AND sender = $2`, client, sender)
	}
	return err
}

// wrote makes addresses known that were written to from here.
func (g *greylist) wrote(ctx context.Context, addresses []string) error {
	if _, err := g.prune(ctx); err != nil {
		return err
	}
	now := g.now().Unix()
	return g.db.Group(ctx, func(tx *sql.Tx) error {
		for _, a := range addresses {
			if err := remember(ctx, tx, "", strings.ToLower(a), now); err != nil {
				return err
			}
		}
		return nil
	})
}

// prune forgets what is old, once an hour or when many rows were added, and tells whether
// there is no room for more that wait.
func (g *greylist) prune(ctx context.Context) (full bool, err error) {
	g.mu.Lock()
	now := g.now()
	due := now.Sub(g.pruned) >= time.Hour || !g.full && g.added >= g.most/4
	if due {
		g.pruned, g.added = now, 0
	}
	full = g.full
	g.mu.Unlock()
	if !due {
		return full, nil
	}
	err = g.db.Tx(ctx, func(tx *sql.Tx) error {
		waiting, known := now.Add(-patience-g.delay).Unix(), now.Add(-knownFor).Unix()
		// What comes from a future is from a clock that was wrong, and would never grow old.
		if _, err := tx.ExecContext(ctx, `DELETE FROM gate_waiting WHERE first < $1 OR first > $2`, waiting, now.Add(g.delay).Unix()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE gate_known SET last = $1 WHERE last > $1`, now.Unix()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM gate_known WHERE last < $1 OR last <
			COALESCE((SELECT last FROM gate_known ORDER BY last DESC LIMIT 1 OFFSET $2), 0)`, known, g.most); err != nil {
			return err
		}
		var n int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM gate_waiting`).Scan(&n)
		full = n >= g.most*3/4 // another quarter may come until the next time
		return err
	})
	g.mu.Lock()
	g.full = full
	g.mu.Unlock()
	return full, err
}

// network is what a client may come again from: large senders have several hosts.
func network(ip netip.Addr) string {
	bits := 64
	if ip.Is4() {
		bits = 24
	}
	p, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return ip.String()
	}
	return p.String()
}

// Wrote tells the gate of addresses that were written to from here: their answers need
// not wait. Errors are logged: nobody is refused for them.
func (g *Gate) Wrote(ctx context.Context, addresses []string) {
	if g.grey == nil || len(addresses) == 0 {
		return
	}
	if err := g.grey.wrote(ctx, addresses); err != nil && g.trouble.say("greylist", g.o.Now()) {
		g.o.Log.Error("greylisting failed", "error", err)
	}
}
