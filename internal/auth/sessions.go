package auth

import (
	"errors"
	"net/netip"
	"sync"
)

// Outcomes of Sessions.Enter.
var (
	// ErrTooMany: the account has as many sessions as it may.
	ErrTooMany = errors.New("too many sessions of one account")
	// ErrStale: logins were ended since the mark; the password has to be checked again.
	ErrStale = errors.New("the login may be out of date")
)

// Everywhere is how many times as many sessions an account may have from all addresses as
// from one.
const Everywhere = 4

// Sessions are the sessions of one front-end that are logged in: they are bounded by account,
// and ended when their password is no longer good. The zero value is ready. Its methods may
// be called from any goroutine.
type Sessions struct {
	mu    sync.Mutex
	open  map[string]map[*Session]struct{} // by address; none is empty
	ended uint64                           // calls of End
}

// Session is one session that is logged in, as Sessions knows it.
type Session struct {
	Address    string     // the account's, as Authenticate gave it
	Credential int64      // id of the credential, likewise
	Remote     netip.Addr // of the client
	End        func()     // asks the session to end; it must not block, and may come late
}

// Mark is for Enter, and to be taken before the password is checked.
func (s *Sessions) Mark() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Enter adds a session whose password was found good after mark, unless its account has
// limit sessions from the client's address (an IPv4 address or an IPv6 /64), or Everywhere times
// limit in all; a limit below zero is none. Errors: ErrTooMany, ErrStale.
func (s *Sessions) Enter(n *Session, mark uint64, limit int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mark != s.ended {
		return ErrStale
	}
	all := s.open[n.Address]
	if limit >= 0 {
		here := 0
		for o := range all {
			if client(o.Remote) == client(n.Remote) {
				here++
			}
		}
		if here >= limit || len(all) >= Everywhere*limit {
			return ErrTooMany
		}
	}
	if all == nil {
		if s.open == nil {
			s.open = map[string]map[*Session]struct{}{}
		}
		all = map[*Session]struct{}{}
		s.open[n.Address] = all
	}
	all[n] = struct{}{}
	return nil
}

// Leave removes a session that was entered.
func (s *Sessions) Leave(n *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.open[n.Address]
	if delete(all, n); len(all) == 0 {
		delete(s.open, n.Address)
	}
}

// End asks all sessions of an account to end, and sees to it that those whose login is on its
// way have their password checked anew. For when the account was disabled, renamed or removed
// or its password changed, and the directory says so already.
func (s *Sessions) End(address string) {
	s.end(address, func(*Session) bool { return true })
}

// EndCredential is End for the sessions that one credential of the account began: those of
// other apps and devices go on. For when it was removed, and the directory says so already.
func (s *Sessions) EndCredential(address string, credential int64) {
	s.end(address, func(n *Session) bool { return n.Credential == credential })
}

func (s *Sessions) end(address string, which func(*Session) bool) {
	s.mu.Lock()
	s.ended++
	var ends []func()
	for n := range s.open[address] {
		if which(n) {
			ends = append(ends, n.End)
		}
	}
	s.mu.Unlock()
	for _, end := range ends {
		end()
	}
}
