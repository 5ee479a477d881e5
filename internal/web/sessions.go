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
)

// Sessions remembers in memory who is signed in, and profiles with a password that wait
// for the phone that they are for. A restart forgets both. The zero value is ready; its
// methods may be called from any goroutine.
type Sessions struct {
	mu        sync.Mutex
	signedIn  tokens[string]
	handovers tokens[handover]
}

// handover is a profile with a password.
type handover struct{ address, password string }

// begin signs an account in and returns the token for its cookie.
func (s *Sessions) begin(address string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signedIn.add(address, sessionLife)
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
	s.signedIn.drop(func(a string) bool { return a == address })
	s.handovers.drop(func(h handover) bool { return h.address == address })
}

// leave keeps a profile for whoever brings the token within handoverLife.
func (s *Sessions) leave(h handover) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handovers.add(h, handoverLife)
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

// add keeps a value and returns its token: 128 bits and more.
func (t *tokens[V]) add(v V, life time.Duration) string {
	if t.all == nil {
		t.all = map[[sha256.Size]byte]entry[V]{}
	}
	now := time.Now()
	var oldest [sha256.Size]byte
	first := now.Add(2 * life)
	for k, e := range t.all {
		if now.After(e.expires) {
			delete(t.all, k)
		} else if e.expires.Before(first) {
			oldest, first = k, e.expires
		}
	}
	if len(t.all) >= maxSessions {
		delete(t.all, oldest)
	}
	token := rand.Text()
	t.all[sha256.Sum256([]byte(token))] = entry[V]{v, now.Add(life)}
	return token
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
