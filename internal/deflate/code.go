package deflate

import (
	"math/bits"
	"sync"
)

const (
	maxBits  = 15 // of a code
	fastBits = 9  // of a code that one look finds
)

// code is a Huffman code in its canonical form (RFC 1951 section 3.2.2).
type code struct {
	fast    [1 << fastBits]uint16 // by the next bits: symbol<<4 | length; 0 for longer codes
	limit   [maxBits + 1]int      // by length: behind the last code of it, moved to the left of 15 bits
	first   [maxBits + 1]int      // by length: the first code, likewise
	index   [maxBits + 1]int      // by length: of the first code's symbol in symbols
	symbols [288]uint16           // in the order of their codes
}

// set makes c the code with these lengths, by symbol; 0 is no code. It returns false if there
// is no such code. One with codes to spare is taken: a distance code may have a single one.
func (c *code) set(lengths []uint8) bool {
	var count [maxBits + 1]int
	for _, l := range lengths {
		count[l]++
	}
	count[0] = 0
	next, index := 0, 0
	var at [maxBits + 1]int
	for l := 1; l <= maxBits; l++ {
		c.first[l], c.index[l], at[l] = next, index, index
		next += count[l] << (maxBits - l)
		index += count[l]
		c.limit[l] = next
	}
	if next > 1<<maxBits {
		return false
	}
	clear(c.fast[:])
	for sym, l := range lengths {
		if l == 0 {
			continue
		}
		c.symbols[at[l]] = uint16(sym)
		if l <= fastBits {
			number := c.first[l] + (at[l]-c.index[l])<<(maxBits-l)
			low := int(bits.Reverse16(uint16(number)) >> 1) // the input has a code's first bit lowest
			for ; low < len(c.fast); low += 1 << l {
				c.fast[low] = uint16(sym)<<4 | uint16(l)
			}
		}
		at[l]++
	}
	return true
}

// next gives the symbol at the beginning of b, of which n bits are there, and the length of its
// code; 0 if the code is not there whole. The symbol is -1 if no code begins so.
func (c *code) next(b uint64, n uint) (sym int, used uint) {
	if f := c.fast[b&(1<<fastBits-1)]; f != 0 {
		if used = uint(f & 15); used > n {
			return 0, 0
		}
		return int(f >> 4), used
	}
	v := int(bits.Reverse16(uint16(b)) >> 1)
	for l := fastBits + 1; l <= maxBits; l++ {
		if v >= c.limit[l] {
			continue
		}
		if uint(l) > n {
			return 0, 0
		}
		return int(c.symbols[c.index[l]+(v-c.first[l])>>(maxBits-l)]), uint(l)
	}
	if n < maxBits {
		return 0, 0
	}
	return -1, maxBits
}

// extra is what the symbol of a length or distance stands for: base, and as many bits as
// are to be added from the input.
type extra struct {
	base int
	bits uint
}

// lengths begins with symbol 257, distances with 0 (RFC 1951 section 3.2.5).
var (
	lengths   = append(ranges(3, 28, 4), extra{258, 0})
	distances = ranges(1, 30, 2)
)

// ranges gives n ranges that follow each other from base on. From the second group of
// size on each group has ranges twice as wide as the one before.
func ranges(base, n, size int) []extra {
	out := make([]extra, n)
	for i := range out {
		out[i] = extra{base, uint(max(i/size-1, 0))}
		base += 1 << out[i].bits
	}
	return out
}

// pair is the two codes of a block.
type pair struct{ lit, dist code }

// fixed gives the codes of RFC 1951 section 3.2.6.
var fixed = sync.OnceValue(func() *pair {
	var l [288]uint8
	for i := range l {
		switch {
		case i < 144:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		default:
			l[i] = 8
		}
	}
	d := [32]uint8{}
	for i := range d {
		d[i] = 5
	}
	p := new(pair)
	p.lit.set(l[:])
	p.dist.set(d[:])
	return p
})

// dynamic is the head of a dynamic block as far as it was read, and its codes.
type dynamic struct {
	pair
	lengths code // of the code for lengths

	lits, dists, need int
	have              int
	all               [286 + 30]uint8
}

// order is how the lengths of the code for lengths are written (RFC 1951 section 3.2.7).
var order = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// codes reads a piece of the head of a dynamic block (RFC 1951 section 3.2.7).
func (r *Reader) codes() bool {
	if r.dynamic == nil {
		r.dynamic = new(dynamic)
	}
	d := r.dynamic
	if r.at == atCounts {
		return r.counts(d)
	}
	if d.need > 0 { // the code for lengths, all of it or nothing
		if r.nbits < uint(3*d.need) {
			return false
		}
		var l [19]uint8
		for _, sym := range order[:d.need] {
			l[sym] = uint8(r.take(3))
		}
		if d.need = 0; !d.lengths.set(l[:]) {
			return r.fail(ErrCorrupt)
		}
		return true
	}
	if d.have < d.lits+d.dists {
		return r.oneLength(d)
	}
	if d.all[256] == 0 || !d.lit.set(d.all[:d.lits]) || !d.dist.set(d.all[d.lits:d.have]) {
		return r.fail(ErrCorrupt)
	}
	r.lit, r.dist, r.at = &d.lit, &d.dist, atSymbols
	return true
}

// counts reads how many codes there are.
func (r *Reader) counts(d *dynamic) bool {
	if r.nbits < 14 {
		return false
	}
	d.lits = int(r.take(5)) + 257
	d.dists = int(r.take(5)) + 1
	d.need = int(r.take(4)) + 4
	d.have, r.at = 0, atLengths
	if d.lits > 286 || d.dists > 30 {
		return r.fail(ErrCorrupt)
	}
	return true
}

// oneLength reads the length of one code, or of several in a row.
func (r *Reader) oneLength(d *dynamic) bool {
	sym, used := d.lengths.next(r.bits, r.nbits)
	if used == 0 {
		return false
	}
	if sym < 0 {
		return r.fail(ErrCorrupt)
	}
	if sym < 16 {
		r.take(used)
		d.all[d.have] = uint8(sym)
		d.have++
		return true
	}
	repeat := [3]extra{{3, 2}, {3, 3}, {11, 7}}[sym-16]
	if r.nbits < used+repeat.bits {
		return false
	}
	r.take(used)
	n := repeat.base + int(r.take(repeat.bits))
	if d.have+n > d.lits+d.dists || sym == 16 && d.have == 0 {
		return r.fail(ErrCorrupt)
	}
	var l uint8
	if sym == 16 {
		l = d.all[d.have-1]
	}
	for range n {
		d.all[d.have] = l
		d.have++
	}
	return true
}
