package auth

import (
	"math"
	"net/netip"
	"sync"
	"time"
)

// Limits say how failed logins slow a client down. Failures are counted for a client's
// address (an IPv6 /64) and for an account, each time with another password: one wrong
// password sent again and again from one address counts once for as long as the
// account's credentials stay the same. Counts go down with time.
//
// A client that has logged in to an account lately is judged, for that account, by
// what it did there alone: neither others at its address nor guesses from elsewhere
// can shut it out. And an address from which anybody has logged in lately may fail ten
// times as often on other accounts as one that is not known: an office behind one address.
type Limits struct {
	SlowAfter  int           // failures after which logins wait 1, 2, 4, then 5 seconds; zero means 3
	PauseAfter int           // failures after which they are refused for a while; zero means 10
	Pause      time.Duration // the first such while; doubles with each further failure; zero means 1 minute
	MaxPause   time.Duration // the longest; zero means 15 minutes
	Decay      time.Duration // time in which one failure is forgotten; zero means 6 minutes
	Recent     time.Duration // how long a success speaks for a client; zero means 7 days
	Entries    int           // addresses, accounts and so on remembered, each; zero means 65536
}

const (
	maxDelay    = 5 * time.Second
	knownFactor = 10 // of SlowAfter and PauseAfter, for an address with a recent success
)

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		v   *int
		def int
	}{{&l.SlowAfter, 3}, {&l.PauseAfter, 10}, {&l.Entries, 1 << 16}} {
		if *f.v <= 0 {
			*f.v = f.def
		}
	}
	for _, f := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&l.Pause, time.Minute}, {&l.MaxPause, 15 * time.Minute}, {&l.Decay, 6 * time.Minute}, {&l.Recent, 7 * 24 * time.Hour}} {
		if *f.v <= 0 {
			*f.v = f.def
		}
	}
	return l
}

// pair is a client on an account, real or not.
type pair struct {
	client  netip.Addr // as client makes it
	account string
}

// client is the part of an address that one customer has: IPv4 whole, IPv6 the /64.
func client(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if p, err := a.Prefix(64); err == nil && a.Is6() {
		return p.Addr()
	}
	return a
}

type digest [16]byte

// guess is one password on one account from one client.
type guess struct {
	client netip.Addr
	digest digest
}

// throttle counts. All in it is bounded by Limits.Entries.
type throttle struct {
	Limits
	mu       sync.Mutex
	clients  *lru[netip.Addr, bucket]
	accounts *lru[string, bucket]
	pairs    *lru[pair, bucket] // of clients known on the account
	guesses  *lru[guess, error] // why it is known to be wrong; nil: being checked
	known    *lru[pair, time.Time]
	good     *lru[netip.Addr, time.Time]
}

// bucket is a count that leaks.
type bucket struct {
	score float64
	at    time.Time // when score was right
	until time.Time // refused before
}

func newThrottle(l Limits) *throttle {
	l = l.withDefaults()
	return &throttle{
		Limits:   l,
		clients:  newLRU[netip.Addr, bucket](l.Entries),
		accounts: newLRU[string, bucket](l.Entries),
		pairs:    newLRU[pair, bucket](l.Entries),
		guesses:  newLRU[guess, error](l.Entries),
		known:    newLRU[pair, time.Time](l.Entries),
		good:     newLRU[netip.Addr, time.Time](l.Entries),
	}
}

// check says how long a login has to wait, or that it is refused (*ThrottledError).
func (t *throttle) check(who pair) (wait time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.isKnown(who, now) {
		return t.judge(t.pairs.get(who), 1, now)
	}
	byClient, err1 := t.judge(t.bucketOf(who.client), t.factor(who.client, now), now)
	byAccount, err2 := t.judge(t.accounts.get(who.account), 1, now)
	switch {
	case err1 != nil:
		return 0, err1
	case err2 != nil:
		return 0, err2
	}
	return max(byClient, byAccount), nil
}

// paused is check without the waiting.
func (t *throttle) paused(who pair) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.isKnown(who, now) {
		return nil // its own bucket was charged when it began
	}
	_, err := t.judge(t.bucketOf(who.client), t.factor(who.client, now), now)
	return err
}

// bucketOf is a client's, nil if there is none. The zero client is everybody.
func (t *throttle) bucketOf(client netip.Addr) *bucket {
	if !client.IsValid() {
		return nil
	}
	return t.clients.get(client)
}

// judge reads one bucket; nil is an empty one.
func (t *throttle) judge(b *bucket, factor float64, now time.Time) (wait time.Duration, err error) {
	if b == nil {
		return 0, nil
	}
	if now.Before(b.until) {
		return 0, &ThrottledError{RetryAfter: b.until.Sub(now)}
	}
	// Rounded: what has leaked within seconds shall not count.
	over := math.Round(t.current(b, now) - factor*float64(t.SlowAfter))
	if over < 0 {
		return 0, nil
	}
	return min(maxDelay, time.Second<<min(int(over), 10)), nil
}

// ticket is a password that is being checked.
type ticket struct {
	who           pair
	guess         guess
	known         bool      // charged to the pair, not to the account
	mine          bool      // this ticket brought the charge
	before, after time.Time // the bucket's pause before and after the charge
}

// begin counts the login as failed on the account until its outcome is known, so that
// guesses made at the same time count too. The error is what fail was given if this password
// is known not to be good for the protocol: nothing is counted then, and no ticket given.
// *ThrottledError: refused after all.
func (t *throttle) begin(who pair, d digest, protocol string) (*ticket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	k := &ticket{who: who, guess: guess{who.client, d}, known: t.isKnown(who, now)}
	b := t.bucket(k)
	if now.Before(b.until) {
		return nil, &ThrottledError{RetryAfter: b.until.Sub(now)}
	}
	if wrong := t.guesses.get(k.guess); wrong == nil {
		*t.guesses.need(k.guess) = nil
		k.mine, k.before = true, b.until
		t.charge(b, 1, now)
		k.after = b.until
	} else if r, ok := (*wrong).(*refusal); *wrong != nil && (!ok || r.protocol == protocol) {
		return nil, *wrong
	}
	return k, nil
}

// fail makes the charge final and counts the failure against the address too. why is
// what the next login with the same password gets.
func (t *throttle) fail(k *ticket, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if wrong := t.guesses.get(k.guess); wrong == nil {
		// Forgotten meanwhile, or begun by another login that was broken off.
		t.charge(t.bucket(k), 1, now)
	} else if *wrong != nil {
		return // the same from two connections at once
	}
	*t.guesses.need(k.guess) = why
	if !k.known && k.who.client.IsValid() {
		t.charge(t.clients.need(k.who.client), t.factor(k.who.client, now), now)
	}
}

// cancel takes the charge back: the password was right, or it was not checked.
func (t *throttle) cancel(k *ticket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if wrong := t.guesses.get(k.guess); !k.mine || wrong != nil && *wrong != nil {
		return // charged by another login with the same password, or found wrong by one
	}
	t.guesses.remove(k.guess)
	b := t.bucket(k)
	b.score = max(0, b.score-1)
	if b.until.Equal(k.after) {
		b.until = k.before
	}
}

// succeed remembers a client that knew the password.
func (t *throttle) succeed(who pair) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	*t.known.need(who) = now
	*t.good.need(who.client) = now
}

// forget drops all that is held against an account.
func (t *throttle) forget(account string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accounts.remove(account)
	t.pairs.removeIf(func(p pair, _ *bucket) bool { return p.account == account })
}

// bucket is where the ticket's failure counts, the address aside.
func (t *throttle) bucket(k *ticket) *bucket {
	if k.known {
		return t.pairs.need(k.who)
	}
	return t.accounts.need(k.who.account)
}

// charge adds a failure, and a pause if that makes too many.
func (t *throttle) charge(b *bucket, factor float64, now time.Time) {
	b.score, b.at = t.current(b, now)+1, now
	over := math.Round(b.score - factor*float64(t.PauseAfter))
	if over < 0 {
		return
	}
	pause := float64(t.Pause) * math.Pow(2, over)
	b.until = now.Add(time.Duration(min(pause, float64(t.MaxPause))))
}

func (t *throttle) current(b *bucket, now time.Time) float64 {
	return max(0, b.score-float64(now.Sub(b.at))/float64(t.Decay))
}

func (t *throttle) isKnown(who pair, now time.Time) bool {
	at := t.known.get(who)
	return at != nil && now.Sub(*at) < t.Recent
}

// factor is by how much an address's limits are wider.
func (t *throttle) factor(client netip.Addr, now time.Time) float64 {
	if at := t.good.get(client); at != nil && now.Sub(*at) < t.Recent {
		return knownFactor
	}
	return 1
}
