package roster

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// lead is the account or alias that a target means in the end: of exactly this name, or of
// the one without its +tag; "" if there is none.
func (p *planner) lead(target string) string {
	for _, name := range []string{canonical(target), withoutTag(target)} {
		if _, ok := p.final.accounts[name]; ok {
			return name
		}
		if _, ok := p.final.aliases[name]; ok {
			return name
		}
	}
	return ""
}

// checkTargets finds aliases that would lead to nobody, also those that the file does not
// name.
func (p *planner) checkTargets() {
	for _, address := range slices.Sorted(maps.Keys(p.final.aliases)) {
		_, wanted := p.want.aliases[address]
		for _, t := range p.final.aliases[address].To {
			switch {
			case p.lead(t) != "":
			case wanted:
				p.wrong(address, "there is no account or alias %s that it could lead to", t)
			default:
				p.wrong(address, "it leads to %s, which would be removed; change it first", t)
			}
		}
	}
}

// orderAliases makes the changes of aliases, targets before those that lead to them, and
// has those that are removed go in the other direction.
func (p *planner) orderAliases() {
	visit := visitor{p: p, state: map[string]int{}}
	for _, address := range slices.Sorted(maps.Keys(p.final.aliases)) {
		visit.alias(address)
	}
	depth := map[string]int{}
	slices.SortStableFunc(p.last, func(a, b Change) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(p.height(b.Name, depth), p.height(a.Name, depth)))
	})
}

// rank is the order in which things are removed.
func rank(c Change) int {
	return slices.Index([]string{"alias", "group", "account", "domain alias"}, c.Kind) / 2 * 2
}

// height is how many aliases an alias that is there leads to in a row: who leads to others
// goes before them.
func (p *planner) height(address string, known map[string]int) int {
	if h, ok := known[address]; ok {
		return h
	}
	known[address] = 0
	h := 0
	for _, t := range p.have.aliases[address].To {
		for _, name := range []string{canonical(t), withoutTag(t)} {
			if _, ok := p.have.aliases[name]; ok {
				h = max(h, p.height(name, known)+1)
			}
		}
	}
	known[address] = h
	return h
}

// visitor goes through the aliases, depth first.
type visitor struct {
	p     *planner
	state map[string]int // 1: on the way; 2: done
}

func (v visitor) alias(address string) {
	a, ok := v.p.final.aliases[address]
	if !ok || v.state[address] == 2 {
		return
	}
	if v.state[address] == 1 {
		v.p.wrong(address, "aliases would lead in a circle through it")
		return
	}
	v.state[address] = 1
	for _, t := range a.To {
		v.alias(v.p.lead(t))
	}
	v.state[address] = 2
	if _, wanted := v.p.want.aliases[address]; wanted {
		v.p.change(a)
	}
}

// change adds the change that makes an alias what it shall be, if one is needed.
func (p *planner) change(a Alias) {
	was, is := p.have.aliases[a.Address]
	c := Change{Action: Add, Kind: a.Kind(), Name: a.Address, Alias: &a}
	if !is {
		c.What = []string{strings.Join(slices.Concat(a.To, a.Forward), ", ")}
		if a.Post != "" {
			c.What = append(c.What, "writers: "+a.Post)
		}
		p.aliases = append(p.aliases, c)
		return
	}
	c.Action = Modify
	if was.Post != a.Post {
		c.What = append(c.What, "writers "+cmp.Or(was.Post, "anyone")+" → "+cmp.Or(a.Post, "anyone"))
	}
	if was.MaySend != a.MaySend {
		c.What = append(c.What, map[bool]string{true: "targets may send", false: "targets may no longer send"}[a.MaySend])
	}
	old, new := slices.Concat(was.To, was.Forward), slices.Concat(a.To, a.Forward)
	for _, t := range new {
		if !slices.ContainsFunc(old, sameAddress(t)) {
			c.What = append(c.What, "+ "+t)
		}
	}
	for _, t := range old {
		if !slices.ContainsFunc(new, sameAddress(t)) {
			c.What = append(c.What, "- "+t)
		}
	}
	if len(c.What) > 0 {
		p.aliases = append(p.aliases, c)
	}
}

// sameAddress compares targets: case matters to other servers at most, and to no plan.
func sameAddress(a string) func(string) bool {
	return func(b string) bool { return strings.EqualFold(a, b) }
}
