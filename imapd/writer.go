package imapd

import (
	"bytes"
	"io"
	"strconv"
	"sync"
	"unicode/utf8"
)

const (
	// spillAt is how many bytes of responses gather before they are sent in any case.
	spillAt = 32 << 10
	// directAt is the size from which bytes are sent without being gathered.
	directAt = 16 << 10
)

var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, spillAt+directAt); return &b }}

// writer gathers responses. It remembers the first error of the connection, after which
// everything is dropped; the session's loop checks err. While nothing is gathered it
// holds no buffer.
type writer struct {
	dst  io.Writer
	b    []byte  // gathered; written to with append
	home *[]byte // where b came from
	err  error
}

// buf returns the gathered bytes, to append to and hand back to set.
func (w *writer) buf() []byte {
	if w.home == nil {
		w.home = writeBuffers.Get().(*[]byte)
		w.b = (*w.home)[:0]
	}
	return w.b
}

// set takes what was appended to buf, and sends it if it is enough.
func (w *writer) set(b []byte) {
	w.b = b
	if len(b) >= spillAt {
		w.send()
	}
}

// send sends what is gathered and keeps the buffer.
func (w *writer) send() {
	if w.err == nil && len(w.b) > 0 {
		_, w.err = w.dst.Write(w.b)
	}
	w.b = w.b[:0]
}

// flush sends what is gathered and gives the buffer back.
func (w *writer) flush() error {
	if w.home == nil {
		return w.err
	}
	w.send()
	if cap(w.b) <= 2*(spillAt+directAt) {
		*w.home = w.b[:0]
	}
	writeBuffers.Put(w.home)
	w.home, w.b = nil, nil
	return w.err
}

// Write gathers p, or sends it at once if it is large. It is how literals are streamed.
func (w *writer) Write(p []byte) (int, error) {
	if len(p) < directAt {
		w.set(append(w.buf(), p...))
		return len(p), w.err
	}
	if w.send(); w.err == nil {
		_, w.err = w.dst.Write(p)
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// line gathers one response line from its pieces, and ends it.
func (w *writer) line(pieces ...string) {
	b := w.buf()
	for _, s := range pieces {
		b = append(b, s...)
	}
	w.set(append(b, '\r', '\n'))
}

// appendNumber appends n in decimal.
func appendNumber[T ~int | ~int64 | ~uint32 | ~uint64](b []byte, n T) []byte {
	return strconv.AppendUint(b, uint64(n), 10)
}

// appendString appends s as an IMAP string (RFC 9051 section 4.3): quoted where it may be,
// else as a literal. With utf8ok, quoted strings may hold UTF-8 (RFC 9755 section 3), but no
// other octets of 8 bits.
func appendString(b []byte, s string, utf8ok bool) []byte {
	utf8ok = utf8ok && utf8.ValidString(s)
	escapes := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == 0 || c == '\r' || c == '\n' || c >= 0x80 && !utf8ok:
			return appendLiteral(b, s)
		case c == '"' || c == '\\':
			escapes = true
		}
	}
	b = append(b, '"')
	if !escapes {
		b = append(b, s...)
		return append(b, '"')
	}
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// appendLiteral appends s as a literal. A NUL, which no literal may hold, becomes 0x80.
func appendLiteral[T string | []byte](b []byte, s T) []byte {
	b = appendOpening(b, "{", int64(len(s)))
	n := len(b)
	b = append(b, s...)
	for i := bytes.IndexByte(b[n:], 0); i >= 0; i = bytes.IndexByte(b[n:], 0) {
		n += i + 1
		b[n-1] = 0x80
	}
	return b
}

// appendOpening announces a literal of n octets; open is "{" or "~{". In place of one of none
// it appends an empty quoted string: Apple's Mail, from iOS 18.2 on, reads nothing of what is
// behind {0} before more comes, and may wait for that for minutes.
func appendOpening(b []byte, open string, n int64) []byte {
	if n == 0 {
		return append(b, `""`...)
	}
	return append(appendNumber(append(b, open...), n), "}\r\n"...)
}

// appendNString appends NIL for "", else a string.
func appendNString(b []byte, s string, utf8ok bool) []byte {
	if s == "" {
		return append(b, "NIL"...)
	}
	return appendString(b, s, utf8ok)
}
