package dnsutil

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// slow answers every question after d with one MX record, and counts.
func slow(t testing.TB, d time.Duration, count *atomic.Int32) fake {
	return func(_, _ string, q *dns.Msg) [][]byte {
		count.Add(1)
		time.Sleep(d)
		return [][]byte{packed(t, reply(q, 0, q.Question[0].Name+" MX 10 mx.test."))}
	}
}

// One question in flight for each name and type; all who ask share its answer.
func TestFlightShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int32
		r := &Resolver{Servers: []string{"192.0.2.53"}, Dial: slow(t, time.Second, &count).Dial}
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				name := []string{"one.test", "Two.test."}[i%2]
				if a, err := r.Lookup(t.Context(), name, dns.TypeMX); err != nil || len(a.Records) != 1 {
					t.Error(a, err)
				}
			})
		}
		start := time.Now()
		all.Wait()
		if n, took := count.Load(), time.Since(start); n != 2 || took != time.Second {
			t.Errorf("%d questions in %v, want 2 in 1s", n, took)
		}
		if len(r.flights) != 0 || len(r.slots) != 0 {
			t.Errorf("%d flights, %d slots left", len(r.flights), len(r.slots))
		}
	})
}

// The one that asked leaves; the others get their answer all the same.
func TestFlightFirstLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int32
		r := &Resolver{Servers: []string{"192.0.2.53"}, Dial: slow(t, 2*time.Second, &count).Dial}
		var all sync.WaitGroup
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := r.Lookup(ctx, "one.test", dns.TypeMX)
			wantErr(t, err, ErrTemporary, "the DNS of one.test does not answer")
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		synctest.Wait()
		all.Go(func() {
			if a, err := r.Lookup(t.Context(), "one.test", dns.TypeMX); err != nil || len(a.Records) != 1 {
				t.Error(a, err)
			}
		})
		all.Wait()
		if n := count.Load(); n != 1 {
			t.Errorf("%d questions", n)
		}
	})
}

// When nobody waits any more, the question is given up, and leaves no trace.
func TestFlightAllLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int32
		r := &Resolver{Servers: []string{"192.0.2.53"}, Dial: slow(t, time.Hour, &count).Dial, Timeout: 2 * time.Hour}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				_, err := r.Lookup(ctx, "one.test", dns.TypeMX)
				wantErr(t, err, ErrTemporary, "looking up one.test was interrupted")
			})
		}
		synctest.Wait()
		start := time.Now()
		cancel()
		all.Wait()
		synctest.Wait()
		if took := time.Since(start); took != 0 || len(r.flights) != 0 || len(r.slots) != 0 || len(r.cache.entries) != 0 {
			t.Errorf("after %v: %d flights, %d slots, %d kept", took, len(r.flights), len(r.slots), len(r.cache.entries))
		}
		if _, err := r.Lookup(ctx, "two.test", dns.TypeMX); !errors.Is(err, context.Canceled) || count.Load() != 1 {
			t.Errorf("%v; %d questions: nobody should be asked for a caller who has left", err, count.Load())
		}
		time.Sleep(2 * time.Hour) // let the server end
	})
}

// No more than so many questions are on their way at once.
func TestFlightBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int32
		r := &Resolver{Servers: []string{"192.0.2.53"}, Dial: slow(t, time.Second, &count).Dial}
		var all sync.WaitGroup
		start := time.Now()
		for i := range 2*maxInFlight + 1 {
			all.Go(func() {
				if _, err := r.Lookup(t.Context(), fmt.Sprintf("d%d.test", i), dns.TypeMX); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v, want three rounds of 1s", took)
		}
	})
}

// Names that never answer, as many as one client can have asked for at once, hold up nobody
// else's questions.
func TestFlightsOfOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Resolver{Servers: []string{"192.0.2.53"}, Dial: fake(func(_, _ string, q *dns.Msg) [][]byte {
			if q.Question[0].Name != "one.test." {
				return nil
			}
			return [][]byte{packed(t, reply(q, 0, "one.test. MX 10 mx.test."))}
		}).Dial}
		var all sync.WaitGroup
		for i := range 50 * 14 {
			all.Go(func() { r.Lookup(t.Context(), fmt.Sprintf("d%d.test", i), dns.TypeTXT) })
		}
		time.Sleep(time.Second)
		start := time.Now()
		if _, err := r.Lookup(t.Context(), "one.test", dns.TypeMX); err != nil || time.Since(start) > 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		all.Wait()
	})
}

// SERVFAIL is kept for 30 s, not longer.
func TestFlightFailureExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		broken.Store(true)
		r := &Resolver{Servers: []string{"192.0.2.53"}, Dial: fake(func(_, _ string, q *dns.Msg) [][]byte {
			if broken.Load() {
				return [][]byte{packed(t, reply(q, dns.RcodeServerFailure))}
			}
			return [][]byte{packed(t, reply(q, 0, "one.test. MX 10 mx.test."))}
		}).Dial}
		_, err := r.Lookup(t.Context(), "one.test", dns.TypeMX)
		wantErr(t, err, ErrTemporary, "the DNS of one.test is out of order")
		broken.Store(false)
		time.Sleep(servFailTTL - time.Second)
		_, err = r.Lookup(t.Context(), "one.test", dns.TypeMX)
		wantErr(t, err, ErrTemporary, "the DNS of one.test is out of order")
		time.Sleep(time.Second)
		if _, err = r.Lookup(t.Context(), "one.test", dns.TypeMX); err != nil {
			t.Error(err)
		}
	})
}
