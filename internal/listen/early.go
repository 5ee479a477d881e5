package listen

import (
	"sync"
	"time"
)

// earlyTalk is the wait of a connection's first Write for a client that does not wait
// to be greeted, which no honest SMTP client does (RFC 5321 section 3.1).
type earlyTalk struct {
	wait time.Duration
	over chan struct{} // closed after the wait

	mu      sync.Mutex
	begun   bool // a Read or Write was called: no wait starts any more
	waiting bool // over will be closed
	talked  bool
	stashed bool // first is still to be read
	first   byte
}

// EarlyTalker tells whether the client talked in the wait before the first Write.
// What it said is not lost: the next Read returns it.
func (c *Conn) EarlyTalker() bool {
	if c.early == nil {
		return false
	}
	c.early.mu.Lock()
	defer c.early.mu.Unlock()
	return c.early.talked
}

// beforeWrite is the wait, if this is the first Write and no Read came before it: who
// reads first speaks a protocol in which the client begins. It ends early when the
// client talks, hangs up, or is cut off.
func (e *earlyTalk) beforeWrite(c *Conn) {
	e.mu.Lock()
	if e.begun {
		e.mu.Unlock()
		return
	}
	e.begun, e.waiting = true, true
	e.mu.Unlock()

	c.setUntil(time.Now().Add(e.wait))
	var b [1]byte
	n, _ := c.Conn.Read(b[:]) // the end of input, or an error, comes back from the next Read
	c.setUntil(time.Time{})

	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = false
	if n > 0 {
		e.first, e.talked, e.stashed = b[0], true, true
	}
	close(e.over)
}

// beforeRead returns 1 and the stashed byte in p, if there is one; a Read that comes
// during the wait sits it out.
func (e *earlyTalk) beforeRead(p []byte) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begun = true
	if e.waiting {
		e.mu.Unlock()
		<-e.over
		e.mu.Lock()
	}
	if !e.stashed || len(p) == 0 {
		return 0
	}
	e.stashed = false
	p[0] = e.first
	return 1
}

func (c *Conn) setUntil(t time.Time) {
	c.read.mu.Lock()
	defer c.read.mu.Unlock()
	c.read.until = t
	c.Conn.SetReadDeadline(c.read.next()) // an error comes back from Read
}
