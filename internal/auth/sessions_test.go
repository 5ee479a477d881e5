package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
)

// An account has its bound from each address, and a larger one from all together.
func TestSessionsLimits(t *testing.T) {
	var s Sessions
	enter := func(account, ip string) (*Session, error) {
		n := &Session{Address: account, Remote: netip.MustParseAddr(ip)}
		return n, s.Enter(n, s.Mark(), 2)
	}
	var first *Session
	for _, c := range []struct {
		account, ip string
		want        error
	}{
		{"a", "192.0.2.1", nil},
		{"a", "192.0.2.1", nil},
		{"a", "192.0.2.1", ErrTooMany},
		{"b", "192.0.2.1", nil},
		{"a", "2001:db8::1", nil},
		{"a", "2001:db8::2", nil},
		{"a", "2001:db8::3", ErrTooMany}, // the same customer
		{"a", "2001:db8:0:1::1", nil},
		{"a", "192.0.2.2", nil},
		{"a", "192.0.2.3", nil},
		{"a", "192.0.2.4", nil},
		{"a", "192.0.2.5", ErrTooMany}, // the ninth
		{"b", "192.0.2.5", nil},
	} {
		n, err := enter(c.account, c.ip)
		if err != c.want {
			t.Fatalf("%s from %s: %v", c.account, c.ip, err)
		}
		if first == nil {
			first = n
		}
	}
	s.Leave(first)
	if _, err := enter("a", "192.0.2.1"); err != nil {
		t.Error("no room after one left:", err)
	}
	if err := s.Enter(&Session{Address: "a"}, s.Mark(), -1); err != nil {
		t.Error("no limit:", err)
	}
}

// End ends the account's sessions, those alone, and makes logins on their way check again.
func TestSessionsEnd(t *testing.T) {
	var s Sessions
	ended := map[string]int{}
	enter := func(account string, mark uint64) error {
		return s.Enter(&Session{Address: account, End: func() { ended[account]++ }}, mark, 50)
	}
	before := s.Mark()
	for _, a := range []string{"a", "a", "b"} {
		if err := enter(a, before); err != nil {
			t.Fatal(err)
		}
	}
	s.End("a")
	if ended["a"] != 2 || ended["b"] != 0 {
		t.Error(ended)
	}
	if err := enter("a", before); !errors.Is(err, ErrStale) {
		t.Error("a password that was checked before:", err)
	}
	if err := enter("a", s.Mark()); err != nil {
		t.Error(err)
	}
	s.End("nobody")
}

// Sessions come and go while others are ended; in the end nothing is kept.
func TestSessionsLeaveNothing(t *testing.T) {
	var s Sessions
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				n := &Session{Address: fmt.Sprint(i % 3), End: func() {}}
				if err := s.Enter(n, s.Mark(), 5); err == nil {
					s.Leave(n)
				}
				s.End(fmt.Sprint(i % 2))
			}
		})
	}
	wg.Wait()
	if len(s.open) != 0 {
		t.Errorf("%d accounts are kept", len(s.open))
	}
}

// EndCredential ends what one app password began, and makes all logins on their way check again.
func TestSessionsEndCredential(t *testing.T) {
	var s Sessions
	var ended []int64
	for _, id := range []int64{1, 2, 2} {
		n := &Session{Address: "a", Credential: id, End: func() { ended = append(ended, id) }}
		if err := s.Enter(n, s.Mark(), -1); err != nil {
			t.Fatal(err)
		}
	}
	mark := s.Mark()
	s.EndCredential("a", 2)
	s.EndCredential("b", 1)
	if fmt.Sprint(ended) != "[2 2]" {
		t.Errorf("ended %v", ended)
	}
	if err := s.Enter(&Session{Address: "a", Credential: 2}, mark, -1); err != ErrStale {
		t.Errorf("a login from before: %v", err)
	}
}
