package thread

import "slices"

// References gives the threads of REFERENCES. A Tree that stands for a message that is not
// there is at the top, and has two children at least.
func (s *Set) References() []*Tree {
	g := &grove{Set: s, message: slices.Clone(s.message), gone: map[int32]bool{}}
	g.prune()
	for n, kids := range g.kids {
		if s.message[n] < 0 {
			slices.SortFunc(kids, g.earlier)
		}
	}
	slices.SortFunc(g.top, g.earlier) // step 4
	g.merge()
	for _, kids := range g.kids { // step 6
		slices.SortFunc(kids, g.earlier)
	}
	slices.SortFunc(g.top, g.earlier)
	return g.trees()
}

// grove is the threads in the making: nodes with their children, and those at the top. The
// nodes that stand for no message are at the top only.
type grove struct {
	*Set
	message []int32 // as in Set, and for the nodes that are made here
	top     []int32
	kids    [][]int32      // by node
	gone    map[int32]bool // what is at the top no longer
}

// prune does steps 2 and 3: nodes without a message are left out, unless they hold
// several others together.
func (g *grove) prune() {
	nodes := g.forest.nodes
	above := make([]int32, len(nodes)) // the nearest with a message, or the last of all; 0: not known yet
	counts := make([]int32, len(nodes))
	for i := range g.messages {
		if p := g.above(above, g.messages[i].node); p != 0 {
			counts[p]++
		}
	}
	g.kids = make([][]int32, len(nodes))
	room := make([]int32, len(g.messages))
	for i := range g.messages {
		n := g.messages[i].node
		p := g.above(above, n)
		if p == 0 || g.message[p] < 0 && counts[p] == 1 {
			g.top = append(g.top, n)
			continue
		}
		if g.kids[p] == nil {
			g.kids[p], room = room[:0:counts[p]], room[counts[p]:]
			if g.message[p] < 0 {
				g.top = append(g.top, p)
			}
		}
		g.kids[p] = append(g.kids[p], n)
	}
}

// above finds the node that n is to be a child of, 0 if there is none. What it learns on
// its way it notes for the next time.
func (g *grove) above(known []int32, n int32) int32 {
	nodes := g.forest.nodes
	p := nodes[n].parent
	end := p
	for end != 0 && g.message[end] < 0 && nodes[end].parent != 0 {
		if known[end] != 0 {
			end = known[end]
			break
		}
		end = nodes[end].parent
	}
	for p != end && known[p] == 0 {
		known[p], p = end, nodes[p].parent
	}
	return end
}

// leader is the message that a node is sorted by, and whose subject is its own: itself,
// or the first of its children.
func (g *grove) leader(n int32) int32 {
	if g.message[n] < 0 {
		n = g.kids[n][0]
	}
	return g.message[n]
}

func (g *grove) earlier(a, b int32) int { return g.older(g.leader(a), g.leader(b)) }

// merge does step 5: it joins threads with the same subject.
func (g *grove) merge() {
	table := map[key]int32{}
	for _, n := range g.top {
		subject := g.messages[g.leader(n)].subject
		if subject == (key{}) {
			continue
		}
		old, ok := table[subject]
		if !ok || g.message[old] >= 0 && (g.message[n] < 0 || g.reply(old) && !g.reply(n)) {
			table[subject] = n
		}
	}
	top := g.top
	for _, n := range top {
		subject := g.messages[g.leader(n)].subject
		if g.gone[n] || subject == (key{}) || table[subject] == n {
			continue
		}
		table[subject] = g.join(table[subject], n)
	}
	g.top = slices.DeleteFunc(g.top, func(n int32) bool { return g.gone[n] })
}

// reply reports whether a node with a message is a reply or a forward.
func (g *grove) reply(n int32) bool { return g.messages[g.message[n]].reply }

// join puts n, at the top, together with the node that the table has for its subject, and
// returns which is to be in the table.
func (g *grove) join(with, n int32) int32 {
	g.gone[n] = true
	switch {
	case g.message[n] < 0: // then both are
		g.kids[with] = append(g.kids[with], g.kids[n]...)
	case g.message[with] < 0, g.reply(n) && !g.reply(with):
		g.kids[with] = append(g.kids[with], n)
	default:
		g.gone[with] = true
		both := int32(len(g.kids))
		g.kids = append(g.kids, []int32{with, n})
		g.message = append(g.message, -1)
		g.top = append(g.top, both)
		return both
	}
	return with
}

// trees gives the threads their final form.
func (g *grove) trees() []*Tree {
	all := make([]Tree, len(g.kids))
	list := func(nodes []int32) []*Tree {
		out := make([]*Tree, len(nodes))
		for i, n := range nodes {
			out[i] = &all[n]
		}
		return out
	}
	for n, kids := range g.kids {
		all[n].Message = int(g.message[n])
		if len(kids) > 0 {
			all[n].Children = list(kids)
		}
	}
	return list(g.top)
}
