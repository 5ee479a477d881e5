package logins

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/internal/auth"
	"kurir/internal/sqldb"
)

type bench struct {
	*History
	t   *testing.T
	db  *sqldb.DB
	log bytes.Buffer
}

func newBench(t *testing.T, o Options) *bench {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), Migrations)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := &bench{t: t, db: db}
	o.DB, o.Log = db, slog.New(slog.NewTextHandler(&b.log, nil))
	b.History = New(o)
	return b
}

// start is when the tests' attempts begin: now, so that none is too old.
var start = time.Now().Truncate(time.Second)

// try observes an attempt, some seconds after start.
func (b *bench) try(account, remote, result string, seconds int) {
	e := auth.Event{
		Time: start.Add(time.Duration(seconds) * time.Second), Account: account, Protocol: "imap", Mechanism: "PLAIN",
		TLS: "TLS 1.3", Result: result, Reason: fmt.Sprintf("%s at %d", result, seconds),
	}
	if remote != "" {
		e.Remote = netip.MustParseAddr(remote)
	}
	b.Observe(e)
}

// expect wants the entries of an account as "remote result count first-last reason".
func (b *bench) expect(what string, q Query, want ...string) {
	b.t.Helper()
	all, err := b.List(b.t.Context(), q)
	var got []string
	for _, e := range all {
		got = append(got, fmt.Sprintf("%s %s %d %v-%v %s", e.Remote, e.Result, e.Count, e.First.Sub(start).Seconds(), e.Last.Sub(start).Seconds(), e.Reason))
	}
	if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
		b.t.Errorf("%s: got %q, %v\nwant %q", what, got, err, want)
	}
}

const anna = "anna@example.org"

// Attempts that are alike are one entry, in memory, in the database and across both.
func TestFolding(t *testing.T) {
	b := newBench(t, Options{})
	q := Query{Account: anna}
	b.try(anna, "192.0.2.1", "ok", 0)
	b.try(anna, "192.0.2.1", "ok", 5)
	b.try(anna, "192.0.2.1", "invalid", 3)
	b.try(anna, "", "ok", 1)
	b.try("bert@example.org", "192.0.2.1", "ok", 9)
	want := []string{"192.0.2.1 ok 2 0-5 ok at 5", "192.0.2.1 invalid 1 3-3 invalid at 3", " ok 1 1-1 ok at 1"}
	b.expect("in memory", q, want...)
	b.write(t.Context())
	b.expect("written", q, want...)
	if len(b.pending) != 0 {
		t.Errorf("%d are still pending", len(b.pending))
	}
	b.try(anna, "192.0.2.1", "ok", 7)
	b.try(anna, "192.0.2.1", "invalid", 2) // late
	want = []string{"192.0.2.1 ok 3 0-7 ok at 7", "192.0.2.1 invalid 2 2-3 invalid at 3", " ok 1 1-1 ok at 1"}
	b.expect("both", q, want...)
	b.expect("asked again", q, want...)
	b.write(t.Context())
	b.expect("both written", q, want...)
	b.expect("failed", Query{Account: anna, Failed: true}, want[1])
	b.expect("limit", Query{Account: anna, Limit: 1}, want[0])
	b.expect("since", Query{Account: anna, Since: start.Add(4 * time.Second)}, want[0])
	b.expect("nobody", Query{Account: "carl@example.org"})
	if all, err := b.Recent(t.Context(), anna, 2); err != nil || len(all) != 2 || all[0].Count != 3 {
		t.Errorf("recent: %+v, %v", all, err)
	}
}

// What differs in one respect is an entry of its own.
func TestKeys(t *testing.T) {
	b := newBench(t, Options{})
	e := auth.Event{Time: start, Account: anna, Remote: netip.MustParseAddr("::1"), Protocol: "imap", Mechanism: "PLAIN", TLS: "TLS 1.3", Result: "ok"}
	b.Observe(e)
	for _, change := range []func(*auth.Event){
		func(e *auth.Event) { e.Remote = netip.MustParseAddr("::2") }, func(e *auth.Event) { e.Protocol = "pop3" },
		func(e *auth.Event) { e.Mechanism = "LOGIN" }, func(e *auth.Event) { e.TLS = "" }, func(e *auth.Event) { e.Credential = "phone" },
		func(e *auth.Event) { e.Result = "disabled" },
	} {
		other := e
		change(&other)
		b.Observe(other)
	}
	for range 2 {
		all, err := b.List(t.Context(), Query{Account: anna})
		if err != nil || len(all) != 7 {
			t.Errorf("%d entries, %v", len(all), err)
		}
		b.write(t.Context())
	}
}

// Names that nobody has leave no trace.
func TestStrangers(t *testing.T) {
	b := newBench(t, Options{})
	b.try("", "192.0.2.1", "invalid", 0)
	if len(b.pending) != 0 {
		t.Error("kept")
	}
}

// Who guesses from everywhere does not wipe out the good ones, and neither grows for ever.
func TestBoundedByAccount(t *testing.T) {
	b := newBench(t, Options{})
	b.try(anna, "192.0.2.1", "ok", 0)
	addr := netip.MustParseAddr("2001:db8::")
	for i := range 3 * MaxRows {
		addr = addr.Next()
		b.try(anna, addr.String(), "invalid", i/50) // many in one second
		b.try("bert@example.org", addr.String(), "ok", i)
	}
	b.write(t.Context())
	all, err := b.List(t.Context(), Query{Account: anna})
	if err != nil || len(all) != MaxRows+1 || all[len(all)-1].Result != "ok" {
		t.Errorf("%d entries, %v", len(all), err)
	}
	all, _ = b.List(t.Context(), Query{Account: "bert@example.org"})
	if len(all) != MaxRows || all[0].Remote != addr.String() {
		t.Errorf("%d entries, the first is %+v", len(all), all[0])
	}
}

func TestBoundedInAll(t *testing.T) {
	b := newBench(t, Options{Max: 10, Keep: time.Hour})
	for i := range 30 {
		b.try(fmt.Sprintf("a%d@example.org", i), "192.0.2.1", "ok", i)
	}
	b.try(anna, "192.0.2.1", "ok", -7200)
	b.write(t.Context())
	b.prune(t.Context())
	b.expect("too old", Query{Account: anna})
	b.expect("one too many", Query{Account: "a19@example.org"})
	b.expect("the oldest of ten", Query{Account: "a20@example.org"}, "192.0.2.1 ok 1 20-20 ok at 20")
}

func TestBoundedInMemory(t *testing.T) {
	b := newBench(t, Options{})
	for i := range maxPending + 3 {
		b.try(fmt.Sprintf("a%d@example.org", i), "", "ok", 0)
	}
	if len(b.pending) != maxPending || b.lost.Load() != 3 {
		t.Errorf("%d pending, %d lost", len(b.pending), b.lost.Load())
	}
	b.pending = map[key]*Entry{}
	b.write(t.Context())
	if !strings.Contains(b.log.String(), "attempts=3") {
		t.Error(b.log.String())
	}
}

// What cannot be written is kept for the next time, and told.
func TestWriteFails(t *testing.T) {
	b := newBench(t, Options{})
	if _, err := b.db.Exec(`ALTER TABLE logins RENAME TO elsewhere`); err != nil {
		t.Fatal(err)
	}
	b.try(anna, "192.0.2.1", "ok", 0)
	b.write(t.Context())
	b.prune(t.Context())
	if log := b.log.String(); !strings.Contains(log, "cannot be written") || !strings.Contains(log, "cannot be removed") {
		t.Error(log)
	}
	if _, err := b.List(t.Context(), Query{Account: anna}); err == nil {
		t.Error("a list without its table")
	}
	b.try(anna, "192.0.2.1", "ok", 1)
	if _, err := b.db.Exec(`ALTER TABLE elsewhere RENAME TO logins`); err != nil {
		t.Fatal(err)
	}
	b.write(t.Context())
	b.expect("the second time", Query{Account: anna}, "192.0.2.1 ok 2 0-1 ok at 1")
}

// Run writes within seconds, and what is left at the end.
func TestRun(t *testing.T) {
	b := newBench(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { b.Run(ctx) })
	b.try(anna, "192.0.2.1", "ok", 0)
	cancel()
	done.Wait()
	b.History = New(Options{DB: b.db})
	b.expect("after the end", Query{Account: anna}, "192.0.2.1 ok 1 0-0 ok at 0")
}

// The history goes where its account goes.
func TestRenameAndRemove(t *testing.T) {
	b := newBench(t, Options{})
	b.try(anna, "192.0.2.1", "ok", 0)
	b.write(t.Context())
	b.try(anna, "192.0.2.1", "ok", 1)
	b.try("ann@example.org", "192.0.2.9", "ok", 0)
	if err := b.Rename(t.Context(), anna, "ann@example.org"); err != nil {
		t.Fatal(err)
	}
	b.expect("old", Query{Account: anna})
	b.expect("new", Query{Account: "ann@example.org"}, "192.0.2.1 ok 2 0-1 ok at 1")
	b.try("ann@example.org", "192.0.2.1", "ok", 2)
	if err := b.Remove(t.Context(), "ann@example.org"); err != nil {
		t.Fatal(err)
	}
	b.expect("removed", Query{Account: "ann@example.org"})
	b.write(t.Context())
	b.expect("and stays so", Query{Account: "ann@example.org"})
}

// Many at once lose nothing while it is written and read.
func TestTogether(t *testing.T) {
	b := newBench(t, Options{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 200 {
				b.try(anna, "192.0.2.1", "ok", i)
			}
		})
	}
	all.Go(func() {
		for range 5 {
			b.write(t.Context())
			if _, err := b.Recent(t.Context(), anna, 5); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	b.expect("all", Query{Account: anna}, "192.0.2.1 ok 800 0-199 ok at 199")
}

func TestSecret(t *testing.T) {
	b := newBench(t, Options{})
	first, err := Secret(t.Context(), b.db)
	if err != nil || len(first) != secretSize {
		t.Fatalf("%x, %v", first, err)
	}
	if again, err := Secret(t.Context(), b.db); err != nil || !bytes.Equal(again, first) {
		t.Errorf("%x, %v", again, err)
	}
	if _, err := b.db.Exec(`UPDATE login_secret SET secret = 'damaged'`); err != nil {
		t.Fatal(err)
	}
	other, err := Secret(t.Context(), b.db)
	if err != nil || len(other) != secretSize || bytes.Equal(other, first) {
		t.Errorf("%x, %v", other, err)
	}
	if again, err := Secret(t.Context(), b.db); err != nil || !bytes.Equal(again, other) {
		t.Errorf("%x, %v", again, err)
	}
}
