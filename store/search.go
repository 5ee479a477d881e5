package store

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Query says which messages [View.Search] finds. It is one of the types below; nil finds
// every message. Text is UTF-8 and is found anywhere in what it is looked for in,
// whatever its case (i;unicode-casemap, RFC 5051); what is searched is decoded first (RFC 2047
// words, transfer encodings, charsets).
type Query interface{ query() }

type (
	// AllOf finds what every one of its queries finds; every message if it is empty.
	AllOf []Query
	// AnyOf finds what at least one of its queries finds.
	AnyOf []Query
	// Not finds what its query does not.
	Not struct{ Query }

	// SeqRanges finds messages by their place in the view.
	SeqRanges []SeqRange
	// HasFlags finds messages with all of these flags.
	HasFlags Flags
	// HasKeyword finds messages with a keyword, whatever its case.
	HasKeyword string
	// Received finds messages by their internal date.
	Received Period
	// Sent finds messages by their Date field: its day, in its own time zone. Since and
	// Before count by their day, in theirs. A message without a usable Date is not found.
	Sent Period
	// LargerThan finds messages with more bytes than this on the wire.
	LargerThan int64
	// SmallerThan finds messages with fewer bytes than this on the wire.
	SmallerThan int64
	// ChangedAt finds messages whose mod-sequence is this or a later one.
	ChangedAt ModSeq

	// HeaderHas finds messages with a field of that name that has the text in its value, in
	// which each fold is one space; in From, To, Cc and Bcc also as ENVELOPE has addresses.
	HeaderHas struct{ Name, Text string }
	// BodyHas finds messages with the text in the body: in a part that is text.
	BodyHas string
	// TextHas finds messages with the text in the header or the body, or in the header of a
	// part or of a message within the message.
	TextHas string
)

// SeqRange is the messages First to Last of a view, both included, the first being 1.
type SeqRange struct{ First, Last int }

// Period is the time from Since on, and before Before; zero is no bound.
type Period struct{ Since, Before time.Time }

func (AllOf) query()       {}
func (AnyOf) query()       {}
func (Not) query()         {}
func (SeqRanges) query()   {}
func (HasFlags) query()    {}
func (HasKeyword) query()  {}
func (Received) query()    {}
func (Sent) query()        {}
func (LargerThan) query()  {}
func (SmallerThan) query() {}
func (ChangedAt) query()   {}
func (HeaderHas) query()   {}
func (BodyHas) query()     {}
func (TextHas) query()     {}

// verdict is what is known of a message before its file has been opened.
type verdict uint8

const (
	refuted verdict = iota
	open            // the content decides
	proven
)

// cost orders the terms of a query: the cheap ones are asked first.
type cost uint8

const (
	costColumns cost = iota // known to the view
	costFolds               // the index has it, ready to be searched
	costHeading             // the index has it
	costHeader              // the file's first bytes
	costBody                // the whole file
)

// term is a query made ready for one search.
type term struct {
	cost cost
	// judge decides from the columns; nil: they say nothing.
	judge func(*Info) verdict
	// holds decides from the content; it is asked only where judge left it open.
	holds func(*searched, *Info) (bool, error)
	// list, of terms that the index decides, says of which messages it holds; after that
	// judge knows.
	list func(uids []UID) ([]UID, error)
	hits []uint64 // by sequence number, a bit each; nil: list has not been asked
}

// infoChunk is how many messages are looked at under one lock.
const infoChunk = 512

// Search returns the messages of the view that q finds, ascending. What the columns
// decide is decided first, then what the index has of headers; contents are read, on
// all cores, only for what is left, in bounded memory. Messages that are gone by then are
// not found by their content.
// Possible errors: ctx's, ErrUnavailable.
func (v *View) Search(ctx context.Context, q Query) ([]UID, error) {
	if err := v.load(); err != nil {
		return nil, err
	}
	c := &compiler{ctx: ctx, v: v}
	t := c.term(q)
	if c.err != nil {
		return nil, c.err
	}
	var found []UID
	var left []Info // those whose content decides
	buf := make([]Info, 0, min(infoChunk, v.Count()))
	for from := 1; from <= v.Count(); from += infoChunk {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		buf = v.Infos(from, min(from+infoChunk-1, v.Count()), buf[:0])
		for i := range buf {
			switch t.judge(&buf[i]) {
			case proven:
				found = append(found, buf[i].UID)
			case open:
				left = append(left, buf[i])
			}
		}
		if c.err != nil {
			return nil, c.err
		}
	}
	more, left, err := c.searchIndex(t, left)
	found = append(found, more...)
	if err == nil && len(left) > 0 {
		more, err = v.searchContents(ctx, t, left)
		found = append(found, more...)
	}
	slices.Sort(found)
	return found, err
}

// compiler makes terms of a query.
type compiler struct {
	ctx    context.Context
	v      *View
	listed []*term // those with a list

	mu  sync.Mutex
	err error // of a judge as well
}

func (c *compiler) term(q Query) *term {
	switch q := q.(type) {
	case nil:
		return c.all(nil)
	case AllOf:
		return c.all(q)
	case AnyOf:
		return c.any(q)
	case Not:
		return c.not(q)
	case HeaderHas:
		return c.heading(q)
	case BodyHas:
		return c.text(string(q), false)
	case TextHas:
		return c.text(string(q), true)
	case Sent:
		return c.sent(q)
	default:
		return c.columns(q)
	}
}

// terms makes the terms of a list, the cheapest first.
func (c *compiler) terms(qs []Query) []*term {
	ts := make([]*term, len(qs))
	for i, q := range qs {
		ts[i] = c.term(q)
	}
	slices.SortStableFunc(ts, func(a, b *term) int { return int(a.cost) - int(b.cost) })
	return ts
}

func (c *compiler) all(qs []Query) *term {
	ts := c.terms(qs)
	t := &term{cost: dearest(ts)}
	t.judge = func(m *Info) verdict {
		result := proven
		for _, t := range ts {
			if result = min(result, t.judge(m)); result == refuted {
				break
			}
		}
		return result
	}
	t.holds = func(s *searched, m *Info) (bool, error) {
		for _, t := range ts {
			if ok, err := s.decide(t, m); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	}
	return t
}

func (c *compiler) any(qs []Query) *term {
	ts := c.terms(qs)
	t := &term{cost: dearest(ts)}
	t.judge = func(m *Info) verdict {
		result := refuted
		for _, t := range ts {
			if result = max(result, t.judge(m)); result == proven {
				break
			}
		}
		return result
	}
	t.holds = func(s *searched, m *Info) (bool, error) {
		for _, t := range ts {
			if ok, err := s.decide(t, m); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}
	return t
}

func (c *compiler) not(q Not) *term {
	inner := c.term(q.Query)
	t := &term{cost: inner.cost}
	t.judge = func(m *Info) verdict { return proven - inner.judge(m) }
	t.holds = func(s *searched, m *Info) (bool, error) {
		ok, err := s.decide(inner, m)
		return !ok && err == nil, err
	}
	return t
}

// dearest is the cost of a list's last term.
func dearest(ts []*term) cost {
	if len(ts) == 0 {
		return costColumns
	}
	return ts[len(ts)-1].cost
}

// known is a term that the columns decide.
func known(ok func(*Info) bool) *term {
	return &term{judge: func(m *Info) verdict {
		if ok(m) {
			return proven
		}
		return refuted
	}}
}

// columns makes the terms that need no content.
func (c *compiler) columns(q Query) *term {
	switch q := q.(type) {
	case SeqRanges:
		return seqTerm(q)
	case HasFlags:
		return known(func(m *Info) bool { return m.Flags&Flags(q) == Flags(q) })
	case HasKeyword:
		bit := c.keyword(string(q))
		return known(func(m *Info) bool { return bit != 0 && m.Flags&bit != 0 })
	case Received:
		return known(func(m *Info) bool { return c.received(q, m.UID) })
	case LargerThan:
		return known(func(m *Info) bool { return m.Size > int64(q) })
	case SmallerThan:
		return known(func(m *Info) bool { return m.Size < int64(q) })
	case ChangedAt:
		return known(func(m *Info) bool { return m.ModSeq >= ModSeq(q) })
	}
	return known(func(*Info) bool { return false })
}

// seqTerm finds a message's place by bisection: the ranges are put in order first.
func seqTerm(q SeqRanges) *term {
	rs := slices.SortedFunc(slices.Values(q), func(a, b SeqRange) int { return a.First - b.First })
	last := 0
	for i := range rs { // so that Last ascends as well
		last = max(last, rs[i].Last)
		rs[i].Last = last
	}
	merged := rs[:0]
	for _, r := range rs {
		if n := len(merged); n > 0 && r.First <= merged[n-1].Last+1 {
			merged[n-1].Last = r.Last
			continue
		}
		merged = append(merged, r)
	}
	return known(func(m *Info) bool {
		i, ok := slices.BinarySearchFunc(merged, m.Seq, func(r SeqRange, seq int) int { return r.First - seq })
		return ok || i > 0 && m.Seq <= merged[i-1].Last
	})
}

// received asks for the internal date.
func (c *compiler) received(p Received, uid UID) bool {
	t, ok := c.v.knownDate(uid)
	if !ok {
		var err error
		if t, err = c.v.InternalDate(c.ctx, uid); err != nil {
			c.fail(err)
			return false
		}
	}
	return (p.Since.IsZero() || !t.Before(p.Since)) && (p.Before.IsZero() || t.Before(p.Before))
}
