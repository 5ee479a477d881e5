package store

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"kurir/internal/fsx"
	"kurir/internal/message"
)

// countingFile counts the bytes that are read.
type countingFile struct {
	fsx.File
	read int64
}

func (f *countingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.read += int64(n)
	return n, err
}

// A client that takes a message in pieces, as phones do, has it read about twice in all:
// to count its lines, and to send it.
func TestPiecesAreLinear(t *testing.T) {
	content := strings.Repeat(strings.Repeat("base64 of an attachment", 3)+"\n", 200_000) // 14 MB
	want := served(content, false)
	b := bodyOf(t, content, false)
	b.lines = newLineTable(1, b.stored)
	f := &countingFile{File: b.f}
	b.f = f
	for _, piece := range []int{64 << 10, 100_000} {
		for name, section := range map[string]func() *Section{
			"BODY[]":  b.Whole,
			"BODY[1]": func() *Section { return b.Range(1000, b.stored-1000) },
		} {
			f.read = 0
			var got bytes.Buffer
			var from int64
			for {
				s := section().Slice(from, int64(piece))
				n, err := s.WriteTo(&got)
				if err != nil {
					t.Fatal(err)
				}
				if from += n; n < int64(piece) {
					break
				}
			}
			part := want
			if name == "BODY[1]" {
				part = served(content[1000:len(content)-1000], false)
			}
			if got.String() != part {
				t.Errorf("%s in pieces of %d differs", name, piece)
			}
			if f.read > 5*b.stored {
				t.Errorf("%s in pieces of %d: %d bytes read of %d", name, piece, f.read, b.stored)
			}
		}
	}
}

// The table's size is bounded, whatever the message's.
func TestLineTableBounded(t *testing.T) {
	for _, size := range []int64{1, 64 << 10, 25 << 20, 1<<32 - 1} {
		lt := newLineTable(1, size)
		if n := size/lt.block + 1; n > maxLineBlocks+1 {
			t.Errorf("%d bytes: %d blocks", size, n)
		}
	}
}

// FuzzSlices compares slices of each form of an open message with what a plain
// implementation gives.
func FuzzSlices(f *testing.F) {
	f.Add("a\nb\r\nc\x00\n\n\xff", uint16(1), uint16(9), uint16(2), uint16(5))
	f.Add("A: b\n c\nD: e\n\nbody\n", uint16(0), uint16(99), uint16(0), uint16(12))
	f.Add("A: b\r\nno end", uint16(0), uint16(99), uint16(2), uint16(99))
	f.Add("\r\nbody", uint16(0), uint16(99), uint16(0), uint16(99))
	f.Add(strings.Repeat("line\n", 9), uint16(3), uint16(40), uint16(0), uint16(99))
	f.Fuzz(func(t *testing.T, content string, off, end, from, n uint16) {
		for _, raw := range []bool{false, true} {
			lo := min(int(off), len(content))
			hi := max(lo, min(int(end), len(content)))
			part := served(content[lo:hi], raw)
			a := min(int(from), len(part))
			for _, b := range forms(t, content, raw) {
				s := b.Range(int64(off), int64(end))
				checkSection(t, s, part)
				checkSection(t, s.Slice(int64(from), int64(n)), part[a:min(len(part), a+int(n))])
				checkHeader(t, s)
				checkHeader(t, s.Slice(int64(from), int64(n)))
			}
		}
	})
}

// checkHeader compares AppendHeader, where it is for the section, with what is read of it.
func checkHeader(t *testing.T, s *Section) {
	t.Helper()
	got, ok := s.AppendHeader([]byte("before"))
	if !ok {
		if s.b.f == nil && s.skip == 0 || string(got) != "before" {
			t.Fatalf("nothing of a message in memory, or something of another: %q", got)
		}
		return
	}
	want, err := message.ReadHeader(bufio.NewReader(s.Reader()), 1<<30)
	if err != nil || string(got) != "before"+string(want) {
		t.Fatalf("%q, want %q, %v", got, want, err)
	}
}
