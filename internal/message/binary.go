package message

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
)

// The binary form of a Part tree is a version byte and the root. Numbers are unsigned
// varints. A string is a varint v and its bytes: v is twice the length, or twice an
// index into words plus one and then no bytes. A part is
//
//	flags, header offset (from the end of the part before, or the parent's body offset),
//	header size, body size, header NLs, lines, body NLs (0 none, 1 all lines, else n+2),
//	type, subtype, params, the strings that flags names, disposition params if there is
//	a disposition, languages, envelope, number of children, children
//
// and a list its length and its items. An unknown version or anything out of place is
// ErrBinary; the caller then parses the message again.
const binaryVersion = 1

// maxBinaryDepth bounds the nesting that is read.
const maxBinaryDepth = 1000

// ErrBinary says that bytes are no binary form of a Part, or not of this version, or
// that a Part's offsets are not those of parts inside each other.
var ErrBinary = errors.New("message: bad binary structure")

// words are strings common in mail, by length and alphabet. Their places are part of
// the format: a change is a new version.
var words = [...]string{
	"", "en", "csv", "gif", "pdf", "png", "xml", "yes", "zip", "7bit", "8bit", "html", "jpeg", "name",
	"size", "text", "type", "UTF-8", "delsp", "image", "mixed", "name*", "plain", "utf-8", "base64",
	"binary", "flowed", "format", "inline", "method", "micalg", "report", "rfc822", "signed",
	"REQUEST", "charset", "message", "related", "boundary", "calendar", "filename", "protocol",
	"us-ascii", "filename*", "multipart", "text/html", "ISO-8859-1", "attachment", "iso-8859-1",
	"text/plain", "alternative", "application", "iso-8859-15", "SYNTAX_ERROR", "Windows-1252",
	"octet-stream", "windows-1252", "creation-date", "pgp-signature", "MISSING_DOMAIN",
	"MISSING_MAILBOX", "delivery-status", "pkcs7-signature", "quoted-printable", "modification-date",
	"multipart/alternative", "vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"vnd.openxmlformats-officedocument.wordprocessingml.document",
}

// index returns the place of s in words.
func index(s string) (uint64, bool) {
	i, ok := slices.BinarySearchFunc(words[:], s, func(w, s string) int {
		if c := len(w) - len(s); c != 0 {
			return c
		}
		return strings.Compare(w, s)
	})
	return uint64(i), ok
}

// Flags of a part.
const (
	hasID = 1 << iota
	hasDescription
	hasEncoding
	hasMD5
	hasLocation
	hasDisposition
	hasLanguage
	hasEnvelope
	hasHeaderNL
	hasChildren
	allPartFlags = 1<<iota - 1

	allTexts = hasID | hasDescription | hasEncoding | hasMD5 | hasLocation | hasDisposition
)

// Flags of an envelope.
const (
	hasDate = 1 << iota
	hasSubject
	hasInReplyTo
	hasMessageID
	hasFirstRef
	senderIsFrom
	replyToIsFrom
	allEnvelopeFlags = 1<<iota - 1
)

// Flags of an address.
const (
	hasName = 1 << iota
	hasRoute
	hasMailbox
	hasHost
	sameHost        // as the address before
	allAddressFlags = 1<<iota - 1
)

// AppendBinary appends the binary form of p and all parts in it to b. It is ErrBinary
// if offsets or counts are not such as Parse makes.
func (p *Part) AppendBinary(b []byte) ([]byte, error) {
	w := writer{b: append(b, binaryVersion)}
	if !w.part(p, 0, math.MaxInt64, 1) {
		return b, ErrBinary
	}
	return w.b, nil
}

// MarshalBinary implements encoding.BinaryMarshaler; see AppendBinary.
func (p *Part) MarshalBinary() ([]byte, error) { return p.AppendBinary(nil) }

type writer struct{ b []byte }

func (w *writer) uint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }

func (w *writer) string(s string) {
	if i, ok := index(s); ok {
		w.uint(i<<1 | 1)
		return
	}
	w.uint(uint64(len(s)) << 1)
	w.b = append(w.b, s...)
}

// part writes p, which lies in the range from at to end.
func (w *writer) part(p *Part, at, end int64, depth int) bool {
	if !p.sound(at, end) || depth > maxBinaryDepth {
		return false
	}
	flags := p.flags()
	w.uint(flags)
	w.layout(p, at)
	w.string(p.Type)
	w.string(p.Subtype)
	w.params(p.Params)
	for i, s := range p.texts() {
		if flags&(1<<i) != 0 {
			w.string(*s.text)
		}
	}
	if flags&hasDisposition != 0 {
		w.params(p.DispositionParams)
	}
	if flags&hasLanguage != 0 {
		w.uint(uint64(len(p.Language)))
		for _, s := range p.Language {
			w.string(s)
		}
	}
	if p.Envelope != nil {
		w.envelope(p.Envelope)
	}
	return flags&hasChildren == 0 || w.children(p, depth)
}

// flags says what of p is worth writing.
func (p *Part) flags() (flags uint64) {
	for i, s := range p.texts() {
		if *s.text != s.byDefault {
			flags |= 1 << i
		}
	}
	for _, c := range [...]struct {
		set  bool
		flag uint64
	}{
		{len(p.Language) > 0, hasLanguage},
		{p.Envelope != nil, hasEnvelope},
		{p.HeaderNL > 0, hasHeaderNL},
		{len(p.Children) > 0, hasChildren},
	} {
		if c.set {
			flags |= c.flag
		}
	}
	return flags
}

// layout writes offsets and counts.
func (w *writer) layout(p *Part, at int64) {
	for _, n := range [...]int64{p.HeaderOff - at, p.BodyOff - p.HeaderOff, p.EndOff - p.BodyOff} {
		w.uint(uint64(n))
	}
	if p.HeaderNL > 0 {
		w.uint(uint64(p.HeaderNL))
	}
	w.uint(uint64(p.Lines))
	switch {
	case p.BodyNL == 0:
		w.uint(0)
	case p.BodyNL == p.Lines:
		w.uint(1)
	default:
		w.uint(uint64(p.BodyNL) + 2)
	}
}

func (w *writer) children(p *Part, depth int) bool {
	w.uint(uint64(len(p.Children)))
	at := p.BodyOff
	for _, c := range p.Children {
		if !w.part(c, at, p.EndOff, depth+1) {
			return false
		}
		at = c.EndOff
	}
	return true
}

// sound reports whether p lies in the range from at to end and its counts can be.
func (p *Part) sound(at, end int64) bool {
	return at <= p.HeaderOff && p.HeaderOff <= p.BodyOff && p.BodyOff <= p.EndOff && p.EndOff <= end &&
		0 <= p.HeaderNL && p.HeaderNL <= p.BodyOff-p.HeaderOff &&
		0 <= p.BodyNL && p.BodyNL <= p.Lines && p.Lines <= p.EndOff-p.BodyOff
}

// text is one of the optional strings of a part, the i-th having the flag 1<<i.
type text struct {
	text      *string
	byDefault string
}

func (p *Part) texts() [6]text {
	return [6]text{{&p.ID, ""}, {&p.Description, ""}, {&p.Encoding, "7bit"}, {&p.MD5, ""}, {&p.Location, ""}, {&p.Disposition, ""}}
}

func (w *writer) params(params []Param) {
	w.uint(uint64(len(params)))
	for _, p := range params {
		w.string(p.Name)
		w.string(p.Value)
	}
}

func (w *writer) envelope(e *Envelope) {
	flags := uint64(0)
	for i, set := range [...]bool{
		e.HasDate, e.HasSubject, e.HasInReplyTo, e.HasMessageID, e.FirstRef != "",
		slices.Equal(e.Sender, e.From), slices.Equal(e.ReplyTo, e.From),
	} {
		if set {
			flags |= 1 << i
		}
	}
	w.uint(flags)
	for i, s := range []string{e.Date, e.Subject, e.InReplyTo, e.MessageID, e.FirstRef} {
		if flags&(1<<i) != 0 {
			w.string(s)
		}
	}
	w.addresses(e.From)
	if flags&senderIsFrom == 0 {
		w.addresses(e.Sender)
	}
	if flags&replyToIsFrom == 0 {
		w.addresses(e.ReplyTo)
	}
	w.addresses(e.To)
	w.addresses(e.Cc)
	w.addresses(e.Bcc)
}

func (w *writer) addresses(list []Address) {
	w.uint(uint64(len(list)))
	last := ""
	for _, a := range list {
		flags := uint64(0)
		for i, s := range [...]string{a.Name, a.Route, a.Mailbox, a.Host} {
			if s != "" {
				flags |= 1 << i
			}
		}
		if a.Host != "" && a.Host == last {
			flags = flags&^hasHost | sameHost
		}
		w.uint(flags)
		for i, s := range [...]string{a.Name, a.Route, a.Mailbox, a.Host} {
			if flags&(1<<i) != 0 {
				w.string(s)
			}
		}
		last = a.Host
	}
}
