package message

import "bytes"

// maxBoundary is how much of a boundary is compared: RFC 2046 section 5.1.1 allows 70
// bytes, and a line of RFC 5322 section 2.1.1 has at most 998.
const maxBoundary = 996

// delimiter looks whether the line here is a delimiter of one of the multiparts that
// it is in. The whole line need not match, its beginning suffices (RFC 2046 section
// 5.1.1), so of several boundaries the longest that matches counts, and of equal ones
// the innermost. The part before it ends before the line end that precedes the
// delimiter if eol, else here.
func (p *parser) delimiter(eol bool) (stop, bool) {
	if len(p.boundaries) == 0 || !p.hasPrefix("--") {
		return stop{}, false
	}
	p.need(2 + maxBoundary + 2)
	line := p.buf[p.i+2 : p.n]
	best := -1
	for i, b := range p.boundaries {
		if bytes.HasPrefix(line, b) && (best < 0 || len(b) >= len(p.boundaries[best])) {
			best = i
		}
	}
	if best < 0 {
		return stop{}, false
	}
	s := stop{level: best, end: p.here()}
	s.closing = bytes.HasPrefix(line[len(p.boundaries[best]):], []byte("--"))
	if !s.closing && p.parts >= p.lim.MaxParts {
		return stop{}, false // no more parts: the rest belongs to this one
	}
	if eol {
		s.end = p.before()
	}
	return s, true
}

func (p *parser) hasPrefix(s string) bool {
	p.need(len(s))
	return p.n-p.i >= len(s) && string(p.buf[p.i:p.i+len(s)]) == s
}

// need makes n bytes available from the position on, or all that are left.
func (p *parser) need(n int) {
	for p.n-p.i < n && p.fill() {
	}
}
