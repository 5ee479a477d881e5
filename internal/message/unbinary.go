package message

import (
	"encoding/binary"
	"math"
)

// UnmarshalBinary makes p what AppendBinary was given. Memory is bounded by the size of
// data. The only error is ErrBinary; p is then as it was.
func (p *Part) UnmarshalBinary(data []byte) error {
	var d Decoder
	q, err := d.Part(string(data))
	if err == nil {
		*p = *q
	}
	return err
}

// Decoder reads binary forms of Parts, one after another, into memory that it uses again.
type Decoder struct {
	parts    []Part
	children []*Part
	envs     []Envelope
	params   []Param
	addrs    []Address
	langs    []string
}

// maxKeep is how many items of a kind a Decoder keeps room for.
const maxKeep = 4096

// Part gives the Part that AppendBinary was given, made of pieces of data. It is valid
// until the next call. The only error is ErrBinary.
func (d *Decoder) Part(data string) (*Part, error) {
	if data == "" || data[0] != binaryVersion {
		return nil, ErrBinary
	}
	d.parts, d.children, d.envs = reuse(d.parts), reuse(d.children), reuse(d.envs)
	d.params, d.addrs, d.langs = reuse(d.params), reuse(d.addrs), reuse(d.langs)
	r := reader{s: data[1:], d: d}
	p := r.part(0, math.MaxInt64, 1)
	if r.bad || r.s != "" {
		return nil, ErrBinary
	}
	return p, nil
}

// reuse empties a list, and lets go of one that has become large.
func reuse[T any](list []T) []T {
	if cap(list) > maxKeep {
		return nil
	}
	return list[:0]
}

// room gives a zero item behind those of list. The items before stay where they are, in
// the array that they have, when the list needs a new one.
func room[T any](list []T) ([]T, *T) {
	if len(list) == cap(list) {
		list = make([]T, 0, max(4, min(2*cap(list), 1024)))
	}
	var zero T
	list = append(list, zero)
	return list, &list[len(list)-1]
}

// reader reads the binary form from s and remembers if anything in it was bad; from
// then on it returns nothing but zero values.
type reader struct {
	s   string
	d   *Decoder // where parts and lists lie
	bad bool
}

func (r *reader) fail() {
	r.s, r.bad = "", true
}

func (r *reader) uint() uint64 {
	if len(r.s) > 0 && r.s[0] < 0x80 { // nearly all are
		v := r.s[0]
		r.s = r.s[1:]
		return uint64(v)
	}
	return r.longUint()
}

func (r *reader) longUint() uint64 {
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
func (r *reader) part(at, end int64, depth int) (p *Part) {
	r.d.parts, p = room(r.d.parts)
	p.Encoding = "7bit"
	if depth > maxBinaryDepth {
		r.fail()
		return p
	}
	flags := r.flags(allPartFlags)
	r.layout(p, at, end, flags)
	p.Type = r.string()
	p.Subtype = r.string()
	p.Params = r.params()
	if flags&allTexts != 0 {
		for i, s := range p.texts() {
			if flags&(1<<i) != 0 {
				*s.text = r.string()
			}
		}
	}
	if flags&hasDisposition != 0 {
		p.DispositionParams = r.params()
	}
	if flags&hasLanguage != 0 {
		p.Language = r.languages()
	}
	if flags&hasEnvelope != 0 {
		p.Envelope = r.envelope()
	}
	if flags&hasChildren != 0 {
		p.Children = r.parts(p, depth)
	}
	return p
}

// parts reads the parts of p.
func (r *reader) parts(p *Part, depth int) []*Part {
	n := r.count(minPart)
	if n == 0 {
		return nil
	}
	d := r.d
	if cap(d.children)-len(d.children) < n {
		d.children = make([]*Part, 0, max(n, 16))
	}
	k := len(d.children)
	d.children = d.children[:k+n] // theirs come behind
	list := d.children[k : k : k+n]
	at := p.BodyOff
	for ; n > 0 && !r.bad; n-- {
		c := r.part(at, p.EndOff, depth+1)
		list = append(list, c)
		at = c.EndOff
	}
	return list
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

func (r *reader) params() []Param {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	d := r.d
	k := len(d.params)
	for ; n > 0 && !r.bad; n-- {
		d.params = append(d.params, Param{r.string(), r.string()})
	}
	return d.params[k:len(d.params):len(d.params)]
}

func (r *reader) languages() []string {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	d := r.d
	k := len(d.langs)
	for ; n > 0 && !r.bad; n-- {
		d.langs = append(d.langs, r.string())
	}
	return d.langs[k:len(d.langs):len(d.langs)]
}

func (r *reader) envelope() (e *Envelope) {
	flags := r.flags(allEnvelopeFlags)
	r.d.envs, e = room(r.d.envs)
	e.HasDate, e.HasSubject = flags&hasDate != 0, flags&hasSubject != 0
	e.HasInReplyTo, e.HasMessageID = flags&hasInReplyTo != 0, flags&hasMessageID != 0
	for i, s := range [...]*string{&e.Date, &e.Subject, &e.InReplyTo, &e.MessageID, &e.FirstRef} {
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
	d := r.d
	k := len(d.addrs)
	last := ""
	for ; n > 0 && !r.bad; n-- {
		d.addrs = append(d.addrs, Address{})
		a := &d.addrs[len(d.addrs)-1]
		flags := r.flags(allAddressFlags)
		for i, s := range [...]*string{&a.Name, &a.Route, &a.Mailbox, &a.Host} {
			if flags&(1<<i) != 0 {
				*s = r.string()
			}
		}
		if flags&sameHost != 0 {
			a.Host = last
		}
		last = a.Host
	}
	return d.addrs[k:len(d.addrs):len(d.addrs)]
}
