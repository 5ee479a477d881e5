package smtpd

import (
	"bytes"
	"fmt"
	"strings"
)

// headerReader sees a message on its way into the store.
type headerReader interface {
	write(p []byte) error
	finish() error // the message is whole
	seen() *traces
}

// traces is what a header tells of a message's way.
type traces struct {
	received    int
	messageID   string   // the first one, cut
	folded      bool     // its value is on the next line
	deliveredTo []string // in small letters
	tls         tlsRequired
	author      string // domain of the first address in From, of what is submitted
}

// maxDelivered bounds the Delivered-To lines that are remembered.
const maxDelivered = 100

// maxMessageID bounds the Message-ID that is remembered.
const maxMessageID = 300

// add takes note of one header line, or the beginning of a long one.
func (t *traces) add(line []byte) {
	if t.folded {
		t.folded, t.messageID = false, messageID(line)
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return
	}
	switch name = bytes.TrimRight(name, " \t"); {
	case bytes.EqualFold(name, []byte("Received")):
		t.received++
	case bytes.EqualFold(name, []byte("Message-ID")) && t.messageID == "":
		t.messageID = messageID(value)
		t.folded = t.messageID == ""
	case bytes.EqualFold(name, []byte("Delivered-To")) && len(t.deliveredTo) < maxDelivered:
		t.deliveredTo = append(t.deliveredTo, strings.ToLower(string(bytes.TrimSpace(value))))
	case bytes.EqualFold(name, []byte("TLS-Required")):
		t.tls.add(value)
	}
}

// messageID is a field's value, cut.
func messageID(value []byte) string {
	return string(bytes.TrimSpace(value[:min(len(value), maxMessageID)]))
}

// scanner is the headerReader of inbound mail. It keeps one line and changes nothing but,
// at the end, the names of fields that pretend to be ours.
type scanner struct {
	to     Staged
	line   []byte
	cut    bool  // there is more of the line
	length int64 // of the line so far
	at     int64 // where the line begins
	done   bool
	traces
	claims claims
}

const maxScanLine = 512

func (h *scanner) seen() *traces { return &h.traces }

// finish has the fields renamed that claim to be ours: later, so that the message is
// judged as it was received.
func (h *scanner) finish() error {
	if !h.done && len(h.line) > 0 { // BDAT may end within a line
		h.claims.line(h.at, h.line, h.cut)
	}
	h.claims.end()
	if h.claims.too {
		return replyTooManyClaims
	}
	for _, at := range h.claims.found {
		if err := h.to.Insert(at, renamed); err != nil {
			return err
		}
	}
	return nil
}

func (h *scanner) write(p []byte) error {
	if !h.done {
		h.scan(p)
	}
	_, err := h.to.Write(p)
	return err
}

func (h *scanner) scan(p []byte) {
	for len(p) > 0 && !h.done {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		room := maxScanLine - len(h.line)
		h.cut = h.cut || len(part) > room
		h.line = append(h.line, part[:min(len(part), room)]...)
		if i < 0 {
			h.length += int64(len(part))
			return
		}
		h.length += int64(i) + 1
		p = p[i+1:]
		line := bytes.TrimSuffix(h.line, []byte("\r"))
		h.done = len(line) == 0
		h.add(line)
		h.claims.line(h.at, line, h.cut)
		h.at += h.length
		h.line, h.cut, h.length = h.line[:0], false, 0
	}
	if h.done {
		h.line = nil
	}
}

// newHeaderReader chooses by who hands the message in.
func (s *session) newHeaderReader(to Staged) headerReader {
	if s.by.submits() {
		return &rewriter{to: to, s: s}
	}
	return &scanner{to: to, claims: claims{hostname: s.wire.srv.Hostname}}
}

// checkHops finds mail that goes round: by its count of Received lines (RFC 5321
// section 6.3), or because it was delivered to the same address here before.
func (s *session) checkHops(t *traces) *Reply {
	if t == nil {
		return nil
	}
	if t.received > s.wire.srv.MaxHops {
		return replyLoop.because(fmt.Errorf("%d Received lines", t.received))
	}
	for _, r := range s.recipients {
		for _, d := range t.deliveredTo {
			if !r.elsewhere() && r.To.Domain != "" && d == strings.ToLower(r.To.String()) {
				return replyLoop.because(fmt.Errorf("was delivered to %s before", d))
			}
		}
	}
	return nil
}
