package message

import "testing"

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(string, int) (int, bool)
		s    string
		i    int
		want int // -1: there is none
	}{
		{"quoted", QuotedEnd, `"a" "b"`, 0, 2},
		{"quoted, in the middle", QuotedEnd, `"a" "b"`, 4, 6},
		{"empty", QuotedEnd, `""`, 0, 1},
		{"a quoted mark", QuotedEnd, `"a\"b"c`, 0, 5},
		{"a quoted backslash", QuotedEnd, `"a\\"b"`, 0, 4},
		{"brackets in quotes", QuotedEnd, `"(" )"`, 0, 2},
		{"open", QuotedEnd, `"a`, 0, -1},
		{"open behind a backslash", QuotedEnd, `"a\"`, 0, -1},
		{"backslash at the end", QuotedEnd, `"a\`, 0, -1},
		{"comment", CommentEnd, `(a) (b)`, 0, 2},
		{"comment, in the middle", CommentEnd, `(a) (b)`, 4, 6},
		{"in each other", CommentEnd, `(a(b)c)d)`, 0, 6},
		{"a quoted bracket", CommentEnd, `(a\)b)`, 0, 5},
		{"quotes in a comment", CommentEnd, `(")")`, 0, 2},
		{"open within", CommentEnd, `(a(b)`, 0, -1},
		{"comment, backslash at the end", CommentEnd, `(a\`, 0, -1},
	} {
		end, ok := c.end(c.s, c.i)
		if ok != (c.want >= 0) || ok && end != c.want || !ok && end < len(c.s) {
			t.Errorf("%s: %d, %v, want %d", c.name, end, ok, c.want)
		}
	}
}
