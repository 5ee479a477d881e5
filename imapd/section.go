package imapd

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"

	"kurir/internal/message"
	"kurir/store"
)

// maxHeader is how much of a header is looked at for HEADER.FIELDS.
const maxHeader = 1 << 20

var headerReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// needsStructure reports whether the MIME structure is needed to find a section. The
// whole message and its header's fields are found without.
func needsStructure(s *imap.FetchItemBodySection) bool {
	if len(s.Part) > 0 {
		return true
	}
	return s.Specifier != imap.PartSpecifierNone && !someFields(s)
}

// someFields reports whether a section is HEADER.FIELDS or HEADER.FIELDS.NOT.
func someFields(s *imap.FetchItemBodySection) bool {
	return len(s.HeaderFields) > 0 || len(s.HeaderFieldsNot) > 0
}

// content sends the value of BODY[…], BINARY[…] or BINARY.SIZE[…]; the name is sent.
func (f *fetcher) content(m *fetched, it *fetchItem) error {
	switch it.kind {
	case itemBinary:
		return f.binary(m, it)
	case itemBinarySize:
		return f.binarySize(m, it)
	}
	section := findSection(m, &it.section)
	switch {
	case section == nil:
		f.out.Write([]byte("NIL"))
		return nil
	case someFields(&it.section):
		return f.headerFields(section, &it.section)
	}
	return f.literal(slice(section, it.section.Partial), "{")
}

// findSection gives the range of the message that a section names, nil if it has no such
// part (RFC 9051 section 6.4.5.1). For HEADER.FIELDS that is the header, or, of
// the message itself, all of it.
func findSection(m *fetched, s *imap.FetchItemBodySection) *store.Section {
	if !needsStructure(s) {
		return m.body.Whole()
	}
	p := m.part.Find(s.Part)
	if p == nil {
		return nil
	}
	if s.Specifier == imap.PartSpecifierHeader || s.Specifier == imap.PartSpecifierText {
		if len(s.Part) > 0 { // of the message in a message/rfc822 part only
			if !p.IsMessage() || len(p.Children) != 1 {
				return nil
			}
			p = p.Children[0]
		}
	}
	if s.Specifier == imap.PartSpecifierHeader || s.Specifier == imap.PartSpecifierMIME {
		return m.body.Range(p.HeaderOff, p.BodyOff)
	}
	return m.body.Range(p.BodyOff, p.EndOff)
}

func slice(s *store.Section, p *imap.SectionPartial) *store.Section {
	if p == nil {
		return s
	}
	return s.Slice(p.Offset, p.Size)
}

// literal streams a section. If the file fails on the way the connection must end: the
// length is announced (and a literal of another length would be worse than none).
func (f *fetcher) literal(s *store.Section, open string) error {
	f.out.set(appendOpening(f.out.buf(), open, s.Size()))
	var w io.Writer = &f.out
	if open == "{" {
		w = nulWriter{w}
	}
	if _, err := s.WriteTo(w); err != nil {
		return f.broken(err)
	}
	return nil
}

// broken ends a session whose response can't be brought to its end. What is gathered is
// sent; the connection closes inside the literal, so that the client sees it as cut.
func (f *fetcher) broken(err error) error {
	if f.out.err == nil {
		f.log.Error("message can't be read to its end", "mailbox", f.mailbox.Name(), "error", err)
		f.out.flush() // its error changes nothing any more
		f.out.err = err
	}
	return connError{err}
}

// nulWriter sends each NUL, which a literal may not hold, as 0x80 (literal8 is for BINARY).
type nulWriter struct{ io.Writer }

func (w nulWriter) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, 0) >= 0 {
		p = bytes.ReplaceAll(p, []byte{0}, []byte{0x80})
	}
	return w.Writer.Write(p)
}

// headerFields sends HEADER.FIELDS and HEADER.FIELDS.NOT: the fields as they are, in
// their order, and the blank line if there is one (RFC 9051 section 6.4.5.1). A line that
// is no field has none of the names.
func (f *fetcher) headerFields(s *store.Section, want *imap.FetchItemBodySection) error {
	raw, err := f.readHeader(s)
	cut := errors.Is(err, message.ErrHeaderTooLong)
	if err != nil && !cut {
		return f.broken(err)
	}
	names, not := want.HeaderFields, false
	if len(want.HeaderFieldsNot) > 0 {
		names, not = want.HeaderFieldsNot, true
	}
	if f.listedOf != want {
		f.listedOf, f.listed = want, make(map[string]bool, len(names))
		for _, n := range names {
			f.listed[strings.ToLower(n)] = n != ""
		}
	}
	out, n := f.fields[:0], 0
	for field := range message.Fields(raw) {
		n += len(field.Raw)
		if f.listed[strings.ToLower(field.Name)] != not {
			out = append(out, field.Raw...)
		}
	}
	if n < len(raw) || cut {
		out = append(out, "\r\n"...)
	}
	f.fields = kept(out)
	if p := want.Partial; p != nil {
		from := min(p.Offset, int64(len(out)))
		out = out[from : from+min(p.Size, int64(len(out))-from)]
	}
	f.out.set(appendLiteral(f.out.buf(), out))
	return nil
}

// readHeader reads the header at the beginning of a section; of a header beyond maxHeader
// only so much, and message.ErrHeaderTooLong.
// It is valid until the next is read.
func (f *fetcher) readHeader(s *store.Section) ([]byte, error) {
	if raw, ok := s.AppendHeader(f.header[:0]); ok {
		f.header = kept(raw)
		return raw, nil
	}
	r := headerReaders.Get().(*bufio.Reader)
	defer headerReaders.Put(r)
	r.Reset(s.Reader())
	defer r.Reset(nil)
	return message.ReadHeader(r, maxHeader)
}

// kept is b's room for the next message, unless it is too large for that.
func kept(b []byte) []byte {
	if cap(b) > 64<<10 {
		return nil
	}
	return b[:0]
}
