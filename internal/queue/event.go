package queue

import (
	"strings"
	"time"

	"kurir/internal/relay"
)

// Kinds of events.
const (
	EventAccepted  = "accepted"  // the message was taken
	EventTried     = "tried"     // a host could not be used, and the next one was tried
	EventDeferred  = "deferred"  // an attempt has failed, and there will be another
	EventSent      = "sent"      // another host has taken it
	EventDelivered = "delivered" // it is in a mailbox here
	EventExpanded  = "expanded"  // it was passed on to several addresses, by envelopes of their own
	EventFailed    = "failed"    // for good
	EventExpired   = "expired"   // given up: all attempts have failed
	EventUncertain = "uncertain" // the other host may have it, and it is tried again
	EventNotice    = "notice"    // a report to the sender was made; Reply names it
	EventUntold    = "untold"    // there is nobody who could be told
	EventHeld      = "held"      // it waits for the administrator
	EventReleased  = "released"  // it waits for him no longer
	EventRetried   = "retried"   // he had it tried at once
	EventDropped   = "dropped"   // he removed it, and nobody was told
	EventReturned  = "returned"  // he returned it to the sender
	EventLimit     = "limit"     // of a notice: the administrator was told of an account over its limits
)

// Event is something that happened to a message.
type Event struct {
	At        time.Time
	Recipient string // "": it is about all of the message's
	Kind      string // EventAccepted …
	Host      string // name of the other host, "" if none was reached
	Address   string // that was connected to, "192.0.2.1:25"
	TLS       string // "TLS 1.3 TLS_AES_128_GCM_SHA256, verified as mx.example.net"; "" without
	Policy    string // what TLS had to be like there, as relay.Peer has it
	Code      int    // 0: no server said it
	Status    string // RFC 3463
	Reply     string // what was said, or words of ours; lines joined by "\n"
}

// maxReply bounds what is kept of a reply.
const maxReply = 2048

// bounded cuts text at the end of a character.
func bounded(s string) string {
	if len(s) <= maxReply {
		return s
	}
	return strings.ToValidUTF8(s[:maxReply], "")
}

// eventOf is an event about an attempt.
func eventOf(recipient, kind string, p relay.Peer, r relay.Reply) Event {
	e := Event{Recipient: recipient, Kind: kind, Host: p.Host, TLS: describeTLS(p), Policy: p.Policy, Code: r.Code, Status: r.Status, Reply: bounded(r.Text)}
	if p.Address.IsValid() {
		e.Address = p.Address.String()
	}
	return e
}

func describeTLS(p relay.Peer) string {
	switch {
	case p.TLSVersion == "":
		return ""
	case p.TLSName == "":
		return strings.TrimSpace(p.TLSVersion+" "+p.TLSCipher) + ", certificate not verified"
	}
	return strings.TrimSpace(p.TLSVersion+" "+p.TLSCipher) + ", verified as " + p.TLSName
}

// event writes an event of a message.
func (c *change) event(s *statements, message string, at int64, e Event) {
	c.exec(s.event, message, e.Recipient, at, e.Kind, e.Host, e.Address, e.TLS, e.Code, e.Status, e.Reply, e.Policy)
	c.changed = c.err == nil
}
