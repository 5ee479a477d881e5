package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadHeader(t *testing.T) {
	broken := errors.New("broken")
	long := "X: " + strings.Repeat("y", 10_000) + "\r\n"
	for _, c := range []struct {
		name, in string
		max      int64
		tail     io.Reader
		want     string
		err      error
	}{
		{name: "CRLF", in: "A: b\r\n\r\nbody", max: 100, want: "A: b\r\n\r\n"},
		{name: "LF", in: "A: b\n\nbody", max: 100, want: "A: b\n\n"},
		{name: "mixed", in: "A: b\n\r\nbody", max: 100, want: "A: b\n\r\n"},
		{name: "blank line first", in: "\r\nA: b\r\n", max: 100, want: "\r\n"},
		{name: "no blank line", in: "A: b\r\nC: d", max: 100, want: "A: b\r\nC: d"},
		{name: "empty", in: "", max: 100, want: ""},
		{name: "a folded blank is no blank line", in: "A: b\r\n \r\n\r\nbody", max: 100, want: "A: b\r\n \r\n\r\n"},
		{name: "long line", in: long + "\r\nbody", max: 20_000, want: long + "\r\n"},
		{name: "long line that ends where the buffer does", in: strings.Repeat("y", 16) + "\n\nbody", max: 100, want: strings.Repeat("y", 16) + "\n\n"},
		{name: "just fits", in: "A: b\r\n\r\nbody", max: 8, want: "A: b\r\n\r\n"},
		{name: "too long", in: "A: b\r\n\r\nbody", max: 7, want: "A: b\r\n", err: ErrHeaderTooLong},
		{name: "read error", in: "A: b\r\nC", max: 100, tail: iotest.ErrReader(broken), want: "A: b\r\nC", err: broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in io.Reader = strings.NewReader(c.in)
			if c.tail != nil {
				in = io.MultiReader(in, c.tail)
			}
			r := bufio.NewReaderSize(in, 16)
			raw, err := ReadHeader(r, c.max)
			if string(raw) != c.want || !errors.Is(err, c.err) {
				t.Fatalf("got %q, %v", raw, err)
			}
			if rest, _ := io.ReadAll(r); c.err == nil && string(raw)+string(rest) != c.in {
				t.Errorf("the reader goes on with %q", rest)
			}
		})
	}
}

func TestFields(t *testing.T) {
	raw := "Subject: one\r\n two\r\nFrom : a@b\n\tc\nno colon\r\nX-Empty:\r\n: nameless\r\nTo:c\r\n\r\nbody: no field\r\n"
	want := []struct{ name, value, raw string }{
		{"Subject", "one two", "Subject: one\r\n two\r\n"},
		{"From", "a@b\tc", "From : a@b\n\tc\n"},
		{"", "", "no colon\r\n"},
		{"X-Empty", "", "X-Empty:\r\n"},
		{"", "nameless", ": nameless\r\n"},
		{"To", "c", "To:c\r\n"},
	}
	i := 0
	for f := range Fields([]byte(raw)) {
		if i >= len(want) || f.Name != want[i].name || f.Value() != want[i].value || string(f.Raw) != want[i].raw {
			t.Errorf("field %d: %q, %q, %q", i, f.Name, f.Value(), f.Raw)
		}
		i++
	}
	if i != len(want) {
		t.Errorf("%d fields, not %d", i, len(want))
	}
	for f := range Fields([]byte(raw)) { // stops when told
		if f.Name != "Subject" {
			t.Error("went on")
		}
		break
	}
	for f := range Fields([]byte("A: b\r\n c")) { // no line end at the end
		if string(f.Raw) != "A: b\r\n c" || f.Value() != "b c" {
			t.Errorf("%q", f.Raw)
		}
	}
	for f := range Fields([]byte(" folded: x\r\n\tmore\r\nA: b\r\n")) {
		if f.Name == "" && string(f.Raw) != " folded: x\r\n\tmore\r\n" {
			t.Errorf("%q", f.Raw)
		}
	}
}

func TestValue(t *testing.T) {
	for raw, want := range map[string]string{
		"A:b\r\n":               "b",
		"A: \t b \t\r\n":        "b",
		"A:\r\n b\r\n":          "b",
		"A: b\r\n\r\n":          "b",
		"A: b\r\n  c\n\td\r\n":  "b  c\td",
		"A: b\rc\r\n":           "b c",
		"A: b\x00c\r\n":         "b\uFFFDc",
		"A: =?utf-8?q?x?=\r\n":  "=?utf-8?q?x?=",
		"A: \xe9:\xff\r\n":      "\xe9:\xff",
		"A: b\r\n \r\n c\r\n":   "b  c",
		"no colon at all\r\n":   "",
		"A: \r\n":               "",
		"A: trailing CR\r\r\n":  "trailing CR",
		"A: b\r":                "b",
		"A: \"b  c\" (d  e)\n":  "\"b  c\" (d  e)",
		"A: b: c\r\n":           "b: c",
		"A: very\r\n\r\n long":  "very long",
		"A:\xc2\xa0b\r\n":       "\u00a0b",
		"A: tab\tinside\r\n":    "tab\tinside",
		"Name-Only:":            "",
		"A: x\n\n":              "x",
		"A: one\n two\n three ": "one two three",
	} {
		if got := (Field{Raw: []byte(raw)}).Value(); strings.TrimRight(got, " ") != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestSqueeze(t *testing.T) {
	for s, want := range map[string]string{
		"": "", " ": "", "a": "a", " a ": "a", "a b": "a b", "a  b": "a b", "a\tb": "a b", "\ta\r\n b \t": "a b", "a\u00a0 b": "a\u00a0 b",
	} {
		if got := squeeze(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func FuzzFields(f *testing.F) {
	for _, c := range readCases(f) {
		f.Add(c.message)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		raw, err := ReadHeader(bufio.NewReaderSize(bytes.NewReader(message), 16), int64(len(message)))
		if err != nil || !bytes.HasPrefix(message, raw) {
			t.Fatalf("%q, %v", raw, err)
		}
		var joined []byte
		for f := range Fields(raw) {
			if len(f.Raw) == 0 {
				t.Fatal("empty field")
			}
			if v := f.Value(); strings.ContainsAny(v, "\r\n\x00") {
				t.Fatalf("value %q", v)
			}
			joined = append(joined, f.Raw...)
		}
		rest := raw[len(joined):]
		if !bytes.HasPrefix(raw, joined) || len(rest) > 0 && !isBlank(rest) {
			t.Fatalf("fields %q of header %q", joined, raw)
		}
		// The header that Parse saw is the same.
		if p := mustParse(t, message); p.BodyOff != int64(len(raw)) {
			t.Fatalf("the body is at %d, not %d", p.BodyOff, len(raw))
		}
		if !slices.Equal(joined, raw[:len(joined)]) {
			t.Fatal("order")
		}
	})
}

// The value of a field of one line is what unfolding makes of it.
func TestFieldTextOfOneLine(t *testing.T) {
	for _, raw := range []string{"A: b\r\n", "A: b\n", "A: b", "A:\r\n", "A:", "A: \t b \t\r\n", "A: b\r\r\n", "A: b\rc\n", "A: b\r", "A: \r\n b\r\n", "A: \n", "A\r\n", "A: \x00\r\n"} {
		_, v, _ := strings.Cut(raw, ":")
		want := strings.ReplaceAll(strings.TrimLeft(unfold(v), " \t"), "\x00", "\uFFFD")
		if got := (Field{Raw: []byte(raw)}).text(); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestUnfolded(t *testing.T) {
	for in, want := range map[string]string{
		"X: a":                         "a",
		"X:  a  b\t \r\n":              "a  b",
		"X: a\r\n  b\r\n\tc\n d \r\n":  "a b c d",
		"X:\r\n \r\n a\r\n":            "a",
		"X:\r\n":                       "",
		"no colon\r\n more: of it\r\n": "no colon more: of it",
		"X: nul\x00\r\n":               "nul\uFFFD",
		" begins: folded\r\n":          "begins: folded",
		"X: =?utf-8?q?a?=\r\n =?utf-8": "=?utf-8?q?a?= =?utf-8",
	} {
		for f := range Fields([]byte(in)) {
			if got := f.Unfolded(); got != want {
				t.Errorf("%q: %q, want %q", in, got, want)
			}
		}
	}
}
