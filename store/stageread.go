package store

import (
	"bytes"
	"errors"
	"io"
)

// edit is text that Insert adds behind the octet at, as on the wire.
type edit struct {
	at   int64
	text string
}

// Insert has text, which has no line ends, stand before the octet at of what was
// written, once the message is finished: Reader shows the message without it until then.
// at is the beginning of a line; of several calls each is for a later line.
func (m *Staged) Insert(at int64, text string) error {
	switch {
	case m.err != nil:
		return m.err
	case m.finished:
		return errors.New("store: text for a finished message")
	case at < 0 || at > m.wire || len(m.edits) > 0 && at <= m.edits[len(m.edits)-1].at:
		return errors.New("store: text out of order")
	}
	m.edits = append(m.edits, edit{at, text})
	return nil
}

// inserted is how many octets Insert adds.
func (m *Staged) inserted() (n int64) {
	for _, e := range m.edits {
		n += int64(len(e.text))
	}
	return n
}

// pieces calls f for each piece of the written octets, which are size in all, and with
// the text that follows the piece.
func (m *Staged) pieces(f func(from, to int64, text string) error, size int64) error {
	from := int64(0)
	for _, e := range m.edits {
		if err := f(from, e.at, e.text); err != nil {
			return err
		}
		from = e.at
	}
	return f(from, size, "")
}

// Reader reads the message as on the wire, from the start: what has been written so far,
// or after Prepend all of it. Close it when done. Several may read at once, as long as
// nobody writes.
func (m *Staged) Reader() (io.ReadCloser, error) {
	switch {
	case m.spool != nil:
		return io.NopCloser(io.NewSectionReader(m.spool, 0, m.wire)), nil
	case !m.finished:
		return io.NopCloser(bytes.NewReader(m.buf)), nil
	}
	f, err := m.s.fs.Open(m.path)
	if err != nil {
		return nil, kindOf(err)
	}
	b := newBody(f, m.stored, m.wire)
	return struct {
		io.Reader
		io.Closer
	}{b.Whole().Reader(), b}, nil
}
