// Package logins keeps the history of logins: who tried to use an account, from where,
// with which program's means, and what came of it. It is for the account's owner and the
// administrator. Names that nobody has are not kept: what people type there may be a
// password.
//
// In kurir.db, table logins, times in seconds since 1970. Attempts that are alike (account,
// result, client's address, protocol, mechanism, TLS, app password) are one row with a count
// and the times of the first and the last. Bounded: MaxRows rows of good and as many of
// failed attempts of an account, Options.Max rows in all, and rows older than Options.Keep go. They
// are gathered in memory and written every few seconds, so that a login costs no
// transaction; Recent and List know of them at once. A crash loses what was not written.
//
// The package also keeps the secret that salts are made with (Secret). It knows no
// passwords and no protocol.
package logins

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kurir/internal/auth"
	"kurir/internal/sqldb"
)

const (
	// MaxRows bounds an account's rows of good attempts, and its rows of failed ones: who
	// guesses from many addresses shall not wipe out the rest.
	MaxRows = 100
	// maxPending bounds the rows in memory, about 300 bytes each. What is beyond is not kept.
	maxPending = 20_000
	// writeEvery is how often they are written, pruneEvery how often old rows are removed.
	writeEvery = 5 * time.Second
	pruneEvery = time.Hour
)

// Options of a History. Only DB is needed.
type Options struct {
	DB   *sqldb.DB     // with Migrations
	Keep time.Duration // after the last attempt of a row; zero means 90 days
	Max  int           // rows in all; zero means 200,000. The oldest go
	Log  *slog.Logger  // nil means slog.Default()
}

// Entry is one row: attempts that are alike.
type Entry struct {
	Remote     string // address of the client; "" if it is not known
	Protocol   string // as auth.Event has it, like those that follow
	Mechanism  string
	TLS        string
	Credential string
	Result     string
	Reason     string // of the last attempt
	Count      int64  // how many
	First      time.Time
	Last       time.Time
}

// key is what is alike in the attempts of a row.
type key struct {
	account, remote, protocol, mechanism, tls, credential, result string
}

func (e *Entry) key(account string) key {
	return key{account, e.Remote, e.Protocol, e.Mechanism, e.TLS, e.Credential, e.Result}
}

// merge adds the attempts of o.
func (e *Entry) merge(o *Entry) {
	e.Count += o.Count
	if o.First.Before(e.First) {
		e.First = o.First
	}
	if !o.Last.Before(e.Last) {
		e.Last, e.Reason = o.Last, o.Reason
	}
}

// History is the history of one server. Its methods may be called from any goroutine.
type History struct {
	o       Options
	mu      sync.Mutex
	pending map[key]*Entry // not yet written
	writing map[key]*Entry // being written; not changed any more
	flush   sync.Mutex     // held by the one that writes
	lost    atomic.Int64   // attempts that there was no room for
}

// New returns the history in o.DB. Run has to run beside it for attempts to be kept.
func New(o Options) *History {
	o.Keep = cmp.Or(o.Keep, 90*24*time.Hour)
	o.Max = cmp.Or(o.Max, 200_000)
	o.Log = cmp.Or(o.Log, slog.Default())
	return &History{o: o, pending: map[key]*Entry{}}
}

// Observe is for auth.Options.Observe.
func (h *History) Observe(ev auth.Event) {
	if ev.Account == "" {
		return
	}
	at := time.Unix(ev.Time.Unix(), 0).UTC()
	e := &Entry{
		Protocol: ev.Protocol, Mechanism: ev.Mechanism, TLS: ev.TLS, Credential: ev.Credential,
		Result: ev.Result, Reason: ev.Reason, Count: 1, First: at, Last: at,
	}
	if ev.Remote.IsValid() {
		e.Remote = ev.Remote.String()
	}
	k := e.key(ev.Account)
	h.mu.Lock()
	defer h.mu.Unlock()
	if had := h.pending[k]; had != nil {
		had.merge(e)
	} else if len(h.pending) < maxPending {
		h.pending[k] = e
	} else {
		h.lost.Add(1)
	}
}

// Run writes what was observed every few seconds, and what is left when ctx ends; then it
// returns. What cannot be written is logged and tried again.
func (h *History) Run(ctx context.Context) {
	write, prune := time.NewTicker(writeEvery), time.NewTicker(pruneEvery)
	defer write.Stop()
	defer prune.Stop()
	h.prune(ctx)
	for {
		select {
		case <-write.C:
			h.write(ctx)
		case <-prune.C:
			h.prune(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			h.write(last)
			return
		}
	}
}

// write takes what is pending to the database, in parts, so that others get their turn.
func (h *History) write(ctx context.Context) {
	h.flush.Lock()
	defer h.flush.Unlock()
	h.mu.Lock()
	h.writing, h.pending = h.pending, map[key]*Entry{}
	all := slices.Collect(maps.Keys(h.writing))
	h.mu.Unlock()
	var err error
	for part := range slices.Chunk(all, 200) {
		if err == nil {
			err = h.store(ctx, part)
		}
		h.mu.Lock()
		for _, k := range part {
			if err != nil {
				h.putBack(k, h.writing[k])
			}
			delete(h.writing, k)
		}
		h.mu.Unlock()
	}
	if err != nil && ctx.Err() == nil {
		h.o.Log.Error("the history of logins cannot be written", "error", err)
	}
	if n := h.lost.Swap(0); n > 0 {
		h.o.Log.Warn("there was no room for some attempts in the history of logins", "attempts", n)
	}
}

// putBack keeps what could not be written for the next time.
func (h *History) putBack(k key, e *Entry) {
	if now := h.pending[k]; now != nil {
		now.merge(e)
	} else if len(h.pending) < maxPending {
		h.pending[k] = e
	} else {
		h.lost.Add(e.Count)
	}
}

// Query says which entries List returns.
type Query struct {
	Account string    // canonical address
	Failed  bool      // those that were not let in only
	Since   time.Time // whose last attempt was then or later; zero: all
	Limit   int       // the latest; zero or less means all
}

// Recent returns the latest n entries of an account, the latest first, those of the last
// seconds included.
func (h *History) Recent(ctx context.Context, account string, n int) ([]Entry, error) {
	return h.List(ctx, Query{Account: account, Limit: n})
}

// List returns entries of an account, the latest first.
func (h *History) List(ctx context.Context, q Query) ([]Entry, error) {
	// What is being written is seen once: the lock keeps it from moving in between.
	h.flush.Lock()
	defer h.flush.Unlock()
	byKey, err := h.load(ctx, q.Account)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	for k, e := range h.pending {
		if k.account != q.Account {
			continue
		}
		if had := byKey[k]; had != nil {
			had.merge(e)
		} else {
			one := *e
			byKey[k] = &one
		}
	}
	h.mu.Unlock()
	var all []Entry
	for _, e := range byKey {
		if (!q.Failed || e.Result != auth.ResultOK) && !e.Last.Before(q.Since) {
			all = append(all, *e)
		}
	}
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(b.Last.Compare(a.Last), b.First.Compare(a.First), cmp.Compare(a.Remote+a.Protocol+a.Mechanism, b.Remote+b.Protocol+b.Mechanism))
	})
	if q.Limit > 0 && len(all) > q.Limit {
		all = all[:q.Limit]
	}
	return all, nil
}

// Rename moves an account's history to its new address.
func (h *History) Rename(ctx context.Context, from, to string) error {
	return h.change(ctx, from, func() error { return h.rename(ctx, from, to) })
}

// Remove forgets the history of an account that is no more.
func (h *History) Remove(ctx context.Context, account string) error {
	return h.change(ctx, account, func() error { return h.remove(ctx, account) })
}

// change writes what is pending, so that all of an account is in the database for fn.
func (h *History) change(ctx context.Context, account string, fn func() error) error {
	h.write(ctx)
	h.flush.Lock()
	defer h.flush.Unlock()
	h.mu.Lock()
	maps.DeleteFunc(h.pending, func(k key, _ *Entry) bool { return k.account == account })
	h.mu.Unlock()
	return fn()
}
