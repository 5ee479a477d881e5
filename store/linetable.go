package store

import (
	"sort"
	"sync"
)

// lineTable remembers how many LFs there are in the beginning of a large file whose LFs
// are served as CRLF, block by block, as far as they have been counted. With it a client
// that takes a message in pieces has each byte of it read about twice in all, wherever a
// piece begins. A view keeps one, of the message that was opened last.
type lineTable struct {
	uid    UID
	stored int64
	block  int64 // bytes of the file

	mu     sync.Mutex
	counts []int64 // LFs in the first i blocks; counts[0] is 0
}

// maxLineBlocks bounds a lineTable: 8 KiB.
const maxLineBlocks = 1024

func newLineTable(uid UID, stored int64) *lineTable {
	return &lineTable{uid: uid, stored: stored, block: max(64<<10, stored/maxLineBlocks+1), counts: make([]int64, 1, 8)}
}

// reach counts until the first n blocks are known.
func (t *lineTable) reach(b *Body, n int) error {
	for len(t.counts) <= n {
		off := int64(len(t.counts)-1) * t.block
		k, err := countLF(b, off, min(off+t.block, t.stored))
		if err != nil {
			return err
		}
		t.counts = append(t.counts, t.counts[len(t.counts)-1]+k)
	}
	return nil
}

// before is the number of LFs in the first off bytes of the file.
func (t *lineTable) before(b *Body, off int64) (int64, error) {
	n := int(off / t.block)
	if err := t.reach(b, n); err != nil {
		return 0, err
	}
	k, err := countLF(b, int64(n)*t.block, off)
	return t.counts[n] + k, err
}

// count is the number of LFs from off to end.
func (t *lineTable) count(b *Body, off, end int64) (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	to, err := t.before(b, end)
	if err != nil {
		return 0, err
	}
	from, err := t.before(b, off)
	return to - from, err
}

// seek moves off towards where skip bytes on the wire, counted from off, are left out: to
// the begin of that block, unless it ends the range before. It returns what is then to be
// skipped. Where the file can't be read it moves nothing: whoever reads there sees it.
func (t *lineTable) seek(b *Body, off, end, skip int64) (int64, int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lfs, err := t.before(b, off)
	if err != nil {
		return off, skip
	}
	wire := off + lfs + skip // of the place sought, from the begin of the message
	last := int(end / t.block)
	for n := len(t.counts); n <= last && t.at(n-1) <= wire; n++ {
		if t.reach(b, n) != nil {
			return off, skip
		}
	}
	n := sort.Search(min(len(t.counts), last+1), func(i int) bool { return t.at(i) > wire }) - 1
	if to := int64(n) * t.block; n > 0 && to > off {
		return to, wire - t.at(n)
	}
	return off, skip
}

// at is where a block begins on the wire.
func (t *lineTable) at(n int) int64 { return int64(n)*t.block + t.counts[n] }
