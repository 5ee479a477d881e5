package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"kurir/internal/message"
)

// maxSearchHeader is how much of a header is searched.
const maxSearchHeader = 1 << 20

// searchHead is how much of a message is read at once for its header: nearly always all.
const searchHead = 8 << 10

var searchReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// fail keeps the first error, except that a message is gone.
func (c *compiler) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !errors.Is(err, ErrExpunged) {
		c.err = err
	}
}

// keyword is the bit of a keyword, 0 if the mailbox has no such keyword.
func (c *compiler) keyword(name string) Flags {
	for i, k := range c.v.Mailbox().Keywords() {
		if k != "" && strings.EqualFold(k, name) {
			return KeywordFlag(i)
		}
	}
	return 0
}

// undecided is the judge of terms that need the content.
func undecided(*Info) verdict { return open }

// header searches the file: the index does not have the field.
func (c *compiler) header(q HeaderHas) *term {
	needle := newNeedle(q.Text)
	return &term{cost: costHeader, judge: undecided, holds: func(s *searched, _ *Info) (bool, error) {
		raw, err := s.header()
		if err != nil {
			return false, err
		}
		for f := range message.Fields(raw) {
			if strings.EqualFold(f.Name, q.Name) && needle.in(message.DecodeHeader(f.Unfolded())) {
				return true, nil
			}
		}
		return false, nil
	}}
}

func (c *compiler) text(s string, header bool) *term {
	needle := newNeedle(s)
	if needle.empty() {
		return known(func(*Info) bool { return true })
	}
	return &term{cost: costBody, judge: undecided, holds: func(s *searched, m *Info) (bool, error) {
		if header {
			raw, err := s.header()
			if err != nil || needle.inHeader(raw) {
				return err == nil, err
			}
		}
		p, err := s.structure(m)
		if err != nil {
			return false, err
		}
		if header {
			if ok, err := s.partHeadersHave(p, needle); ok || err != nil {
				return ok, err
			}
		}
		return s.partHas(p, needle)
	}}
}

// searched is the message that one goroutine of a search is looking at. Of the view it
// uses only what several goroutines may, once the view is loaded: Open, Structure and dates.
type searched struct {
	v   *View
	ctx context.Context

	yield func() // lets other searches have their turn

	body *Body
	raw  []byte // header, nil: not read yet
	part *message.Part

	head   []byte // room for a header
	text   []byte // room for a part
	folded []byte // room for its text
	dec    message.TextDecoder
}

// pause lets other searches have their turn, and gives ctx's error.
func (s *searched) pause() error {
	s.yield()
	return s.ctx.Err()
}

// decide asks the columns, then the content.
func (s *searched) decide(t *term, m *Info) (bool, error) {
	if v := t.judge(m); v != open {
		return v == proven, nil
	}
	if err := s.pause(); err != nil {
		return false, err
	}
	return t.holds(s, m)
}

// header reads the message's header, with its line ends as stored or as on the wire. It
// is never nil.
func (s *searched) header() ([]byte, error) {
	if s.raw != nil {
		return s.raw, nil
	}
	if s.body.small != nil {
		s.raw = s.body.small // nobody looks beyond the blank line
		return s.raw, nil
	}
	if s.head == nil {
		s.head = make([]byte, searchHead)
	}
	r, size := s.body.Stored()
	head := s.head[:min(size, searchHead)]
	if err := readFull(r, head, 0); err != nil {
		return nil, kindOf(err)
	}
	if size <= searchHead || bytes.Contains(head, []byte("\n\r\n")) || bytes.Contains(head, []byte("\n\n")) {
		s.raw = head
		return head, nil
	}
	raw, err := readSearchHeader(s.body.Whole())
	s.raw = append(raw, "\r\n"...)
	return s.raw, err
}

// readSearchHeader reads the header at the beginning of a section, up to a bound.
func readSearchHeader(sec *Section) ([]byte, error) {
	r := searchReaders.Get().(*bufio.Reader)
	defer searchReaders.Put(r)
	r.Reset(sec.Reader())
	defer r.Reset(nil)
	raw, err := message.ReadHeader(r, maxSearchHeader)
	if errors.Is(err, message.ErrHeaderTooLong) {
		err = nil
	}
	return raw, err
}

// structure gives the parts of the message, maybe without envelopes: to look through a
// message in memory is quicker than to ask the index.
func (s *searched) structure(m *Info) (_ *message.Part, err error) {
	switch {
	case s.part != nil:
	case s.body.small != nil:
		s.part = message.ParseParts(s.body.small, message.Limits{})
	default:
		s.part, err = s.v.Structure(s.ctx, m.UID)
	}
	return s.part, err
}

// partHeadersHave searches the headers below p: of its parts, and of messages within it.
func (s *searched) partHeadersHave(p *message.Part, needle *needle) (bool, error) {
	for _, c := range p.Children {
		if err := s.pause(); err != nil {
			return false, err
		}
		raw, err := readSearchHeader(s.body.Range(c.HeaderOff, c.BodyOff))
		if err != nil || needle.inHeader(raw) {
			return err == nil, err
		}
		if ok, err := s.partHeadersHave(c, needle); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// partHas searches the text parts at or below p, and those of type message without parts
// of their own, as the reports of deliveries are.
func (s *searched) partHas(p *message.Part, needle *needle) (bool, error) {
	if err := s.pause(); err != nil {
		return false, err
	}
	for _, c := range p.Children {
		if ok, err := s.partHas(c, needle); ok || err != nil {
			return ok, err
		}
	}
	if len(p.Children) > 0 || !p.IsText() && !strings.EqualFold(p.Type, "message") {
		return false, nil
	}
	return s.textHas(p, needle)
}

// maxTextInMemory is how large a text may be to be searched in one piece.
const maxTextInMemory = 256 << 10

// textHas searches a text part. Only in one that is large, or if line ends are looked for,
// it does so in pieces, and as on the wire.
func (s *searched) textHas(p *message.Part, needle *needle) (bool, error) {
	size := p.EndOff - p.BodyOff
	if size > maxTextInMemory || needle.lines && !s.body.raw() {
		r := s.body.Range(p.BodyOff, p.EndOff).Reader()
		return needle.inText(s.pause, message.DecodeText(r, p.Encoding, p.Param("charset")))
	}
	text, err := s.stored(p.BodyOff, size)
	if err != nil {
		return false, err
	}
	s.folded = message.Fold(s.folded[:0], s.dec.Decode(text, p.Encoding, p.Param("charset")))
	return needle.found(s.folded), nil
}

// stored gives n bytes of the message's file from off on: of the message in memory, or read
// into a room that the next call uses again.
func (s *searched) stored(off, n int64) ([]byte, error) {
	if s.body.small != nil && off+n <= s.body.stored {
		return s.body.small[off : off+n], nil
	}
	s.text = slices.Grow(s.text[:0], int(n))[:n]
	return s.text, kindOf(readFull(s.body, s.text, off))
}

// searchContents asks the contents of the messages left, on all cores, and returns those
// that t holds of.
func (v *View) searchContents(ctx context.Context, t *term, left []Info) ([]UID, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	holds := make([]bool, len(left))
	turns := v.m.s.scans
	for range min(cap(turns), len(left)) {
		wg.Go(func() { // ends with the messages, or with ctx
			s := &searched{v: v, ctx: ctx}
			for more := true; more; {
				more = turns.take(ctx, func(yield func()) bool {
					s.yield = yield
					i := int(next.Add(1)) - 1
					if i >= len(left) || ctx.Err() != nil {
						return false
					}
					ok, err := s.ask(t, &left[i])
					if err != nil {
						cancel(err)
					}
					holds[i] = ok
					return true
				})
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var found []UID
	for i, ok := range holds {
		if ok {
			found = append(found, left[i].UID)
		}
	}
	return found, nil
}

// ask asks one message's content. A message that is gone is not found. A panic over a
// message, which only its own goroutine can catch, is an error of this search.
func (s *searched) ask(t *term, m *Info) (ok bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			ok, err = false, fmt.Errorf("searching UID %d: panic: %v\n%s", m.UID, p, debug.Stack())
		}
	}()
	s.raw, s.part = nil, nil
	if s.body, err = s.v.Open(s.ctx, m.UID); err == nil {
		ok, err = t.holds(s, m)
		s.body.Close() // nothing was written to it
	}
	if errors.Is(err, ErrExpunged) {
		return false, nil
	}
	return ok, err
}
