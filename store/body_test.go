package store

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/fsx"
)

// bodyOf makes a Body of a file with that content.
func bodyOf(t testing.TB, content string, raw bool) *Body {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := fsx.OS{}.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	wire := int64(len(content))
	if !raw {
		wire += int64(strings.Count(content, "\n"))
	}
	b := newBody(f, int64(len(content)), wire)
	t.Cleanup(func() { b.Close() })
	return b
}

func served(content string, raw bool) string {
	if raw {
		return content
	}
	return strings.ReplaceAll(content, "\n", "\r\n")
}

// checkSection compares both ways to read a section, and its size, with what it should be.
func checkSection(t *testing.T, s *Section, want string) {
	t.Helper()
	if s.Size() != int64(len(want)) {
		t.Fatalf("size %d, want %d", s.Size(), len(want))
	}
	var b bytes.Buffer
	n, err := s.WriteTo(&b)
	if err != nil || n != int64(len(want)) || b.String() != want {
		t.Fatalf("WriteTo: %d %v, %.80q, want %.80q", n, err, b.String(), want)
	}
	got, err := io.ReadAll(s.Reader())
	if err != nil || string(got) != want {
		t.Fatalf("Reader: %v, %.80q, want %.80q", err, got, want)
	}
}

func TestBodySections(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	long := strings.Repeat("a line of some length\n", 9000) // more than one buffer
	contents := []string{"", "\n", "x", "a\nb\n", "a\n\n\n", "no end", "a\r\nb\r\n", "a\r\nb\nc\r\n", "\r\n\r\n", strings.Repeat("\n", 70000), long,
		strings.ReplaceAll(long, "\n", "\r\n")}
	for _, c := range contents {
		for _, raw := range []bool{false, true} {
			whole := served(c, raw)
			for _, b := range forms(t, c, raw) {
				checkBody(t, rng, b, c, raw)
			}
			if b := bodyOf(t, c, raw); b.Size() != int64(len(whole)) {
				t.Fatalf("%.20q: %d bytes, want %d", c, b.Size(), len(whole))
			}
		}
	}
}

// forms are the ways in which a message can be open: by its file, as a large one whose
// lines are counted once (in small blocks), and in memory.
func forms(t testing.TB, content string, raw bool) []*Body {
	file, counted := bodyOf(t, content, raw), bodyOf(t, content, raw)
	counted.lines = newLineTable(1, counted.stored)
	counted.lines.block = 7
	small := &Body{small: []byte(content), stored: file.stored, wire: file.wire}
	return []*Body{file, counted, small}
}

// checkBody compares a body, and ranges and slices of it, with what is served of content.
func checkBody(t *testing.T, rng *rand.Rand, b *Body, c string, raw bool) {
	t.Helper()
	checkSection(t, b.Whole(), served(c, raw))
	r, n := b.Stored()
	if got, err := io.ReadAll(io.NewSectionReader(r, 0, n)); err != nil || string(got) != c {
		t.Fatalf("stored: %v", err)
	}
	for range 12 {
		off, end := rng.IntN(len(c)+3)-1, rng.IntN(len(c)+3)
		from := min(max(off, 0), len(c))
		part := served(c[from:max(from, min(end, len(c)))], raw)
		s := b.Range(int64(off), int64(end))
		checkSection(t, s, part)
		for range 2 { // a slice, and a slice of that
			o, k := rng.IntN(len(part)+3)-1, rng.IntN(len(part)+3)
			lo := min(max(o, 0), len(part))
			part = part[lo:min(len(part), lo+k)]
			s = s.Slice(int64(o), int64(k))
			checkSection(t, s, part)
		}
	}
}

func TestBodyFileShorterThanSaid(t *testing.T) {
	for _, raw := range []bool{false, true} {
		b := bodyOf(t, "a\nbcd\n", raw)
		if err := os.Truncate(b.f.Name(), 3); err != nil {
			t.Fatal(err)
		}
		if n, err := b.Whole().WriteTo(io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) || n > b.Size() {
			t.Errorf("raw %v: WriteTo: %d %v", raw, n, err)
		}
		if _, err := io.ReadAll(b.Range(0, 6).Reader()); !raw && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("raw %v: Reader: %v", raw, err)
		}
	}
}

// A section never has another length than was announced: a file whose LFs changed behind
// the size in its name is an error, not a longer literal.
func TestBodyOtherLineEndsThanSaid(t *testing.T) {
	b := bodyOf(t, "a\nb\nc\n", false)
	b.wire-- // what the name says
	n, err := b.Whole().WriteTo(io.Discard)
	if n > b.Size() || err == nil && n != b.Size() {
		t.Errorf("%d bytes of %d, %v", n, b.Size(), err)
	}
	b.wire += 2
	if n, err := b.Whole().WriteTo(io.Discard); err == nil || n > b.Size() {
		t.Errorf("%d bytes of %d, %v", n, b.Size(), err)
	}
}

func TestMeasure(t *testing.T) {
	for _, c := range []struct {
		content string
		said    int64
		wire    int64
	}{
		{"", -1, 0}, {"abc", -1, 3}, {"a\nb\n", -1, 6}, {"a\nb\n", 6, 6}, {"a\nb\n", 4, 4}, {"a\nb\n", 5, 6},
		{"a\r\nb\r\n", -1, 6}, {"a\r\nb\r\n", 6, 6}, {"a\r\nb\r\n", 8, 6}, {"a\r\nb\n", -1, 5}, {"a\nb\r\n", -1, 7}, {"\nx", -1, 3}, {"\r\nx", -1, 3},
		{strings.Repeat("x", 64<<10-1) + "\r\ny\r\n", -1, 64<<10 + 4}, // the first line end over two reads
		{strings.Repeat("x", 64<<10) + "\ny\n", -1, 64<<10 + 5},
	} {
		b := bodyOf(t, c.content, true)
		stored, wire, err := measure(b.f, c.said)
		if err != nil || stored != int64(len(c.content)) || wire != c.wire {
			t.Errorf("%.20q, said %d: %d %d %v, want %d", c.content, c.said, stored, wire, err, c.wire)
		}
	}
}
