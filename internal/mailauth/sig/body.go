package sig

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// lineEnds is a block of what a run of empty lines is hashed as.
var lineEnds = bytes.Repeat([]byte("\r\n"), 1024)

// Body hashes a body in its canonical form with SHA-256 as it is written. A bare LF counts
// as a line end, a bare CR as a character.
type Body struct {
	canon  Canon
	hash   hash.Hash
	out    []byte // of the canonical form, not yet hashed
	breaks int64  // line ends that count if something follows them
	cr     bool   // the last octet was a CR
	gap    bool   // white space in a line that counts if something follows it (relaxed)
	filled bool   // something was hashed
}

// NewBody begins a body.
func NewBody(c Canon) *Body {
	return &Body{canon: c, hash: sha256.New(), out: make([]byte, 0, 8<<10)}
}

// Write takes the next octets. It never fails.
func (b *Body) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if b.cr {
			b.cr = false
			if p[0] == '\n' {
				b.endLine()
				p = p[1:]
				continue
			}
			b.text([]byte{'\r'})
		}
		line, rest, ended := bytes.Cut(p, []byte{'\n'})
		if k := len(line) - 1; k >= 0 && line[k] == '\r' {
			line, b.cr = line[:k], !ended
		}
		b.text(line)
		if ended {
			b.endLine()
		}
		p = rest
	}
	return n, nil
}

// Sum ends the body and gives its hash.
func (b *Body) Sum() []byte {
	if b.cr {
		b.text([]byte{'\r'})
	}
	if b.canon == Simple || b.filled {
		b.put([]byte("\r\n"))
	}
	b.hash.Write(b.out)
	return b.hash.Sum(nil)
}

func (b *Body) endLine() {
	b.breaks++
	b.gap = false
}

// text takes a piece of a line.
func (b *Body) text(s []byte) {
	if b.canon == Simple {
		if len(s) > 0 {
			b.open()
			b.put(s)
		}
		return
	}
	t := trimRight(s)
	if len(t) > 0 {
		b.open()
		if b.gap {
			for len(t) > 0 && isSpace(t[0]) {
				t = t[1:]
			}
			b.put([]byte{' '})
		}
		b.squeezed(t)
		b.gap = false
	}
	b.gap = b.gap || len(t) < len(s) && isSpace(s[len(s)-1])
}

// open hashes the line ends that were waiting.
func (b *Body) open() {
	for b.breaks > 0 {
		n := min(b.breaks, int64(len(lineEnds)/2))
		b.put(lineEnds[:2*n])
		b.breaks -= n
	}
	b.filled = true
}

// squeezed puts a text with one space for each run of white space. Most lines have no
// such runs.
func (b *Body) squeezed(s []byte) {
	if !hasRun(s) {
		b.put(s)
		return
	}
	start, n := 0, len(s)
	for i := 0; i < n; i++ {
		if !isSpace(s[i]) {
			continue
		}
		b.put(s[start:i])
		b.put([]byte{' '})
		for i+1 < n && isSpace(s[i+1]) {
			i++
		}
		start = i + 1
	}
	b.put(s[start:])
}

// hasRun tells whether there is a tab, or two spaces next to each other, eight octets at a
// time.
func hasRun(s []byte) bool {
	const each, low = 0x0101010101010101, 0x7f7f7f7f7f7f7f7f
	zeros := func(x uint64) uint64 { return ^((x&low + low) | x | low) } // the high bit of each octet that is zero
	before := uint64(0)                                                  // the octet before is a space: its high bit
	for ; len(s) >= 8; s = s[8:] {
		x := binary.LittleEndian.Uint64(s)
		spaces := zeros(x ^ ' '*each)
		if spaces&(spaces<<8|before) != 0 || zeros(x^'\t'*each) != 0 {
			return true
		}
		before = spaces >> 56
	}
	last := before != 0
	for _, c := range s {
		if c == '\t' || c == ' ' && last {
			return true
		}
		last = c == ' '
	}
	return false
}

// put hashes s, small pieces together.
func (b *Body) put(s []byte) {
	if len(b.out)+len(s) > cap(b.out) {
		b.hash.Write(b.out)
		b.out = b.out[:0]
		if len(s) > cap(b.out) {
			b.hash.Write(s)
			return
		}
	}
	b.out = append(b.out, s...)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func trimRight(s []byte) []byte {
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}
