package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// Sizes of the buffer that Parse reads through. It grows when the first is too small.
const (
	minBuffer = 16 << 10
	maxBuffer = 256 << 10
)

// Parse reads a whole message once and returns its structure. Lines may end in CRLF,
// LF or both; nothing in the bytes makes it fail. It holds at most 256 KiB of the
// message, the interesting fields of one header, and the result. Possible errors:
// those of r.
func Parse(r io.Reader, lim Limits) (*Part, error) {
	return ParseIn(make([]byte, minBuffer), 0, r, lim)
}

// ParseIn is Parse of a message whose first n bytes are in buf and the rest in r. It has
// buf, which has room for 1 to 256 KiB, for its own until it returns.
func ParseIn(buf []byte, n int, r io.Reader, lim Limits) (*Part, error) {
	p := newParser(lim)
	p.r, p.buf, p.n = r, buf, n
	root := p.root(kind{message: true, addresses: &p.addresses})
	if p.err != nil && !errors.Is(p.err, io.EOF) {
		return nil, p.err
	}
	return root, nil
}

// ParseParts is Parse of a message that is all in memory, without envelopes. The message
// is not changed.
func ParseParts(msg []byte, lim Limits) *Part {
	p := newParser(lim)
	p.buf, p.n, p.err = msg, len(msg), io.EOF
	return p.root(kind{message: true})
}

func newParser(lim Limits) *parser {
	if lim.MaxDepth <= 0 {
		lim.MaxDepth = 50
	}
	if lim.MaxParts <= 0 {
		lim.MaxParts = 10_000
	}
	if lim.MaxHeader <= 0 {
		lim.MaxHeader = 1 << 20
	}
	return &parser{lim: lim, budget: 4 * lim.MaxHeader, addresses: maxAddresses}
}

// root reads the message as one part. The messages in it are of the same kind.
func (p *parser) root(k kind) *Part {
	p.inner = k
	part := &Part{}
	p.part(part, 1, k)
	return part
}

// parser reads a message line by line. Its position is always at the beginning of a
// line, or behind a piece of one that is longer than the buffer.
type parser struct {
	r    io.Reader
	err  error // why r gave no more
	buf  []byte
	i, n int   // what is read and not yet consumed is buf[i:n]
	base int64 // offset of buf[0] in the message

	lf, nl int64 // line feeds, and bare ones among them, before the position
	eol    int   // length of the line end just before the position, 0 if it is none

	lim        Limits
	budget     int64 // bytes of headers that may still be kept
	addresses  int   // addresses that may still be kept
	inner      kind  // of messages
	parts      int
	boundaries [][]byte // of the multiparts that the position is in, the innermost last
	fields     []byte   // what is kept of the header being read
}

// mark is a position in the message and what was counted up to it.
type mark struct{ off, lf, nl int64 }

// here is the current position; before is the same without the line end before it.
func (p *parser) here() mark { return mark{p.base + int64(p.i), p.lf, p.nl} }

func (p *parser) before() mark {
	m := p.here()
	switch p.eol {
	case 2:
		return mark{m.off - 2, m.lf - 1, m.nl}
	case 1:
		return mark{m.off - 1, m.lf - 1, m.nl - 1}
	}
	return m
}

// stop says what ended a part: the delimiter line at the position, or the message's end.
type stop struct {
	level   int  // index in boundaries, -1 at the message's end
	closing bool // a close-delimiter, RFC 2046 section 5.1.1
	end     mark // where the part ends
}

// kind says what a part's place means for its header.
type kind struct {
	message bool // has an Envelope, and its Content- fields count only if it is MIME
	digest  bool // message/rfc822 by default

	addresses *int // how many addresses an Envelope may still have; nil: no Envelope
}

// part reads one part whose header begins here, and all that is in it.
func (p *parser) part(part *Part, depth int, k kind) stop {
	p.parts++
	begin := p.here()
	s, ended := p.header(begin, k.message)
	p.budget -= int64(len(p.fields))
	boundary := describe(part, p.fields, k)
	if boundary == nil && !part.IsMessage() {
		// nothing in it
	} else if depth >= p.lim.MaxDepth || p.parts >= p.lim.MaxParts || ended && p.parts+1 >= p.lim.MaxParts {
		// The delimiter that ended the header may begin a part, so leave room for it.
		part.Type, part.Subtype, part.Params = "application", "octet-stream", nil
		boundary = nil
	}
	body := s.end
	if !ended {
		body = p.here()
	}
	switch {
	case ended && part.IsMessage():
		p.emptyMessage(part, s.end)
	case ended:
	case boundary != nil:
		s = p.multipart(part, boundary, depth)
	case part.IsMessage():
		s = p.message(part, depth)
	default:
		s = p.body()
	}
	if s.end.off < body.off { // the blank line is the delimiter's line end
		body = s.end
	}
	if body.off < begin.off { // and so is that of the message around this one
		begin = body
	}
	part.HeaderOff, part.BodyOff, part.EndOff = begin.off, body.off, s.end.off
	part.HeaderNL, part.BodyNL, part.Lines = body.nl-begin.nl, s.end.nl-body.nl, s.end.lf-body.lf
	return s
}

// message reads the message inside a message/rfc822 part.
func (p *parser) message(part *Part, depth int) stop {
	inner := &Part{}
	part.Children = []*Part{inner}
	return p.part(inner, depth+1, p.inner)
}

// emptyMessage gives a message/rfc822 part that ended before its body an inner message.
func (p *parser) emptyMessage(part *Part, at mark) {
	p.parts++
	inner := &Part{}
	describe(inner, nil, p.inner)
	inner.HeaderOff, inner.BodyOff, inner.EndOff = at.off, at.off, at.off
	part.Children = []*Part{inner}
}

// multipart reads the body of a multipart (RFC 2046 section 5.1.1).
func (p *parser) multipart(part *Part, boundary []byte, depth int) stop {
	level := len(p.boundaries)
	p.boundaries = append(p.boundaries, boundary)
	k := kind{digest: strings.EqualFold(part.Subtype, "digest")}
	s := p.body() // the preamble
	for s.level == level {
		if s.closing {
			p.boundaries = p.boundaries[:level]
			p.skipLine()
			return p.body() // the epilogue
		}
		if !p.skipLine() {
			s = stop{level: -1, end: p.here()}
			break
		}
		child := &Part{}
		part.Children = append(part.Children, child)
		s = p.part(child, depth+1, k)
	}
	p.boundaries = p.boundaries[:level]
	return s
}

// header reads a header that begins here into p.fields. It reports true if a delimiter
// or the end of the message came before the blank line; the stop is then set. If eol, a
// delimiter that comes at once has the line end before the header.
func (p *parser) header(begin mark, eol bool) (stop, bool) {
	p.fields = p.fields[:0]
	k := keeper{limit: min(p.lim.MaxHeader, p.budget)}
	for fresh := true; ; {
		if fresh {
			if s, ok := p.delimiter(eol || p.here() != begin); ok {
				return s, true
			}
		}
		line, whole := p.line()
		if len(line) == 0 {
			return stop{level: -1, end: p.here()}, true
		}
		if fresh && isBlank(line) {
			p.consume(line)
			return stop{}, false
		}
		p.fields = k.line(p.fields, line, fresh)
		p.consume(line)
		fresh = whole
	}
}

// body reads up to the next delimiter or the end of the message. The line end before a
// delimiter belongs to that, even if it is the blank line before the body.
func (p *parser) body() stop {
	for {
		if s, ok := p.delimiter(true); ok {
			return s
		}
		if !p.skipLine() {
			return stop{level: -1, end: p.here()}
		}
		p.skipLines()
	}
}

// skipLines consumes whole lines from the buffer up to one that may be a delimiter.
func (p *parser) skipLines() {
	b := p.buf[p.i:p.n]
	k, lf, nl := 0, int64(0), int64(0)
	for len(b)-k >= 2 && (b[k] != '-' || b[k+1] != '-' || len(p.boundaries) == 0) {
		j := bytes.IndexByte(b[k:], '\n')
		if j < 0 {
			break
		}
		k += j + 1
		lf++
		if k < 2 || b[k-2] != '\r' {
			nl++
		}
	}
	if k > 0 {
		p.eol = 1
		if k >= 2 && b[k-2] == '\r' {
			p.eol = 2
		}
		p.i, p.lf, p.nl = p.i+k, p.lf+lf, p.nl+nl
	}
}

// skipLine consumes the line here, however long. It reports false if the message ends
// before a line feed.
func (p *parser) skipLine() bool {
	for {
		line, whole := p.line()
		p.consume(line)
		if whole || len(line) == 0 {
			return whole
		}
	}
}

// line returns the line here with its line feed, not yet consumed. If the line is
// longer than the buffer, or the message ends in it, it returns what there is, and
// false; a CR that may be half a line end is left for the next piece.
func (p *parser) line() (b []byte, whole bool) {
	seen := 0
	for {
		if j := bytes.IndexByte(p.buf[p.i+seen:p.n], '\n'); j >= 0 {
			return p.buf[p.i : p.i+seen+j+1], true
		}
		seen = p.n - p.i
		if !p.fill() {
			break
		}
	}
	b = p.buf[p.i:p.n]
	if p.err == nil && len(b) > 1 && b[len(b)-1] == '\r' {
		b = b[:len(b)-1]
	}
	return b, false
}

// consume moves behind a line, or a piece of one, that line returned.
func (p *parser) consume(line []byte) {
	n := len(line)
	p.i += n
	switch {
	case n == 0 || line[n-1] != '\n':
		p.eol = 0
		return
	case n > 1 && line[n-2] == '\r':
		p.eol = 2
	default:
		p.eol = 1
		p.nl++
	}
	p.lf++
}

// fill reads more behind what is in the buffer. It reports false if there is no more
// or no room.
func (p *parser) fill() bool {
	if p.err != nil {
		return false
	}
	if p.i == 0 && p.n == maxBuffer {
		return false
	}
	to := p.buf
	if p.i == 0 && p.n == len(p.buf) || len(p.buf) < maxBuffer && p.base >= 4*int64(len(p.buf)) {
		to = make([]byte, min(4*len(p.buf), maxBuffer)) // a long line, or a large message
	}
	if p.i > 0 || len(to) > len(p.buf) {
		p.base += int64(p.i)
		p.i, p.n = 0, copy(to, p.buf[p.i:p.n])
		p.buf = to
	}
	for empty := 0; empty < 100; empty++ {
		n, err := p.r.Read(p.buf[p.n:])
		p.n += n
		if p.err = err; n > 0 || err != nil {
			return n > 0
		}
	}
	p.err = io.ErrNoProgress
	return false
}
