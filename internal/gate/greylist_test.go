package gate

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/internal/sqldb"
)

// greyRig is a gate that greylists, with a clock of its own.
type greyRig struct {
	t   *testing.T
	g   *Gate
	db  *sqldb.DB
	now time.Time
}

func newGreyRig(t *testing.T) *greyRig {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), Migrations())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r := &greyRig{t: t, db: db, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	r.g, err = New(Options{DB: db, Delay: 5 * time.Minute, Now: func() time.Time { return r.now }, Allow: []string{"198.51.100.0/24"}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// comes is how long a client is told to wait.
func (r *greyRig) comes(ip, from, to string) time.Duration {
	r.t.Helper()
	v, err := r.g.Connect(r.t.Context(), addr(ip))
	if err != nil {
		r.t.Fatal(err)
	}
	v.Hello("client.example")
	if err := v.Mail(r.t.Context(), from); err != nil {
		r.t.Fatal(err)
	}
	err = v.Rcpt(r.t.Context(), to)
	if err == nil {
		return 0
	}
	f := err.(*Refusal)
	if f.Code != 451 || f.Status != "4.7.1" {
		r.t.Errorf("%v", f)
	}
	var n int
	if strings.Contains(f.Text, " in a minute,") {
		return time.Minute
	}
	_, text, _ := strings.Cut(f.Text, "come again in ")
	if _, err := fmt.Sscanf(text, "%d minutes", &n); err != nil {
		r.t.Errorf("%q: %v", f.Text, err)
	}
	return time.Duration(n) * time.Minute
}

func (r *greyRig) rows(table string) (n int) {
	r.t.Helper()
	if err := r.db.QueryRowContext(r.t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

func TestGreylist(t *testing.T) {
	r := newGreyRig(t)
	const alice, bob = "alice@here.example", "bob@here.example"
	expect := func(want time.Duration, ip, from, to string) {
		t.Helper()
		if got := r.comes(ip, from, to); got != want {
			t.Errorf("%s from %s to %s waits %v, want %v", ip, from, to, got, want)
		}
	}
	expect(5*time.Minute, "192.0.2.1", "x@a.example", alice)
	r.now = r.now.Add(2 * time.Minute)
	expect(3*time.Minute, "192.0.2.1", "x@a.example", alice)
	expect(3*time.Minute, "192.0.2.1", "y@A.example", strings.ToUpper(alice)) // another sender of that domain
	expect(5*time.Minute, "192.0.2.1", "x@a.example", bob)                    // each recipient waits
	expect(5*time.Minute, "192.0.2.1", "x@b.example", alice)
	expect(0, "192.0.2.1", "x@a.example", "postmaster@here.example")
	expect(0, "198.51.100.1", "x@a.example", alice) // allowed
	expect(0, "127.0.0.1", "x@a.example", alice)    // nobody in particular
	r.now = r.now.Add(3 * time.Minute)
	expect(0, "192.0.2.200", "x@a.example", alice) // a neighbour comes in time
	expect(0, "192.0.2.1", "z@a.example", bob)     // and all of that domain is known from there
	expect(2*time.Minute, "192.0.2.1", "x@b.example", alice)
	expect(5*time.Minute, "192.0.3.1", "x@a.example", alice) // but not from elsewhere
	expect(5*time.Minute, "2001:db8::1", "x@a.example", alice)
	r.now = r.now.Add(6 * time.Minute)
	expect(0, "2001:db8::2:1", "x@a.example", alice)
	expect(5*time.Minute, "192.0.2.1", "", alice) // reports are a sender of their own
	// Who was known comes within 36 days, and is known for 36 more.
	for range 5 {
		r.now = r.now.Add(35 * 24 * time.Hour)
		expect(0, "192.0.2.1", "x@a.example", alice)
	}
	r.now = r.now.Add(37 * 24 * time.Hour)
	expect(5*time.Minute, "192.0.2.1", "x@a.example", alice)
	// Who comes after more than a day begins anew.
	r.now = r.now.Add(25 * time.Hour)
	expect(5*time.Minute, "192.0.2.1", "x@a.example", alice)
}

// Whoever was written to may answer at once, from wherever he does.
func TestGreylistWrote(t *testing.T) {
	r := newGreyRig(t)
	r.g.Wrote(t.Context(), []string{"Friend@Elsewhere.example", "other@elsewhere.example"})
	if wait := r.comes("192.0.2.1", "friend@elsewhere.example", "alice@here.example"); wait != 0 {
		t.Errorf("an answer waits %v", wait)
	}
	if wait := r.comes("192.0.2.1", "stranger@elsewhere.example", "alice@here.example"); wait == 0 {
		t.Error("his whole domain is known")
	}
	r.now = r.now.Add(37 * 24 * time.Hour)
	if wait := r.comes("192.0.2.1", "other@elsewhere.example", "alice@here.example"); wait == 0 {
		t.Error("it is known for ever")
	}
	none, _ := New(Options{})
	none.Wrote(t.Context(), []string{"a@b.example"}) // without greylisting nothing happens
}

// The tables are bounded: what is old goes, and when all is young, strangers are let in.
func TestGreylistIsBounded(t *testing.T) {
	r := newGreyRig(t)
	r.g.grey.most = 40
	for i := range 200 {
		r.comes("192.0.2.1", fmt.Sprintf("x@d%d.example", i), "alice@here.example")
	}
	if n := r.rows("gate_waiting"); n > 40 || n < 20 {
		t.Errorf("%d clients wait", n)
	}
	if wait := r.comes("192.0.2.1", "x@late.example", "alice@here.example"); wait != 0 {
		t.Errorf("there is no room, and it waits %v", wait)
	}
	if wait := r.comes("192.0.2.1", "x@d1.example", "alice@here.example"); wait == 0 {
		t.Error("who waits is let in early")
	}
	if n := r.rows("gate_known"); n != 0 {
		t.Errorf("%d are known that never waited", n)
	}
	r.now = r.now.Add(26 * time.Hour)
	if wait := r.comes("192.0.2.1", "x@next.example", "alice@here.example"); wait == 0 || r.rows("gate_waiting") != 1 {
		t.Errorf("the next day: %v, %d wait", wait, r.rows("gate_waiting"))
	}
	for i := range 200 {
		r.now = r.now.Add(time.Minute)
		r.g.Wrote(t.Context(), []string{fmt.Sprintf("x%d@elsewhere.example", i)})
	}
	if n := r.rows("gate_known"); n > 100 {
		t.Errorf("%d are known", n)
	}
	r.now = r.now.Add(time.Hour)
	r.g.Wrote(t.Context(), []string{"last@elsewhere.example"})
	if n := r.rows("gate_known"); n > 42 {
		t.Errorf("%d are known", n)
	}
	r.now = r.now.Add(40 * 24 * time.Hour)
	r.comes("192.0.2.1", "x@next.example", "alice@here.example")
	if n := r.rows("gate_known"); n != 0 {
		t.Errorf("%d are known after forty days", n)
	}
}

// One network that fills the table gets no more of it than its part, and others have to
// come again as before.
func TestGreylistCrowd(t *testing.T) {
	r := newGreyRig(t)
	waits := 0
	for i := range maxClient + 50 {
		if r.comes("192.0.2.1", fmt.Sprintf("x@%d.example", i), "alice@local.test") > 0 {
			waits++
		}
	}
	if waits != maxClient {
		t.Errorf("%d had to wait", waits)
	}
	if wait := r.comes("192.0.2.200", "x@1.example", "alice@local.test"); wait != 5*time.Minute {
		t.Errorf("one of them has to wait for %s more", wait)
	}
	if wait := r.comes("192.0.3.1", "x@1.example", "alice@local.test"); wait != 5*time.Minute {
		t.Errorf("another network waits for %s", wait)
	}
	r.now = r.now.Add(10 * time.Minute)
	if wait := r.comes("192.0.2.200", "x@1.example", "alice@local.test"); wait != 0 || r.rows("gate_known") != 1 {
		t.Errorf("who has waited in the crowd: %s more, %d are known", wait, r.rows("gate_known"))
	}
}

func TestGreylistAtOnce(t *testing.T) {
	r := newGreyRig(t)
	r.comes("192.0.2.1", "x@a.example", "alice@here.example")
	r.now = r.now.Add(10 * time.Minute)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			wait, err := r.g.grey.check(context.Background(), addr("192.0.2.1"), fmt.Sprintf("x@%c.example", 'a'+i%2), "alice@here.example")
			if err != nil || (wait == 0) != (i%2 == 0) {
				t.Errorf("%d: %v, %v", i, wait, err)
			}
		})
	}
	all.Wait()
}

// Where the database fails, mail comes in.
func TestGreylistBroken(t *testing.T) {
	r := newGreyRig(t)
	r.db.Close()
	if wait := r.comes("192.0.2.1", "x@a.example", "alice@here.example"); wait != 0 {
		t.Errorf("waits %v", wait)
	}
	r.g.Wrote(t.Context(), []string{"a@b.example"})
}

// TestGreylistClock: a clock that is a year ahead for an hour, as one without a battery may
// be at a start, keeps nobody out for that year when it is right again, and nobody known for
// ever.
func TestGreylistClock(t *testing.T) {
	r := newGreyRig(t)
	right := r.now
	r.now = right.Add(365 * 24 * time.Hour)
	const alice = "alice@here.example"
	r.comes("192.0.2.1", "x@a.example", alice)
	r.comes("203.0.113.1", "x@b.example", alice)
	r.now = r.now.Add(10 * time.Minute)
	if wait := r.comes("203.0.113.1", "x@b.example", alice); wait != 0 {
		t.Errorf("%v", wait)
	}
	r.now = right
	if wait := r.comes("192.0.2.1", "x@a.example", alice); wait != 5*time.Minute {
		t.Errorf("with the clock set back it waits %v", wait)
	}
	r.now = r.now.Add(5 * time.Minute)
	if wait := r.comes("192.0.2.1", "x@a.example", alice); wait != 0 {
		t.Errorf("when it comes again it waits %v", wait)
	}
	r.g.grey.pruned = time.Time{}
	r.comes("192.0.2.1", "x@c.example", alice)
	r.now = r.now.Add(37 * 24 * time.Hour)
	if wait := r.comes("203.0.113.1", "x@b.example", alice); wait == 0 {
		t.Error("who came in the wrong year is known until then")
	}
	r.now = right
	r.g.grey.pruned = time.Time{}
	r.comes("192.0.2.1", "x@d.example", alice)
	if n := r.rows("gate_waiting"); n != 1 {
		t.Errorf("%d rows wait, of which some are from the future", n)
	}
}
