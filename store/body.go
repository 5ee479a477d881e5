package store

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"kurir/internal/fsx"
)

// smallBody is how large a message's file may be to be read whole when it is opened.
const smallBody = 64<<10 - 1

// smallBodies are the rooms for small files, with a byte more to see that one has ended.
var smallBodies = sync.Pool{New: func() any { b := make([]byte, smallBody+1); return &b }}

// Body is an open message: its file, or the whole of it in memory if it is small, and how
// it is served. A file whose size on the wire is its size on disk is served as it is; in
// any other each LF is served as CRLF. Close it. A Body may be used by one goroutine at a time.
type Body struct {
	f      fsx.File // nil: all of it is in small
	small  []byte
	home   *[]byte // where small came from
	lines  *lineTable
	stored int64
	wire   int64
}

func newBody(f fsx.File, stored, wire int64) *Body { return &Body{f: f, stored: stored, wire: wire} }

// Close closes the file, and gives the memory back: no section may be used any more.
func (b *Body) Close() error {
	if b.home != nil {
		smallBodies.Put(b.home)
		b.home, b.small, b.stored = nil, nil, 0
	}
	if b.f == nil {
		return nil
	}
	return b.f.Close()
}

// Size is the message's size on the wire.
func (b *Body) Size() int64 { return b.wire }

// Stored is the file as it lies on disk, and its size: what message.Part's offsets mean.
func (b *Body) Stored() (io.ReaderAt, int64) { return b, b.stored }

// ReadAt reads from the file as it lies on disk.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	if b.f != nil {
		return b.f.ReadAt(p, off)
	}
	if off < 0 || off >= int64(len(b.small)) {
		return 0, io.EOF
	}
	n := copy(p, b.small[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// piece gives the bytes from off on that buf has room for: buf, filled, or a part of the
// message in memory. It is not to be changed.
func (b *Body) piece(buf []byte, off int64) ([]byte, error) {
	if b.f == nil && off+int64(len(buf)) <= int64(len(b.small)) {
		return b.small[off : off+int64(len(buf))], nil
	}
	return buf, readFull(b, buf, off)
}

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

// body opens a message's file, whose size is checked against the name's. What is no file, such
// as a symbolic link to who knows what, is fsx.ErrNotRegular.
func (m *Mailbox) body(p *place) (*Body, error) {
	if p.stored <= smallBody {
		b, err := m.smallBody(p)
		if b != nil || err != nil {
			return b, err
		}
	}
	f, st, err := fsx.OpenRegular(m.s.fs, p.path)
	if err != nil {
		return nil, err
	}
	if st.Size() == int64(p.stored) {
		return newBody(f, int64(p.stored), int64(p.wire)), nil
	}
	m.s.log.Warn("a message's file does not have the size that its name says", "account", m.a.address, "file", p.path, "size", st.Size())
	stored, wire, err := measure(f, -1)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return newBody(f, stored, wire), nil
}

// smallBody reads a small file whole; nil if it does not have the size that its name says.
func (m *Mailbox) smallBody(p *place) (*Body, error) {
	home := smallBodies.Get().(*[]byte)
	n, err := fsx.ReadInto(m.s.fs, p.path, (*home)[:p.stored+1])
	if err != nil || n != int(p.stored) {
		smallBodies.Put(home)
		return nil, err
	}
	return &Body{small: (*home)[:n], home: home, stored: int64(n), wire: int64(p.wire)}, nil
}

// measure reads a whole file and says how many bytes it has, and how many on the wire:
// as many, if that is said or its first line ends in CRLF, which no file stored with LF
// alone has; else each LF counts double.
func measure(f io.ReaderAt, said int64) (stored, wire int64, err error) {
	buf := sectionPool.Get().(*[]byte)
	defer sectionPool.Put(buf)
	var c lineCounter
	for {
		n, err := f.ReadAt(*buf, c.stored)
		c.add((*buf)[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, 0, err
		}
	}
	stored, wire = c.sizes(said)
	return stored, wire, nil
}

// lineCounter measures a file out of its pieces.
type lineCounter struct {
	stored, lfs int64
	crlf        bool // the first line ends in CRLF
	last        byte
}

func (c *lineCounter) add(p []byte) {
	if c.lfs == 0 {
		i := bytes.IndexByte(p, '\n')
		c.crlf = i > 0 && p[i-1] == '\r' || i == 0 && c.last == '\r'
	}
	c.lfs += int64(bytes.Count(p, []byte{'\n'}))
	if len(p) > 0 {
		c.last = p[len(p)-1]
	}
	c.stored += int64(len(p))
}

// sizes says what measure does.
func (c *lineCounter) sizes(said int64) (stored, wire int64) {
	if said == c.stored || c.crlf {
		return c.stored, c.stored
	}
	return c.stored, c.stored + c.lfs
}
