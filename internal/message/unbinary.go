package message

import (
	"encoding/binary"
	"math"
)

// UnmarshalBinary makes p what AppendBinary was given. Memory is bounded by the size of
// data. The only error is ErrBinary; p is then as it was.
func (p *Part) UnmarshalBinary(data []byte) error {
	if len(data) == 0 || data[0] != binaryVersion {
		return ErrBinary
	}
	r := reader{s: string(data[1:])}
	q := r.part(0, math.MaxInt64, 1)
	if r.bad || r.s != "" {
		return ErrBinary
	}
	*p = *q
	return nil
}

// reader reads the binary form from s and remembers if anything in it was bad; from
// then on it returns nothing but zero values.
type reader struct {
	s   string
	bad bool
}

func (r *reader) fail() {
	r.s, r.bad = "", true
}

func (r *reader) uint() uint64 {
	var v uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64; i++ {
		c := r.s[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.s = r.s[i+1:]
			return v
		}
	}
	r.fail()
	return 0
}

// size reads a number of bytes, at most max.
func (r *reader) size(max int64) int64 {
	v := r.uint()
	if max < 0 || v > uint64(max) {
		r.fail()
		return 0
	}
	return int64(v)
}

// count reads the length of a list whose items take at least item bytes each.
func (r *reader) count(item int) int { return int(r.size(int64(len(r.s) / item))) }

// flags reads flags, of which there are no others than those in all.
func (r *reader) flags(all uint64) uint64 {
	v := r.uint()
	if v&^all != 0 {
		r.fail()
		return 0
	}
	return v
}

func (r *reader) string() string {
	v := r.uint()
	n := v >> 1
	switch {
	case v&1 != 0 && n < uint64(len(words)):
		return words[n]
	case v&1 == 0 && n <= uint64(len(r.s)):
		s := r.s[:n]
		r.s = r.s[n:]
		return s
	}
	r.fail()
	return ""
}

// part reads a part that lies in the range from at to end.
func (r *reader) part(at, end int64, depth int) *Part {
	p := &Part{Encoding: "7bit"}
	if depth > maxBinaryDepth {
		r.fail()
		return p
	}
	flags := r.flags(allPartFlags)
	r.layout(p, at, end, flags)
	p.Type = r.string()
	p.Subtype = r.string()
	p.Params = r.params()
	for i, s := range p.texts() {
		if flags&(1<<i) != 0 {
			*s.text = r.string()
		}
	}
	if flags&hasDisposition != 0 {
		p.DispositionParams = r.params()
	}
	if flags&hasLanguage != 0 {
		for n := r.count(1); n > 0 && !r.bad; n-- {
			p.Language = append(p.Language, r.string())
		}
	}
	if flags&hasEnvelope != 0 {
		p.Envelope = r.envelope()
	}
	if flags&hasChildren != 0 {
		for n := r.count(minPart); n > 0 && !r.bad; n-- {
			c := r.part(max(p.BodyOff, p.lastEnd()), p.EndOff, depth+1)
			p.Children = append(p.Children, c)
		}
	}
	return p
}

// layout reads offsets and counts.
func (r *reader) layout(p *Part, at, end int64, flags uint64) {
	p.HeaderOff = at + r.size(end-at)
	p.BodyOff = p.HeaderOff + r.size(end-p.HeaderOff)
	p.EndOff = p.BodyOff + r.size(end-p.BodyOff)
	if flags&hasHeaderNL != 0 {
		p.HeaderNL = r.size(p.BodyOff - p.HeaderOff)
	}
	p.Lines = r.size(p.EndOff - p.BodyOff)
	switch nl := r.uint(); {
	case nl == 1:
		p.BodyNL = p.Lines
	case nl > 1 && nl-2 <= uint64(p.Lines):
		p.BodyNL = int64(nl - 2)
	case nl > 1:
		r.fail()
	}
}

// minPart is the least that a part takes: a byte each for flags, three sizes, lines,
// body NLs, type, subtype and the number of params.
const minPart = 9

// lastEnd is where the last child ends, 0 if there is none.
func (p *Part) lastEnd() int64 {
	if len(p.Children) == 0 {
		return 0
	}
	return p.Children[len(p.Children)-1].EndOff
}

func (r *reader) params() []Param {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	list := make([]Param, 0, n)
	for ; n > 0 && !r.bad; n-- {
		list = append(list, Param{r.string(), r.string()})
	}
	return list
}

func (r *reader) envelope() *Envelope {
	flags := r.flags(allEnvelopeFlags)
	e := &Envelope{
		HasDate: flags&hasDate != 0, HasSubject: flags&hasSubject != 0,
		HasInReplyTo: flags&hasInReplyTo != 0, HasMessageID: flags&hasMessageID != 0,
	}
	for i, s := range []*string{&e.Date, &e.Subject, &e.InReplyTo, &e.MessageID, &e.FirstRef} {
		if flags&(1<<i) != 0 {
			*s = r.string()
		}
	}
	e.From = r.addresses()
	e.Sender, e.ReplyTo = e.From, e.From
	if flags&senderIsFrom == 0 {
		e.Sender = r.addresses()
	}
	if flags&replyToIsFrom == 0 {
		e.ReplyTo = r.addresses()
	}
	e.To = r.addresses()
	e.Cc = r.addresses()
	e.Bcc = r.addresses()
	return e
}

func (r *reader) addresses() []Address {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	list := make([]Address, 0, min(n, 1024))
	last := ""
	for ; n > 0 && !r.bad; n-- {
		var a Address
		flags := r.flags(allAddressFlags)
		for i, s := range []*string{&a.Name, &a.Route, &a.Mailbox, &a.Host} {
			if flags&(1<<i) != 0 {
				*s = r.string()
			}
		}
		if flags&sameHost != 0 {
			a.Host = last
		}
		last = a.Host
		list = append(list, a)
	}
	return list
}
