package fsxtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kurir/internal/fsx"
)

// A Recorder is an FS over one directory of the operating system that notes every
// change. A change outside the directory is refused with fs.ErrInvalid. It is safe for
// concurrent use; set SyncTime before the first call. It keeps all files in memory.
//
// Nothing is synced for real: a sync is only noted, so that histories are quick.
// Changes by others than the Recorder (os.WriteFile in a test) are taken in, as
// durable, when a call meets their names, or by Adopt; what others remove or rename it
// does not learn of: use the Recorder itself as the foreign program's FS.
type Recorder struct {
	// SyncTime is how long a sync takes, for batches to form meanwhile.
	SyncTime time.Duration

	os        fsx.OS
	root      string
	databases []Database

	mu      sync.Mutex
	tree    *node // the root
	ops     []Op
	marks   []mark
	all     []syncOf // SyncFS
	files   []syncOf // every other Sync and SyncDir
	dirs    []syncOf // every SyncDir
	foreign foreignLog
}

type mark struct {
	op    int
	label string
}

var _ fsx.FS = (*Recorder)(nil)

// NewRecorder returns a Recorder over the directory root, which must exist. What it
// holds already is durable. The databases are no part of the history; a crash leaves
// copies of them.
func NewRecorder(root string, databases ...Database) (*Recorder, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	r := &Recorder{root: root, databases: databases}
	if r.tree, err = load(root); err != nil {
		return nil, err
	}
	r.foreign.look(r)
	return r, nil
}

// load reads a file or directory with all below it.
func load(path string) (*node, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	n := &node{dir: fi.IsDir(), perm: fi.Mode().Perm(), mtime: fi.ModTime()}
	if !n.dir {
		n.base, err = os.ReadFile(path)
		return n, err
	}
	n.entries, n.live = map[string]*node{}, map[string]*node{}
	list, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if e.Type()&^fs.ModeDir != 0 {
			continue // sockets and symbolic links are not modelled
		}
		sub, err := load(filepath.Join(path, e.Name()))
		if err != nil {
			return nil, err
		}
		n.entries[e.Name()], n.live[e.Name()] = sub, sub
	}
	return n, nil
}

// Mark notes that label was promised now.
func (r *Recorder) Mark(label string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.foreign.look(r)
	r.marks = append(r.marks, mark{len(r.ops), label})
	r.ops = append(r.ops, Op{Kind: Mark, Name: label})
}

// Len is the number of operations so far, marks included. A crash may come after 0 to
// Len of them.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}

// Ops returns the operations so far.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Op(nil), r.ops...)
}

// Adopt takes in, as durable, what others have made under name.
func (r *Recorder) Adopt(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.find(name)
	if err != nil || p.node != nil {
		return err
	}
	return &fs.PathError{Op: "adopt", Path: name, Err: fs.ErrNotExist}
}

// A place is a name, the directory it is in, and what it stands for now.
type place struct {
	rel  string
	dir  *node // nil for the root
	base string
	node *node // nil if the name is not there
}

// find resolves name and adopts what is on the disk but not in the history.
func (r *Recorder) find(name string) (place, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return place{}, err
	}
	rel, err := filepath.Rel(r.root, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return place{}, &fs.PathError{Op: "record", Path: name, Err: fs.ErrInvalid}
	}
	p := place{rel: rel, node: r.tree}
	if rel == "." {
		return p, nil
	}
	path := r.root
	for _, base := range strings.Split(rel, "/") {
		if p.node == nil || !p.node.dir {
			return p, &fs.PathError{Op: "record", Path: name, Err: fs.ErrNotExist}
		}
		path = filepath.Join(path, base)
		p.dir, p.base, p.node = p.node, base, p.node.live[base]
		if p.node == nil {
			if err := r.adopt(&p, path); err != nil {
				return p, err
			}
		}
	}
	return p, nil
}

// adopt makes what is at path part of the history; someone else made it, and is taken
// to have synced it.
func (r *Recorder) adopt(p *place, path string) error {
	rel, err := filepath.Rel(r.root, path)
	if err != nil || r.isDatabase(rel) {
		return err
	}
	n, err := load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	p.node = n
	r.name(Op{Kind: Adopted, Name: rel}, entry{dir: p.dir, base: p.base, to: n, at: filepath.Dir(path), durable: true})
	return nil
}

func (r *Recorder) isDatabase(rel string) bool {
	return slices.ContainsFunc(r.databases, func(d Database) bool { return d.owns(rel) })
}

// An entry is a name to be set in a directory whose path is at, or removed if to is nil.
type entry struct {
	dir     *node
	base    string
	to      *node
	at      string
	durable bool // at once
}

// name notes op, which has just set the given entries.
func (r *Recorder) name(op Op, entries ...entry) {
	k := r.note(op)
	for _, e := range entries {
		c := change{op: k, name: e.base, to: e.to, durable: e.durable}
		if fi, err := os.Lstat(e.at); err == nil {
			c.mtime = fi.ModTime()
		}
		e.dir.changes = append(e.dir.changes, c)
		if e.to == nil {
			delete(e.dir.live, e.base)
		} else {
			e.dir.live[e.base] = e.to
		}
	}
}

// note appends op and returns its number.
func (r *Recorder) note(op Op) int {
	r.foreign.look(r)
	r.ops = append(r.ops, op)
	return len(r.ops) - 1
}
