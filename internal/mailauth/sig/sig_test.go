package sig

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"reflect"
	"strings"
	"testing"
)

func TestParseTags(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Tags // nil: an error
	}{
		{"v=1; a=b", Tags{"v": "1", "a": "b"}},
		{" v = 1 ;\r\n\t a=b c ;", Tags{"v": "1", "a": "b c"}},
		{"b=", Tags{"b": ""}},
		{"b=a=b==", Tags{"b": "a=b=="}},
		{"a=1; A=2", Tags{"a": "1", "A": "2"}}, // RFC 6376 section 3.2: tags are case-sensitive
		{"a_1=x", Tags{"a_1": "x"}},
		{"a=1;;b=2", Tags{"a": "1", "b": "2"}},
		{"a=1; a=1", nil}, // "Tags with duplicate names MUST NOT occur within a single tag-list"
		{"a", nil}, {"=1", nil}, {"1a=1", nil}, {"a b=1", nil}, {"", nil}, {" ; ;", nil}, {"\x00=1", nil},
	} {
		got, err := ParseTags(c.in)
		if !maps.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("ParseTags(%q) = %v, %v, want %v", c.in, got, err, c.want)
		}
	}
	tags := Tags{"h": " from :\r\n to", "p": "A B\tC"}
	if got := tags.List("h"); !reflect.DeepEqual(got, []string{"from", "to"}) {
		t.Errorf("List = %q", got)
	}
	if got := tags.List("x"); got != nil {
		t.Errorf("List of what is not there = %q", got)
	}
	if got := tags.Compact("p"); got != "ABC" {
		t.Errorf("Compact = %q", got)
	}
}

func TestParseCanon(t *testing.T) {
	for _, c := range []struct {
		in           string
		header, body Canon
		ok           bool
	}{
		{"", Simple, Simple, true}, {"simple", Simple, Simple, true}, {"relaxed", Relaxed, Simple, true},
		{"relaxed/relaxed", Relaxed, Relaxed, true}, {"simple/relaxed", Simple, Relaxed, true},
		{"relaxed/", 0, 0, false}, {"/relaxed", 0, 0, false}, {"none", 0, 0, false}, {"simple/simple/simple", 0, 0, false},
	} {
		header, body, ok := ParseCanon(c.in)
		if ok != c.ok || ok && (header != c.header || body != c.body) {
			t.Errorf("ParseCanon(%q) = %v, %v, %v", c.in, header, body, ok)
		}
	}
}

// The examples of RFC 6376 section 3.4.5, and odder ones.
func TestField(t *testing.T) {
	for _, c := range []struct{ raw, simple, relaxed string }{
		{"A: X\r\n", "A: X", "a:X"},
		{"B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  ", "b:Y Z"},
		{"B : Y\t\n\tZ  \n", "B : Y\t\r\n\tZ  ", "b:Y Z"}, // as a file may have it
		{"C:\r\n", "C:", "c:"},
		{"C: \r\n \r\n", "C: \r\n ", "c:"},
		{"D: a\rb", "D: a\rb", "d:a\rb"},
		{"E:\xff\xfe  \x00", "E:\xff\xfe  \x00", "e:\xff\xfe \x00"},
		{"F", "F", "f:"},
		{"G: a\r\r\n", "G: a\r", "g:a\r"},
		{"D\u212aIM: x\n", "D\u212aIM: x", "d\u212aim:x"}, // the sign of kelvin, whose lower case is a k
	} {
		if got := string(Simple.Field(nil, []byte(c.raw))); got != c.simple {
			t.Errorf("simple %q: %q, want %q", c.raw, got, c.simple)
		}
		if got := string(Relaxed.Field([]byte("x"), []byte(c.raw))); got != "x"+c.relaxed {
			t.Errorf("relaxed %q: %q, want %q", c.raw, got, c.relaxed)
		}
	}
}

// RFC 6376 section 5.4.2: "Signers wishing to sign multiple instances of such a header
// field MUST include the header field name multiple times in the "h=" tag … and MUST sign
// such header fields in order from the bottom of the header field block to the top."
func TestPick(t *testing.T) {
	raw := []byte("A: 1\r\nSig: x\r\na : 2\r\nB: 3\r\nSig: self\r\nSig: y\r\n A: no\r\nA: 4\r\n\r\nA: body")
	h := NewHeader(raw)
	var self []byte
	for _, f := range h.Named("sig") {
		if f.Value() == "self" {
			self = f.Raw
		}
	}
	for names, want := range map[string]string{
		"a":                   "a:4\r\n",
		"A:a:A:a:a":           "a:4\r\na:2\r\na:1\r\n",
		"b:a:c:b":             "b:3\r\na:4\r\n",
		"":                    "",
		"sig:sig:sig:sig:sig": "sig:y A: no\r\nsig:x\r\n",
	} {
		var b bytes.Buffer
		h.Write(&b, Relaxed, strings.Split(names, ":"), self)
		if b.String() != want {
			t.Errorf("%s: %q, want %q", names, b.String(), want)
		}
	}
}

func TestWithoutB(t *testing.T) {
	for in, want := range map[string]string{
		"S: b=abc": "S: b=",
		"S: a=1; b=abc=; bh=b=x;\r\n b2=b=y; z=b=z": "S: a=1; b=; bh=b=x;\r\n b2=b=y; z=b=z",
		"S: a=1;\r\n\tb = abc\r\n  def=\r\n ; c=d":  "S: a=1;\r\n\tb =; c=d",
		"S: i=b=c@example.org; xb=1; b=2;":          "S: i=b=c@example.org; xb=1; b=;",
		"S: b; a=1":                                 "S: b; a=1",
		"S: B=1;b=2\r\n":                            "S: B=1;b=",
	} {
		if got := string(WithoutB([]byte(in))); got != want {
			t.Errorf("WithoutB(%q) = %q, want %q", in, got, want)
		}
	}
}

// slowBody is the canonical form of a body as RFC 6376 sections 3.4.3 and 3.4.4 say it,
// with all of it in memory.
func slowBody(c Canon, body string) string {
	body = strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\n", "\r\n")
	if c == Simple {
		return strings.TrimRight(body, "\r\n") + trailing(body)
	}
	lines := strings.Split(body, "\r\n")
	for i, line := range lines {
		line = strings.ReplaceAll(line, "\t", " ")
		for strings.Contains(line, "  ") {
			line = strings.ReplaceAll(line, "  ", " ")
		}
		lines[i] = strings.TrimSuffix(line, " ")
	}
	body = strings.Join(lines, "\r\n")
	for strings.HasSuffix(body, "\r\n") {
		body = strings.TrimSuffix(body, "\r\n")
	}
	if body == "" {
		return ""
	}
	return body + "\r\n"
}

// trailing is what comes behind the last character that is no line end: bare CRs, which
// are characters, and one CRLF.
func trailing(body string) string {
	end := body[len(strings.TrimRight(body, "\r\n")):]
	for strings.HasSuffix(end, "\r\n") {
		end = strings.TrimSuffix(end, "\r\n")
	}
	return end + "\r\n"
}

func bodySeeds() []string {
	return []string{
		"", "\r\n", "\n", "\r", "a", "a\r\n", "a\n\n\n", " \r\n", "\t \r\n\r\n", "a  b\t\tc \r\n", " a", "a \r\nb\r\n \r\n", "a\rb\r\r\n", "\r\r\n", "a \r", "a\r\n\r",
		"From RFC 6376 3.4.5:\r\n C \r\nD \t E\r\n\r\n\r\n", strings.Repeat("x", 9000) + "  \r\n", strings.Repeat("\r\n", 3000) + "x", strings.Repeat(" ", 20000) + "x",
	}
}

// However a body is cut into pieces, its hash is that of the form that the RFC describes.
func checkBody(t *testing.T, body string, piece int) {
	t.Helper()
	for _, c := range []Canon{Simple, Relaxed} {
		b := NewBody(c)
		for rest := body; len(rest) > 0; {
			n := min(max(piece, 1), len(rest))
			b.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		want := slowBody(c, body)
		if sum := sha256.Sum256([]byte(want)); !bytes.Equal(b.Sum(), sum[:]) {
			t.Errorf("form %d of %.60q in pieces of %d is not %.60q", c, body, piece, want)
		}
	}
}

func TestBody(t *testing.T) {
	for _, body := range bodySeeds() {
		for _, piece := range []int{1, 2, 3, 7, 4096, 1 << 20} {
			checkBody(t, body, piece)
		}
	}
}

func TestHasRun(t *testing.T) {
	text := []byte("abcdefghijklmnop qrst uvw x y z!")
	if hasRun(text) || hasRun(nil) || hasRun([]byte(" ")) {
		t.Error("a run where there is none")
	}
	for i := range text {
		for _, run := range []string{"\t", "  "} {
			changed := append([]byte{}, text...)
			if copy(changed[i:], run) == len(run) && !hasRun(changed) {
				t.Errorf("no run found in %q", changed)
			}
		}
	}
	for c := range 256 { // no octet is taken for another
		if text := bytes.Repeat([]byte{byte(c), 'x'}, 9); c != '\t' && hasRun(text) {
			t.Errorf("%q", text)
		}
	}
}

func FuzzBody(f *testing.F) {
	for i, body := range bodySeeds() {
		f.Add(body[:min(len(body), 200)], i%5)
	}
	f.Fuzz(checkBody)
}

func FuzzTags(f *testing.F) {
	f.Add("v=1; a=rsa-sha256; b=abc=;\r\n\tbh=x; h=a:b")
	f.Add("v=DKIM1; k=rsa; p=")
	f.Add("b; b=1;=")
	f.Fuzz(func(t *testing.T, s string) {
		tags, err := ParseTags(s)
		if err != nil {
			return
		}
		raw := string(WithoutB([]byte("S:" + s)))
		again, err := ParseTags(raw[2:])
		if err != nil || len(again) != len(tags) || again["b"] != "" {
			t.Fatalf("%q without b= is %q: %v, %v", s, raw, again, err)
		}
		FindKey([]string{s}, "rsa")
	})
}

func BenchmarkBody(b *testing.B) {
	text := []byte(strings.Repeat("A line of text as people write it, with some words in it, and no more.\r\n", 1<<20/72))
	for name, c := range map[string]Canon{"simple": Simple, "relaxed": Relaxed} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				body := NewBody(c)
				for i := 0; i < len(text); i += 32 << 10 {
					body.Write(text[i:min(i+32<<10, len(text))])
				}
				body.Sum()
			}
		})
	}
}
