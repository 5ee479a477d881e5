package smtpd

import (
	"bytes"
	"strings"
	"testing"
)

// decodeAll runs the decoder over raw in pieces of the given size.
func decodeAll(raw []byte, piece int) (out []byte, used int, end bool, d *decoder) {
	d = &decoder{}
	sink := func(p []byte) { out = append(out, p...) }
	for used < len(raw) && !end {
		var n int
		n, end = d.write(raw[used:min(used+piece, len(raw))], sink)
		used += n
	}
	return out, used, end, d
}

// reference decodes by the words of RFC 5321 section 4.5.2, with all of raw at hand.
func reference(raw string) (out string, used int, end bool) {
	s := "\r\n" + raw
	i := strings.Index(s, "\r\n.\r\n")
	if i < 0 {
		return "", 0, false
	}
	body := s[:i+2]
	return strings.ReplaceAll(body, "\r\n.", "\r\n")[2:], i + 3, true
}

// referenceLookAlike finds a dot between any two line ends in what comes before the end.
func referenceLookAlike(raw string, used int) bool {
	s := raw[:used-3]
	isEnd := func(c byte) bool { return c == '\r' || c == '\n' }
	for i := range len(s) {
		if s[i] == '.' && (i == 0 || isEnd(s[i-1])) && i+1 < len(s) && isEnd(s[i+1]) {
			return true
		}
	}
	return false
}

func checkDecoder(t *testing.T, raw []byte, piece int) {
	t.Helper()
	want, used, end := reference(string(raw))
	out, n, gotEnd, d := decodeAll(raw, piece)
	if gotEnd != end {
		t.Fatalf("%q: end %v, want %v", raw, gotEnd, end)
	}
	if !end {
		return
	}
	if n != used || string(out) != want || d.size != int64(len(want)) {
		t.Fatalf("%q in pieces of %d: %q, %d octets, size %d; want %q, %d", raw, piece, out, n, d.size, want, used)
	}
	if got, want := d.lookAlike, referenceLookAlike(string(raw), used); got != want {
		t.Fatalf("%q: look-alike %v, want %v", raw, got, want)
	}
	if got, want := d.nul, strings.Contains(want, "\x00"); got != want {
		t.Fatalf("%q: NUL %v, want %v", raw, got, want)
	}
}

var decoderSeeds = []string{
	".\r\n", "\r\n.\r\n", "a\r\n.\r\nb", "..\r\n.\r\n", ".\r.\r\n.\r\n", "a\r\n.\rb\r\n.\r\n",
	"\n.\n\r\n.\r\n", "\r\r\n.\r\n", ".\n\r\n.\r\n", ".\r\r\n.\r\n", "a\x00\r\n.\r\n", ".a\r\n.b\r\n.\r\n",
	"\r\n..\r\n...\r\n.\r\n", "a\r.\r\nb\r\n.\r\n", "x\n..\ny\r\n.\r\n",
}

func TestDecoder(t *testing.T) {
	for _, s := range decoderSeeds {
		for piece := 1; piece <= len(s); piece++ {
			checkDecoder(t, []byte(s), piece)
		}
	}
}

// TestDecoderExhaustive tries every text of up to 8 of the octets that matter.
func TestDecoderExhaustive(t *testing.T) {
	const letters = ".\r\na"
	var run func(prefix []byte, n int)
	run = func(prefix []byte, n int) {
		raw := append(bytes.Clone(prefix), "\r\n.\r\n"...)
		checkDecoder(t, raw, 1)
		checkDecoder(t, raw, len(raw))
		if n == 0 {
			return
		}
		for i := range len(letters) {
			run(append(prefix, letters[i]), n-1)
		}
	}
	run(nil, 7)
}

// TestSmuggling has the sequences that servers have been known to take for the end of
// data (CVE-2023-51764 to 51766, CVE-2024-27305).
func TestSmuggling(t *testing.T) {
	for _, s := range []string{
		"\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\n.\r", "\r.\n",
		"\r\r\n.\r", "\r\n.\r\r\n",
	} {
		raw := "text" + s + "more\r\n.\r\n"
		if _, used, end, d := decodeAll([]byte(raw), 3); !end || used != len(raw) || d.fault() != replySmuggling {
			t.Errorf("DATA %q: end %v after %d of %d, fault %v", s, end, used, len(raw), d.fault())
		}
		d := &decoder{}
		for i := range len(raw) {
			d.chunk([]byte(raw[i:i+1]), func([]byte) {})
		}
		if d.fault() != replySmuggling {
			t.Errorf("BDAT %q: fault %v", s, d.fault())
		}
	}
	for _, s := range []string{"\r\n..\r\n", "\n..\n", "a.\r\n", "\r..\r", "\r.a", "\n.a\n", "\r\n.a.\r\n"} {
		if _, _, _, d := decodeAll([]byte("text"+s+"more\r\n.\r\n"), 100); d.fault() != nil {
			t.Errorf("%q: %v", s, d.fault())
		}
	}
	d := &decoder{}
	d.chunk([]byte("a\r\n.\r\nb\r\n.\r\n"), func([]byte) {})
	if d.fault() != nil || d.size != 12 {
		t.Errorf("a dot alone in a chunk: %v, size %d", d.fault(), d.size)
	}
}

func TestLongTextLine(t *testing.T) {
	line := bytes.Repeat([]byte("x"), maxTextLine)
	for over, want := range map[string]*Reply{"": nil, "x": replyLongText} {
		raw := append(append(bytes.Clone(line[2:]), over...), "\r\n.\r\n"...)
		if _, _, end, d := decodeAll(raw, 1000); !end || d.fault() != want {
			t.Errorf("a line of %d octets: end %v, fault %v", len(line)-2+len(over)+2, end, d.fault())
		}
	}
}

func FuzzDecoder(f *testing.F) {
	for _, s := range decoderSeeds {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, raw []byte, piece int) {
		checkDecoder(t, raw, max(piece, 1))
		checkDecoder(t, append(raw, "\r\n.\r\n"...), max(piece, 1))
	})
}

func BenchmarkDecoder(b *testing.B) {
	raw := bytes.Repeat([]byte(strings.Repeat("x", 76)+"\r\n"), 800)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		d := &decoder{}
		d.write(raw, func([]byte) {})
	}
}
