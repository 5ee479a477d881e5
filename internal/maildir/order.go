package maildir

import (
	"cmp"
	"slices"
	"strings"
)

// orderKey is what names are ordered by, before their bytes.
type orderKey struct {
	sec, us, pid, seq uint64
}

// Compare orders message names in the order in which they are given UIDs: by second,
// microsecond, process and sequence number as numbers, then by bytes. Names of the forms
// sec.M<us>P<pid>Q<seq>… (the letters in any order, others passed over), sec.pid.host and
// sec.pid_seq.host are understood; what is missing counts as 0; names that don't begin with
// a number come last.
func Compare(a, b string) int {
	if c := compareKeys(keyOf(a), keyOf(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// Less reports whether Compare(a, b) < 0.
func Less(a, b string) bool { return Compare(a, b) < 0 }

// Sort sorts names in the order of Compare.
func Sort(names []string) { SortBy(names, func(s *string) string { return *s }) }

// SortBy sorts by the names of what is in all, in the order of Compare; what has the same
// name keeps its order. No name is looked into twice, and nothing is moved twice.
func SortBy[T any](all []T, name func(*T) string) {
	type item struct {
		key  orderKey
		name string
		at   int
	}
	items := make([]item, len(all))
	for i := range all {
		n := name(&all[i])
		items[i] = item{keyOf(n), n, i}
	}
	slices.SortFunc(items, func(a, b item) int {
		if c := compareKeys(a.key, b.key); c != 0 {
			return c
		}
		return cmp.Or(strings.Compare(a.name, b.name), a.at-b.at)
	})
	sorted := make([]T, len(all))
	for i := range items {
		sorted[i] = all[items[i].at]
	}
	copy(all, sorted)
}

func compareKeys(a, b orderKey) int {
	if c := cmp.Compare(a.sec, b.sec); c != 0 {
		return c
	}
	if c := cmp.Compare(a.us, b.us); c != 0 {
		return c
	}
	if c := cmp.Compare(a.pid, b.pid); c != 0 {
		return c
	}
	return cmp.Compare(a.seq, b.seq)
}

func keyOf(name string) orderKey {
	var k orderKey
	sec, rest, ok := digits(name)
	if !ok {
		return orderKey{sec: 1<<64 - 1}
	}
	k.sec = sec
	if rest == "" || rest[0] != '.' {
		return k
	}
	rest = rest[1:]
	if v, after, ok := digits(rest); ok { // sec.pid.host, sec.pid_seq.host
		k.pid = v
		if after != "" && after[0] == '_' {
			k.seq, _, _ = digits(after[1:])
		}
		return k
	}
	for rest != "" {
		c := rest[0]
		if c == '.' || c == ',' || c == ':' {
			break
		}
		v, after, ok := digits(rest[1:])
		rest = after
		if !ok {
			continue
		}
		switch c {
		case 'M':
			k.us = v
		case 'P':
			k.pid = v
		case 'Q':
			k.seq = v
		}
	}
	return k
}

// digits reads a number at the start of s. One too large for 64 bits counts as the
// largest but one.
func digits(s string) (v uint64, rest string, ok bool) {
	const top = 1<<64 - 2
	i := 0
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		if d := uint64(s[i] - '0'); v > (top-d)/10 {
			v = top
		} else {
			v = v*10 + d
		}
	}
	return v, s[i:], i > 0
}
