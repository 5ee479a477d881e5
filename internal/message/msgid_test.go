package message

import (
	"slices"
	"strings"
	"testing"
)

// Rows of a value and its message ids; all seed the fuzz target.
var messageIDTests = []struct {
	in   string
	want []string
}{
	{"", nil},
	{"<a@b>", []string{"a@b"}},
	{"<a@b> <c@d>\t<e@f>", []string{"a@b", "c@d", "e@f"}},
	{"<a@b><c@d>,<e@f>", []string{"a@b", "c@d", "e@f"}},
	// RFC 5256 section 3: quoting makes no difference.
	{`<"01KF8JCEOCBS0045PS"@xxx.yyy.com>`, []string{"01KF8JCEOCBS0045PS@xxx.yyy.com"}},
	{`<01KF8JCEOCBS0045PS@xxx.yyy.com>`, []string{"01KF8JCEOCBS0045PS@xxx.yyy.com"}},
	{`<"a>\"b"@c>`, []string{`a>"b@c`}},
	{"< a . b (comment) @ c >", []string{"a.b@c"}},
	{"<a@[1.2.3.4]>", []string{"a@[1.2.3.4]"}},
	{"<A@b> <a@b>", []string{"A@b", "a@b"}}, // the case counts
	// What is found in mail.
	{`Your message of "Mon" <a@b> from joe <joe@example.com>`, []string{"a@b", "joe@example.com"}},
	{"<a@b@c>", []string{"a@b@c"}},
	{"<!&!AAAA=@b>", []string{"!&!AAAA=@b"}},
	{"a@b", nil},
	{"<a>", nil},
	{"<@b> <a@> <@>", nil},
	{"<a@b", nil},
	{"<a b@c> <d@e>", []string{"d@e"}},
	{"<a@b <c@d>", []string{"c@d"}},
	{`<"a@b> <c@d>`, nil},
	{"<(a@b> <c@d>", nil},
	{"<<a@b>>", []string{"a@b"}},
}

func TestMessageIDs(t *testing.T) {
	for _, tt := range messageIDTests {
		ids := MessageIDs(tt.in)
		for range 2 { // it can be walked over again
			if got := slices.Collect(ids); !slices.Equal(got, tt.want) {
				t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
			}
		}
	}
	n := 0
	for range MessageIDs(strings.Repeat(`<"`, 500_000) + "<a@b>") {
		n++
	}
	if n > 1 {
		t.Error("out of broken ids came", n)
	}
	for id := range MessageIDs("<a@b> <c@d>") { // the walk can be left
		if id == "a@b" {
			break
		}
		t.Error(id)
	}
}

// FuzzMessageIDs: an id is not empty, has its "@", and stands for itself.
func FuzzMessageIDs(f *testing.F) {
	for _, tt := range messageIDTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for id := range MessageIDs(s) {
			if i := strings.IndexByte(id, '@'); i < 0 {
				t.Fatalf("%q: %q", s, id)
			}
			if strings.ContainsAny(id, "<> \t\r\n\"\\()[]") {
				continue
			}
			if again := slices.Collect(MessageIDs("<" + id + ">")); id[0] != '@' && id[len(id)-1] != '@' && !slices.Equal(again, []string{id}) {
				t.Fatalf("%q: %q, then %q", s, id, again)
			}
		}
	})
}
