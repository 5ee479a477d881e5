package message

import (
	"strings"
	"testing"
)

// RFC 2046 section 5.1.1: bchars, and what mailers write instead.
func TestBoundaryParameter(t *testing.T) {
	long := strings.Repeat("0123456789", 99) + "012345" // as long as a line may be
	for _, c := range []struct{ param, line string }{
		{"boundary=simple", "simple"},
		{"BOUNDARY=Case", "Case"},
		{`boundary="gc0pJq0M:08jU534c0p"`, "gc0pJq0M:08jU534c0p"},
		{`boundary="with space"`, "with space"},
		{`boundary="'()+_,-./:=?"`, "'()+_,-./:=?"},
		{`boundary="quo\"ted\\"`, `quo"ted\`},
		{"boundary=----=_Part_1", "----=_Part_1"},
		{"boundary=pre/fix", "pre/fix"}, // a line matches by its beginning
		{"boundary*0=in; boundary*1=pieces", "inpieces"},
		{"boundary*=us-ascii''a%20b", "a b"},
		{"boundary*=plain%2dpercent", "plain-percent"},
		{"boundary=first; boundary=second", "first"},
		{"charset=x; boundary=behind; x=y", "behind"},
		{"boundary=\"" + long + "\"", long},
		{"boundary=\"" + long + "more\"", long + "more"},
		{"boundary=\"fol\r\n ded\"", "fol ded"},
		{"boundary=8bit\xe9", "8bit\xe9"},
		{"boundary==?utf-8?q?a?=", "=?utf-8?q?a?="},
	} {
		message := []byte("Content-Type: multipart/mixed; " + c.param + "\r\n\r\npreamble\r\n--" + c.line + "\r\n\r\none\r\n--" + c.line + "\r\n\r\ntwo\r\n")
		p := mustParse(t, message)
		if len(p.Children) != 2 {
			t.Errorf("%.60s: %d parts", c.param, len(p.Children))
			continue
		}
		if q := p.Children[0]; string(message[q.BodyOff:q.EndOff]) != "one" {
			t.Errorf("%.60s: %q", c.param, message[q.BodyOff:q.EndOff])
		}
		if err := invariants(p, message); err != nil {
			t.Error(err)
		}
	}
}

// Only multiparts have boundaries.
func TestBoundaryOfOthers(t *testing.T) {
	for _, typ := range []string{"text/plain", "multipart", "message/rfc822", "multipartx/mixed", "application/x"} {
		p := mustParse(t, []byte("Content-Type: "+typ+"; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"))
		if n := len(p.Children); n > 1 || n == 1 && !p.IsMessage() {
			t.Errorf("%s: %d parts", typ, n)
		}
	}
}

// Of many boundaries that match the longest counts, of equal ones the innermost.
func TestBoundariesInsideEachOther(t *testing.T) {
	for _, c := range []struct {
		boundaries []string // from outside in
		line       string
		level      int // whose delimiter the line is
		closing    bool
	}{
		{[]string{"a", "ab", "abc"}, "abc", 2, false},
		{[]string{"a", "ab", "abc"}, "ab", 1, false},
		{[]string{"a", "ab", "abc"}, "ab--", 1, true},
		{[]string{"a", "ab", "abc"}, "abd", 1, false},
		{[]string{"abc", "ab", "a"}, "abc", 0, false},
		{[]string{"abc", "ab", "a"}, "a--", 2, true},
		{[]string{"abc", "ab", "a"}, "a", 2, false},
		{[]string{"a", "a", "a"}, "a", 2, false},
		{[]string{"a", "b", "a"}, "b--", 1, true},
		{[]string{"a", "", "b"}, "x", 1, false},
		{[]string{"a", "", "b"}, "--", 1, true},
		{[]string{"a", "a-", "a--"}, "a--", 2, false},
		{[]string{"a--", "a-", "a"}, "a----", 0, true},
		{[]string{"a", "b"}, "c", -1, false},
		{[]string{"a", "b"}, "-a", -1, false},
	} {
		p := &parser{r: strings.NewReader("--" + c.line + "\r\n"), buf: make([]byte, minBuffer), lim: Limits{MaxParts: 10}}
		for _, b := range c.boundaries {
			p.boundaries = append(p.boundaries, []byte(b))
		}
		s, ok := p.delimiter(false)
		if !ok {
			s.level = -1
		}
		if s.level != c.level || s.closing != c.closing {
			t.Errorf("%q in %q: level %d, closing %t", c.line, c.boundaries, s.level, s.closing)
		}
	}
}
