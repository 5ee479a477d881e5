// Package dsn writes delivery status notifications: what a sender reads when a message
// could not be delivered, is late, or has arrived (RFC 3461, 3464, 6522 and 6533).
//
// It owns the words of a report, its MIME form, the table that puts other servers'
// replies into plain words, and the xtext of RFC 3461. When a report is due, who gets
// it and how it travels are the queue's business. It reads the original message through
// Report.Original, writes to what it is given, and keeps no state.
package dsn

import (
	"errors"
	"io"
	"time"
)

// ErrNoRecipient says that a report names nobody.
var ErrNoRecipient = errors.New("dsn: report about no recipient")

// Action is a value of the Action field (RFC 3464 section 2.3.3).
type Action string

const (
	// Failed: it was not and will not be delivered.
	Failed Action = "failed"
	// Delayed: not yet.
	Delayed Action = "delayed"
	// Delivered: it is in the recipient's mailbox here.
	Delivered Action = "delivered"
	// Expanded: it was passed on to several addresses, of which success is not reported.
	Expanded Action = "expanded"
	// Relayed: it was handed to a host that will not report success.
	Relayed Action = "relayed"
)

// Recipient is what became of one recipient.
type Recipient struct {
	Address string // as the sender wrote it
	ORCPT   string // as in RCPT, "type;xtext", "" if none
	Action  Action // anything unknown counts as Failed
	Status  string // RFC 3463, "5.1.1"; "" or malformed: what the Action implies

	// What the other host said; Code 0: nobody said it, and Text is in our own words.
	Code int
	Text string // lines joined by "\n", without code and status
	Host string // name of the other host; "" : none was reached, or it is about a mailbox here

	Attempts    int
	LastAttempt time.Time // zero: none
	Until       time.Time // for Delayed: it is tried until then
	// Held: for Delayed: it waits for the administrator, not for the other host.
	Held bool
}

// Report is a delivery status notification about one message (RFC 3464).
type Report struct {
	Hostname   string    // of this server
	ID         string    // of the message reported on, in this server's log and queue
	To         string    // its sender, who gets the report
	EnvID      string    // as in MAIL, xtext, "" if none
	Arrival    time.Time // when the message came
	Now        time.Time
	Recipients []Recipient // at least one; of one Action or several
	// Full: all of the message is returned, not only its header, if a recipient Failed
	// (RFC 3461 section 4.3) and the message is not longer than 1 MiB.
	Full bool
	// ReturnPath: the report is delivered here, so that it begins with Return-Path.
	ReturnPath bool

	// Original opens the message; nil: it can't be read any more, and the report says so.
	Original func() (io.ReadCloser, error)
}
