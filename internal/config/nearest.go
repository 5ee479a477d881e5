package config

import (
	"maps"
	"slices"
	"strings"
)

// suggest ends the sentence "unknown key": with the nearest key or section, if one is
// near. A key in the wrong section is near, however far its section.
func (l *loader) suggest(key string, section bool) string {
	var candidates []string
	for _, f := range l.fields {
		name, last, _ := cutLast(f.key)
		if section {
			if name != "" && !slices.Contains(candidates, name) {
				candidates = append(candidates, name)
			}
			continue
		}
		candidates = append(candidates, f.key)
		if _, mine, _ := cutLast(key); mine == last && mine != "address" {
			return "; did you mean " + f.key + "?"
		}
	}
	if near := nearest(key, candidates); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// cutLast cuts a key before its last part.
func cutLast(key string) (section, last string, found bool) {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i], key[i+1:], true
	}
	return "", key, false
}

func unknownVariable(name string, known map[string]*field) string {
	w := "the environment variable " + name + " has no meaning"
	if near := nearest(name, slices.Sorted(maps.Keys(known))); near != "" {
		w += "; did you mean " + near + "?"
	}
	return w
}

// nearest is the candidate with the fewest changes from s, the first of several, or ""
// if that is more than a third of s.
func nearest(s string, candidates []string) string {
	best, least := "", max(len(s)/3, 2)+1
	if len(s) > 100 {
		return ""
	}
	for _, c := range candidates {
		if d := distance(s, c); d < least {
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
