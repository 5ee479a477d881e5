package web

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// Bounds of what is remembered of people who are signed in.
const (
	sessionLife  = time.Hour
	handoverLife = 10 * time.Minute // of a profile with a password in it
	maxSessions  = 10_000           // and as many profiles; then the oldest goes
	maxOwn       = 50               // of one account, so that none takes the others' room
)

// Sessions remembers in memory who is signed in, and profiles with a password that wait
// for the phone that they are for. A restart forgets both. The zero value is ready; its
// methods may be called from any goroutine.
type Sessions struct {
	mu        sync.Mutex
	signedIn  tokens[string]
	handovers tokens[handover]
	ended     uint64            // calls of End
	last      map[string]uint64 // by account, which call was the last for it
}

// handover is a profile with a password.
type handover struct{ address, password string }

// mark is for begin, and to be taken before it is looked at who somebody is.
func (s *Sessions) mark() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// begin signs an account in and returns the token for its cookie. ok is false if it was
// signed out everywhere since the mark: what was found out before does not hold any more.
func (s *Sessions) begin(address string, mark uint64) (token string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last[address] > mark {
		return "", false
	}
	return s.signedIn.add(address, sessionLife, func(a string) bool { return a == address }), true
}

// account is who is signed in with a token; "" is nobody.
func (s *Sessions) account(token string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	address, _ := s.signedIn.get(token)
	return address
}

// end signs a token out.
func (s *Sessions) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.signedIn.all, sha256.Sum256([]byte(token)))
}

// End signs an account out everywhere: its password has changed, or it may not log in.
func (s *Sessions) End(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended++
	if s.last == nil {
		s.last = map[string]uint64{}
	}
	s.last[address] = s.ended
	s.signedIn.drop(func(a string) bool { return a == address })
	s.handovers.drop(func(h handover) bool { return h.address == address })
}

// leave keeps a profile for whoever brings the token within handoverLife.
func (s *Sessions) leave(h handover) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handovers.add(h, handoverLife, func(o handover) bool { return o.address == h.address })
}

// take returns it. It stays until its time is over: phones ask twice.
func (s *Sessions) take(token string) (handover, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handovers.get(token)
}

// tokens are values under random names, of which only hashes are kept.
type tokens[V any] struct {
	all map[[sha256.Size]byte]entry[V]
}

type entry[V any] struct {
	value   V
	expires time.Time
}

// add keeps a value and returns its token: 128 bits and more. Own tells of others whether
// they are the same account's.
func (t *tokens[V]) add(v V, life time.Duration, own func(V) bool) string {
	if t.all == nil {
		t.all = map[[sha256.Size]byte]entry[V]{}
	}
	now := time.Now()
	var all, mine oldest
	for k, e := range t.all {
		if now.After(e.expires) {
			delete(t.all, k)
			continue
		}
		all.see(k, e.expires)
		if own(e.value) {
			mine.see(k, e.expires)
		}
	}
	switch {
	case mine.of >= maxOwn:
		delete(t.all, mine.key)
	case all.of >= maxSessions:
		delete(t.all, all.key)
	}
	token := rand.Text()
	t.all[sha256.Sum256([]byte(token))] = entry[V]{v, now.Add(life)}
	return token
}

// oldest is the first to expire of some tokens, and how many they are.
type oldest struct {
	key     [sha256.Size]byte
	expires time.Time
	of      int
}

func (o *oldest) see(key [sha256.Size]byte, expires time.Time) {
	if o.of++; o.of == 1 || expires.Before(o.expires) {
		o.key, o.expires = key, expires
	}
}

func (t *tokens[V]) get(token string) (v V, ok bool) {
	e, ok := t.all[sha256.Sum256([]byte(token))]
	if !ok || time.Now().After(e.expires) {
		return v, false
	}
	return e.value, true
}

func (t *tokens[V]) drop(which func(V) bool) {
	for k, e := range t.all {
		if which(e.value) {
			delete(t.all, k)
		}
	}
}
