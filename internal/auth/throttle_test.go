package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// guess tries n passwords never tried before, and returns how many were looked at and
// how long it took.
func (b *bench) guess(from netip.Addr, name string, n int) (checked int, took time.Duration) {
	start := time.Now()
	before := b.hashes.Load()
	for range n {
		b.login(from, name, fmt.Sprint("guess ", b.hashes.Load(), time.Now().UnixNano()))
	}
	return int(b.hashes.Load() - before), time.Since(start)
}

func throttled(err error) time.Duration {
	var e *ThrottledError
	if errors.As(err, &e) && errors.Is(err, ErrThrottled) {
		return e.RetryAfter
	}
	return 0
}

// Failures on one account, from one address each: the account slows down, then pauses.
func TestAccountSlowsThenPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		addr := others
		next := func() (time.Duration, error) {
			addr = addr.Next()
			start := time.Now()
			err := b.login(addr, "anna", fmt.Sprint("wrong", addr))
			return time.Since(start), err
		}
		for i, want := range []time.Duration{0, 0, 0, 1, 2, 4, 5, 5, 5, 5} {
			if took, err := next(); err != ErrInvalid || took != want*time.Second {
				t.Errorf("failure %d: %v after %v, want %v s", i+1, err, took, int(want))
			}
		}
		if _, err := next(); throttled(err) < 50*time.Second || throttled(err) > time.Minute {
			t.Errorf("failure 11: %v", err)
		}
		// Others are not concerned; she herself is, from an address that is not known.
		if err := b.login(home, "bert", "right"); err != nil {
			t.Errorf("another account: %v", err)
		}
		if err := b.login(away, "anna", "right"); throttled(err) == 0 {
			t.Errorf("right password within the pause: %v", err)
		}
		time.Sleep(time.Minute)
		if err := b.login(away, "anna", "right"); err != nil {
			t.Errorf("right password after the pause: %v", err)
		}
		// One more failure, one longer pause; and never longer than the longest.
		if _, err := next(); err != ErrInvalid {
			t.Errorf("after the pause: %v", err)
		}
		if _, err := next(); throttled(err) < 50*time.Second {
			t.Errorf("second pause: %v", err)
		}
		var longest time.Duration
		for range 200 {
			_, err := next()
			longest = max(longest, throttled(err))
			time.Sleep(throttled(err))
		}
		if longest < 2*time.Minute || longest > 15*time.Minute {
			t.Errorf("longest pause %v", longest)
		}
		time.Sleep(24 * time.Hour)
		if took, err := next(); err != ErrInvalid || took != 0 {
			t.Errorf("a day later: %v after %v", err, took)
		}
	})
}

// One address that tries many accounts, real and not.
func TestAddressSlowsThenPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		took := time.Now()
		for i := range 10 {
			if err := b.login(away, fmt.Sprint("name", i), "123456"); err != ErrInvalid {
				t.Errorf("failure %d: %v", i+1, err)
			}
		}
		if d := time.Since(took); d != (1+2+4+5+5+5+5)*time.Second {
			t.Errorf("ten failures took %v", d)
		}
		if err := b.login(away, "anna", "right"); throttled(err) == 0 {
			t.Errorf("from the paused address: %v", err)
		}
		if err := b.login(home, "anna", "right"); err != nil {
			t.Errorf("from another: %v", err)
		}
		// In the long run guessing gets nowhere.
		checked, _ := b.guess(away, "anna", 0)
		for start := time.Now(); time.Since(start) < 24*time.Hour; time.Sleep(10 * time.Second) {
			n, _ := b.guess(away, "anna", 1)
			checked += n
		}
		if checked > 300 {
			t.Errorf("%d guesses in a day", checked)
		}
	})
}

func TestClientPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		for i := range 10 { // hops within its /64
			b.login(netip.MustParseAddr(fmt.Sprintf("2001:db8:0:1::%x", i+1)), fmt.Sprint("name", i), "x")
		}
		if err := b.login(netip.MustParseAddr("2001:db8:0:1:ffff::1"), "anna", "right"); throttled(err) == 0 {
			t.Errorf("same /64: %v", err)
		}
		if err := b.login(netip.MustParseAddr("2001:db8:0:2::1"), "anna", "right"); err != nil {
			t.Errorf("next /64: %v", err)
		}
	})
	for in, want := range map[string]string{
		"::ffff:192.0.2.1": "192.0.2.1",
		"192.0.2.1":        "192.0.2.1",
		"2001:db8::1":      "2001:db8::",
		"fe80::1%eth0":     "fe80::",
	} {
		if got := client(netip.MustParseAddr(in)); got.String() != want {
			t.Errorf("%s: got %v", in, got)
		}
	}
	if got := client(netip.Addr{}); got.IsValid() {
		t.Errorf("no address: got %v", got)
	}
}

// A phone that has the old password asks every minute, for weeks. It counts once, costs
// no hash but the first, and the owner logs in wherever he is.
func TestStalePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		b.login(home, "anna", "right")
		b.dir.set(1, "anna@example.com", "new")
		hashes := b.hashes.Load()
		for i := range 20000 {
			start := time.Now()
			if err := b.login(home, "anna", "right"); err != ErrInvalid || time.Since(start) != 0 {
				t.Fatalf("attempt %d: %v after %v", i, err, time.Since(start))
			}
			// A phone of an unknown address too, an hour after.
			if err := b.login(away, "anna", "right"); err != ErrInvalid || time.Since(start) != 0 {
				t.Fatalf("attempt %d: %v after %v", i, err, time.Since(start))
			}
			time.Sleep(time.Minute)
		}
		if n := b.hashes.Load() - hashes; n != 2 {
			t.Errorf("%d hashes for one stale password from two addresses", n)
		}
		for _, from := range []netip.Addr{home, away, others} {
			start := time.Now()
			if err := b.login(from, "anna", "new"); err != nil || time.Since(start) != 0 {
				t.Errorf("from %v: %v after %v", from, err, time.Since(start))
			}
		}
		// When the stale password becomes the right one again, it is looked at again.
		b.dir.set(1, "anna@example.com", "right")
		if err := b.login(home, "anna", "right"); err != nil {
			t.Error(err)
		}
	})
}

// An account that is made after somebody tried its name is let in.
func TestUnknownBecomesKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		b.login(home, "emil", "right")
		b.dir.set(9, "emil@example.com", "right")
		if err := b.login(home, "emil", "right"); err != nil {
			t.Error(err)
		}
	})
}

// An address with a recent success is not punished for others: neither for the guesses
// of strangers elsewhere nor for those of a neighbour behind the same address.
func TestKnownClientIsSpared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		if err := b.login(home, "anna", "right"); err != nil {
			t.Fatal(err)
		}
		b.Forget("anna@example.com") // nothing is remembered: the way of a full check
		addr := others
		for range 30 { // a botnet
			addr = addr.Next()
			b.guess(addr, "anna", 1)
		}
		if err := b.login(away, "anna", "right"); throttled(err) == 0 {
			t.Errorf("the account should be paused for strangers: %v", err)
		}
		b.guess(home, "bert", 50) // a neighbour
		for i := range 50 {
			b.login(home, fmt.Sprint("name", i), "x")
		}
		start := time.Now()
		if err := b.login(home, "anna", "right"); err != nil || time.Since(start) != 0 {
			t.Errorf("from home: %v after %v", err, time.Since(start))
		}
		// Somebody new in the same office gets in, too, if not at once.
		if err := b.login(home, "carl", "right"); err != nil {
			t.Errorf("a colleague: %v", err)
		}
		// But being known is no licence to guess.
		if n, _ := b.guess(home, "anna", 100); n > 12 {
			t.Errorf("%d guesses from a known client", n)
		}
		if err := b.login(home, "anna", "right"); throttled(err) == 0 {
			t.Errorf("after guessing itself: %v", err)
		}
		b.Forget("anna@example.com") // the admin's way out
		if err := b.login(home, "anna", "right"); err != nil {
			t.Errorf("after Forget: %v", err)
		}
		time.Sleep(8 * 24 * time.Hour)
		if b.throttle.isKnown(pair{home, "anna@example.com"}, time.Now()) {
			t.Error("known for ever")
		}
	})
}

// Somebody's own account doesn't help in guessing others' passwords.
func TestInsiderIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		checked := 0
		for range 100 {
			if err := b.login(away, "dora", "right"); err != nil {
				t.Fatal(err)
			}
			n, _ := b.guess(away, "anna", 1)
			checked += n
		}
		if checked > 15 {
			t.Errorf("%d guesses at anna's password", checked)
		}
		for i := range 300 {
			b.login(away, fmt.Sprint("name", i), "x")
		}
		if err := b.login(away, "bert", "right"); throttled(err) == 0 {
			t.Errorf("after hundreds of failures: %v", err)
		}
	})
}

// Guesses made at the same time count before the first has its answer.
func TestGuessesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Workers: 100})
		inner := b.hash
		b.hash = func(password, salt []byte, p params, n int) []byte {
			time.Sleep(time.Second)
			return inner(password, salt, p, n)
		}
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() { b.login(others, "anna", fmt.Sprint("guess", i)) })
		}
		all.Wait()
		if n := b.hashes.Load(); n != 10 {
			t.Errorf("%d of 100 guesses at once were looked at, want 10", n)
		}
	})
}

// Many at once from one address whose turn comes late: the first failures stop the rest.
func TestAddressStopsWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Workers: 1})
		inner := b.hash
		b.hash = func(password, salt []byte, p params, n int) []byte {
			time.Sleep(time.Second)
			return inner(password, salt, p, n)
		}
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() { b.login(others, fmt.Sprint("name", i), "123456") })
		}
		all.Wait()
		if n := b.hashes.Load(); n != 10 {
			t.Errorf("%d of 100 were looked at, want 10", n)
		}
		// Those that were not looked at are not held against their accounts.
		charged := 0
		for _, n := range b.throttle.accounts.nodes {
			if n.value.score > 0.5 {
				charged++
			}
		}
		if charged > 10 {
			t.Errorf("%d accounts charged", charged)
		}
	})
}

// An office comes to work: all log in within a moment, from one address, each with
// several connections, on a server that has just started. Nobody waits or is refused.
func TestOfficeStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Workers: 2})
		for i := range 200 {
			b.dir.set(int64(100+i), fmt.Sprintf("user%d@example.com", i), "right")
		}
		start := time.Now()
		var all sync.WaitGroup
		for i := range 200 {
			for range 6 {
				all.Go(func() {
					if err := b.login(home, fmt.Sprint("user", i), "right"); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		if time.Since(start) != 0 {
			t.Errorf("took %v", time.Since(start))
		}
	})
}

// A client that hangs up while it is slowed down is not held longer, nor counted.
func TestSlowedClientHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		b.guess(away, "anna", 8)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start, hashes := time.Now(), b.hashes.Load()
		_, err := b.Authenticate(ctx, Attempt{Remote: away, Username: "anna@example.com", Password: "right"})
		if !errors.Is(err, ErrUnavailable) || time.Since(start) != time.Second || b.hashes.Load() != hashes {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestThrottleIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Limits: Limits{Entries: 50}})
		addr := others
		for i := range 500 {
			addr = addr.Next()
			b.login(addr, fmt.Sprint("name", i), "x")
			b.login(addr, "anna", "right")
		}
		th := b.throttle
		for what, n := range map[string]int{
			"clients": len(th.clients.nodes), "accounts": len(th.accounts.nodes), "pairs": len(th.pairs.nodes),
			"guesses": len(th.guesses.nodes), "known": len(th.known.nodes), "good": len(th.good.nodes),
		} {
			if n > 50 {
				t.Errorf("%d %s, want 50 at most", n, what)
			}
		}
	})
}

func TestLimitsAreSet(t *testing.T) {
	got := Limits{PauseAfter: 5}.withDefaults()
	want := Limits{SlowAfter: 3, PauseAfter: 5, Pause: time.Minute, MaxPause: 15 * time.Minute, Decay: 6 * time.Minute, Recent: 7 * 24 * time.Hour, Entries: 1 << 16}
	if got != want {
		t.Errorf("got %+v", got)
	}
	if s := (&ThrottledError{RetryAfter: 61500 * time.Millisecond}).Error(); s != "too many failed logins; try again in 1m2s" {
		t.Error(s)
	}
}

// An address that stands for everybody is never refused for what somebody did there; the
// accounts still are.
func TestSharedAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := netip.MustParseAddr("fd00::1")
		b := newBench(Options{Shared: func(a netip.Addr) bool { return a == gateway }})
		for i := range 100 {
			if err := b.login(gateway, fmt.Sprint("name", i), "123456"); err != ErrInvalid {
				t.Fatalf("number %d: %v", i+1, err)
			}
		}
		start := time.Now()
		if err := b.login(gateway, "anna", "right"); err != nil || time.Since(start) != 0 {
			t.Errorf("after others' failures: %v, %v", err, time.Since(start))
		}
		if checked, _ := b.guess(gateway, "bert", 30); checked > 12 {
			t.Errorf("%d passwords of one account were looked at", checked)
		}
		if err := b.login(netip.MustParseAddr("fd00::2"), "carl", "right"); err != nil {
			t.Errorf("a neighbour: %v", err)
		}
	})
}
