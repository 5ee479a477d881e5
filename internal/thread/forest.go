package thread

// forest is a set of trees, in which whether one node is above another is found in
// logarithmic time however deep the trees are: as link-cut trees, after Sleator and
// Tarjan. Each path of nodes that was last asked for is a splay tree, ordered by depth;
// up is the parent in that, or of a splay tree's root the node that the path hangs on.
// Node 0 is none.
type forest struct{ nodes []node }

type node struct {
	parent          int32 // in the forest
	left, right, up int32 // in the splay trees
}

// add adds a tree of one node.
func (f *forest) add() int32 {
	f.nodes = append(f.nodes, node{})
	return int32(len(f.nodes) - 1)
}

// link makes parent the parent of n, which has none, unless n is above it or is it.
func (f *forest) link(n, parent int32) {
	if f.root(parent) == n {
		return
	}
	f.access(n)
	f.nodes[n].up = parent
	f.nodes[n].parent = parent
}

// cut takes n with what is below it from its parent, if it has one.
func (f *forest) cut(n int32) {
	if f.nodes[n].parent == 0 {
		return
	}
	f.access(n)
	f.nodes[f.nodes[n].left].up = 0
	f.nodes[n].left = 0
	f.nodes[n].parent = 0
}

// root is the highest node above n, or n.
func (f *forest) root(n int32) int32 {
	f.access(n)
	for f.nodes[n].left != 0 {
		n = f.nodes[n].left
	}
	f.splay(n)
	return n
}

// access makes the path from the root down to n a splay tree, with n as its root.
func (f *forest) access(n int32) {
	var below int32
	for on := n; on != 0; on = f.nodes[on].up {
		f.splay(on)
		f.nodes[on].right = below
		below = on
	}
	f.splay(n)
}

// top reports whether n is the root of its splay tree.
func (f *forest) top(n int32) bool {
	up := f.nodes[n].up
	return up == 0 || f.nodes[up].left != n && f.nodes[up].right != n
}

// splay makes n the root of its splay tree.
func (f *forest) splay(n int32) {
	for !f.top(n) {
		p := f.nodes[n].up
		switch {
		case f.top(p):
		case (f.nodes[p].left == n) == (f.nodes[f.nodes[p].up].left == p):
			f.rotate(p)
		default:
			f.rotate(n)
		}
		f.rotate(n)
	}
}

// rotate puts n, which is no root, above its parent in the splay tree.
func (f *forest) rotate(n int32) {
	p := f.nodes[n].up
	g := f.nodes[p].up
	if !f.top(p) {
		if f.nodes[g].left == p {
			f.nodes[g].left = n
		} else {
			f.nodes[g].right = n
		}
	}
	f.nodes[n].up = g
	var moved int32
	if f.nodes[p].left == n {
		moved = f.nodes[n].right
		f.nodes[n].right, f.nodes[p].left = p, moved
	} else {
		moved = f.nodes[n].left
		f.nodes[n].left, f.nodes[p].right = p, moved
	}
	if moved != 0 {
		f.nodes[moved].up = p
	}
	f.nodes[p].up = n
}
