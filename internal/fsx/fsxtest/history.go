package fsxtest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"
)

// An Op is one recorded operation.
type Op struct {
	Kind Kind   // of the call that made it, or Mark or Adopted
	Name string // below the root, or a mark's label
	To   string
	Size int // bytes written
	from int // of a sync: it covers the operations before this one
}

const (
	// Mark is the kind of what Recorder.Mark noted.
	Mark Kind = "mark"
	// Adopted is the kind of a name that something else than the Recorder had made.
	Adopted Kind = "adopted"
)

// String is the operation in one line.
func (o Op) String() string {
	switch {
	case o.To != "":
		return fmt.Sprintf("%s %s -> %s", o.Kind, o.Name, o.To)
	case o.Kind == Write:
		return fmt.Sprintf("%s %s, %d bytes", o.Kind, o.Name, o.Size)
	}
	return fmt.Sprintf("%s %s", o.Kind, o.Name)
}

// A node is a file or a directory, whatever its names, with all that happened to it.
// Times in a history are numbers of operations: "as of k" is after the first k of them.
type node struct {
	dir   bool
	perm  fs.FileMode
	mtime time.Time // at the beginning
	syncs []syncOf

	entries map[string]*node // of a directory, at the beginning
	live    map[string]*node // of a directory, now
	changes []change         // of a directory

	base   []byte // of a file, at the beginning
	writes []write
	times  []settime // of a file: of writes, and set
	made   [2]*content

	asOf  int              // what names holds
	names map[string]*node // the last answer of entriesAsOf
}

// A change gives a name in a directory to a node, or takes it away.
type change struct {
	op      int
	name    string
	to      *node // nil: the name is gone
	mtime   time.Time
	durable bool // without a sync
}

type write struct {
	op   int
	off  int64
	data []byte
}

type settime struct {
	op    int
	mtime time.Time
}

// syncOf says that what had happened before operation from was durable once operation
// op had returned.
type syncOf struct{ op, from int }

// syncedAsOf returns the number of operations that a power cut after k of them leaves
// durable, given the syncs of one thing or of everything.
func syncedAsOf(k int, lists ...[]syncOf) int {
	durable := 0
	for _, list := range lists {
		for _, s := range list {
			if s.op >= k {
				break
			}
			durable = max(durable, s.from)
		}
	}
	return durable
}

// entriesAsOf returns a directory's names after k operations; the map is the node's.
func (n *node) entriesAsOf(k int) map[string]*node {
	if n.names == nil || n.asOf > k {
		n.names, n.asOf = maps.Clone(n.entries), 0
		if n.names == nil {
			n.names = map[string]*node{}
		}
	}
	i, _ := slices.BinarySearchFunc(n.changes, n.asOf, func(c change, k int) int { return c.op - k })
	for ; i < len(n.changes) && n.changes[i].op < k; i++ {
		if c := n.changes[i]; c.to == nil {
			delete(n.names, c.name)
		} else {
			n.names[c.name] = c.to
		}
	}
	n.asOf = k
	return n.names
}

// survivingEntries returns a directory's names after a power cut after k operations
// that kept the changes of the first kept ones.
func (n *node) survivingEntries(kept, k int) map[string]*node {
	names := n.entriesAsOf(kept)
	cloned := false
	for _, c := range n.changes {
		if !c.durable || c.op < kept || c.op >= k {
			continue
		}
		if !cloned {
			names, cloned = maps.Clone(names), true
		}
		names[c.name] = c.to
	}
	return names
}

// mtimeAsOf returns the time of last change after k operations.
func (n *node) mtimeAsOf(k int) time.Time {
	t := n.mtime
	for _, c := range n.changes {
		if c.op >= k {
			break
		}
		t = c.mtime
	}
	for _, s := range n.times {
		if s.op >= k {
			break
		}
		t = s.mtime
	}
	return t
}

// A content is a file's bytes at some time; it does not change.
type content struct {
	bytes  []byte
	sum    [sha256.Size]byte
	writes int // how many made it
}

// contentAsOf returns a file's bytes after k operations. The last two answers are
// remembered: that as of a sync and the present one are asked for in turn.
func (n *node) contentAsOf(k int) *content {
	count := 0
	size := len(n.base)
	for count < len(n.writes) && n.writes[count].op < k {
		size = max(size, int(n.writes[count].off)+len(n.writes[count].data))
		count++
	}
	for _, c := range n.made {
		if c != nil && c.writes == count {
			return c
		}
	}
	c := &content{bytes: make([]byte, size), writes: count}
	copy(c.bytes, n.base)
	for _, w := range n.writes[:count] {
		copy(c.bytes[w.off:], w.data)
	}
	c.sum = sha256.Sum256(c.bytes)
	n.made[0], n.made[1] = c, n.made[0]
	return c
}
