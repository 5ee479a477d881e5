// Package suppression remembers addresses elsewhere that do not exist, as their own servers
// have said, so that users hear of it while they send, and other servers are not asked again
// and again, which costs a sender its good name.
//
// A server may be wrong once: while it is moved, or its directory is down. So an address is
// refused only after its mail was returned on two days with none delivered in between, and
// for Options.Keep after the last time; then it is tried again.
//
// In kurir.db, table suppression, times in milliseconds since 1970; a row for each address,
// all of which are in memory as well. The package knows no SMTP and no queue.
package suppression

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"kurir/internal/sqldb"
)

// Migrations are the tables of this package, for sqldb.Open.
func Migrations() []sqldb.Migration {
	return []sqldb.Migration{{Name: "suppression/1", SQL: `
CREATE TABLE suppression (
	address TEXT PRIMARY KEY,  -- in small letters
	days    BIGINT NOT NULL,   -- on which its mail was returned
	first   BIGINT NOT NULL,
	counted BIGINT NOT NULL,   -- when days grew last
	last    BIGINT NOT NULL,
	host    TEXT NOT NULL,     -- that said so
	reply   TEXT NOT NULL,
	message TEXT NOT NULL      -- id of the last message
);
`}}
}

const (
	// enough days make an address refused.
	enough = 2
	// apart is the least time between two days: a letter each morning counts each time.
	apart = 20 * time.Hour
	// maxText bounds what is kept of a reply, in octets.
	maxText = 300
)

// Options of a List. Only DB is needed.
type Options struct {
	DB   *sqldb.DB        // with Migrations
	Keep time.Duration    // after the last returned mail; zero or less: nothing is remembered
	Max  int              // addresses that are remembered; zero means 10,000. The oldest go
	Now  func() time.Time // zero means time.Now
	Log  *slog.Logger     // zero means no log
}

// Entry is one address.
type Entry struct {
	Address string // in small letters
	Days    int    // on which its mail was returned
	First   time.Time
	Last    time.Time
	Host    string    // that said so last
	Reply   string    // what it said, in one line, with code and status
	Message string    // id of the last message
	Expires time.Time // when this is forgotten

	counted time.Time
}

// Refused tells whether mail to the address is refused; else it was returned once.
func (e *Entry) Refused() bool { return e.Days >= enough }

// List is the list. Its methods may be called from any goroutine.
type List struct {
	o       Options
	writing sync.Mutex    // held over a change of both; taken before mu
	keep    time.Duration // Options.Keep as it is now; changed with writing held
	mu      sync.Mutex    // guards all
	all     map[string]Entry
}

// Open reads the list.
func Open(ctx context.Context, o Options) (*List, error) {
	o.Max = cmp.Or(o.Max, 10_000)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &List{o: o, keep: o.Keep, all: map[string]Entry{}}
	rows, err := o.DB.QueryContext(ctx, `SELECT address, days, first, counted, last, host, reply, message FROM suppression`)
	if err != nil {
		return nil, fmt.Errorf("suppression: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var e Entry
		var first, counted, last int64
		if err := rows.Scan(&e.Address, &e.Days, &first, &counted, &last, &e.Host, &e.Reply, &e.Message); err != nil {
			return nil, fmt.Errorf("suppression: %w", err)
		}
		e.First, e.counted, e.Last = time.UnixMilli(first), time.UnixMilli(counted), time.UnixMilli(last)
		e.Expires = e.Last.Add(o.Keep)
		l.all[e.Address] = e
	}
	return l, rows.Err()
}

// Returned is mail that another server has refused for good.
type Returned struct {
	Address string
	Host    string
	Code    int    // of its reply, 0: it was not a server that said so
	Status  string // RFC 3463
	Text    string
	Message string // id
}

// SetKeep changes Options.Keep, also for the addresses that are known.
func (l *List) SetKeep(keep time.Duration) {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep = keep
	for key, e := range l.all {
		e.Expires = e.Last.Add(keep)
		l.all[key] = e
	}
}

// Returned takes note of mail that was refused for good, if it says that there is no such
// address. Trouble is logged: it is no reason to stop anything.
func (l *List) Returned(ctx context.Context, r Returned) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.keep <= 0 || !missing(r.Code, r.Status, r.Text) {
		return
	}
	now := l.o.Now()
	key := strings.ToLower(r.Address)
	e, known := l.find(key)
	if !known {
		e = Entry{Address: key, First: now}
	}
	if now.Sub(e.counted) >= apart || now.Before(e.counted) {
		e.Days++
		e.counted = now
	}
	e.Last, e.Expires, e.Host, e.Message = now, now.Add(l.keep), r.Host, r.Message
	e.Reply = oneLine(fmt.Sprintf("%d %s %s", r.Code, r.Status, r.Text))
	_, err := l.o.DB.ExecContext(context.WithoutCancel(ctx), `INSERT INTO suppression (address, days, first, counted, last, host, reply, message)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (address) DO UPDATE
		SET days = $2, first = $3, counted = $4, last = $5, host = $6, reply = $7, message = $8`,
		key, e.Days, e.First.UnixMilli(), e.counted.UnixMilli(), now.UnixMilli(), e.Host, e.Reply, e.Message)
	if err != nil {
		l.o.Log.Error("an address that does not exist cannot be written down", "address", key, "error", err)
		return
	}
	if e.Days == enough && e.counted.Equal(now) {
		l.o.Log.Warn("an address does not exist, mail to it will be refused", "address", key, "host", e.Host, "reply", e.Reply, "until", e.Expires)
	}
	l.mu.Lock()
	l.all[key] = e
	l.mu.Unlock()
	l.shrink(ctx)
}

// Sent takes note of mail that was delivered: the address exists.
func (l *List) Sent(ctx context.Context, address string) {
	key := strings.ToLower(address)
	l.mu.Lock()
	_, known := l.all[key]
	l.mu.Unlock()
	if !known {
		return
	}
	if _, err := l.Remove(ctx, address); err != nil {
		l.o.Log.Error("an address that exists cannot be taken off the list", "address", key, "error", err)
	}
}

// Refuses tells whether mail to an address is to be refused, and why.
func (l *List) Refuses(address string) (Entry, bool) {
	e, known := l.find(strings.ToLower(address))
	return e, known && e.Refused()
}

// find finds what has not expired.
func (l *List) find(key string) (Entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, known := l.all[key]
	if !known || !l.o.Now().Before(e.Expires) {
		return Entry{}, false
	}
	return e, true
}

// Entries are all that have not expired, in order of address.
func (l *List) Entries() []Entry {
	now := l.o.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Entry
	for _, key := range slices.Sorted(maps.Keys(l.all)) {
		if e := l.all[key]; now.Before(e.Expires) {
			all = append(all, e)
		}
	}
	return all
}

// Remove takes an address off the list, and tells whether it was there.
func (l *List) Remove(ctx context.Context, address string) (was bool, err error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	key := strings.ToLower(address)
	_, was = l.find(key)
	return was, l.forget(ctx, key)
}

// forget removes an address. writing is held.
func (l *List) forget(ctx context.Context, key string) error {
	if _, err := l.o.DB.ExecContext(context.WithoutCancel(ctx), `DELETE FROM suppression WHERE address = $1`, key); err != nil {
		return fmt.Errorf("suppression: %w", err)
	}
	l.mu.Lock()
	delete(l.all, key)
	l.mu.Unlock()
	return nil
}

// shrink forgets what has expired and, past the bound, the oldest. writing is held.
func (l *List) shrink(ctx context.Context) {
	now := l.o.Now()
	l.mu.Lock()
	var gone []string
	var left []Entry
	for key, e := range l.all {
		if now.Before(e.Expires) {
			left = append(left, e)
		} else {
			gone = append(gone, key)
		}
	}
	l.mu.Unlock()
	if over := len(left) - l.o.Max; over > 0 {
		slices.SortFunc(left, func(a, b Entry) int { return a.Last.Compare(b.Last) })
		for _, e := range left[:over] {
			gone = append(gone, e.Address)
		}
	}
	for _, key := range gone {
		if err := l.forget(ctx, key); err != nil {
			l.o.Log.Error("what has expired cannot be removed", "address", key, "error", err)
			return
		}
	}
}

// oneLine is text without line ends, of bounded length.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}
