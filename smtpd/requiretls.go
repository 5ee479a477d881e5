package smtpd

import (
	"bytes"

	"kurir/internal/queue"
)

// What a sender wants of TLS on the way of a message (RFC 8689): all the way with
// REQUIRETLS, which is offered under TLS alone, or for all it cares without, with a field
// in the header.

// offersRequireTLS tells whether this connection is safe enough for REQUIRETLS.
func (w *wire) offersRequireTLS() bool { return w.tls != nil }

// tlsRequired counts the fields TLS-Required of a header (RFC 8689 section 3).
type tlsRequired struct{ all, no int }

// add takes note of one.
func (t *tlsRequired) add(value []byte) {
	t.all++
	if bytes.EqualFold(bytes.TrimSpace(value), []byte("No")) {
		t.no++
	}
}

// waived tells whether the sender waives what the recipient's domain asks for. Two fields
// are as good as none.
func (t tlsRequired) waived() bool { return t.all == 1 && t.no == 1 }

// wantsTLS puts into an envelope what the sender wants of TLS. Who demands it gets it,
// whatever the header says (RFC 8689 section 3).
func (s *session) wantsTLS(e queue.Envelope) queue.Envelope {
	e.RequireTLS = s.mail.RequireTLS
	e.TLSOptional = s.tlsWaived && !s.mail.RequireTLS
	return e
}
