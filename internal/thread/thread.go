// Package thread puts messages together into conversations by the two algorithms of RFC
// 5256 section 3, ORDEREDSUBJECT and REFERENCES. It knows neither files nor protocols: its
// callers say what is in the messages' headers. The time that it takes grows with the
// number of messages and references, times its logarithm, whatever is in them.
package thread

import (
	"cmp"
	"hash/maphash"
	"iter"
	"slices"
)

// Message is what is to be known of one message.
type Message struct {
	ID      string           // its Message-ID; "" if it has none that is valid
	Refs    iter.Seq[string] // the ids that it refers to, its parent's the last; nil: none
	Subject string           // the base subject, in the form in which subjects are compared
	Reply   bool             // the subject is that of a reply or a forward
	Date    int64            // the sent date, see SetDate
}

// Tree is a message with its replies.
type Tree struct {
	Message  int // which it is, the first added being 0; -1 stands for one that is not there
	Children []*Tree
}

// maxMissing bounds the messages that are referred to and not there.
const maxMissing = 1 << 20

// Set gathers messages. The zero value is not ready for use.
type Set struct {
	messages []message
	seeds    [2]maphash.Seed
	ids      map[key]int32 // nodes by id
	forest   forest
	message  []int32 // what the node of the forest is: a message, or -1
	missing  int     // how many are not
}

// message is what is kept of a Message.
type message struct {
	date    int64
	subject key // zero: none
	node    int32
	reply   bool
}

// key stands for a text: two hashes with seeds that nobody outside knows.
type key [2]uint64

// NewSet returns a set with room for n messages.
func NewSet(n int) *Set {
	s := &Set{messages: make([]message, 0, n), ids: make(map[key]int32, n), message: make([]int32, 1, n+1)}
	s.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	s.forest.nodes = make([]node, 1, n+1)
	return s
}

func (s *Set) key(text string) key {
	if text == "" {
		return key{}
	}
	return key{maphash.String(s.seeds[0], text), maphash.String(s.seeds[1], text)}
}

// Add adds a message. They come in the order of the mailbox.
func (s *Set) Add(m Message) {
	n := s.own(s.key(m.ID))
	s.messages = append(s.messages, message{date: m.Date, subject: s.key(m.Subject), node: n, reply: m.Reply})
	// Step 1 of REFERENCES.
	var last int32
	if m.Refs != nil {
		for id := range m.Refs {
			ref := s.ref(s.key(id))
			if ref == 0 {
				continue
			}
			if last != 0 && s.forest.nodes[ref].parent == 0 {
				s.forest.link(ref, last)
			}
			last = ref
		}
	}
	s.forest.cut(n)
	if last != 0 {
		s.forest.link(n, last)
	}
}

// SetDate says when a message was sent, the first added being 0. The unit is the caller's.
func (s *Set) SetDate(i int, date int64) { s.messages[i].date = date }

// own gives the message that is added now its node: that with its id, unless that is
// taken, or a new one.
func (s *Set) own(id key) int32 {
	n, ok := s.ids[id]
	switch {
	case ok && id != (key{}) && s.message[n] < 0:
		s.missing--
	default:
		n = s.forest.add()
		s.message = append(s.message, 0)
		if !ok && id != (key{}) {
			s.ids[id] = n
		}
	}
	s.message[n] = int32(len(s.messages))
	return n
}

// ref finds or makes the node with an id; 0 if there are too many.
func (s *Set) ref(id key) int32 {
	if n, ok := s.ids[id]; ok {
		return n
	}
	if s.missing >= maxMissing {
		return 0
	}
	s.missing++
	n := s.forest.add()
	s.message = append(s.message, -1)
	s.ids[id] = n
	return n
}

// older orders messages by their dates, then by their places in the mailbox.
func (s *Set) older(a, b int32) int {
	return cmp.Or(cmp.Compare(s.messages[a].date, s.messages[b].date), cmp.Compare(a, b))
}

// OrderedSubject gives the threads of ORDEREDSUBJECT: the messages with the same subject,
// all but the first of them children of the first.
func (s *Set) OrderedSubject() []*Tree {
	threads := map[key][]int32{}
	for i := range s.messages {
		k := s.messages[i].subject
		threads[k] = append(threads[k], int32(i))
	}
	order := make([][]int32, 0, len(threads))
	for _, t := range threads {
		slices.SortFunc(t, s.older)
		order = append(order, t)
	}
	slices.SortFunc(order, func(a, b []int32) int { return s.older(a[0], b[0]) })
	roots := make([]*Tree, len(order))
	for i, t := range order {
		roots[i] = &Tree{Message: int(t[0])}
		for _, m := range t[1:] {
			roots[i].Children = append(roots[i].Children, &Tree{Message: int(m)})
		}
	}
	return roots
}
