package imapd

import (
	"sync"

	"github.com/emersion/go-imap/v2"
)

// accountCounter counts the sessions that are logged in, by account, over all listeners
// of a server. Its zero value is ready.
type accountCounter struct {
	mu   sync.Mutex
	open map[string]int // by address; none is 0
}

// enter counts one more session of an account, unless it has limit already.
func (a *accountCounter) enter(address string, limit int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if limit > 0 && a.open[address] >= limit {
		return false
	}
	if a.open == nil {
		a.open = map[string]int{}
	}
	a.open[address]++
	return true
}

// leave takes back one enter.
func (a *accountCounter) leave(address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[address]--; a.open[address] == 0 {
		delete(a.open, address)
	}
}

// errTooManySessions is the answer to a login with the right password (RFC 5530 section 3,
// LIMIT). The connection stays, so that the client reads the reason.
var errTooManySessions = no(imap.ResponseCodeLimit, "Too many connections of this account are open: close some, or let the mail program use fewer")
