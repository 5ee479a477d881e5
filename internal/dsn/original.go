package dsn

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"kurir/internal/message"
)

const (
	maxHeader = 64 << 10 // octets of the header that are read and returned
	maxFull   = 1 << 20  // octets of a message that is returned whole
)

// original is what a report needs of the message that it is about. Lines end in LF.
type original struct {
	header  []byte // every line, without the blank one; empty if it could not be read
	cut     bool   // the header goes on
	whole   []byte // all of the message; nil: only the header is returned
	why     string // a sentence: why only the header is returned though all was wished
	subject string // decoded, on one line
	date    time.Time
	id      string // with its brackets, "" if none
}

// missing tells that nothing of the message could be read.
func (o *original) missing() bool { return len(o.header) == 0 && o.whole == nil }

// read reads the original. It never fails: what can't be read is missing.
func (r *Report) read() *original {
	o := new(original)
	if r.Original == nil {
		return o
	}
	f, err := r.Original()
	if err != nil {
		return o
	}
	defer f.Close()
	br := bufio.NewReader(f)
	raw, err := message.ReadHeader(br, maxHeader)
	if errors.Is(err, message.ErrHeaderTooLong) {
		o.cut = true
		if i := bytes.LastIndexByte(raw, '\n'); i >= 0 {
			raw = raw[:i+1]
		}
	}
	o.setHeader(raw)
	if r.Full && r.failed() {
		o.setWhole(raw, br, err)
	}
	return o
}

// failed tells whether a recipient will not get the message.
func (r *Report) failed() bool {
	return slices.ContainsFunc(r.Recipients, func(rc Recipient) bool { return rc.kind() == failed })
}

func (o *original) setHeader(raw []byte) {
	for f := range message.Fields(raw) {
		_, v, _ := strings.Cut(string(f.Raw), ":")
		switch strings.ToLower(f.Name) {
		case "subject":
			if o.subject == "" {
				o.subject = plain(message.DecodeHeader(v))
			}
		case "date":
			if t, ok := message.ParseDate(v); ok && o.date.IsZero() {
				o.date = t
			}
		case "message-id":
			if o.id == "" {
				o.id = messageID(v)
			}
		}
	}
	o.header = lines(bytes.TrimRight(raw, "\r\n"))
}

// setWhole takes all of the message, if it can be returned as it is: bounded, and in
// lines that mail can carry.
func (o *original) setWhole(header []byte, rest io.Reader, err error) {
	if err != nil {
		o.why = "Your message could not be sent back whole, so only its header is attached."
		return
	}
	body, err := io.ReadAll(io.LimitReader(rest, int64(maxFull-len(header)+1)))
	switch {
	case err != nil:
		o.why = "Your message could not be read to its end, so only its header is attached."
		return
	case len(header)+len(body) > maxFull:
		o.why = "Your message is too long to send it back to you, so only its header is attached."
		return
	}
	whole := lines(append(header[:len(header):len(header)], body...))
	whole = bytes.ReplaceAll(whole, []byte{'\r'}, []byte{' '})
	if !carriable(whole) {
		o.why = "Your message has lines that can't be sent back as they are, so only its header is attached."
		return
	}
	o.whole = whole
}

// lines makes every line end an LF, and gives the last line one.
func lines(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	if len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	return b
}

// carriable tells whether b can travel without an encoding, but for its 8-bit octets
// (RFC 2045 section 2.8).
func carriable(b []byte) bool {
	if bytes.IndexByte(b, 0) >= 0 || bytes.IndexByte(b, '\r') >= 0 {
		return false
	}
	for line := range bytes.Lines(b) {
		if len(line) > maxLine+1 {
			return false
		}
	}
	return true
}

// part is the third part of the report: its type, encoding and octets.
//
// A header in UTF-8 has the types of RFC 6533 section 4. A header that breaks the rules is
// quoted-printable, as RFC 6522 section 4 has it; a message can't be.
func (o *original) part() (kind, encoding string, content []byte) {
	global := !isASCII(o.header) && utf8.Valid(o.header)
	if o.whole != nil {
		kind, encoding = "message/rfc822", "7bit"
		if global {
			kind = "message/global"
		}
		if !isASCII(o.whole) {
			encoding = "8bit"
		}
		return kind, encoding, o.whole
	}
	kind, encoding = "text/rfc822-headers", "7bit"
	if global {
		kind, encoding = "message/global-headers", "8bit"
	}
	if !carriable(o.header) || !global && !isASCII(o.header) {
		return kind, "quoted-printable", quoted(o.header)
	}
	return kind, encoding, o.header
}

// quoted is b, whose lines end in LF, as quoted-printable (RFC 2045 section 6.7).
func quoted(b []byte) []byte {
	const width = 76 // of which a soft line break needs one
	out := make([]byte, 0, len(b)+len(b)/8)
	for line := range bytes.Lines(b) {
		line, ended := bytes.CutSuffix(line, []byte{'\n'})
		col := 0
		for i, c := range line {
			n := 1
			literal := c >= ' ' && c <= '~' && c != '=' && (c != ' ' || i+1 < len(line))
			if !literal {
				n = 3
			}
			if col+n >= width && (i+1 < len(line) || col+n > width) {
				out = append(out, "=\n"...)
				col = 0
			}
			if literal {
				out = append(out, c)
			} else {
				out = append(out, '=', upperHex[c>>4], upperHex[c&15])
			}
			col += n
		}
		if ended {
			out = append(out, '\n')
		}
	}
	return out
}
