package message

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Rows of text and its form; all seed the fuzz target.
var foldTests = []struct{ in, want string }{
	{"", ""},
	{"Hello, World_09[]", "HELLO, WORLD_09[]"},
	// RFC 5051 section 2 (2): U+01C4, and its other cases, become U+0044 U+007A U+030C.
	{"\u01C4", "Dz\u030C"}, {"\u01C5", "Dz\u030C"}, {"\u01C6", "Dz\u030C"},
	{"grüße", "GRU\u0308ßE"}, {"GRÜßE", "GRU\u0308ßE"}, {"gru\u0308ße", "GRU\u0308ßE"},
	{"ΣΊΣΥΦΟΣ", "ΣΙ\u0301ΣΥΦΟΣ"}, {"σίσυφος", "ΣΙ\u0301ΣΥΦΟΣ"},
	{"привет Ёж", "ПРИВЕТ Е\u0308Ж"}, {"и\u0306", "И\u0306"}, {"й", "И\u0306"},
	{"\u212Aelvin \u212B", "KELVIN A\u030A"},
	{"ﬁ", "fi"}, // title case comes first: the pieces of what is taken apart stay
	{"ı", "I"}, {"İ", "I\u0307"}, {"ſ", "S"}, {"ÿ", "Y\u0308"}, {"µ", "\u039C"},
	{"日本 ｱＡ①", "日本 \u30A2A1"}, {"한글", "\u1112\u1161\u11AB\u1100\u1173\u11AF"}, {"ệ", "E\u0323\u0302"},
	{"\u0300\u0323a", "\u0300\u0323A"}, // marks are not put in order
	{"😀𐐨", "😀𐐀"}, {"\u00A0", " "},
	{"\xff a\xc3", "\xff A\xc3"}, {"\uFFFD", "\uFFFD"}, {"\xed\xa0\x80", "\xed\xa0\x80"},
}

func TestFold(t *testing.T) {
	for _, tt := range foldTests {
		if got := string(Fold([]byte("<"), []byte(tt.in))); got != "<"+tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got[1:], tt.want)
		}
	}
}

// Every character has the form that RFC 5051 section 2 (2) says, by the slow way, and
// letters that differ in nothing but case have the same.
func TestFoldAll(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		want := norm.NFKD.String(string(unicode.ToTitle(r)))
		if got := string(Fold(nil, []byte(string(r)))); got != want {
			t.Fatalf("%U: %q, want %q", r, got, want)
		}
	}
}

// FuzzFold: the form of pieces is in pieces the form of the whole; valid stays valid, and
// what is done once is done.
func FuzzFold(f *testing.F) {
	for _, tt := range foldTests {
		f.Add(tt.in, len(tt.in)/2)
	}
	f.Fuzz(func(t *testing.T, s string, cut int) {
		whole := Fold(nil, []byte(s))
		if utf8.ValidString(s) != utf8.Valid(whole) {
			t.Fatalf("%q: %q", s, whole)
		}
		twice := Fold(nil, whole)
		if again := Fold(nil, twice); !bytes.Equal(again, twice) {
			t.Errorf("%q: %q, then %q", s, twice, again)
		}
		if cut < 0 || cut > len(s) || cut < len(s) && !utf8.RuneStart(s[cut]) || !utf8.ValidString(s) {
			return
		}
		if parts := Fold(Fold(nil, []byte(s[:cut])), []byte(s[cut:])); !bytes.Equal(parts, whole) {
			t.Errorf("in pieces %q, at once %q", parts, whole)
		}
	})
}

func BenchmarkFold(b *testing.B) {
	for name, s := range map[string]string{"ascii": "The quick brown fox jumps over the lazy dog. ", "german": "Grüße aus Köln, schöne Wörter überall. ", "russian": "Съешь же ещё этих мягких булок. ", "chinese": "我能吞下玻璃而不伤身体。", "hangul": "나는 유리를 먹을 수 있어요. "} {
		b.Run(name, func(b *testing.B) {
			text := []byte(strings.Repeat(s, 700))
			dst := make([]byte, 0, 4*len(text))
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				Fold(dst, text)
			}
		})
	}
}

// What is folded eight characters at a time is what they are one by one.
func TestFoldASCII(t *testing.T) {
	var text []byte
	for i := range 3 * 256 {
		text = append(text, byte(i), byte(i>>1), byte(i*7))
	}
	text = append(text, "The quick brown fox, [aZ`{@z]: \x7f\x80 und Größe; the end"...)
	var want []byte
	for i := 0; i < len(text); {
		_, size := utf8.DecodeRune(text[i:])
		want = Fold(want, text[i:i+size])
		i += size
	}
	for from := range 16 {
		for _, dst := range [][]byte{nil, []byte("kept"), make([]byte, 4, 5000)} {
			got := Fold(dst, text[from:])
			if skipped := Fold(nil, text[:from]); !bytes.Equal(got[len(dst):], want[len(skipped):]) {
				t.Fatalf("from %d: %q, want %q", from, got[len(dst):], want[len(skipped):])
			}
		}
	}
}
