package fsxtest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Mode says what a crash leaves beyond what was synced.
type Mode int

const (
	// Strict leaves what was synced and nothing else. The seed does not matter.
	Strict Mode = iota
	// Torn leaves the names that were synced. The seed decides what becomes of a file's
	// bytes that were not: lost, kept, cut short, blocks of old and new, or zeros.
	Torn
	// Ordered leaves the changes of names in their order, up to a point that the seed
	// chooses, at or after the last SyncDir or SyncFS of anything; bytes as in Torn.
	Ordered
	// Journal is Ordered, but any Sync takes with it all changes of names before it, as
	// ext4 does.
	Journal
	// All leaves everything: the process was killed and the system lived on. The seed
	// matters for databases only.
	All
)

func (m Mode) String() string {
	return [...]string{"Strict", "Torn", "Ordered", "Journal", "All"}[m]
}

// A Crash is what one crash leaves.
type Crash struct {
	Prefix int // operations before the crash
	Mode   Mode
	Seed   int64

	r       *Recorder
	items   []item
	foreign []foreignFile
}

// An item is a name that is left.
type item struct {
	rel     string
	node    *node
	perm    fs.FileMode
	mtime   time.Time
	content *content
	first   int // of a further link to a file: the item that has the content; else -1
}

// After returns what a crash after the first prefix operations leaves.
func (r *Recorder) After(prefix int, mode Mode, seed int64) *Crash {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &Crash{Prefix: prefix, Mode: mode, Seed: seed, r: r}
	r.foreign.look(r)
	s := survey{
		Crash: c,
		rnd:   rand.New(rand.NewPCG(uint64(seed), uint64(prefix)<<8|uint64(mode))),
		seen:  map[*node]int{},
	}
	s.kept = s.keptNames()
	s.walk(r.tree, ".")
	c.foreign = r.foreign.left(r, prefix, mode, s.rnd)
	return c
}

// A survey collects the items of a Crash.
type survey struct {
	*Crash
	rnd  *rand.Rand
	kept int           // operations whose names are left, where that is one number for all
	seen map[*node]int // files: their item; directories: 1 while on the path from the root
}

func (s *survey) keptNames() int {
	low := 0
	switch s.Mode {
	case All:
		return s.Prefix
	case Ordered:
		low = syncedAsOf(s.Prefix, s.r.all, s.r.dirs)
	case Journal:
		low = syncedAsOf(s.Prefix, s.r.all, s.r.files)
	}
	switch s.rnd.IntN(4) {
	case 0:
		return low
	case 1:
		return s.Prefix
	}
	return low + s.rnd.IntN(s.Prefix-low+1)
}

func (s *survey) walk(n *node, rel string) {
	if !n.dir {
		s.file(n, rel)
		return
	}
	if s.seen[n] != 0 {
		return // a directory below itself, by renames of which half were synced
	}
	s.seen[n] = 1
	defer delete(s.seen, n)
	kept := s.kept
	if s.Mode == Strict || s.Mode == Torn {
		kept = syncedAsOf(s.Prefix, s.r.all, n.syncs)
	}
	s.items = append(s.items, item{rel: rel, node: n, perm: n.perm, mtime: n.mtimeAsOf(kept), first: -1})
	names := n.survivingEntries(kept, s.Prefix)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s.walk(names[name], filepath.Join(rel, name))
	}
}

func (s *survey) file(n *node, rel string) {
	it := item{rel: rel, node: n, perm: n.perm, first: -1}
	if first, ok := s.seen[n]; ok {
		it.first = first
		s.items = append(s.items, it)
		return
	}
	if s.r.isDatabase(rel) {
		return // see foreign
	}
	s.seen[n] = len(s.items)
	synced := syncedAsOf(s.Prefix, s.r.all, n.syncs)
	it.content, it.mtime = n.contentAsOf(synced), n.mtimeAsOf(synced)
	if n.lastChange() >= synced {
		switch s.Mode {
		case Torn, Ordered, Journal:
			s.tear(&it, n.contentAsOf(s.Prefix), n.mtimeAsOf(s.Prefix))
		case All:
			it.content, it.mtime = n.contentAsOf(s.Prefix), n.mtimeAsOf(s.Prefix)
		}
	}
	s.items = append(s.items, it)
}

// lastChange is the last operation that changed a file, -1 if none did.
func (n *node) lastChange() int {
	if len(n.times) == 0 {
		return -1
	}
	return n.times[len(n.times)-1].op
}

// block is what a disk writes whole.
const block = 512

// tear chooses what is left of a file whose present content was not synced.
func (s *survey) tear(it *item, present *content, mtime time.Time) {
	if s.rnd.IntN(2) == 0 {
		it.mtime = mtime
	}
	synced, now := it.content.bytes, present.bytes
	var b []byte
	switch s.rnd.IntN(5) {
	case 0: // lost
		return
	case 1:
		it.content = present
		return
	case 2: // cut short at a block, never below what was synced
		n := len(synced) + s.rnd.IntN(max(len(now)-len(synced), 0)+1)
		if n < len(now) {
			n = max(n/block*block, min(len(synced), len(now)))
		}
		b = now[:n]
	default: // each block new, old or, past the old end, zeros
		b = make([]byte, len(now))
		copy(b, synced)
		for i := 0; i < len(now); i += block {
			if s.rnd.IntN(2) == 0 {
				copy(b[i:min(i+block, len(b))], now[i:])
			}
		}
	}
	it.content = &content{bytes: b, sum: sha256.Sum256(b)}
}

// Marks returns the labels that were marked before the crash.
func (c *Crash) Marks() []string {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	var labels []string
	for _, m := range c.r.marks {
		if m.op < c.Prefix {
			labels = append(labels, m.label)
		}
	}
	return labels
}

// Key is equal for two crashes of one Recorder that leave the same after the same
// marks, and only for those.
func (c *Crash) Key() string {
	h := sha256.New()
	var buf []byte
	for _, it := range c.items {
		buf = append(buf[:0], it.rel...)
		buf = append(buf, 0)
		buf = binary.LittleEndian.AppendUint64(buf, uint64(it.first))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(it.mtime.UnixNano()))
		if it.content != nil {
			buf = append(buf, it.content.sum[:]...)
		}
		h.Write(buf)
	}
	for _, f := range c.foreign {
		fmt.Fprintf(h, "\x00%s %p", f.name, f.copy)
	}
	fmt.Fprintf(h, "\x00%d %t", len(c.Marks()), c.Mode == All)
	return string(h.Sum(nil))
}

// String says which crash this is and what came before it.
func (c *Crash) String() string {
	ops := c.r.Ops()[:c.Prefix]
	var b strings.Builder
	fmt.Fprintf(&b, "crash after %d operations, mode %v, seed %d; the last ones:", c.Prefix, c.Mode, c.Seed)
	for i := max(0, len(ops)-12); i < len(ops); i++ {
		fmt.Fprintf(&b, "\n\t%d %v", i+1, ops[i])
	}
	return b.String()
}

// Write puts what the crash leaves into dir, which must be empty.
func (c *Crash) Write(dir string) error {
	for _, it := range c.items {
		path := filepath.Join(dir, it.rel)
		var err error
		switch {
		case it.rel == ".":
		case it.node.dir:
			err = os.Mkdir(path, 0o700)
		case it.first >= 0:
			err = os.Link(filepath.Join(dir, c.items[it.first].rel), path)
		default:
			err = os.WriteFile(path, it.content.bytes, it.perm)
		}
		if err == nil && !it.node.dir && it.first < 0 {
			err = os.Chtimes(path, time.Time{}, it.mtime)
		}
		if err != nil {
			return err
		}
	}
	for _, f := range c.foreign {
		if err := f.write(dir); err != nil {
			return err
		}
	}
	// Directories last, the deepest first: what is made in them changes their times.
	for _, it := range slices.Backward(c.items) {
		if !it.node.dir || it.rel == "." {
			continue
		}
		path := filepath.Join(dir, it.rel)
		if err := os.Chmod(path, it.perm); err != nil {
			return err
		}
		if err := os.Chtimes(path, time.Time{}, it.mtime); err != nil {
			return err
		}
	}
	return nil
}
