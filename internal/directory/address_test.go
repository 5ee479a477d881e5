package directory

import (
	"errors"
	"strings"
	"testing"
)

var addresses = []struct{ in, want string }{
	{"alice@example.com", "alice@example.com"},
	{"Alice@EXAMPLE.com.", "alice@example.com"},
	{`"alice"@example.com`, "alice@example.com"},  // RFC 5321 section 4.1.2: quotes not needed mean the same
	{`"Al\ice"@example.com`, "alice@example.com"}, // as does a backslash that isn't
	{`"alice smith"@example.com`, `"alice smith"@example.com`},
	{`"a\"b\\c@d"@example.com`, `"a\"b\\c@d"@example.com`},
	{`"a..b"@example.com`, `"a..b"@example.com`},
	{"o'hara+x/y=z@example.com", "o'hara+x/y=z@example.com"},
	{"GRÜSSE@example.com", "grüsse@example.com"},       // RFC 6531 section 3.3
	{"gru\u0308sse@example.com", "grüsse@example.com"}, // NFC, RFC 6532 section 3.1
	{"用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v"},
	{"a@BÜCHER.example", "a@xn--bcher-kva.example"},
	{"a@xn--bcher-kva.EXAMPLE", "a@xn--bcher-kva.example"},
	{"a@straße.de", "a@xn--strae-oqa.de"},    // UTS 46, not transitional
	{"a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"}, // an ideographic full stop
	{"a@localhost", "a@localhost"},
	{"a@3com.com", "a@3com.com"},
	{strings.Repeat("x", 64) + "@example.com", strings.Repeat("x", 64) + "@example.com"},

	{"", ""}, {"alice", ""}, {"@example.com", ""}, {"alice@", ""}, {"alice@.", ""},
	{"alice@exa mple.com", ""}, {"alice@-x.com", ""}, {"alice@x-.com", ""}, {"alice@a..b", ""},
	{"alice@127.0.0.1", ""}, {"alice@[127.0.0.1]", ""}, {"alice@under_score.com", ""},
	{"alice@" + strings.Repeat("x", 64) + ".com", ""},
	{"alice@" + strings.Repeat("x.", 127) + "com", ""},
	{"a b@example.com", ""}, {"a..b@example.com", ""}, {".a@example.com", ""}, {"a.@example.com", ""},
	{`"a@example.com`, ""}, {`"a"b"@example.com`, ""}, {`"a\"@example.com`, ""}, {`""@example.com`, ""}, {`"@example.com`, ""},
	{"a\x00@example.com", ""}, {"\"a\r\nb\"@example.com", ""}, {"a\xff@example.com", ""}, {"a@ex\xffample.com", ""},
	{"\u202ea@example.com", ""}, {"a\u2028@example.com", ""},
	{strings.Repeat("x", 65) + "@example.com", ""},
	{strings.Repeat("ü", 33) + "@example.com", ""},
	{"a@" + strings.Repeat("ü", 2000), ""},
}

func TestParseAddress(t *testing.T) {
	for _, c := range addresses {
		a, err := ParseAddress(c.in)
		switch {
		case c.want == "" && (!errors.Is(err, ErrInvalidAddress) || a != Address{}):
			t.Errorf("%q: got %v, %v; want ErrInvalidAddress", c.in, a, err)
		case c.want != "" && (err != nil || a.String() != c.want):
			t.Errorf("%q: got %v, %v; want %s", c.in, a, err, c.want)
		}
		if err != nil && len(err.Error()) > 600 {
			t.Errorf("%q: the message has %d bytes", c.in, len(err.Error()))
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, c := range addresses {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, lenient := range []bool{false, true} {
			a, _, err := parse(s, lenient)
			if err != nil {
				continue
			}
			again, err := ParseAddress(a.String())
			if err != nil || again != a {
				t.Errorf("%q is %q, read again %q, %v", s, a, again, err)
			}
		}
	})
}

func TestDisplayDomain(t *testing.T) {
	for in, want := range map[string]string{
		"xn--bcher-kva.example": "bücher.example",
		"example.com":           "example.com",
		"xn--\xff":              "xn--\xff",
	} {
		if got := DisplayDomain(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestSplitDetail(t *testing.T) {
	for in, want := range map[string][2]string{
		"a":     {"a", ""},
		"a+":    {"a", ""},
		"a+b":   {"a", "b"},
		"a+b+c": {"a", "b+c"},
		"+b":    {"+b", ""},
	} {
		if base, detail := splitDetail(in); base != want[0] || detail != want[1] {
			t.Errorf("%q: got %q, %q", in, base, detail)
		}
	}
}
