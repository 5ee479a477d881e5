package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"kurir/internal/fsx"
)

// Body is an open message: its file, and how it is served. A file whose size on the wire
// is its size on disk is served as it is; in any other each LF is served as CRLF. Close
// it. Sections of a Body may be used by one goroutine at a time.
type Body struct {
	f      fsx.File
	stored int64
	wire   int64
}

func newBody(f fsx.File, stored, wire int64) *Body { return &Body{f, stored, wire} }

// Close closes the file.
func (b *Body) Close() error { return b.f.Close() }

// Size is the message's size on the wire.
func (b *Body) Size() int64 { return b.wire }

// Stored is the file as it lies on disk, and its size: what message.Part's offsets mean.
func (b *Body) Stored() (io.ReaderAt, int64) { return b.f, b.stored }

func (b *Body) raw() bool { return b.stored == b.wire }

// Whole is the whole message.
func (b *Body) Whole() *Section {
	return &Section{b: b, off: 0, end: b.stored, size: b.wire}
}

// Range is the part of the message from off to end, in bytes of the file. Its LFs are
// counted, not taken from a parser: in a file of another program with mixed line ends the
// two may differ, and a literal never has another length than was announced.
func (b *Body) Range(off, end int64) *Section {
	off, end = min(max(off, 0), b.stored), min(end, b.stored)
	end = max(off, end)
	s := &Section{b: b, off: off, end: end, size: end - off}
	if b.raw() {
		return s
	}
	if off == 0 && end == b.stored {
		s.size = b.wire
		return s
	}
	s.size = -1
	return s
}

// Section is a part of a message, as it is on the wire.
type Section struct {
	b        *Body
	off, end int64 // in the file
	size     int64 // on the wire; -1 is not counted yet
	skip     int64 // bytes on the wire to leave out first
}

// Size is the exact number of bytes that WriteTo writes.
func (s *Section) Size() int64 {
	if s.size < 0 {
		s.size = s.end - s.off + s.countLF()
	}
	return s.size
}

// countLF counts the LFs in the section. A read error shows when the section is written.
func (s *Section) countLF() int64 {
	buf := sectionPool.Get().(*[]byte)
	defer sectionPool.Put(buf)
	n := int64(0)
	for off := s.off; off < s.end; {
		p := (*buf)[:min(int64(len(*buf)), s.end-off)]
		k, err := s.b.f.ReadAt(p, off)
		n += int64(bytes.Count(p[:k], []byte{'\n'}))
		off += int64(k)
		if err != nil && off < s.end {
			break
		}
	}
	return n
}

// Slice is at most n bytes of the section, as on the wire, from off on.
func (s *Section) Slice(off, n int64) *Section {
	size := s.Size()
	off = min(max(off, 0), size)
	n = min(max(n, 0), size-off)
	t := &Section{b: s.b, off: s.off, end: s.end, size: n, skip: s.skip + off}
	if s.b.raw() {
		t.off, t.end, t.skip = s.off+off, s.off+off+n, 0
	}
	return t
}

var sectionPool = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// WriteTo writes exactly Size bytes, or returns an error.
func (s *Section) WriteTo(w io.Writer) (int64, error) {
	want := s.Size()
	buf := sectionPool.Get().(*[]byte)
	defer sectionPool.Put(buf)
	in := *buf
	if s.b.raw() {
		return s.copyRaw(w, in, want)
	}
	out := sectionPool.Get().(*[]byte)
	defer sectionPool.Put(out)
	var done int64
	skip := s.skip
	half := len(*out) / 2
	for off := s.off; off < s.end && done < want; {
		p := in[:min(int64(half), s.end-off)]
		if err := readFull(s.b.f, p, off); err != nil {
			return done, err
		}
		off += int64(len(p))
		q := expand((*out)[:0], p)
		if skip > 0 {
			k := min(skip, int64(len(q)))
			q, skip = q[k:], skip-k
		}
		q = q[:min(int64(len(q)), want-done)]
		n, err := w.Write(q)
		done += int64(n)
		if err != nil {
			return done, err
		}
	}
	if done != want {
		return done, fmt.Errorf("message file holds %d bytes of a section where %d were expected", done, want)
	}
	return done, nil
}

func (s *Section) copyRaw(w io.Writer, buf []byte, want int64) (int64, error) {
	var done int64
	for done < want {
		p := buf[:min(int64(len(buf)), want-done)]
		if err := readFull(s.b.f, p, s.off+done); err != nil {
			return done, err
		}
		n, err := w.Write(p)
		done += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// readFull fills p from offset off.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// expand appends p with each LF as CRLF.
func expand(b, p []byte) []byte {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return append(b, p...)
		}
		b = append(append(b, p[:i]...), '\r', '\n')
		p = p[i+1:]
	}
}

// Reader reads the section.
func (s *Section) Reader() io.Reader {
	if s.b.raw() {
		return io.NewSectionReader(s.b.f, s.off, s.Size())
	}
	r := &expandReader{s: s, off: s.off, skip: s.skip, left: s.Size()}
	return r
}

// expandReader reads a section whose LFs are served as CRLF.
type expandReader struct {
	s    *Section
	off  int64
	skip int64
	left int64
	in   [2048]byte
	out  []byte
	rest []byte
}

func (r *expandReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		in := r.in[:min(int64(len(r.in)), r.s.end-r.off)]
		if len(in) == 0 {
			return 0, io.ErrUnexpectedEOF
		}
		if err := readFull(r.s.b.f, in, r.off); err != nil {
			return 0, err
		}
		r.off += int64(len(in))
		r.out = expand(r.out[:0], in)
		k := min(r.skip, int64(len(r.out)))
		r.skip -= k
		r.rest = r.out[k:]
		r.rest = r.rest[:min(int64(len(r.rest)), r.left)]
		r.left -= int64(len(r.rest))
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// measure reads a whole file and says how many bytes it has, and how many on the wire:
// as many, if that is said or its first line ends in CRLF, which no file stored with LF
// alone has; else each LF counts double.
func measure(f fsx.File, said int64) (stored, wire int64, err error) {
	buf := sectionPool.Get().(*[]byte)
	defer sectionPool.Put(buf)
	lfs, crlf, last := int64(0), false, byte(0)
	for {
		n, err := f.ReadAt(*buf, stored)
		p := (*buf)[:n]
		if lfs == 0 {
			i := bytes.IndexByte(p, '\n')
			crlf = i > 0 && p[i-1] == '\r' || i == 0 && last == '\r'
		}
		lfs += int64(bytes.Count(p, []byte{'\n'}))
		if n > 0 {
			last = p[n-1]
		}
		stored += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, 0, err
		}
	}
	if said == stored || crlf {
		return stored, stored, nil
	}
	return stored, stored + lfs, nil
}
