package thread

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// parse makes a message of "id refs… | subject | date", in which a subject with "re:" in
// front is a reply.
func parse(line string) Message {
	f := strings.Split(line, "|")
	ids := strings.Fields(f[0])
	m := Message{}
	if ids[0] != "-" {
		m.ID = ids[0]
	}
	if len(ids) > 1 {
		m.Refs = slices.Values(ids[1:])
	}
	if len(f) > 1 {
		m.Subject, m.Reply = strings.CutPrefix(strings.TrimSpace(f[1]), "re:")
	}
	if len(f) > 2 {
		fmt.Sscan(f[2], &m.Date)
	}
	return m
}

func setOf(lines string) *Set {
	s := NewSet(0)
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			s.Add(parse(line))
		}
	}
	return s
}

// show is the form of RFC 5256 section 4, with nothing between siblings.
func show(trees []*Tree) string {
	var b strings.Builder
	for _, t := range trees {
		b.WriteString("(" + showMembers(t) + ")")
	}
	return b.String()
}

func showMembers(t *Tree) string {
	s := ""
	if t.Message >= 0 {
		s = fmt.Sprint(t.Message + 1)
	}
	switch {
	case len(t.Children) == 0:
	case len(t.Children) == 1:
		s += " " + showMembers(t.Children[0])
	case s != "":
		s += " " + show(t.Children)
	default:
		s = show(t.Children)
	}
	return s
}

var threadTests = []struct{ name, in, want string }{
	{"none", "", ""},
	{"one", "a", "(1)"},
	{"strangers", "a\nb\n-\n-", "(1)(2)(3)(4)"},
	{"by date", "a | x | 3\nb | y | 1\nc | z | 2", "(2)(3)(1)"},
	{"chain", "a\nb a\nc a b", "(1 2 3)"},
	{"chain backwards", "c a b\nb a\na", "(3 2 1)"},
	{"siblings by date", "a\nb a | | 5\nc a | | 4\nd a | | 5", "(1 (3)(2)(4))"},
	{"nested", "a\nb a\nc a b\nd a b\ne a b d", "(1 2 (3)(4 5))"},
	// Step 1.A.
	{"no id", "- a\na", "(2 1)"},
	{"duplicate id", "a\na\nb a", "(1 3)(2)"},
	{"duplicate id with references", "r\na\na r\nb a", "(1 3)(2 4)"},
	{"ids have case", "a\nA\nb A", "(1)(2 3)"},
	{"a link is kept", "a\nb\nd a c\ne b c", "(1 (3)(4))(2)"},
	{"references that skip", "a\nb a\nc a b\nd a c", "(1 2 3 4)"},
	{"loop of two", "a b\nb a", "(2 1)"},
	{"loop of three", "a c\nb a\nc b", "(3 1 2)"},
	{"refers to itself", "a a", "(1)"},
	{"refers to itself far up", "a x a", "(1)"},
	{"the same id many times", "a\nb a a a a", "(1 2)"},
	{"there and back", "d a b a b\na\nb", "(2)(3 1)"},
	// Step 1.B: the last reference counts, whatever others said.
	{"a truncated line is mended", "c a b\nb x\na\nx", "(3)(4 2 1)"},
	{"a parent that was said is none", "c a b\nb\na", "(2 1)(3)"},
	// Step 3.
	{"missing parent of one", "b a", "(1)"},
	{"missing parent of two", "b a\nc a", "((1)(2))"},
	{"missing in between", "a\nc a b\nd a b", "(1 (2)(3))"},
	{"missing chain of one", "e a b c d", "(1)"},
	{"missing chain of two", "e a b c d\nf a b c d", "((1)(2))"},
	{"missing fork of missing", "e a b\nf a c", "((1)(2))"},
	{"sent before its parent", "b a | | 1\na | | 2", "(2 1)"},
	// Step 4: a missing one is sorted by the first of its children.
	{"missing by date", "x | | 5\nb a | | 9\nc a | | 4", "((3)(2))(1)"},
	// Step 5.
	{"a reply by its subject", "a | s\nb | re:s", "(1 2)"},
	{"a reply by its subject before it", "b | re:s | 1\na | s | 2", "(2 1)"},
	{"two replies", "b | re:s\nc | re:s", "((1)(2))"},
	{"two of one subject", "b | s\nc | s", "((1)(2))"},
	{"three of one subject", "b | s\nc | s\nd | re:s", "((1)(2)(3))"},
	{"a reply among two", "b | re:s\nc | s\nd | s", "((2 1)(3))"},
	{"empty subjects", "a | | 1\nb | re: | 2", "(1)(2)"},
	{"a reply to one missing", "b a | re:s\nc a | re:s\nd | re:s", "((1)(2)(3))"},
	{"two that are missing", "b a | re:s\nc a | re:s\ne d | re:s\nf d | re:s", "((1)(2)(3)(4))"},
	{"one missing, later", "x | re:s | 1\nb a | re:s | 2\nc a | re:s | 3", "((1)(2)(3))"},
	{"threads of one subject", "a | s\nb a | re:s\nc | s\nd c | re:s", "((1 2)(3 4))"},
	{"only the first has a subject that counts", "a | s\nb a | t\nc | t", "(1 2)(3)"},
	// Step 6.
	{"sorted after the merge", "a | s | 9\nb | re:s | 2\nc a | re:s | 1\nx | x | 5", "(4)(1 (3)(2))"},
	{"the merged are sorted anew", "a | s | 5\nx | x | 3\nb a | re:s | 1\nc | s | 4", "(2)((4)(1 3))"},
}

func TestReferences(t *testing.T) {
	for _, tt := range threadTests {
		s := setOf(tt.in)
		got := show(s.References())
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if again := show(s.References()); again != got {
			t.Errorf("%s: once more: %s, not %s", tt.name, again, got)
		}
		if slow := show(stepByStep(tt.in)); slow != got {
			t.Errorf("%s: step by step: %s, not %s", tt.name, slow, got)
		}
	}
}

func TestOrderedSubject(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "",
		"a | s":                            "(1)",
		"a | s\nb | s":                     "(1 2)",
		"a | s | 2\nb | s | 1\nc | re:s":   "(3 (2)(1))",
		"a | s | 2\nb | t | 1\nc | s | 3":  "(2)(1 3)",
		"a | s\nb | t\nc a | u | -1":       "(3)(1)(2)",
		"a | | 1\nb | s | 2\nc | re: | 3":  "(1 3)(2)",
		"a | s\nb | s\nc | s\nd | t | -10": "(4)(1 (2)(3))",
	} {
		if got := show(setOf(in).OrderedSubject()); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// count says how often each message is in the trees.
func count(trees []*Tree, seen map[int]int) {
	for stack := slices.Clone(trees); len(stack) > 0; {
		t := stack[len(stack)-1]
		stack = append(stack[:len(stack)-1], t.Children...)
		seen[t.Message]++
	}
}

// script makes a few messages out of bytes, whose references are among them.
func script(data []byte) string {
	var b strings.Builder
	name := func(c byte) string { return string('a' + rune(c%12)) }
	for len(data) > 3 {
		n := int(data[0]>>5) % 5
		id := name(data[0])
		if data[0]&16 != 0 {
			id = "-"
		}
		b.WriteString(id)
		for _, c := range data[3:min(3+n, len(data))] {
			b.WriteString(" " + name(c))
		}
		fmt.Fprintf(&b, " | %s%s | %d\n", [...]string{"", "re:"}[data[1]>>7], [...]string{"", "s", "t", "u"}[data[1]&3], data[2]&7)
		data = data[min(3+n, len(data)):]
	}
	return b.String()
}

// FuzzReferences: whatever is referred to, each message is in the result once, and the
// result is that of the steps of RFC 5256 taken word by word.
func FuzzReferences(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add([]byte("\x20\x00\x00\x01\x21\x00\x00\x00"))
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		data := make([]byte, 20+rnd.IntN(60))
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			return
		}
		in := script(data)
		s := setOf(in)
		for _, trees := range [][]*Tree{s.References(), s.OrderedSubject()} {
			seen := map[int]int{}
			count(trees, seen)
			delete(seen, -1)
			for m, n := range seen {
				if n != 1 {
					t.Fatalf("%s%s: message %d comes %d times", in, show(trees), m, n)
				}
			}
			if len(seen) != len(s.messages) {
				t.Fatalf("%s%s: %d of %d messages", in, show(trees), len(seen), len(s.messages))
			}
		}
		if got, want := show(s.References()), show(stepByStep(in)); got != want {
			t.Fatalf("%s%s, not %s", in, got, want)
		}
	})
}

// What hostile mail says costs no more than its length.
func TestHostile(t *testing.T) {
	const n = 50_000
	id := func(i int) string { return fmt.Sprint("id", i) }
	chain := func(from, step, n int) func(func(string) bool) {
		return func(yield func(string) bool) {
			for i := range n {
				if !yield(id(from + i*step)) {
					return
				}
			}
		}
	}
	for name, add := range map[string]func(s *Set){
		"a chain backwards": func(s *Set) {
			for i := n; i > 0; i-- {
				s.Add(Message{ID: id(i), Refs: chain(i-1, 1, 1)})
			}
		},
		"many long lines": func(s *Set) {
			for i := range 20 {
				s.Add(Message{ID: id(i), Refs: chain(i*10_000, 1, 10_000)})
				s.Add(Message{ID: id(n + i), Refs: chain(i*10_000, -1, 10_000)})
			}
		},
		"all the same id": func(s *Set) {
			for range n {
				s.Add(Message{ID: "a", Refs: slices.Values([]string{"a", "a", "b"})})
			}
		},
		"under the end of a long chain": func(s *Set) {
			s.Add(Message{ID: "x", Refs: chain(0, 1, n)})
			for i := range n {
				child, parent := fmt.Sprint("child", i), fmt.Sprint("parent", i)
				s.Add(Message{ID: "y", Refs: slices.Values([]string{parent, child})})
				s.Add(Message{ID: "z", Refs: slices.Values([]string{id(n - 1), parent, "w"})})
			}
		},
		"one subject": func(s *Set) {
			for i := range n {
				s.Add(Message{ID: id(i), Subject: "s", Reply: i%2 == 0})
			}
		},
		"missing without end": func(s *Set) {
			s.Add(Message{ID: "x", Refs: chain(0, 1, 3*maxMissing)})
			s.Add(Message{ID: "y", Refs: chain(0, 1, 2)})
			s.Add(Message{ID: "z", Refs: slices.Values([]string{"x"})})
			if got := show(s.References()); got != "((1 3)(2))" {
				t.Error("beyond the bound:", got)
			}
		},
	} {
		start := time.Now()
		s := NewSet(n)
		add(s)
		seen := map[int]int{}
		count(s.References(), seen)
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s: took %v", name, d)
		} else {
			t.Log(name, d)
		}
		delete(seen, -1)
		if len(seen) != len(s.messages) {
			t.Errorf("%s: %d of %d messages", name, len(seen), len(s.messages))
		}
	}
}

func BenchmarkReferences(b *testing.B) {
	const n = 100_000
	rnd := rand.New(rand.NewPCG(1, 2))
	refs := make([][]string, n)
	for i := range refs {
		if i > 0 && rnd.IntN(3) > 0 {
			p := max(0, i-1-rnd.IntN(200))
			refs[i] = append(slices.Clone(refs[p][max(0, len(refs[p])-10):]), fmt.Sprintf("%d.message@example.org", p))
		}
	}
	for b.Loop() {
		s := NewSet(n)
		for i := range refs {
			s.Add(Message{ID: fmt.Sprintf("%d.message@example.org", i), Refs: slices.Values(refs[i]), Subject: fmt.Sprint("S", i%50_000), Reply: refs[i] != nil, Date: int64(i)})
		}
		s.References()
	}
}
