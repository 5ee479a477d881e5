package deflate

import (
	"bufio"
	"errors"
	"io"
)

// ErrCorrupt says that the input is not DEFLATE. There is no way to go on behind it.
var ErrCorrupt = errors.New("deflate: invalid data")

const (
	maxWindow = 32 << 10 // RFC 1951 section 2: the furthest that a match reaches back
	minWindow = 512      // what a Reader begins with
)

// step is what is next in the input.
type step uint8

const (
	atHeader  step = iota // of a block
	atStored              // the lengths of a stored block
	atCopy                // the octets of a stored block
	atCounts              // of a dynamic block
	atLengths             // of the codes of a dynamic block
	atSymbols             // of a compressed block
	atEnd                 // behind the final block
)

// Reader decompresses what it reads. It reads from its source only when all that has come
// so far is given out, and takes from it no more than is buffered there; an error of the
// source is passed on, and the next Read tries again.
type Reader struct {
	in  *bufio.Reader
	err error // ErrCorrupt or io.EOF, once met

	bits  uint64 // from the input, the next one lowest
	nbits uint
	at    step
	final bool // the block at work is the last

	window []byte // a ring of the latest octets; its length is a power of 2
	pos    int    // of the next octet in window, which it indexes modulo its length
	full   bool   // maxWindow octets were given out already

	stored   int // octets left of a stored block
	matched  int // octets left of a match
	distance int // of that match

	lit, dist *code
	dynamic   *dynamic // of the dynamic blocks so far; nil before the first
}

// NewReader returns a Reader of what in holds, and reads, from now on.
func NewReader(in *bufio.Reader) *Reader {
	return &Reader{in: in, window: make([]byte, minWindow)}
}

// Read gives what the input so far decides, and waits for more only if that is nothing.
// Errors: ErrCorrupt; io.EOF behind a final block; those of the source.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if n := r.decode(p); n > 0 {
			return n, nil
		}
		if r.err != nil {
			return 0, r.err
		}
		if _, err := r.in.Peek(1); err != nil {
			return 0, err
		}
	}
}

// decode fills p from what is buffered, as far as that goes.
func (r *Reader) decode(p []byte) (n int) {
	for n < len(p) && r.err == nil {
		switch {
		case r.matched > 0:
			n += r.match(p[n:])
			continue
		case r.at == atCopy:
			m := r.copyStored(p[n:])
			if n += m; m == 0 && r.at == atCopy {
				return n
			}
			continue
		}
		r.refill()
		if r.at == atSymbols {
			m, more := r.symbols(p[n:])
			if n += m; !more {
				return n
			}
			continue
		}
		if !r.advance() {
			return n
		}
	}
	return n
}

// refill takes what is buffered into bits, which then hold 57 at least, if there is as much.
func (r *Reader) refill() {
	b, _ := r.in.Peek(min(r.in.Buffered(), int(64-r.nbits)/8))
	for _, c := range b {
		r.bits |= uint64(c) << r.nbits
		r.nbits += 8
	}
	r.in.Discard(len(b))
}

// take removes the next n bits; there must be as many.
func (r *Reader) take(n uint) uint64 {
	v := r.bits & (1<<n - 1)
	r.bits >>= n
	r.nbits -= n
	return v
}

func (r *Reader) fail(err error) bool {
	r.err = err
	return false
}

// advance moves past one piece of a block's head. It returns false if that has not come whole, or
// is invalid.
func (r *Reader) advance() bool {
	switch r.at {
	case atHeader:
		return r.header()
	case atStored: // RFC 1951 section 3.2.4
		if r.nbits-r.nbits%8 < 32 {
			return false
		}
		r.take(r.nbits % 8)
		n := r.take(16)
		if r.take(16) != n^0xffff {
			return r.fail(ErrCorrupt)
		}
		r.stored, r.at = int(n), atCopy
		if n == 0 {
			r.endBlock()
		}
	case atCounts, atLengths:
		return r.codes()
	case atEnd:
		return r.fail(io.EOF)
	}
	return true
}

// header reads the three bits in front of a block (RFC 1951 section 3.2.3).
func (r *Reader) header() bool {
	if r.nbits < 3 {
		return false
	}
	r.final = r.take(1) == 1
	switch r.take(2) {
	case 0:
		r.at = atStored
	case 1:
		f := fixed()
		r.lit, r.dist, r.at = &f.lit, &f.dist, atSymbols
	case 2:
		r.at = atCounts
	default:
		return r.fail(ErrCorrupt)
	}
	return true
}

func (r *Reader) endBlock() {
	r.at = atHeader
	if r.final {
		r.at = atEnd
	}
}

// put gives out one octet.
func (r *Reader) put(p []byte, n int, c byte) {
	p[n] = c
	r.window[r.pos] = c
	if r.pos++; r.pos < len(r.window) {
		return
	}
	if len(r.window) < maxWindow {
		r.window = append(r.window, make([]byte, len(r.window))...)
		return
	}
	r.pos, r.full = 0, true
}

// match gives out what is left of a match, as far as p has room.
func (r *Reader) match(p []byte) int {
	n := min(r.matched, len(p))
	for i := range n {
		r.put(p, i, r.window[(r.pos-r.distance)&(len(r.window)-1)])
	}
	r.matched -= n
	return n
}

// copyStored gives out octets of a stored block: first those in bits, which begin at one.
func (r *Reader) copyStored(p []byte) (n int) {
	for ; n < len(p) && r.stored > 0 && r.nbits >= 8; n++ {
		r.put(p, n, byte(r.take(8)))
		r.stored--
	}
	b, _ := r.in.Peek(min(r.in.Buffered(), r.stored, len(p)-n))
	for _, c := range b {
		r.put(p, n, c)
		n++
	}
	r.in.Discard(len(b))
	if r.stored -= len(b); r.stored == 0 {
		r.endBlock()
	}
	return n
}

// symbols gives out what compressed data says (RFC 1951 section 3.2.5), until p is full, a
// match or the block's end is met, or bits run out. more says that another call may have
// more to give without further input.
func (r *Reader) symbols(p []byte) (n int, more bool) {
	for n < len(p) {
		if r.nbits < 48 {
			r.refill()
		}
		sym, used := r.lit.next(r.bits, r.nbits)
		switch {
		case used == 0:
			return n, false
		case sym < 0:
			return n, r.fail(ErrCorrupt)
		case sym < 256:
			r.take(used)
			r.put(p, n, byte(sym))
			n++
			continue
		case sym == 256:
			r.take(used)
			r.endBlock()
			return n, true
		}
		return n, r.beginMatch(sym, used)
	}
	return n, true
}

// beginMatch reads the length whose symbol, of used bits, is next, and the distance. It
// takes both or nothing.
func (r *Reader) beginMatch(sym int, used uint) bool {
	if sym -= 257; sym >= len(lengths) {
		return r.fail(ErrCorrupt)
	}
	length, dist := lengths[sym], extra{}
	b, have := r.bits>>used, r.nbits-used
	if have < length.bits {
		return false
	}
	n := length.base + int(b&(1<<length.bits-1))
	b, have = b>>length.bits, have-length.bits
	d, usedD := r.dist.next(b, have)
	if usedD == 0 {
		return false
	}
	if d < 0 || d >= len(distances) {
		return r.fail(ErrCorrupt)
	}
	dist = distances[d]
	b, have = b>>usedD, have-usedD
	if have < dist.bits {
		return false
	}
	back := dist.base + int(b&(1<<dist.bits-1))
	if back > r.pos && !r.full {
		return r.fail(ErrCorrupt)
	}
	r.take(used + length.bits + usedD + dist.bits)
	r.matched, r.distance = n, back
	return true
}
