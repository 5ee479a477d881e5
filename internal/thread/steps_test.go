package thread

import (
	"slices"
	"strings"
)

// steps is RFC 5256 section 3 done word by word and without haste, for comparison.
type steps struct {
	messages []Message
	ids      map[string]*container
	all      []*container // in the order in which they came
	roots    []*container
}

type container struct {
	message  int // -1: a dummy
	parent   *container
	children []*container
}

func stepByStep(lines string) []*Tree {
	s := &steps{ids: map[string]*container{}}
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			s.messages = append(s.messages, parse(line))
		}
	}
	for i := range s.messages {
		s.link(i) // 1
	}
	for _, c := range s.all { // 2
		if c.parent == nil {
			s.roots = append(s.roots, c)
		}
	}
	s.roots = prune(s.roots, true) // 3
	for _, c := range s.roots {
		if c.message < 0 {
			s.sort(c.children)
		}
	}
	s.sort(s.roots)    // 4
	s.subjects()       // 5
	s.sortAll(s.roots) // 6
	return trees(s.roots)
}

func (s *steps) id(name string) *container {
	c := s.ids[name]
	if c == nil || name == "" {
		c = &container{message: -1}
		s.all = append(s.all, c)
		if name != "" {
			s.ids[name] = c
		}
	}
	return c
}

func (c *container) under(p *container) bool {
	for ; c != nil; c = c.parent {
		if c == p {
			return true
		}
	}
	return false
}

func (c *container) adopt(child *container) {
	if !c.under(child) {
		child.parent = c
		c.children = append(c.children, child)
	}
}

func (s *steps) link(i int) {
	m := &s.messages[i]
	c := s.id(m.ID)
	if c.message >= 0 {
		c = s.id("")
	}
	c.message = i
	var last *container
	if m.Refs != nil {
		for name := range m.Refs {
			ref := s.id(name)
			if last != nil && ref.parent == nil {
				last.adopt(ref)
			}
			last = ref
		}
	}
	if p := c.parent; p != nil {
		p.children = slices.DeleteFunc(p.children, func(x *container) bool { return x == c })
		c.parent = nil
	}
	if last != nil {
		last.adopt(c)
	}
}

func prune(list []*container, root bool) (out []*container) {
	for _, c := range list {
		c.children = prune(c.children, false)
		switch {
		case c.message >= 0, root && len(c.children) > 1:
			out = append(out, c)
		default:
			out = append(out, c.children...)
		}
	}
	return out
}

func (s *steps) leader(c *container) int {
	if c.message < 0 {
		return c.children[0].message
	}
	return c.message
}

func (s *steps) sort(list []*container) {
	slices.SortFunc(list, func(a, b *container) int {
		x, y := s.leader(a), s.leader(b)
		if d := s.messages[x].Date - s.messages[y].Date; d != 0 {
			return int(d)
		}
		return x - y
	})
}

func (s *steps) sortAll(list []*container) {
	for _, c := range list {
		s.sortAll(c.children)
	}
	s.sort(list)
}

func (s *steps) reply(c *container) bool { return c.message >= 0 && s.messages[c.message].Reply }

func (s *steps) subjects() {
	table := map[string]*container{}
	for _, c := range s.roots {
		subject := s.messages[s.leader(c)].Subject
		if subject == "" {
			continue
		}
		old := table[subject]
		if old == nil || old.message >= 0 && (c.message < 0 || s.reply(old) && !s.reply(c)) {
			table[subject] = c
		}
	}
	for _, c := range slices.Clone(s.roots) {
		if !slices.Contains(s.roots, c) {
			continue
		}
		subject := s.messages[s.leader(c)].Subject
		old := table[subject]
		if subject == "" || old == c {
			continue
		}
		drop := func(x *container) { s.roots = slices.DeleteFunc(s.roots, func(y *container) bool { return x == y }) }
		drop(c)
		switch {
		case old.message < 0 && c.message < 0:
			old.children = append(old.children, c.children...)
		case old.message < 0 && c.message >= 0, s.reply(c) && !s.reply(old):
			old.children = append(old.children, c)
		default:
			drop(old)
			dummy := &container{message: -1, children: []*container{c, old}}
			s.roots = append(s.roots, dummy)
			table[subject] = dummy
		}
	}
}

func trees(list []*container) (out []*Tree) {
	for _, c := range list {
		out = append(out, &Tree{Message: c.message, Children: trees(c.children)})
	}
	return out
}
