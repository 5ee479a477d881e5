// Package policy makes one verdict of all that is known about a stranger's message: what
// SPF, DKIM, ARC and DMARC say of it (package mailauth), what the gate has noticed, and
// what the administrator wants. It says its reason in words, in the header of the message
// and in the log. It asks the DNS through mailauth alone, writes nothing, and knows
// neither SMTP's commands nor mailboxes.
package policy

import (
	"io"
	"log/slog"
	"net/netip"

	"kurir/internal/mailauth/arc"
)

// Arrival is a stranger's message before its content has come.
type Arrival struct {
	ID         string     // of the transaction, for the log
	IP         netip.Addr // the client's; the zero Addr if it stands for everybody: nothing is judged by it
	Helo       string     // what the client called itself, unchecked
	Sender     string     // reverse-path, "" if null
	Recipients []string   // addresses here

	Notes   []string // what was noticed before, in words for the administrator
	Trusted bool     // an allow list has the client or the sender
	Junk    bool     // an earlier check wants it among junk
}

// Decision is what becomes of a message.
type Decision int

const (
	// Accept: it goes to the INBOX.
	Accept Decision = iota
	// Junk: it goes to the mailbox for junk.
	Junk
	// Later: the client is to try again; the DNS did not answer.
	Later
	// Refuse: it is not taken.
	Refuse
)

// String is the decision's word in logs, metrics and X-Kurir-Reason.
func (d Decision) String() string {
	return [...]string{"accept", "junk", "later", "refuse"}[d]
}

// Verdict is the outcome of a judgment.
type Verdict struct {
	Decision Decision
	Status   string      // RFC 3463, of Later and Refuse: "5.7.26"
	Reason   string      // one sentence in ASCII, safe to show a stranger
	Author   string      // the one address in From, if SPF or DKIM prove its domain; else ""
	Results  string      // value of Authentication-Results, folded with CRLF; "" if there is none
	Chain    arc.Chain   // what was found of ARC, for who passes the message on; zero: nobody has looked
	Header   []byte      // lines in CRLF for the top of the message: Authentication-Results, X-Kurir-Reason
	Details  []slog.Attr // all results, for the log
}

// Open opens the message as it was received, lines ending in CRLF, from its beginning.
type Open func() (io.ReadCloser, error)
