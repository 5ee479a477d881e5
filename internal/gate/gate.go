// Package gate looks at strangers before their messages come: who connects, what they
// call themselves, and whom they write from and to. What it finds is a refusal with a
// reason, or notes for those who judge the message itself.
package gate

import "fmt"

// Refusal is a client or a recipient that is turned away. It is an error; its text says
// why, and whom to ask.
type Refusal struct {
	Code   int    // 400 to 599, RFC 5321 section 4.2; 421 closes the connection
	Status string // RFC 3463
	Text   string // one line of ASCII, safe to show a stranger
	Err    error  // cause: logged, never sent; may be nil
}

// Error is what is logged.
func (r *Refusal) Error() string {
	s := fmt.Sprintf("%d %s %s", r.Code, r.Status, r.Text)
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

// Unwrap is the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Findings are what is known of a client besides its messages.
type Findings struct {
	Notes   []string // in words for the administrator, such as "client is listed by bl.example: spam source"
	Trusted bool     // the client is in a network that the administrator allows
	Junk    bool     // what it sends is for the Junk mailboxes
}
