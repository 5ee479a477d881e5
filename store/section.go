package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

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
	if s.b.lines != nil {
		n, _ := s.b.lines.count(s.b, s.off, s.end)
		return n
	}
	n, _ := countLF(s.b, s.off, s.end)
	return n
}

// countLF counts the LFs of a message's file from off to end.
func countLF(b *Body, off, end int64) (n int64, err error) {
	buf := sectionPool.Get().(*[]byte)
	defer sectionPool.Put(buf)
	for off < end {
		p, err := b.piece((*buf)[:min(int64(len(*buf)), end-off)], off)
		if err != nil {
			return n, err
		}
		n += int64(bytes.Count(p, []byte{'\n'}))
		off += int64(len(p))
	}
	return n, nil
}

// Slice is at most n bytes of the section, as on the wire, from off on.
func (s *Section) Slice(off, n int64) *Section {
	size := s.Size()
	off = min(max(off, 0), size)
	n = min(max(n, 0), size-off)
	t := &Section{b: s.b, off: s.off, end: s.end, size: n, skip: s.skip + off}
	if s.b.raw() {
		t.off, t.end, t.skip = s.off+off, s.off+off+n, 0
	} else if s.b.lines != nil {
		t.off, t.skip = s.b.lines.seek(s.b, t.off, t.end, t.skip)
	}
	return t
}

// AppendHeader appends the header that the section begins with, as on the wire, up to and
// including its blank line; all of the section if it has none. It is for messages that are
// in memory: of any other it appends nothing, and reports false.
func (s *Section) AppendHeader(b []byte) ([]byte, bool) {
	if s.b.f != nil || s.skip > 0 {
		return b, false
	}
	p := s.b.small[s.off:s.end]
	n := 0 // where a line begins
	for n < len(p) && p[n] != '\n' && !(s.b.raw() && bytes.HasPrefix(p[n:], crlf)) {
		k := bytes.IndexByte(p[n:], '\n') + 1
		if k == 0 {
			n = len(p)
		}
		n += k
	}
	n += bytes.IndexByte(p[n:], '\n') + 1
	room := len(b) + int(s.Size())
	if s.b.raw() {
		return append(b, p[:n]...), true
	}
	b = expand(b, p[:n])
	return b[:min(len(b), room)], true
}

var crlf = []byte("\r\n")

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
		p, err := s.b.piece(in[:min(int64(half), s.end-off)], off)
		if err != nil {
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
		p, err := s.b.piece(buf[:min(int64(len(buf)), want-done)], s.off+done)
		if err != nil {
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
		return io.NewSectionReader(s.b, s.off, s.Size())
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
		if err := readFull(r.s.b, in, r.off); err != nil {
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
