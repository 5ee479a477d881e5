package imapd

import (
	"context"
	"iter"

	"kurir/internal/message"
	"kurir/internal/thread"
	"kurir/store"
)

// thread is THREAD and UID THREAD (RFC 5256).
func (s *session) thread(c *command) error {
	p := &searchParser{parser: &c.args, s: s, c: c}
	algorithm := p.sp().word("threading algorithm")
	if p.err == nil && algorithm != "REFERENCES" && algorithm != "ORDEREDSUBJECT" {
		p.fail("Unknown threading algorithm")
	}
	var set *thread.Set
	found, err := s.find(p, p.charsetAndKeys, func(ctx context.Context, found []store.UID) (_ []store.UID, err error) {
		set, err = s.threadSet(ctx, found, algorithm == "REFERENCES")
		return found, err
	})
	if err != nil {
		return err
	}
	threads := set.OrderedSubject
	if algorithm == "REFERENCES" {
		threads = set.References
	}
	nums := found
	if !c.uid {
		nums = seqsOf(s.view.UIDs(), found)
	}
	s.sendThread(threads(), nums)
	return nil
}

// threadSet gathers what there is to know of the messages found, which ascend.
func (s *session) threadSet(ctx context.Context, found []store.UID, references bool) (*thread.Set, error) {
	set := thread.NewSet(len(found))
	dates := sentDates{of: make([]int64, len(found))}
	err := s.view.Headings(ctx, found, func(i int, h *message.Heading) error {
		dates.add(i, found[i], h)
		var m thread.Message
		if h != nil {
			v, _ := h.First(message.FieldSubject)
			m.Subject, m.Reply = message.BaseSubject(message.DecodeHeader(v))
			m.Subject = string(message.Fold(nil, []byte(m.Subject)))
			if references {
				v, _ = h.First(message.FieldMessageID)
				m.ID = firstOf(message.MessageIDs(v))
				m.Refs = refsOf(h)
			}
		}
		set.Add(m)
		return nil
	})
	if err == nil {
		err = dates.complete(ctx, s)
	}
	for i, d := range dates.of {
		set.SetDate(i, d)
	}
	return set, err
}

// refsOf gives the ids that a message refers to: those of References or, if there are
// none, the first of In-Reply-To.
func refsOf(h *message.Heading) iter.Seq[string] {
	v, _ := h.First(message.FieldReferences)
	if refs := message.MessageIDs(v); firstOf(refs) != "" {
		return refs
	}
	v, _ = h.First(message.FieldInReplyTo)
	id := firstOf(message.MessageIDs(v))
	return func(yield func(string) bool) {
		if id != "" {
			yield(id)
		}
	}
}

func firstOf(ids iter.Seq[string]) string {
	for id := range ids {
		return id
	}
	return ""
}

// sendThread sends the THREAD response (RFC 5256, BASE.7.2.THREAD). nums are the numbers
// of the messages that the threads are made of.
func (s *session) sendThread(threads []*thread.Tree, nums []store.UID) {
	b := append(s.out.buf(), "* THREAD"...)
	if len(threads) > 0 {
		b = append(b, ' ')
	}
	for _, t := range threads {
		b = appendThread(b, t, nums)
		if len(b) >= spillAt {
			s.out.set(b)
			b = s.out.buf()
		}
	}
	s.out.set(append(b, "\r\n"...))
}

// appendThread appends a thread-list: members as long as each has one child, then its
// children as lists of their own.
func appendThread(b []byte, t *thread.Tree, nums []store.UID) []byte {
	b = append(b, '(')
	for {
		if t.Message >= 0 {
			b = appendNumber(b, uint32(nums[t.Message]))
		}
		if len(t.Children) != 1 {
			break
		}
		b = append(b, ' ')
		t = t.Children[0]
	}
	if len(t.Children) > 0 && t.Message >= 0 {
		b = append(b, ' ')
	}
	for _, c := range t.Children {
		b = appendThread(b, c, nums)
	}
	return append(b, ')')
}
