package imapd

import (
	"bytes"
	"io"
	"math"
	"strings"

	"github.com/emersion/go-imap/v2"

	"kurir/internal/message"
)

// errUnknownCTE is the answer for a part that can't be decoded (RFC 3516 section 4.3).
var errUnknownCTE = no(imap.ResponseCodeUnknownCTE, "A part can't be decoded")

// binary sends BINARY[…]: a part with its Content-Transfer-Encoding undone (RFC 9051
// section 6.4.5). Its length, and whether it has a NUL and so must be a literal8, have to
// be known before: it is read twice.
func (f *fetcher) binary(m *fetched, it *fetchItem) error {
	seen := binaryScan{from: 0, to: math.MaxInt64}
	if p := it.section.Partial; p != nil {
		seen.from, seen.to = p.Offset, p.Offset+min(p.Size, math.MaxInt64-p.Offset)
	}
	if len(it.section.Part) == 0 || identity(m, it) {
		s := findSection(m, &it.section)
		if s == nil {
			f.out.Write([]byte("NIL"))
			return nil
		}
		s = slice(s, it.section.Partial)
		seen.from, seen.to = 0, math.MaxInt64 // the partial is cut out already
		if _, err := s.WriteTo(&seen); err != nil {
			return f.broken(err)
		}
		return f.literal(s, seen.open())
	}
	r := decoded(m, it)
	if seen.read(r) != nil {
		f.out.Write([]byte("NIL"))
		f.undecoded = true
		return nil
	}
	from := min(seen.from, seen.n)
	n := min(seen.to, seen.n) - from
	f.out.set(appendOpening(f.out.buf(), seen.open(), n))
	r = decoded(m, it)
	if _, err := io.CopyN(io.Discard, r, from); err != nil {
		return f.broken(err)
	}
	if _, err := io.CopyN(&f.out, r, n); err != nil {
		return f.broken(err)
	}
	return nil
}

// binaryScan counts what is written to it, and looks for NUL in the bytes from from to to.
type binaryScan struct {
	from, to int64
	n        int64
	nul      bool
}

func (s *binaryScan) Write(p []byte) (int, error) {
	from, to := max(s.from-s.n, 0), min(s.to-s.n, int64(len(p)))
	if from < to && !s.nul {
		s.nul = bytes.IndexByte(p[from:to], 0) >= 0
	}
	s.n += int64(len(p))
	return len(p), nil
}

// read takes all of r, which is nil where the encoding is not known.
func (s *binaryScan) read(r io.Reader) error {
	if r == nil {
		return errUnknownCTE
	}
	_, err := io.Copy(s, r)
	return err
}

// open begins the literal. One without NUL is a plain one, which tells the client as much
// (RFC 9051 section 6.4.5).
func (s *binaryScan) open() string {
	if s.nul {
		return "~{"
	}
	return "{"
}

// binarySize sends BINARY.SIZE[…].
func (f *fetcher) binarySize(m *fetched, it *fetchItem) error {
	var seen binaryScan
	if s := findSection(m, &it.section); s != nil && (len(it.section.Part) == 0 || identity(m, it)) {
		seen.n = s.Size()
	} else if s != nil && seen.read(decoded(m, it)) != nil {
		f.undecoded, seen.n = true, 0
	}
	f.out.set(appendNumber(f.out.buf(), seen.n))
	return nil
}

// identity reports whether a part is not encoded. Multiparts and messages never are.
func identity(m *fetched, it *fetchItem) bool {
	p := m.part.Find(it.section.Part)
	if p == nil || p.IsMultipart() || p.IsMessage() {
		return true
	}
	switch strings.ToLower(p.Encoding) {
	case "7bit", "8bit", "binary":
		return true
	}
	return false
}

// decoded reads a part without its encoding, nil if that is not known.
func decoded(m *fetched, it *fetchItem) io.Reader {
	p := m.part.Find(it.section.Part)
	return message.Undo(m.body.Range(p.BodyOff, p.EndOff).Reader(), p.Encoding)
}
