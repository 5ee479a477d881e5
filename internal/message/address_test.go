package message

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// Rows of input and what ENVELOPE shows of it; all rows seed the fuzz target.
var addressTests = []struct{ in, want string }{
	{"", "NIL"},
	{" (only a comment) ", "NIL"},
	{",, ,", "NIL"},
	{"user@domain", `((NIL NIL "user" "domain"))`},
	{`"user"@domain`, `((NIL NIL "user" "domain"))`},
	{`"user name"@domain`, `((NIL NIL "user name" "domain"))`},
	{`"user@na\\me"@domain`, `((NIL NIL "user@na\\me" "domain"))`},
	{`""@domain`, `((NIL NIL "" "domain"))`},
	{"user", `((NIL NIL "user" "MISSING_DOMAIN"))`},
	{"@domain", `((NIL NIL "MISSING_MAILBOX" "domain"))`},
	{"Display Name", `(("Display Name" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{`"Display Name"`, `(("Display Name" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{`Display "Name"`, `(("Display Name" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{`""`, `((NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{"<user@domain>", `((NIL NIL "user" "domain"))`},
	{"<user>", `((NIL NIL "user" "MISSING_DOMAIN"))`},
	{"<@route>", `((NIL "INVALID_ROUTE" "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{"<@>", `((NIL "INVALID_ROUTE" "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{"<>", `((NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{"user@domain (Display Name)", `(("Display Name" NIL "user" "domain"))`},
	{`user@domain (Display\"Name)`, `(("Display\"Name" NIL "user" "domain"))`},
	{"user (Display Name)", `(("Display Name" NIL "user" "MISSING_DOMAIN"))`},
	{"@domain (Display Name)", `(("Display Name" NIL "MISSING_MAILBOX" "domain"))`},
	{"user@domain ()", `((NIL NIL "user" "domain"))`},
	{"Display Name <user@domain>", `(("Display Name" NIL "user" "domain"))`},
	{`"Display\"Name" <user@domain>`, `(("Display\"Name" NIL "user" "domain"))`},
	{`"" <user@domain>`, `((NIL NIL "user" "domain"))`},
	{"<@route,@route2:user@domain>", `((NIL "@route,@route2" "user" "domain"))`},
	{"<@route@route2:user>", `((NIL "@route,@route2" "user" "MISSING_DOMAIN"))`},
	{`x <@a , , @b : "" @ domain >`, `(("x" "@a,@b" "" "domain"))`},
	{`"foo: <a@b>;," <user@domain>`, `(("foo: <a@b>;," NIL "user" "domain"))`},
	{"aaaa@", `((NIL NIL "aaaa" "MISSING_DOMAIN"))`},
	{"a(aa", `((NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{"a@b, c@d", `((NIL NIL "a" "b")(NIL NIL "c" "d"))`},
	{"a@b; c@d;", `((NIL NIL "a" "b"))`},
	{"a@b c@d, e@f", `((NIL NIL "a" "b"))`},
	{"a@b (c, d) , e@f", `(("c, d" NIL "a" "b")(NIL NIL "e" "f"))`},
	{"g: a@b c@d, e@f; x@y, z@w", `((NIL NIL "g" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL))`},
	{"a@b. , c@d..e , x@y", `((NIL NIL "a" "MISSING_DOMAIN")(NIL NIL "c" "MISSING_DOMAIN"))`},
	{". <a@b>, c@d", `((NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{"a. , b@c", `((NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN")(NIL NIL "b" "c"))`},
	{"a.@b, .@c, .x", `((NIL NIL "a." "b")(NIL NIL "." "c")(NIL NIL ".x" "MISSING_DOMAIN"))`},
	{". x@y", `((". x" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{". @y, c@d", `((NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{".@x <y@z>", `((NIL NIL "." "x"))`},
	{`a "b" "c`, `(("a b" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{`"a" b(c`, `(("a b" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{"<a@b> (c", `((NIL NIL "a" "SYNTAX_ERROR"))`},
	{"a@b, (c", `((NIL NIL "a" "b")(NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
	{"group:;", `((NIL NIL "group" NIL)(NIL NIL NIL NIL))`},
	{"group: , a@b,, c@d ,;", `((NIL NIL "group" NIL)(NIL NIL "a" "b")(NIL NIL "c" "d")(NIL NIL NIL NIL))`},
	{"group: a@b", `((NIL NIL "group" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL))`},
	{"a: b@c; d: e@f;", `((NIL NIL "a" NIL)(NIL NIL "b" "c")(NIL NIL NIL NIL))`},
	{":;, x@y", `((NIL NIL "" NIL)(NIL NIL NIL NIL)(NIL NIL "x" "y"))`},
	{"g: \"x", `((NIL NIL "g" NIL)(NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN")(NIL NIL NIL NIL))`},
	{"=?utf-8?q?a=20b?= =?utf-8?q?c?= <a@b>", `(("=?utf-8?q?a=20b?= =?utf-8?q?c?=" NIL "a" "b"))`},
	{"j@müller.example, \xe9@b", "((NIL NIL \"j\" \"müller.example\")(NIL NIL \"\\xe9\" \"b\"))"},
	{"a@[192.0.2.1], b@[IPv6:::1], c@[x\\]y], d@[", `((NIL NIL "a" "[192.0.2.1]")(NIL NIL "b" "[IPv6:::1]")(NIL NIL "c" "[x\\]y]")(NIL NIL "d" "MISSING_DOMAIN"))`},
	{"a@b . c, d . e@f, .g@h, i.@j, k..l@m", `((NIL NIL "a" "b.c")(NIL NIL "d.e" "f")(NIL NIL ".g" "h")(NIL NIL "i." "j")(NIL NIL "k..l" "m"))`},
	{`"a".b."c d"@e`, `((NIL NIL "a.b.c d" "e"))`},
	{"Dr. J. R. Doe <j@d>, Mr. <m@d>", `(("Dr. J. R. Doe" NIL "j" "d")("Mr." NIL "m" "d"))`},
	{"a@b\r\n ,\r\n\tc@d", `((NIL NIL "a" "b")(NIL NIL "c" "d"))`},
	{"Foo <bar baz@x>, next@d", `(("Foo" NIL "bar" "SYNTAX_ERROR"))`},
	{"<a@b", `((NIL NIL "a" "SYNTAX_ERROR"))`},
	{"x <(", `(("x" NIL "MISSING_MAILBOX" "SYNTAX_ERROR"))`},
	{"x <@a(", `(("x" "INVALID_ROUTE" "MISSING_MAILBOX" "SYNTAX_ERROR"))`},
}

func TestParseAddressList(t *testing.T) {
	for _, c := range addressTests {
		if got := imapAddresses(ParseAddressList(c.in)); got != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.in, got, c.want)
		}
	}
}

func TestParseAddressListLimit(t *testing.T) {
	for _, in := range []string{strings.Repeat("a,", maxAddresses+10), "g:" + strings.Repeat("a,", maxAddresses+10)} {
		if n := len(ParseAddressList(in)); n > maxAddresses+1 || n < maxAddresses {
			t.Errorf("%.5q…: %d addresses", in, n)
		}
	}
	if list := parseAddresses("a@b", 0); list != nil {
		t.Errorf("none allowed: %v", list)
	}
}

// What is hard to read must not take more than linear time.
func TestParseAddressListIsLinear(t *testing.T) {
	for _, piece := range []string{
		"(", ")", "\"", "\\", "<", ">", "@", ":", ";", ",", ".", "[", "a ", "a@b x(c,", "a@b \"c,", "<a", "x <@a,", "a:", "a.", "\"\".", "(a)", "a@", "@,", "g:a@b(",
	} {
		took := func(size int) time.Duration {
			start := time.Now()
			ParseAddressList(strings.Repeat(piece, size/len(piece)))
			return time.Since(start)
		}
		if d := took(1 << 20); d > 3*time.Second && d > 12*took(1<<18) {
			t.Errorf("%q repeated takes %v", piece, d)
		}
	}
}

// printAddresses writes a list so that it reads back the same. It reports false if the
// list has what no address can say.
func printAddresses(list []Address) (string, bool) {
	var b strings.Builder
	group := false
	for i, a := range list {
		if a.Host == "" && group {
			b.WriteString(";")
			group = false
			continue
		}
		if i > 0 && list[i-1] != (Address{}) || i > 0 && !group && list[i-1] == (Address{}) {
			if !(group && list[i-1].Host == "") {
				b.WriteString(", ")
			}
		}
		for _, s := range []string{a.Mailbox, a.Host, a.Route} {
			switch s {
			case missingMailbox, missingDomain, syntaxError, invalidRoute:
				return "", false
			}
		}
		if a.Host == "" {
			b.WriteString(quote(a.Mailbox) + ": ")
			group = true
			continue
		}
		if a.Name != "" {
			b.WriteString(quote(a.Name) + " ")
		}
		b.WriteString("<")
		if a.Route != "" {
			b.WriteString(a.Route + ":")
		}
		b.WriteString(quote(a.Mailbox) + "@" + a.Host + ">")
	}
	return b.String(), !group
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func FuzzParseAddressList(f *testing.F) {
	for _, c := range addressTests {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list := ParseAddressList(s)
		group := false
		for _, a := range list {
			if a.Host == "" {
				group = !group
				if !group && a != (Address{}) || a.Name != "" || a.Route != "" {
					t.Fatalf("%q: %+v", s, list)
				}
			}
			if strings.ContainsAny(a.Name+a.Mailbox+a.Host+a.Route, "\r\n") {
				t.Fatalf("%q: line end in %+v", s, a)
			}
		}
		if group {
			t.Fatalf("%q: a group without an end: %+v", s, list)
		}
		printed, ok := printAddresses(list)
		if !ok {
			return
		}
		if again := ParseAddressList(printed); len(list)+len(again) > 0 && !reflect.DeepEqual(list, again) {
			t.Fatalf("%q: printed %q\nfirst  %+v\nsecond %+v", s, printed, list, again)
		}
	})
}
