package imapd

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"kurir/internal/message"
	"kurir/store"
)

// maxSortText is how many octets of a text, folded, count for its place in the order.
const maxSortText = 1 << 10

// maxSortCriteria bounds the criteria of a SORT: more than there are keys say nothing more.
const maxSortCriteria = 32

// sortKey is one of the things that messages are sorted by.
type sortKey uint8

// The keys of RFC 5256 (BASE.6.4.SORT) and RFC 5957.
const (
	sortNone sortKey = iota
	sortArrival
	sortCc
	sortDate
	sortFrom
	sortSize
	sortSubject
	sortTo
	sortDisplayFrom
	sortDisplayTo

	sortKeys
)

var sortNames = map[string]sortKey{
	"ARRIVAL": sortArrival, "CC": sortCc, "DATE": sortDate, "FROM": sortFrom, "SIZE": sortSize,
	"SUBJECT": sortSubject, "TO": sortTo, "DISPLAYFROM": sortDisplayFrom, "DISPLAYTO": sortDisplayTo,
}

type sortCriterion struct {
	key     sortKey
	reverse bool
}

// sort is SORT and UID SORT (RFC 5256, RFC 5957), with RETURN (RFC 5267 section 3).
func (s *session) sort(c *command) error {
	p := &searchParser{parser: &c.args, s: s, c: c}
	p.sp()
	if p.nextWord("RETURN ") {
		p.returnOptions()
		p.sp()
	}
	criteria := p.sortCriteria()
	found, err := s.find(p, p.charsetAndKeys, func(ctx context.Context, found []store.UID) ([]store.UID, error) {
		return s.sorted(ctx, found, criteria)
	})
	if err != nil {
		return err
	}
	return s.answerSearch(c, &p.r, "SORT", found)
}

// sortCriteria reads the list of criteria.
func (p *searchParser) sortCriteria() (list []sortCriterion) {
	p.list(func() {
		var c sortCriterion
		name := p.word("sort criterion")
		if c.reverse = name == "REVERSE"; c.reverse {
			name = p.sp().word("sort criterion")
		}
		if c.key = sortNames[name]; c.key == sortNone {
			p.fail("Unknown sort criterion")
		}
		if list = append(list, c); len(list) > maxSortCriteria {
			p.fail("Too many sort criteria")
		}
	})
	if len(list) == 0 {
		p.fail("No sort criterion")
	}
	return list
}

// sorter has what messages are sorted by, each column in the order of uids.
type sorter struct {
	uids    []store.UID
	numbers [sortKeys][]int64
	texts   [sortKeys][]string
}

// sorted puts the messages found, which ascend, in order.
func (s *session) sorted(ctx context.Context, found []store.UID, criteria []sortCriterion) ([]store.UID, error) {
	t := &sorter{uids: found}
	if err := s.fill(ctx, t, criteria); err != nil {
		return nil, err
	}
	order := make([]int, len(found))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return t.compare(criteria, a, b) })
	out := make([]store.UID, len(found))
	for i, at := range order {
		out[i] = found[at]
	}
	return out, nil
}

// compare compares two messages by their places in uids, which decide in the end.
func (t *sorter) compare(criteria []sortCriterion, a, b int) int {
	for _, c := range criteria {
		var d int
		if numbers := t.numbers[c.key]; numbers != nil {
			d = cmp.Compare(numbers[a], numbers[b])
		} else {
			d = cmp.Compare(t.texts[c.key][a], t.texts[c.key][b])
		}
		if d != 0 && c.reverse {
			return -d
		}
		if d != 0 {
			return d
		}
	}
	return cmp.Compare(a, b)
}

// fill finds out what the criteria need.
func (s *session) fill(ctx context.Context, t *sorter, criteria []sortCriterion) (err error) {
	headings := false
	for _, c := range criteria {
		switch c.key {
		case sortArrival:
			t.numbers[c.key], err = s.arrivals(ctx, t.uids)
		case sortSize:
			t.numbers[c.key] = s.sizes(t.uids)
		case sortDate:
			t.numbers[c.key], headings = make([]int64, len(t.uids)), true
		default:
			t.texts[c.key], headings = make([]string, len(t.uids)), true
		}
		if err != nil {
			return err
		}
	}
	if !headings {
		return nil
	}
	dates := sentDates{of: t.numbers[sortDate]}
	err = s.view.Headings(ctx, t.uids, func(i int, h *message.Heading) error {
		if dates.of != nil {
			dates.add(i, t.uids[i], h)
		}
		for key, texts := range t.texts {
			if texts != nil && h != nil {
				texts[i] = sortText(sortKey(key), h)
			}
		}
		return nil
	})
	if err == nil {
		err = dates.complete(ctx, s)
	}
	return err
}

// arrivals are the internal dates in seconds.
func (s *session) arrivals(ctx context.Context, uids []store.UID) ([]int64, error) {
	times, err := s.view.InternalDates(ctx, uids, nil)
	out := make([]int64, len(times))
	for i, t := range times {
		out[i] = t.Unix()
	}
	return out, err
}

// sizes are the sizes in octets.
func (s *session) sizes(uids []store.UID) []int64 {
	out := make([]int64, 0, len(uids))
	s.eachInfo(listSpans(s.view.UIDs(), uids), func(m store.Info) error {
		out = append(out, m.Size)
		return nil
	})
	return out
}

// sentDates are the sent dates of messages (RFC 5256 section 2.2), in seconds.
type sentDates struct {
	of      []int64
	without []int // places of the messages without a usable Date
	uids    []store.UID
}

func (d *sentDates) add(i int, uid store.UID, h *message.Heading) {
	if h != nil {
		v, _ := h.First(message.FieldDate)
		if t, ok := message.SentDate(v); ok {
			d.of[i] = t.Unix()
			return
		}
	}
	d.without, d.uids = append(d.without, i), append(d.uids, uid)
}

// complete gives messages without a Date their internal date.
func (d *sentDates) complete(ctx context.Context, s *session) error {
	if len(d.uids) == 0 {
		return nil
	}
	times, err := s.view.InternalDates(ctx, d.uids, nil)
	if err != nil {
		return err
	}
	for k, i := range d.without {
		d.of[i] = times[k].Unix()
	}
	return nil
}

// sortText is what a message is sorted by, folded (RFC 5051).
func sortText(key sortKey, h *message.Heading) string {
	var text string
	switch key {
	case sortSubject:
		v, _ := h.First(message.FieldSubject)
		text, _ = message.BaseSubject(message.DecodeHeader(v))
	case sortFrom:
		text = firstAddress(h, message.FieldFrom).Mailbox
	case sortTo:
		text = firstAddress(h, message.FieldTo).Mailbox
	case sortCc:
		text = firstAddress(h, message.FieldCc).Mailbox
	case sortDisplayFrom:
		text = displayText(firstAddress(h, message.FieldFrom))
	case sortDisplayTo:
		text = displayText(firstAddress(h, message.FieldTo))
	}
	if len(text) > maxSortText {
		text = strings.ToValidUTF8(text[:maxSortText], "")
	}
	return string(message.Fold(nil, []byte(text)))
}

// firstAddress is the first address of a field; of a group it is the group's name, as in
// ENVELOPE.
func firstAddress(h *message.Heading, field message.FieldName) message.Address {
	v, _ := h.First(field)
	a, _ := message.FirstAddress(v)
	return a
}

// displayText is the value of RFC 5957 section 3.
func displayText(a message.Address) string {
	if name := message.DecodeHeader(a.Name); name != "" {
		return name
	}
	if a.Mailbox != "" && a.Host != "" {
		return a.Mailbox + "@" + a.Host
	}
	return message.DecodeHeader(a.Mailbox)
}
