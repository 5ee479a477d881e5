package config

import (
	"maps"
	"slices"
	"strings"
)

// suggest ends the sentence "unknown key": with the nearest key or section, if one is
// near. A key in the wrong section is near, however far its section.
func (l *loader) suggest(key string, section bool) string {
	if section {
		return l.suggestSection(key)
	}
	name, mine, _ := cutLast(key)
	for _, f := range l.fields { // the tables that are there several times have short keys that others have too
		if at, last, _ := cutLast(f.key); mine == last && mine != "address" && (!f.entry || at == name) {
			return meant(f.key)
		}
	}
	for _, li := range lists() {
		for _, f := range li.sample() {
			if f.key == mine {
				return meant(f.key + " in [[" + li.name + "]]")
			}
		}
	}
	var candidates []string
	for _, f := range l.fields {
		if at, _, _ := cutLast(f.key); !f.entry || at == name {
			candidates = append(candidates, f.key)
		}
	}
	return meant(nearest(key, candidates))
}

// suggestSection is suggest for the name of a section.
func (l *loader) suggestSection(key string) string {
	var candidates []string
	for _, f := range l.fields {
		if name, _, _ := cutLast(f.key); name != "" && !f.entry && !slices.Contains(candidates, name) {
			candidates = append(candidates, name)
		}
	}
	for _, li := range lists() {
		candidates = append(candidates, li.name)
	}
	near := nearest(key, candidates)
	if listNamed(near) != nil {
		near = "[[" + near + "]]"
	}
	return meant(near)
}

// meant asks whether near was meant; "" asks nothing.
func meant(near string) string {
	if near == "" {
		return ""
	}
	return "; did you mean " + near + "?"
}

// cutLast cuts a key before its last part.
func cutLast(key string) (section, last string, found bool) {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i], key[i+1:], true
	}
	return "", key, false
}

func unknownVariable(name string, known map[string]*field) string {
	return "the environment variable " + name + " has no meaning" + meant(nearest(name, slices.Sorted(maps.Keys(known))))
}

// nearest is the candidate with the fewest changes from s, the first of several, or ""
// if that is more than a third of s. One that s is the beginning of is nearer.
func nearest(s string, candidates []string) string {
	most := max(len(s)/3, 2)
	best, least := "", most+1
	if len(s) > 100 {
		return ""
	}
	for _, c := range candidates {
		d := distance(s, c)
		if d <= most && strings.HasPrefix(c, s) {
			return c
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is how many bytes must be put in, taken out, replaced or swapped with their
// neighbour to make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			d := last[j]
			if a[i] != b[j] {
				d++
			}
			d = min(d, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d = min(d, before[j-1]+1)
			}
			row[j+1] = d
		}
	}
	return row[len(b)]
}
