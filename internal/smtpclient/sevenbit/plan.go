package sevenbit

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"

	"kurir/internal/message"
)

// plan is a message cut into segments, and what is to be done with each.
type plan struct {
	segments []segment
	parts    int
	deepest  int
}

// A part beyond these, as internal/message has them, may be a multipart in disguise.
const (
	maxDepth = 50
	maxParts = 9_990
)

type segment struct {
	end    int64 // in the message; it begins where the one before ends
	place  place
	part   *message.Part
	locked bool // within a part that may not be changed

	found found
	do    action
	label string // the new Content-Transfer-Encoding of a header, "" to leave it
}

// place is what a segment is to its part.
type place uint8

const (
	between place = iota // delimiters, preamble and epilogue of a multipart
	header
	body // of a part that has no others in it
)

// action is what is done with a segment.
type action uint8

const (
	keep action = iota
	relabel
	blank // octets above 127 become "?"
	quoted
	base64Text   // line ends become CRLF first
	base64Octets // as it is
)

// found is what a segment has in it.
type found struct {
	eight bool // octets above 127, or NUL
	long  bool // a line of more than MaxLine
	utf8  bool // it is valid UTF-8
}

// newPlan looks through the message. Errors: ErrCannot, those of open and reading.
func newPlan(open func() (io.ReadCloser, error), p *message.Part) (*plan, error) {
	pl := &plan{}
	pl.cut(p, 1, false)
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := pl.scan(r); err != nil {
		return nil, err
	}
	for i := range pl.segments {
		if err := pl.decide(i); err != nil {
			return nil, err
		}
	}
	return pl, nil
}

// cut makes segments of a part and all in it, in their order in the message.
func (pl *plan) cut(p *message.Part, depth int, locked bool) {
	pl.parts, pl.deepest = pl.parts+1, max(pl.deepest, depth)
	pl.add(p.BodyOff, segment{place: header, part: p, locked: locked})
	last := body
	switch {
	case p.IsMultipart() && len(p.Children) > 0:
		last = between
		within := locked || isSealed(p)
		for _, c := range p.Children {
			pl.add(c.HeaderOff, segment{place: between, part: p, locked: within})
			pl.cut(c, depth+1, within)
		}
		locked = within
	case strings.EqualFold(p.Subtype, "rfc822") && p.IsMessage() && len(p.Children) > 0:
		last = between
		pl.cut(p.Children[0], depth+1, locked)
	}
	pl.add(p.EndOff, segment{place: last, part: p, locked: locked})
}

// add appends a segment up to end, unless it is empty.
func (pl *plan) add(end int64, s segment) {
	if s.end = end; end > pl.end() {
		pl.segments = append(pl.segments, s)
	}
}

// end is where the segments end.
func (pl *plan) end() int64 {
	if n := len(pl.segments); n > 0 {
		return pl.segments[n-1].end
	}
	return 0
}

// isSealed tells whether the parts of a multipart may not be changed (RFC 1847 section 2.1).
func isSealed(p *message.Part) bool {
	return strings.EqualFold(p.Subtype, "signed") || strings.EqualFold(p.Subtype, "encrypted")
}

// scan reads the message and looks what is in each segment.
func (pl *plan) scan(r io.Reader) error {
	br := bufio.NewReaderSize(r, bufferSize)
	from := int64(0)
	for i := range pl.segments {
		s := &pl.segments[i]
		f := finder{found: found{utf8: true}}
		n, err := io.Copy(&f, io.LimitReader(br, s.end-from))
		if err == nil && n < s.end-from {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		f.end()
		s.found, from = f.found, s.end
	}
	return nil
}

// finder is told the octets of a segment.
type finder struct {
	found
	line int
	half []byte // of a character
}

func (f *finder) Write(b []byte) (int, error) {
	for _, c := range b {
		f.eight = f.eight || c >= 0x80 || c == 0
		if c == '\n' {
			f.line = 0
		} else if f.line++; f.line > MaxLine && c != '\r' {
			f.long = true
		}
	}
	if f.utf8 && f.eight {
		f.characters(b)
	}
	return len(b), nil
}

// characters goes on with octets that should be UTF-8.
func (f *finder) characters(b []byte) {
	for len(f.half) > 0 && len(b) > 0 && !utf8.FullRune(f.half) {
		f.half, b = append(f.half, b[0]), b[1:]
	}
	if utf8.FullRune(f.half) {
		f.utf8 = f.utf8 && utf8.Valid(f.half)
		f.half = f.half[:0]
	}
	cut := len(b)
	for i := max(0, cut-utf8.UTFMax+1); i < len(b); i++ {
		if utf8.RuneStart(b[i]) && !utf8.FullRune(b[i:]) {
			cut = i
			break
		}
	}
	f.utf8 = f.utf8 && utf8.Valid(b[:cut])
	f.half = append(f.half, b[cut:]...)
}

func (f *finder) end() { f.utf8 = f.utf8 && len(f.half) == 0 }

// decide says what is done with a segment, and with the header before it.
func (pl *plan) decide(i int) error {
	s := &pl.segments[i]
	if s.locked {
		if s.found.eight {
			return cannot("it is signed or encrypted")
		}
		return nil
	}
	switch s.place {
	case header:
		if s.found.eight {
			return cannot("its header has 8-bit characters")
		}
		if e := strings.ToLower(s.part.Encoding); e == "8bit" || e == "binary" {
			s.do, s.label = relabel, "7bit"
		}
	case between:
		if s.found.eight {
			s.do = blank
		}
	case body:
		return pl.encode(i)
	}
	return nil
}

// encode decides about a body that has no parts.
func (pl *plan) encode(i int) error {
	s := &pl.segments[i]
	if !s.found.eight && !s.found.long {
		return nil
	}
	how, why := encoding(s.part)
	if pl.deepest >= maxDepth || pl.parts >= maxParts {
		why = "it has too many parts"
	}
	if why == "" && (i == 0 || pl.segments[i-1].place != header) {
		why = "a part has no header"
	}
	if why != "" {
		if s.found.eight {
			return cannot(why)
		}
		return nil // a long line alone stays
	}
	s.do = how
	h := &pl.segments[i-1]
	h.do, h.label = relabel, "base64"
	if how == quoted {
		h.label = "quoted-printable"
	}
	return nil
}

// encoding says how the body of a part may be encoded, or why it may not.
func encoding(p *message.Part) (how action, why string) {
	e := strings.ToLower(p.Encoding)
	switch e {
	case "7bit", "8bit", "binary":
	default:
		return keep, "a part has 8-bit characters although it is encoded already"
	}
	switch {
	case p.IsText():
		return quoted, ""
	case p.IsMultipart():
		return keep, "it has a multipart without parts"
	case strings.EqualFold(p.Type, "message"): // RFC 6532 section 3.7 and RFC 6533 section 6 allow it for these
		if strings.HasPrefix(strings.ToLower(p.Subtype), "global") {
			return quoted, ""
		}
		return keep, "a part is a message that must not be encoded"
	case e == "binary":
		return base64Octets, ""
	}
	return base64Text, ""
}
