package smtpd

import "bytes"

// maxTextLine bounds a line of a message. RFC 5321 section 4.5.3.1.6 says 1000; programs
// send far longer ones, and they are kept.
const maxTextLine = 1 << 20

// decoder finds the end of the data of a message and takes the dot-stuffing away, octet
// for octet (RFC 5321 section 4.5.2). Only CRLF "." CRLF ends the data. What other
// servers have taken for it, as LF "." LF or CR "." CR, marks the message as an attempt
// to smuggle a second one; the data still goes on to its true end.
type decoder struct {
	state decodeState
	line  int // octets of the current line

	size      int64 // octets decoded
	lookAlike bool  // something else looks like the end
	nul       bool
	longLine  bool
}

type decodeState uint8

const (
	atStart    decodeState = iota // after CRLF, or at the very beginning
	afterLF                       // after a LF without CR
	afterCR                       // after a CR anywhere
	inLine                        // after any other octet
	startDot                      // a dot at atStart, not passed on
	otherDot                      // a dot after a lone LF or CR, passed on
	startDotCR                    // startDot and a CR: the end, if LF follows
)

// write decodes b into sink, in pieces of b. It returns how many octets of b belonged to
// the data, and whether its end was reached.
func (d *decoder) write(b []byte, sink func([]byte)) (n int, end bool) {
	from := 0 // b[from:n] waits to be passed on
	for n < len(b) {
		c := b[n]
		switch d.state {
		case inLine:
			k := lineEnd(b[n:])
			d.line += k
			if n += k; n == len(b) {
				continue
			}
			c = b[n]
		case atStart:
			if c == '.' {
				d.pass(b[from:n], sink)
				d.state = startDot
				n++
				from = n
				continue
			}
		case afterLF, afterCR:
			if c == '.' {
				d.state = otherDot
				n++
				continue
			}
		case startDot:
			if c == '\r' {
				d.state = startDotCR
				n++
				from = n
				continue
			}
			d.lookAlike = d.lookAlike || c == '\n'
		case otherDot:
			d.lookAlike = d.lookAlike || c == '\r' || c == '\n'
		case startDotCR:
			if c == '\n' {
				return n + 1, true
			}
			d.lookAlike = true
			d.pass([]byte{'\r'}, sink)
			d.state = afterCR
			continue
		}
		d.step(c)
		n++
	}
	d.pass(b[from:n], sink)
	return n, false
}

// step moves on by one octet that is part of the message.
func (d *decoder) step(c byte) {
	switch {
	case c == '\n' && d.state == afterCR:
		d.state = atStart
	case c == '\n':
		d.state = afterLF
	case c == '\r':
		d.state = afterCR
	default:
		d.state = inLine
	}
	if d.line++; d.line > maxTextLine {
		d.longLine = true
	}
	if c == '\n' {
		d.line = 0
	}
}

// pass hands a piece on.
func (d *decoder) pass(p []byte, sink func([]byte)) {
	if len(p) == 0 {
		return
	}
	if !d.nul && bytes.IndexByte(p, 0) >= 0 {
		d.nul = true
	}
	d.size += int64(len(p))
	sink(p)
}

// chunk decodes octets of BDAT, which are not dot-stuffed and end by count (RFC 3030
// section 2). CRLF "." CRLF is harmless here: whoever sends it on by DATA stuffs it.
func (d *decoder) chunk(b []byte, sink func([]byte)) {
	for n := 0; n < len(b); n++ {
		if d.state == inLine {
			k := lineEnd(b[n:])
			d.line += k
			if n += k; n == len(b) {
				break
			}
		}
		c := b[n]
		switch {
		case c == '.' && d.state == atStart:
			d.state = startDot
			continue
		case c == '.' && (d.state == afterLF || d.state == afterCR):
			d.state = otherDot
			continue
		case c == '\r' && d.state == startDot:
			d.state = startDotCR
			continue
		case d.state == startDot || d.state == otherDot:
			d.lookAlike = d.lookAlike || c == '\r' || c == '\n'
		case d.state == startDotCR:
			d.lookAlike = d.lookAlike || c != '\n'
			d.state = afterCR
		}
		d.step(c)
	}
	d.pass(b, sink)
}

// fault says why the message is refused; nil: it is not.
func (d *decoder) fault() *Reply {
	switch {
	case d.lookAlike:
		return replySmuggling
	case d.nul:
		return replyNUL
	case d.longLine:
		return replyLongText
	}
	return nil
}

// lineEnd is the index of the first CR or LF in b, or len(b).
func lineEnd(b []byte) int {
	const window = 256 // so that many lone CRs do not make it search all of b each time
	for from := 0; from < len(b); from += window {
		w := b[from:min(from+window, len(b))]
		cr := bytes.IndexByte(w, '\r')
		if cr >= 0 {
			w = w[:cr]
		}
		if lf := bytes.IndexByte(w, '\n'); lf >= 0 {
			return from + lf
		}
		if cr >= 0 {
			return from + cr
		}
	}
	return len(b)
}
