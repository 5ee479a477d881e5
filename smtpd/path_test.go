package smtpd

import (
	"strings"
	"testing"
)

// RFC 5321 section 4.1.2: Reverse-path and Forward-path.
var pathTests = []struct {
	in   string
	want string // of String, "-" for refused
	rest string
}{
	{"<a@b.example>", "a@b.example", ""},
	{"<a@b.example> SIZE=1", "a@b.example", " SIZE=1"},
	{"<a.b+c!#$%&'*/=?^_`{|}~-@b-c.example>", "a.b+c!#$%&'*/=?^_`{|}~-@b-c.example", ""},
	{"<@x.example,@y.example:a@b.example>", "a@b.example", ""},
	{"<@x.example:>", "-", ""},
	{"<@:a@b>", "-", ""},
	{`<"a"@b.example>`, "a@b.example", ""},
	{`<"a b"@b.example>`, `"a b"@b.example`, ""},
	{`<"a\"\\b>@"@b.example>`, `"a\"\\b>@"@b.example`, ""},
	{`<"\a"@b.example>`, "a@b.example", ""},
	{`<""@b.example>`, "-", ""},
	{`<"a@b.example>`, "-", ""},
	{"<\"a\x01\"@b.example>", "-", ""},
	{`<"a"b@b.example>`, "-", ""},
	{"<a..b@b.example>", `"a..b"@b.example`, ""},
	{"<a.@b.example>", `"a."@b.example`, ""},
	{"<jörg@exämple.example>", "jörg@exämple.example", ""},
	{"<\xff@b.example>", "-", ""},
	{"<a\u0085b@b.example>", "-", ""},
	{"<\"a\u2028b\"@b.example>", "-", ""},
	{"<a@b\u202egpj.example>", "-", ""},
	{"<a@[192.0.2.1]>", "a@[192.0.2.1]", ""},
	{"<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", ""},
	{"<a@[300.0.2.1]>", "-", ""},
	{"<a@[IPv6:fe80::1%eth0]>", "-", ""},
	{"<a@[x:y]>", "-", ""},
	{"<a@_dmarc.b_c.example>", "a@_dmarc.b_c.example", ""},
	{"<a@-b.example>", "-", ""},
	{"<a@b..example>", "-", ""},
	{"<a@b.example.>", "-", ""},
	{"<a@>", "-", ""},
	{"<@>", "-", ""},
	{"<a>", "-", ""},
	{"<a@b", "-", ""},
	{"a@b", "-", ""},
	{"<a b@c>", "-", ""},
	{"< a@b>", "-", ""},
	{"<a@b >", "-", ""},
	{"", "-", ""},
	{"<" + strings.Repeat("a", 255) + "@b>", strings.Repeat("a", 255) + "@b", ""},
	{"<" + strings.Repeat("a", 256) + "@b>", "-", ""},
	{"<a@" + strings.Repeat("b", 64) + ">", "-", ""},
}

func TestParsePath(t *testing.T) {
	for _, tt := range pathTests {
		p, rest, err := parsePath(tt.in, true)
		got := p.String()
		if err != nil {
			got = "-"
		}
		if got != tt.want || rest != tt.rest {
			t.Errorf("%q: %q, %q; want %q, %q", tt.in, got, rest, tt.want, tt.rest)
		}
	}
	if p, _, err := parsePath("<>", true); err != nil || !p.IsNull() || p.String() != "" {
		t.Errorf("null reverse-path: %v, %v", p, err)
	}
	if _, _, err := parsePath("<>", false); err == nil {
		t.Error("null forward-path was taken")
	}
	if p, _, err := parsePath("<POSTMASTER>", false); err != nil || p != (Path{"postmaster", ""}) {
		t.Errorf("postmaster: %v, %v", p, err)
	}
	if _, _, err := parsePath("<postmaster>", true); err == nil {
		t.Error("a sender without a domain was taken")
	}
}

func FuzzPath(f *testing.F) {
	for _, tt := range pathTests {
		f.Add(tt.in, true)
		f.Add(tt.in, false)
	}
	f.Add("<postmaster>", false)
	f.Fuzz(func(t *testing.T, in string, reverse bool) {
		p, _, err := parsePath(in, reverse)
		if err != nil {
			return
		}
		printed := "<" + p.String() + ">"
		if strings.ContainsAny(printed, "\r\n\x00") {
			t.Fatalf("%q: a line end in %q", in, printed)
		}
		again, rest, err := parsePath(printed, reverse)
		if err != nil || again != p || rest != "" {
			t.Fatalf("%q: %q was read back as %q, %q, %v", in, printed, again, rest, err)
		}
	})
}

func TestParseMail(t *testing.T) {
	for _, tt := range []struct {
		arg    string
		spaces bool
		want   *Reply
	}{
		{"FROM:<a@b>", false, nil},
		{"from:<a@b>  size=10  body=8bitmime", false, nil},
		{"FROM:<a@b> AUTH=<>", false, nil},
		{"FROM:<a@b> AUTH=e+3Dmc2@example.com", false, nil},
		{"FROM:  <a@b>", true, nil},
		{"FROM:  <a@b>", false, replyPath},
		{"FROM <a@b>", true, replyMailSyntax},
		{"FROM:<ä@b> SMTPUTF8", false, nil},
		{"FROM:<ä@b>", false, replyNeedsUTF8},
		{"FROM:<a@b> SMTPUTF8=yes", false, replyParameters},
		{"FROM:<a@b> AUTH", false, replyParameters},
		{"FROM:<a@b> AUTH=a=b", false, replyParameters},
		{"FROM:<a@b> =x", false, replyParameters},
		{"FROM:<a@b> -x", false, replyParameters},
		{"FROM:<a@b> SIZE", false, replyParameters},
		{"FROM:<a@b> SIZE=", false, replyParameters},
		{"FROM:<a@b> SIZE=-1", false, replyParameters},
		{"FROM:<a@b> SIZE=101", false, replyTooBig},
		{"FROM:<a@b> SIZE=18446744073709551616", false, replyTooBig},
		{"FROM:<a@b> BODY=9BIT", false, replyParameters},
		{"FROM:<a@b> RET=HDRS", false, replyUnknownParameter},
		{"FROM:<a@b>\tSIZE=1", false, replyPath},
	} {
		if _, r := parseMail(tt.arg, grammar{spaces: tt.spaces, maxSize: 100}); r != tt.want {
			t.Errorf("%q: %v, want %v", tt.arg, r, tt.want)
		}
	}
}
