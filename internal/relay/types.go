package relay

import (
	"context"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Notify says what a recipient's sender wants to hear (RFC 3461 section 4.1).
type Notify uint8

const (
	// NotifyDefault is no NOTIFY parameter: failures, and delays.
	NotifyDefault Notify = 0
	// NotifyNever: nothing at all.
	NotifyNever Notify = 1 << (iota - 1)
	// NotifySuccess, NotifyFailure and NotifyDelay may be combined.
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// String is the parameter's value, "" for none.
func (n Notify) String() string {
	var all []string
	for _, m := range []struct {
		bit  Notify
		name string
	}{{NotifyNever, "NEVER"}, {NotifySuccess, "SUCCESS"}, {NotifyFailure, "FAILURE"}, {NotifyDelay, "DELAY"}} {
		if n&m.bit != 0 {
			all = append(all, m.name)
		}
	}
	return strings.Join(all, ",")
}

// Failure tells whether the sender hears of a failure.
func (n Notify) Failure() bool { return n == NotifyDefault || n&NotifyFailure != 0 }

// Delay tells whether the sender hears of a delay.
func (n Notify) Delay() bool { return n == NotifyDefault || n&NotifyDelay != 0 }

// Success tells whether the sender hears of success.
func (n Notify) Success() bool { return n&NotifySuccess != 0 }

// Message is a message on its way to another host.
type Message struct {
	ID     string // names it in logs
	Sender string // reverse-path, "" if null
	Size   int64  // octets on the wire
	UTF8   bool   // it was accepted with SMTPUTF8 (RFC 6531)
	// RequireTLS: only over TLS, to hosts that are the right ones for certain and promise
	// the same (RFC 8689 section 4.2.1). A message from nobody goes without, if need be.
	RequireTLS bool
	// TLSOptional: what domains ask for by DANE and MTA-STS does not count (section 5).
	TLSOptional bool
	EnvID       string    // ENVID of MAIL, as xtext, "" if none (RFC 3461 section 4.4)
	Ret         string    // RET of MAIL: "FULL", "HDRS" or ""
	By          DeliverBy // until when it is to be delivered
	Priority    int       // of its transfer, -9 to 9 (RFC 6710)
	// Open opens the message from its first octet; lines end in CRLF or in LF alone.
	Open func() (io.ReadCloser, error)
}

// Recipient is one address that a message goes to.
type Recipient struct {
	Address string // as in RCPT, the domain as the sender wrote it
	ORCPT   string // of RCPT, "type;xtext", "" if none (RFC 3461 section 4.2)
	Notify  Notify
}

// Action is what became of one recipient in an attempt.
type Action int

const (
	// Deferred: not yet, and it may work later.
	Deferred Action = iota
	// Failed: never.
	Failed
	// Sent: the other host has taken the message for this recipient.
	Sent
)

// String is the action in a word.
func (a Action) String() string { return [...]string{"deferred", "failed", "sent"}[a] }

// SmarthostPrefix begins the names of destinations that are smarthosts.
const SmarthostPrefix = "smarthost:"

// Reply is what an SMTP server said, or what we say in its place.
type Reply struct {
	Code   int    // 0: no server said it, as when there is no connection
	Status string // RFC 3463, "4.4.1"; never empty in a Result
	Text   string // lines joined by "\n", without code and status; valid UTF-8, at most 4 KiB
}

// String is the reply in one line, as it came.
func (r Reply) String() string {
	s := strings.ReplaceAll(r.Text, "\n", " ")
	if r.Status != "" {
		s = r.Status + " " + s
	}
	if r.Code != 0 {
		s = strconv.Itoa(r.Code) + " " + s
	}
	return s
}

// Peer is the host that an attempt has reached, as far as it came. Zero: none.
type Peer struct {
	Host       string         // its name, as the DNS or the configuration has it
	Address    netip.AddrPort // that was connected to
	TLSVersion string         // "TLS 1.3", "" without TLS
	TLSCipher  string
	TLSName    string // the name for which the certificate is valid and trusted, "" if it is not
	Policy     string // what TLS had to be like, and why, in words: "dane", "mta-sts enforce", "opportunistic"
}

// Outcome is the end of an attempt for one recipient.
type Outcome struct {
	Action Action
	Reply  Reply
	Peer   Peer
	// Relayed: sent to a host that does not offer DSN, which will not report success.
	Relayed bool
	// Untimed: sent to a host that does not know the time until which it is to be delivered,
	// which will not report when that is over (RFC 2852 section 4.1.4).
	Untimed bool
	// Uncertain: the connection broke after the final dot, before the answer: the other
	// host may have the message. Action is Deferred then.
	Uncertain bool
}

// Result is the end of an attempt: an Outcome for each recipient, in their order.
type Result struct {
	Outcomes []Outcome
	// Whole: the destination failed as a whole, before it saw the message: nobody there
	// can be reached at the moment. All outcomes are Deferred then.
	Whole bool
	// Tries are the hosts that were tried in vain before the one of the outcomes.
	Tries []Try
	Took  time.Duration
}

// Try is one host that could not be used.
type Try struct {
	Peer  Peer
	Reply Reply
}

// BeforeDot is called when all of a message but its final dot has been sent: once it has
// returned nil, the other host may have the message. After an error the message is not
// finished, and the outcomes are Deferred.
type BeforeDot func(context.Context) error
