package imapd

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A modelSet is a set of messages as it stands in a command. It means what it means when
// the server comes to it.
type modelSet struct {
	uid    bool
	saved  bool
	ranges [][2]uint32 // 0 is "*"
}

func allOf(uid bool) modelSet { return modelSet{uid: uid, ranges: [][2]uint32{{1, 0}}} }

func (s modelSet) String() string {
	if s.saved {
		return "$"
	}
	star := func(n uint32) string {
		if n == 0 {
			return "*"
		}
		return strconv.Itoa(int(n))
	}
	var parts []string
	for _, r := range s.ranges {
		if r[0] == r[1] {
			parts = append(parts, star(r[0]))
		} else {
			parts = append(parts, star(r[0])+":"+star(r[1]))
		}
	}
	return strings.Join(parts, ",")
}

// pickSet draws a set: now and then with numbers that no message has.
func (c *modelClient) pickSet(uid bool) modelSet {
	w := c.w
	if c.hasSaved && w.pct(15) {
		return modelSet{uid: uid, saved: true}
	}
	if len(c.slots) == 0 || w.pct(20) {
		return allOf(uid)
	}
	s := modelSet{uid: uid}
	for range 1 + w.rng.IntN(3) {
		r := [2]uint32{c.pickNumber(uid), c.pickNumber(uid)}
		if w.pct(60) {
			r[1] = r[0]
		}
		s.ranges = append(s.ranges, r)
	}
	return s
}

func (c *modelClient) pickNumber(uid bool) uint32 {
	switch {
	case c.w.pct(4):
		return 0
	case !uid && c.w.pct(2):
		return uint32(len(c.slots) + 1)
	case uid && c.w.pct(5):
		return uint32(1 + c.w.rng.IntN(40))
	case len(c.slots) == 0:
		return 1
	}
	i := c.w.rng.IntN(len(c.slots))
	if !uid {
		return uint32(i + 1)
	}
	if u := c.uidAt(i); u != 0 {
		return u
	}
	return uint32(i + 1)
}

func (c *modelClient) uidAt(i int) uint32 {
	if c.w.exact {
		return c.shadow[i]
	}
	return c.slots[i].uid
}

// eval gives the places of the messages that a set means now. It is bad with a sequence
// number beyond the last.
func (c *modelClient) eval(s modelSet) (at []int, bad bool) {
	count := uint32(len(c.slots))
	for i := range c.slots {
		uid := c.uidAt(i)
		n := uint32(i + 1)
		if s.uid {
			n = uid
		}
		if s.saved && slices.Contains(c.saved, uid) || !s.saved && c.covers(s, n) {
			at = append(at, i)
		}
	}
	for _, r := range s.ranges {
		bad = bad || !s.uid && r[0] != 0 && r[1] != 0 && max(r[0], r[1]) > count
	}
	return at, bad
}

func (c *modelClient) covers(s modelSet, n uint32) bool {
	last := uint32(len(c.slots))
	if s.uid && last > 0 {
		last = c.uidAt(int(last) - 1)
		if last == 0 && !c.w.exact { // one that just came: its UID is above all that are known
			last = math.MaxUint32
		}
	}
	for _, r := range s.ranges {
		open := r[0] == 0 || r[1] == 0
		for k := range r {
			if r[k] == 0 || open && !s.uid {
				r[k] = min(last, cmpOr(r[k], last))
			}
		}
		if min(r[0], r[1]) <= n && n <= max(r[0], r[1]) {
			return true
		}
	}
	return false
}

func cmpOr(n, other uint32) uint32 {
	if n == 0 {
		return other
	}
	return n
}

// liveAt lists the UIDs at places whose messages are there; some says that others are not.
func (c *modelClient) liveAt(at []int) (live []uint32, some bool) {
	for _, i := range at {
		if uid := c.shadow[i]; c.box.msgs[uid].gone {
			some = true
		} else {
			live = append(live, uid)
		}
	}
	return live, some
}

// sameNumbers compares two lists but for their order.
func sameNumbers(a, b []uint32) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// numbersOf reads the numbers of a response in its own order.
func (c *modelClient) numbersOf(text string) []uint32 {
	if text == "" {
		return nil
	}
	nums, err := parseNumbers(text)
	if err != nil {
		c.fail("%v", err)
	}
	return nums
}

// text makes a message that is like no other.
func (w *modelWorld) text() string {
	w.serial++
	n := w.step*1000 + w.serial
	words := []string{"apple", "banana", "cherry", "Dattel"}
	body := strings.Repeat(modelPick(w, words)+" "+modelPick(w, words)+"\r\n", 1+w.rng.IntN(4))
	refs := ""
	if w.pct(40) {
		refs = fmt.Sprintf("References: <%d@model>\r\n", 1+w.rng.IntN(6))
	}
	return fmt.Sprintf("From: %s@example.org\r\nTo: alice@example.org\r\nSubject: %s no %d\r\nDate: Mon, %d Jan 2024 10:00:00 +0000\r\nMessage-ID: <%d@model>\r\n%s\r\n%s",
		modelPick(w, words), modelPick(w, words), n, 1+w.rng.IntN(28), n%7, refs, body)
}

// flagsToUse draws flags that a client may store.
func (w *modelWorld) flagsToUse() []string {
	all := []string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Deleted`, `\Draft`, "$Forwarded", "blue", "Red", "$Label1", "k" + strconv.Itoa(w.rng.IntN(8))}
	var out []string
	for range w.rng.IntN(3) + w.rng.IntN(2) {
		if f := modelPick(w, all); !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}
