package store

import (
	"slices"
	"time"

	"kurir/internal/message"
)

// indexed is a term that list decides, and judge once list has been asked.
func (c *compiler) indexed(at cost, list func([]UID) ([]UID, error)) *term {
	t := &term{cost: at, list: list}
	t.judge = func(m *Info) verdict {
		switch {
		case t.hits == nil:
			return open
		case t.hits[m.Seq/64]&(1<<(m.Seq%64)) != 0:
			return proven
		}
		return refuted
	}
	c.listed = append(c.listed, t)
	return t
}

// heading searches a field of which the index has the values.
func (c *compiler) heading(q HeaderHas) *term {
	name := message.NamedField(q.Name)
	if name == 0 {
		return c.header(q)
	}
	at := costHeading
	if slices.Contains(foldedFields[:], name) {
		at = costFolds
	}
	needle := newNeedle(q.Text).folded
	return c.indexed(at, func(uids []UID) ([]UID, error) { return c.v.headingHas(c.ctx, uids, name, needle) })
}

// sent asks for the day of the first Date field.
func (c *compiler) sent(q Sent) *term {
	holds := func(date string) bool {
		t, ok := message.SentDate(date)
		return ok && (q.Since.IsZero() || civil(t) >= civil(q.Since)) && (q.Before.IsZero() || civil(t) < civil(q.Before))
	}
	return c.indexed(costHeading, func(uids []UID) (found []UID, err error) {
		err = c.v.Headings(c.ctx, uids, func(i int, h *message.Heading) error {
			if h == nil {
				return nil
			}
			if date, ok := h.First(message.FieldDate); ok && holds(date) {
				found = append(found, uids[i])
			}
			return nil
		})
		return found, err
	})
}

// civil orders days, whatever their time zone.
func civil(t time.Time) int {
	y, m, d := t.Date()
	return y*372 + int(m)*31 + d
}

// searchIndex asks the terms that the index decides, the cheapest first, each only about
// the messages that it may matter for. It returns those that t has been proven for, and
// those that are still open.
func (c *compiler) searchIndex(t *term, left []Info) (found []UID, _ []Info, err error) {
	slices.SortStableFunc(c.listed, func(a, b *term) int { return int(a.cost) - int(b.cost) })
	var uids []UID
	for _, l := range c.listed {
		if len(left) == 0 {
			break
		}
		uids = uids[:0]
		for i := range left {
			uids = append(uids, left[i].UID)
		}
		hits, err := l.list(uids)
		if err != nil {
			return nil, nil, err
		}
		l.note(left, hits, c.v.Count())
		open := left[:0]
		for i := range left {
			switch t.judge(&left[i]) {
			case proven:
				found = append(found, left[i].UID)
			case refuted:
			default:
				open = append(open, left[i])
			}
		}
		left = open
	}
	return found, left, nil
}

// note notes of which of the messages asked about, which ascend, the term holds.
func (t *term) note(asked []Info, hits []UID, count int) {
	t.hits = make([]uint64, count/64+1)
	for i := range asked {
		if len(hits) > 0 && hits[0] == asked[i].UID {
			seq := asked[i].Seq
			t.hits[seq/64] |= 1 << (seq % 64)
			hits = hits[1:]
		}
	}
}
