package tlspolicy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kurir/dnsutil"
	"kurir/internal/sqldb"
)

// rig is a Policies in a world that the test makes.
type rig struct {
	*Policies
	t    *testing.T
	path string
	db   *sqldb.DB
	log  bytes.Buffer

	mu      sync.Mutex
	now     time.Time
	ids     map[string]string // what the DNS says; none: no record
	out     bool              // the DNS does not answer
	policy  string            // what hosts serve; "": nothing can be fetched
	fetches int
	stopped []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, path: filepath.Join(t.TempDir(), "kurir.db"), now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), ids: map[string]string{}}
	r.open()
	return r
}

// open opens the database, as at a start.
func (r *rig) open() {
	r.t.Helper()
	db, err := sqldb.Open(context.Background(), r.path, Migrations())
	if err != nil {
		r.t.Fatal(err)
	}
	r.db = db
	r.Policies = Open(Options{DB: db, Resolver: r, Fetch: r.fetch, Now: r.time, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
		Stopped: func(host string) { r.stopped = append(r.stopped, host) }})
	p := r.Policies
	r.t.Cleanup(func() { errors.Join(p.Close(), db.Close()) })
}

// restart closes all and opens it again.
func (r *rig) restart() {
	r.t.Helper()
	if err := errors.Join(r.Close(), r.db.Close()); err != nil {
		r.t.Fatal(err)
	}
	r.open()
}

func (r *rig) time() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *rig) STSRecord(_ context.Context, domain string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.out {
		return "", &dnsutil.Error{Name: domain, Err: dnsutil.ErrTemporary}
	}
	if id, ok := r.ids[domain]; ok {
		return id, nil
	}
	return "", &dnsutil.Error{Name: domain, Err: dnsutil.ErrNotFound}
}

func (r *rig) fetch(_ context.Context, domain string) (dnsutil.STSPolicy, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetches++
	if r.policy == "" {
		return dnsutil.STSPolicy{}, errors.New("it cannot be reached")
	}
	return dnsutil.ParseSTSPolicy(r.policy)
}

// serve says what the DNS and the hosts have.
func (r *rig) serve(id, mode, mx string, age time.Duration) {
	r.ids = map[string]string{"example.net": id}
	r.policy = fmt.Sprintf("version: STSv1\nmode: %s\nmx: %s\nmax_age: %d\n", mode, mx, age/time.Second)
}

// want asks for the policy of example.net.
func (r *rig) want(what, mode string, fetches int) {
	r.t.Helper()
	p, ok := r.Policy(r.t.Context(), "example.net")
	if got := p.Mode; ok != (mode != "") || ok && got != mode || r.fetches != fetches {
		r.t.Errorf("%s: %v, %v after %d fetches, want %q after %d", what, p, ok, r.fetches, mode, fetches)
	}
}

// # RFC 8461 section 3.3: a policy that is kept holds until it expires, whatever can be
// found out meanwhile.
func TestPolicyIsKept(t *testing.T) {
	const week = 7 * 24 * time.Hour
	r := newRig(t)
	r.want("no record", "", 0)
	r.serve("1", "enforce", "mx.example.net", week)
	r.want("the first time", "enforce", 1)
	r.want("the next", "enforce", 1)
	r.restart()
	r.want("after a restart", "enforce", 1)
	r.pass(time.Hour)
	r.serve("2", "testing", "mx.example.net", week)
	r.want("another id", "testing", 2)
	r.pass(time.Hour)
	r.ids["example.net"], r.policy = "3", ""
	r.want("another id, but no policy", "testing", 3)
	r.want("at once again: RFC 8461 section 3.3, five minutes", "testing", 3)
	r.pass(6 * time.Minute)
	r.want("later", "testing", 4)
	r.ids = nil
	r.want("the record is gone", "testing", 4)
	r.out = true
	r.want("no DNS", "testing", 4)
	r.restart()
	r.want("no DNS, after a restart", "testing", 4)
	r.pass(week)
	r.want("it has expired", "", 4)
	r.out = false
	r.serve("3", "none", "mx.example.net", week)
	r.want("mode none is as no policy", "", 5)
	r.want("and is kept", "", 5)
	for _, word := range []string{"policy of MTA-STS fetched", "the one that is known holds on"} {
		if !strings.Contains(r.log.String(), word) {
			t.Errorf("the log lacks %q", word)
		}
	}
}

// A record that has another id each time, or a host that never answers, costs a fetch in
// five minutes.
func TestFetchesAreBounded(t *testing.T) {
	r := newRig(t)
	r.serve("0", "enforce", "mx.example.net", time.Hour)
	for i := range 100 {
		r.ids["example.net"] = fmt.Sprint(i)
		r.Policy(t.Context(), "example.net")
	}
	if r.fetches != 1 {
		t.Errorf("%d fetches", r.fetches)
	}
	r.policy = ""
	for i := range 100 {
		domain := fmt.Sprintf("d%d.test", i%2)
		r.ids[domain] = "1"
		if _, ok := r.Policy(t.Context(), domain); ok {
			t.Error("a policy from nowhere")
		}
	}
	if r.fetches != 3 {
		t.Errorf("%d fetches", r.fetches)
	}
	r.serve("x", "enforce", "mx.example.net", 0)
	r.pass(2 * time.Hour)
	r.want("max_age 0", "", 4)
}

// Whoever has mail sent to many domains of his, with policies as long as may be, fills
// neither the memory nor the disk.
func TestPoliciesAreBounded(t *testing.T) {
	r := newRig(t)
	r.serve("1", "enforce", strings.Repeat("mx.example.net\nmx: ", 3000)+"mx.example.net", 300*24*time.Hour)
	for i := range 600 {
		domain := fmt.Sprintf("%d.example.net", i)
		r.ids[domain] = "1"
		if p, ok := r.Policy(t.Context(), domain); !ok || len(p.MX) != 3001 {
			t.Fatalf("%s: %v", domain, ok)
		}
		size := 0
		for _, k := range r.sts {
			size += k.size()
		}
		if size != r.held || size > maxHeld {
			t.Fatalf("%d octets are held, and counted as %d", size, r.held)
		}
	}
	r.pass(time.Minute)
	const fill = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		INSERT INTO tlspolicy_sts SELECT 'x' || i, '1', '', $2, $3, $2, $2 FROM n`
	if _, err := r.db.ExecContext(t.Context(), fill, maxKept+1, r.Policies.now(), r.Policies.now()+1e9); err != nil {
		t.Fatal(err)
	}
	r.Refresh(t.Context())
	for query, want := range map[string]int{
		`SELECT COUNT(*) FROM tlspolicy_sts WHERE domain LIKE '%.example.net'`: 0, // used before all others
		`SELECT COUNT(*) FROM tlspolicy_sts`:                                   maxKept + 1,
	} {
		var n int
		if err := r.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != want {
			t.Errorf("%s: %d, %v", query, n, err)
		}
	}
}

// Those who want the same policy at the same time share a fetch; who cannot wait goes on
// without, and Close ends it.
func TestFetchIsShared(t *testing.T) {
	db, err := sqldb.Open(context.Background(), filepath.Join(t.TempDir(), "kurir.db"), Migrations())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		r := &rig{ids: map[string]string{"example.net": "1"}}
		p := Open(Options{DB: db, Resolver: r, Fetch: func(ctx context.Context, _ string) (dnsutil.STSPolicy, error) {
			n.Add(1)
			<-ctx.Done()
			return dnsutil.STSPolicy{}, ctx.Err()
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, ok := p.Policy(ctx, "example.net"); ok {
					t.Error("a policy")
				}
			})
		}
		all.Wait()
		if err := p.Close(); err != nil || n.Load() != 1 {
			t.Errorf("%v, %d fetches", err, n.Load())
		}
		if _, ok := p.Policy(t.Context(), "example.net"); ok || n.Load() != 1 {
			t.Errorf("%d fetches after Close", n.Load())
		}
	})
}

// # RFC 8461 section 10.2: policies in use are refreshed, so that they do not expire while
// their host is kept from us.
func TestRefresh(t *testing.T) {
	const month = 30 * 24 * time.Hour
	r := newRig(t)
	r.serve("1", "enforce", "mx.example.net", 3*month)
	r.want("begin", "enforce", 1)
	r.Refresh(t.Context())
	if r.fetches != 1 {
		t.Errorf("%d fetches on the first day", r.fetches)
	}
	r.pass(25 * time.Hour)
	r.serve("1", "enforce", "other.example.net", 3*month) // with the same id
	r.restart()
	r.Refresh(t.Context())
	p, _ := r.Policy(t.Context(), "example.net")
	if r.fetches != 2 || !p.Allows("other.example.net") {
		t.Errorf("%d fetches, %v", r.fetches, p)
	}
	r.pass(25 * time.Hour)
	r.policy, r.out = "", true
	r.Refresh(t.Context())
	r.want("no refresh could be had", "enforce", 3)
	r.pass(month - time.Hour)
	r.restart()
	r.Refresh(t.Context())
	if r.fetches != 4 {
		t.Errorf("%d fetches", r.fetches)
	}
	r.pass(25 * time.Hour)
	r.Refresh(t.Context())
	if r.fetches != 4 {
		t.Errorf("%d fetches of what is in use no more", r.fetches)
	}
	r.pass(3 * month)
	r.Refresh(t.Context())
	var n int
	if err := r.db.QueryRow(`SELECT count(*) FROM tlspolicy_sts`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// A policy that nobody has used for a month is not fetched any more, though it is kept.
func TestRefreshEnds(t *testing.T) {
	r := newRig(t)
	r.serve("1", "enforce", "mx.example.net", 300*24*time.Hour)
	r.want("begin", "enforce", 1)
	for range 100 {
		r.pass(24 * time.Hour)
		r.Refresh(t.Context())
	}
	if r.fetches != 30 {
		t.Errorf("%d fetches in 100 days", r.fetches)
	}
	r.want("it is kept", "enforce", r.fetches)
}

// Run refreshes again and again, until its context ends.
func TestRun(t *testing.T) {
	db, err := sqldb.Open(context.Background(), filepath.Join(t.TempDir(), "kurir.db"), Migrations())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{ids: map[string]string{}}
		r.serve("1", "enforce", "mx.example.net", 90*24*time.Hour)
		p := Open(Options{DB: db, Resolver: r, Fetch: r.fetch})
		p.Policy(t.Context(), "example.net")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Hour)
		defer cancel()
		p.Run(ctx)
		if err := p.Close(); err != nil || r.fetches != 3 {
			t.Errorf("%v, %d fetches in two days", err, r.fetches)
		}
	})
}

func TestSawTLS(t *testing.T) {
	r := newRig(t)
	saw := func(what string, offered bool, want time.Time) {
		t.Helper()
		if got := r.SawTLS(t.Context(), "mx.example.net", offered); !got.Equal(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	saw("never before", false, time.Time{})
	began := r.now
	saw("offered", true, time.Time{})
	r.pass(time.Hour)
	saw("offered again, which is not written down", true, time.Time{})
	r.pass(time.Hour)
	r.restart()
	saw("not offered", false, began)
	saw("not offered again", false, began)
	r.restart()
	saw("not offered still", false, began)
	if len(r.stopped) != 1 || strings.Count(r.log.String(), "used to offer TLS") != 1 {
		t.Errorf("told %v: %s", r.stopped, r.log.String())
	}
	saw("offered at last", true, time.Time{})
	again := r.now
	saw("gone once more", false, again)
	if len(r.stopped) != 2 || !strings.Contains(r.log.String(), "offers TLS again") {
		t.Errorf("told %v: %s", r.stopped, r.log.String())
	}
	r.pass(200 * 24 * time.Hour)
	r.Refresh(t.Context())
	r.restart()
	saw("forgotten", false, time.Time{})
}

// A database that fails is no reason to keep mail back.
func TestNoDatabase(t *testing.T) {
	r := newRig(t)
	r.serve("1", "enforce", "mx.example.net", time.Hour)
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	r.want("kept in memory", "enforce", 1)
	if got := r.SawTLS(t.Context(), "mx.test", true); !got.IsZero() {
		t.Error(got)
	}
	r.Refresh(t.Context())
	for _, word := range []string{"policy of MTA-STS cannot be read", "policy of MTA-STS cannot be written", "TLS cannot be read", "cannot be kept up"} {
		if !strings.Contains(r.log.String(), word) {
			t.Errorf("the log lacks %q", word)
		}
	}
}
