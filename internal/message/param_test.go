package message

import (
	"fmt"
	"strings"
	"testing"
)

func TestParamDecoded(t *testing.T) {
	for _, c := range []struct{ name, value, wantName, want string }{
		{"name", "a.txt", "name", "a.txt"},
		{"name", "=?utf-8?q?J=C3=BCrgen?=.txt", "name", "Jürgen.txt"},
		{"name", "J\xfcrgen", "name", "Jürgen"},
		{"name*", "utf-8''J%C3%BCrgen", "name", "Jürgen"},
		{"name*", "iso-8859-1'de'J%FCrgen", "name", "Jürgen"},
		{"name*", "''J%C3%BCrgen", "name", "Jürgen"},
		{"name*", "J%C3%BCrgen", "name", "Jürgen"},
		{"name*", "utf-8'x", "name", "x"},
		{"name*", "utf-8''100%", "name", "100%"},
		{"name*", "utf-8''%zz%4", "name", "%zz%4"},
		{"name*", "koi8-r''%c4%c1", "name", "да"},
		{"name*", "utf-8''it's", "name", "it's"},
		{"name*", "no-such-charset''%e9", "name", "é"},
	} {
		name, value := Param{c.name, c.value}.Decoded()
		if name != c.wantName || value != c.want {
			t.Errorf("%s=%s: %q, %q", c.name, c.value, name, value)
		}
	}
}

func TestFilename(t *testing.T) {
	for fields, want := range map[string]string{
		"Content-Type: a/b":         "",
		"Content-Type: a/b; name=x": "x",
		"Content-Type: a/b; name=x\r\nContent-Disposition: inline":                                                        "x",
		"Content-Type: a/b\r\nContent-Disposition: inline; filename=y":                                                    "y",
		"Content-Type: a/b; name=x\r\nContent-Disposition: z; FILENAME=y":                                                 "y",
		"Content-Type: a/b\r\nContent-Disposition: a; filename=\"plain.txt\"; filename*=utf-8''%e2%82%ac.txt":             "€.txt",
		"Content-Type: a/b\r\nContent-Disposition: a; filename*0*=utf-8''%e2%82; filename*1*=%ac; filename*2=\"50%.txt\"": "€50%.txt",
		"Content-Type: a/b; name=\"=?utf-8?B?4oKs?= =?utf-8?B?LnR4dA==?=\"":                                               "€.txt",
		"Content-Type: a/b; name*1=b; name*0=a":                                                                           "ab",
		"Content-Type: a/b; name=first; name=second":                                                                      "first",
		"Content-Type: a/b; name=\"a\\\\b\\\"c\"":                                                                         "a\\b\"c",
	} {
		if got := mustParse(t, []byte(fields+"\r\n\r\n")).Filename(); got != want {
			t.Errorf("%q: %q, want %q", fields, got, want)
		}
	}
}

func TestParamOfPart(t *testing.T) {
	p := mustParse(t, []byte("Content-Type: Text/Plain; CHARSET=\"utf-8\"; Format=flowed; x*=us-ascii''%41\r\n\r\n"))
	for name, want := range map[string]string{"charset": "utf-8", "format": "flowed", "X": "A", "y": ""} {
		if got := p.Param(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := mustParse(t, []byte("\r\nx")).Param("charset"); got != "us-ascii" {
		t.Errorf("the default charset is %q", got)
	}
	// One that says its charset in another form gets no second.
	if p := mustParse(t, []byte("Content-Type: text/plain; charset*=''utf-8\r\n\r\n")); len(p.Params) != 1 || p.Param("charset") != "utf-8" {
		t.Errorf("%v", p.Params)
	}
}

func TestParamLimit(t *testing.T) {
	var b strings.Builder
	b.WriteString("Content-Type: a/b")
	for i := range 3 * maxParams {
		fmt.Fprintf(&b, "; p%d=v; q*%d=w", i, i)
	}
	p := mustParse(t, []byte(b.String()+"\r\n\r\n"))
	if n := len(p.Params); n > maxParams || n < maxParams/3 {
		t.Errorf("%d params", n)
	}
	p = mustParse(t, []byte("Content-Language: "+strings.Repeat("en,", 3*maxParams)+"\r\nMIME-Version: 1.0\r\n\r\n"))
	if n := len(p.Language); n != maxParams {
		t.Errorf("%d languages", n)
	}
}

// FuzzParams checks that parameters as BODYSTRUCTURE has them, written into a header
// again, read back the same.
func FuzzParams(f *testing.F) {
	for _, c := range readCases(f) {
		for _, q := range mustParse(f, c.message).Params {
			f.Add("; " + q.Name + "=" + q.Value)
		}
	}
	f.Add("; a*0=b; a*1*=%63; d=\"e\\\"f\"; g=h i")
	f.Fuzz(func(t *testing.T, s string) {
		l := lexer{s: unfold(s)}
		list := l.params()
		var b strings.Builder
		seen := map[string]bool{}
		for _, p := range list {
			name := strings.ToLower(p.Name)
			base, _, extended := strings.Cut(name, "*")
			if seen[base] || name == "" {
				return // pieces that did not fit together
			}
			if seen[base] = true; extended {
				return
			}
			fmt.Fprintf(&b, "; %s=%s", p.Name, quote(p.Value))
			if _, v := p.Decoded(); strings.ToValidUTF8(v, "") != v {
				t.Fatalf("%q is not UTF-8", v)
			}
		}
		l = lexer{s: b.String()}
		if again := l.params(); fmt.Sprint(again) != fmt.Sprint(list) {
			t.Fatalf("%q: printed %q\nfirst  %q\nsecond %q", s, b.String(), list, again)
		}
	})
}
