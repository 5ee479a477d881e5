package signing

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/sqldb"
)

// bubble runs a Signer's Run in a synctest bubble, and f beside it.
func bubble(t *testing.T, f func(t *testing.T, r *rig), options ...func(*Options)) {
	someKeys() // outside, as it takes long
	synctest.Test(t, func(t *testing.T) {
		db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), Migrations)
		if err != nil {
			t.Fatal(err)
		}
		z := &zone{texts: map[string][]string{}}
		o := Options{DNS: z, RSA: testRSA(), Log: slog.New(slog.DiscardHandler)}
		for _, change := range options {
			change(&o)
		}
		r := &rig{Signer: New(db, o), t: t, zone: z, db: db}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		synctest.Wait()
		f(t, r)
		cancel()
		<-done
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// after lets time go by.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) rotate(domain string, now bool) []Key {
	r.t.Helper()
	keys, _, err := r.Rotate(r.t.Context(), domain, now)
	if err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
	return keys
}

// selectors that sign for a domain.
func (r *rig) selectors(domain string) string {
	r.t.Helper()
	var all []string
	for part := range strings.SplitSeq(r.sign(domain, crlf(letter)), ";") {
		if s, ok := strings.CutPrefix(strings.TrimSpace(part), "s="); ok {
			all = append(all, s)
		}
	}
	return strings.Join(all, " ")
}

// The whole life of two keys: the new ones are published one after the other, the old ones
// stay for a week, and are forgotten when their records are gone.
func TestRotation(t *testing.T) {
	const domain = "example.org"
	bubble(t, func(t *testing.T, r *rig) {
		old := r.make(domain)
		r.zone.publish(old...)
		if got := r.states(domain); got != "rsa active, ed25519 active" {
			t.Fatal(got)
		}
		after(24 * time.Hour)
		fresh := r.rotate(domain, false)
		if len(fresh) != 2 || fresh[0].Selector == old[0].Selector {
			t.Fatalf("%v", fresh)
		}
		again, made, err := r.Rotate(t.Context(), domain, false)
		if err != nil || made || len(again) != 2 || again[0].Selector != fresh[0].Selector || again[1].Selector != fresh[1].Selector {
			t.Errorf("a second rotation: %v %v %v", again, made, err)
		}
		after(5 * time.Hour)
		if got := r.states(domain); got != "rsa active, ed25519 active, rsa pending, ed25519 pending" {
			t.Error(got)
		}
		if got := r.selectors(domain); got != old[0].Selector+" "+old[1].Selector {
			t.Errorf("while nobody can know the new keys, %s sign", got)
		}
		r.zone.publish(fresh[1])
		after(lookMost)
		if got := r.states(domain); got != "rsa active, ed25519 retiring, rsa pending, ed25519 active" {
			t.Error(got)
		}
		r.zone.publish(fresh[0])
		after(lookMost)
		if got := r.states(domain); got != "rsa retiring, ed25519 retiring, rsa active, ed25519 active" {
			t.Error(got)
		}
		if got := r.selectors(domain); got != fresh[0].Selector+" "+fresh[1].Selector {
			t.Errorf("%s sign", got)
		}
		retiring := r.list(domain)[0]
		if wait := time.Until(r.Ends(retiring)); wait < 6*24*time.Hour || wait > 7*24*time.Hour {
			t.Errorf("the record may go in %v", wait)
		}
		after(6 * 24 * time.Hour)
		if got := r.states(domain); got != "rsa retiring, ed25519 retiring, rsa active, ed25519 active" {
			t.Error("too early:", got)
		}
		after(24 * time.Hour)
		if got := r.states(domain); got != "rsa retired, ed25519 retired, rsa active, ed25519 active" {
			t.Error(got)
		}
		var left int
		if err := r.db.QueryRow(`SELECT count(*) FROM dkim_keys WHERE state = 'retired' AND private <> ''`).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d private keys are left (%v)", left, err)
		}
		after(3 * 24 * time.Hour)
		if got := len(r.list(domain)); got != 4 {
			t.Error("their records are still there")
		}
		r.zone.put(old[0].Name())
		r.zone.put(old[1].Name())
		after(lookGone)
		if got := r.states(domain); got != "rsa active, ed25519 active" {
			t.Error(got)
		}
	})
}

// The DNS is asked seldom while nothing comes, and soon at first.
func TestBackoff(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.make("example.org")
		fresh := r.rotate("example.org", false)
		after(0)
		if n := r.zone.questions(); n != 2 {
			t.Errorf("asked %d times at once", n)
		}
		after(time.Minute)
		if n := r.zone.questions(); n != 4 {
			t.Errorf("asked %d times within a minute", n)
		}
		after(24 * time.Hour)
		if n := r.zone.questions(); n < 2*24 || n > 2*34 {
			t.Errorf("asked %d times in a day", n)
		}
		r.zone.fail(&net.DNSError{Err: "timeout", IsTemporary: true})
		after(2 * time.Hour)
		if got := r.states("example.org"); strings.Count(got, Pending) != 2 {
			t.Error("without an answer:", got)
		}
		r.zone.fail(nil)
		r.zone.put(fresh[0].Name(), "v=DKIM1; k=rsa; p=AAAA")
		after(2 * time.Hour)
		if got := r.states("example.org"); strings.Count(got, Pending) != 2 {
			t.Error("with another key in the DNS:", got)
		}
	})
}

// A key in wrong hands signs no more at once.
func TestRotateNow(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.make("example.org")
		fresh := r.rotate("example.org", true)
		if got := r.states("example.org"); got != "rsa retiring, ed25519 retiring, rsa active, ed25519 active" {
			t.Error(got)
		}
		if got := r.selectors("example.org"); got != fresh[0].Selector+" "+fresh[1].Selector || fresh[0].State != Active {
			t.Errorf("%s sign", got)
		}
		waiting := r.rotate("example.org", false)
		keys, made, err := r.Rotate(t.Context(), "example.org", true)
		if err != nil || made || keys[0].Selector != waiting[0].Selector || keys[0].State != Active {
			t.Errorf("those that wait: %v %v %v", keys, made, err)
		}
		if got := r.selectors("example.org"); got != waiting[0].Selector+" "+waiting[1].Selector {
			t.Errorf("%s sign", got)
		}
		if keys, made, err := r.Rotate(t.Context(), "new.example", false); err != nil || !made || keys[0].State != Active {
			t.Errorf("a domain without keys: %v %v %v", keys, made, err)
		}
	})
}

// A retired key is not listed for ever because somebody leaves its record.
func TestForgottenAfterLongTime(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.zone.publish(r.make("example.org")...)
		r.rotate("example.org", true)
		after(8 * 24 * time.Hour)
		if got := r.states("example.org"); !strings.HasPrefix(got, "rsa retired, ed25519 retired") {
			t.Fatal(got)
		}
		after(forgetTime + 2*lookGone)
		if got := r.states("example.org"); got != "rsa active, ed25519 active" {
			t.Error(got)
		}
	})
}

func TestMakeMissing(t *testing.T) {
	var mu sync.Mutex
	domains := []string{"a.example", "b.example"}
	var fail error
	set := func(err error, names ...string) {
		mu.Lock()
		defer mu.Unlock()
		domains, fail = names, err
	}
	bubble(t, func(t *testing.T, r *rig) {
		for _, d := range []string{"a.example", "b.example"} {
			if got := r.states(d); got != "rsa active, ed25519 active" {
				t.Errorf("%s: %s", d, got)
			}
		}
		had := r.list("a.example")[0].Selector
		set(nil, "a.example", "c.example")
		after(idle)
		if len(r.list("b.example")) != 0 || len(r.list("c.example")) != 2 || r.list("a.example")[0].Selector != had {
			t.Errorf("%v", r.list(""))
		}
		set(errors.New("disk"))
		after(idle)
		if len(r.list("")) != 4 {
			t.Error("keys were removed although the domains are not known")
		}
	}, func(o *Options) {
		o.Domains = func(context.Context) ([]string, error) {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(domains), fail
		}
	})
}

// An activation that was overtaken retires nobody.
func TestActivateOvertaken(t *testing.T) {
	r := newRig(t)
	r.make("example.org")
	waiting, _, err := r.Rotate(t.Context(), "example.org", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Rotate(t.Context(), "example.org", true); err != nil {
		t.Fatal(err)
	}
	before := r.states("example.org")
	for _, k := range waiting {
		if err := r.activate(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.states("example.org"); got != before || strings.Count(got, Active) != 2 {
		t.Errorf("%s became %s", before, got)
	}
}

// A clock that is set back keeps no key waiting.
func TestClockSetBack(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	r := newRig(t, func(o *Options) { o.Now = func() time.Time { return now } })
	r.make("example.org")
	fresh, _, err := r.Rotate(t.Context(), "example.org", false)
	if err != nil {
		t.Fatal(err)
	}
	r.step(t.Context())
	r.zone.publish(fresh...)
	now = now.Add(-30 * 24 * time.Hour)
	r.step(t.Context())
	if got := r.states("example.org"); strings.Contains(got, Pending) {
		t.Error(got)
	}
}

// A server with many domains of an earlier version stops while their keys are made, and
// goes on with the rest at its next start. What fails is tried again within a minute.
func TestMakeMissingOfMany(t *testing.T) {
	someKeys()
	ctx, cancel := context.WithCancel(t.Context())
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprintf("d%03d.example", i)
	}
	made, stopAt := 0, 3
	r := newRig(t, func(o *Options) {
		more := o.RSA
		o.RSA = func() (*rsa.PrivateKey, error) {
			if made++; made == stopAt {
				cancel()
			}
			return more()
		}
		o.Domains = func(context.Context) ([]string, error) { return names, nil }
	})
	if err := r.MakeMissing(ctx); !errors.Is(err, context.Canceled) || made != stopAt {
		t.Errorf("%d keys made after the stop: %v", made-stopAt, err)
	}
	if n := len(r.list("")); n != 2*(stopAt-1) {
		t.Errorf("%d keys", n)
	}
	if _, err := r.db.ExecContext(t.Context(), `CREATE TRIGGER full BEFORE INSERT ON dkim_keys BEGIN SELECT RAISE(ABORT, 'disk full'); END`); err != nil {
		t.Fatal(err)
	}
	if wait := r.step(t.Context()).Sub(r.o.Now()); wait > lookFirst || made != stopAt+1 {
		t.Errorf("with a fault it comes again in %v, after %d keys", wait, made-stopAt)
	}
	if _, err := r.db.ExecContext(t.Context(), `DROP TRIGGER full`); err != nil {
		t.Fatal(err)
	}
	if r.step(t.Context()); len(r.list("")) != 2*len(names) {
		t.Errorf("%d keys", len(r.list("")))
	}
}

// A change to one domain's keys reads the private keys of no other anew.
func TestKeysAreParsedOnce(t *testing.T) {
	r := newRig(t)
	was := r.make("a.example")
	r.make("b.example")
	is := r.list("a.example")
	for i := range is {
		if is[i].private == nil || fmt.Sprintf("%p", is[i].private) != fmt.Sprintf("%p", was[i].private) {
			t.Errorf("the key %s is parsed again", is[i].Name())
		}
	}
	for _, k := range was {
		if err := r.set(t.Context(), k, `UPDATE dkim_keys SET state = $2, private = '' WHERE id = $1`, Retired); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range r.list("a.example") {
		if k.private != nil {
			t.Error("the private half of a retired key is kept")
		}
	}
}

// TestSetRetire: how long a record is needed may change.
func TestSetRetire(t *testing.T) {
	since := time.Unix(1_800_000_000, 0)
	s := New(nil, Options{Retire: 9 * 24 * time.Hour})
	if got := s.Ends(Key{Since: since}); !got.Equal(since.Add(9 * 24 * time.Hour)) {
		t.Errorf("until %v", got)
	}
	if s.SetRetire(12 * 24 * time.Hour); !s.Ends(Key{Since: since}).Equal(since.Add(12 * 24 * time.Hour)) {
		t.Error("the time is as before")
	}
}
