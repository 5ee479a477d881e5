package imapd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The commands, each with what is to come of it.

var modelItems = []string{"UID", "FLAGS", "FLAGS", "RFC822.SIZE", "INTERNALDATE", "ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[]", "BODY.PEEK[TEXT]",
	"BODY.PEEK[TEXT]<2.7>", "BODY.PEEK[HEADER]", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "BODY.PEEK[1]", "BINARY.SIZE[1]", "BINARY.PEEK[1]", "MODSEQ", "BODY[]", "RFC822", "BODY[TEXT]"}

// uidName puts UID in front, or not.
func uidName(uid bool, name string) string {
	if uid {
		return "UID " + name
	}
	return name
}

func (c *modelClient) fetch() *modelCommand {
	uid := c.w.pct(50)
	var items []string
	for range 1 + c.w.rng.IntN(3) {
		it := modelPick(c.w, modelItems)
		if !slices.ContainsFunc(items, func(o string) bool { return labelOf(o) == labelOf(it) }) {
			items = append(items, it)
		}
	}
	return c.fetchCommand(uidName(uid, "FETCH"), c.pickSet(uid), items, "")
}

// fetchSince is FETCH with CHANGEDSINCE (RFC 7162 section 3.1.4).
func (c *modelClient) fetchSince() *modelCommand {
	uid := c.w.pct(50)
	since := modelPick(c.w, []uint64{0, c.highest, c.highest / 2, max(c.highest, 2) - 2})
	mod := fmt.Sprintf(" (CHANGEDSINCE %d)", since)
	return c.fetchCommand(uidName(uid, "FETCH"), c.pickSet(uid), []string{"FLAGS"}, mod)
}

// labelOf is the name that an item has in the response.
func labelOf(item string) string {
	item = strings.Replace(item, ".PEEK", "", 1)
	if i := strings.IndexByte(item, '<'); i >= 0 {
		item = item[:strings.LastIndexByte(item, '.')] + ">"
	}
	return item
}

func (c *modelClient) fetchCommand(name string, set modelSet, items []string, modifier string) *modelCommand {
	m := &modelCommand{name: name, args: fmt.Sprintf(" %v (%s)%s", set, strings.Join(items, " "), modifier)}
	f := &modelFetch{c: c, set: set, items: items, conditional: modifier != "", wanted: map[uint32]bool{}, left: map[uint32]int{}}
	fmt.Sscanf(modifier, " (CHANGEDSINCE %d", &f.since)
	m.start = func(*wireResponse) { f.start(m) }
	m.claims = f.claims
	m.done = func(tagged *wireResponse) {
		if len(f.wanted) > 0 && tagged.name != "BAD" {
			c.fail("%s%s: nothing came of UIDs %v", m.name, m.args, f.wanted)
		}
	}
	return m
}

// modelFetch is one FETCH at work.
type modelFetch struct {
	c           *modelClient
	set         modelSet
	items       []string
	conditional bool
	since       uint64
	wanted      map[uint32]bool // by UID: must come
	left        map[uint32]int  // by UID: how often it may come
}

func (f *modelFetch) start(m *modelCommand) {
	c := f.c
	at, bad := c.eval(f.set)
	if !bad && (slices.Contains(f.items, "MODSEQ") || f.conditional) {
		c.condstore = true
	}
	if bad || !c.w.exact {
		if bad && c.w.exact {
			m.want = "BAD"
		}
		return
	}
	live, some := c.liveAt(at)
	if !some {
		m.want = "OK"
	}
	for _, i := range at {
		f.left[c.shadow[i]] = 2 // what others changed may be told first, in the same words
	}
	content := slices.ContainsFunc(f.items, func(s string) bool { return s == "BODY[]" || s == "RFC822" || s == "BODY[TEXT]" })
	for _, uid := range live {
		if v := c.box.msgs[uid]; !f.conditional || v.versions[v.latest()].modseq > f.since {
			f.wanted[uid] = true
			if content && !c.readOnly {
				v.set(flagKey(append(strings.Fields(v.flags()), `\Seen`)...))
			}
		}
	}
}

func (f *modelFetch) claims(n int, got map[string]wireValue) bool {
	for _, it := range f.items {
		if _, ok := got[labelOf(it)]; !ok {
			return false
		}
	}
	if !f.c.w.exact {
		return true
	}
	uid := f.c.shadow[n-1]
	f.left[uid]--
	delete(f.wanted, uid)
	return f.left[uid] >= 0
}

// storeFlags is STORE, with a condition if that is wanted.
func (c *modelClient) storeFlags(conditional bool) *modelCommand {
	w := c.w
	uid := w.pct(50)
	s := &modelStore{c: c, set: c.pickSet(uid), op: modelPick(w, []string{"+", "+", "-", ""}), flags: w.flagsToUse(), own: map[uint32]int{}, told: map[uint32]bool{}}
	cond := ""
	if conditional {
		n := modelPick(w, []uint64{0, c.highest, c.highest / 2, c.highest + 1, max(c.highest, 2) - 1})
		s.unchanged, s.conditional = n, true
		cond = fmt.Sprintf("(UNCHANGEDSINCE %d) ", n)
	}
	m := &modelCommand{name: uidName(uid, "STORE"), silent: w.pct(40), own: s.own}
	item := "FLAGS"
	if m.silent {
		item += ".SILENT"
	}
	m.args = fmt.Sprintf(" %v %s%s%s (%s)", s.set, cond, s.op, item, strings.Join(s.flags, " "))
	m.start = func(tagged *wireResponse) { s.start(m, tagged) }
	m.claims = func(n int, items map[string]wireValue) bool { return s.claims(m, n, items) }
	m.done = func(tagged *wireResponse) { s.done(m, tagged) }
	return m
}

// modelStore is one STORE at work.
type modelStore struct {
	c           *modelClient
	set         modelSet
	op          string
	flags       []string
	conditional bool
	unchanged   uint64

	live, failed []uint32
	own          map[uint32]int // the versions that it made
	told         map[uint32]bool
}

func (s *modelStore) apply(flags string) string {
	has, given := strings.Fields(flags), strings.Fields(flagKey(slices.Clone(s.flags)...))
	switch s.op {
	case "+":
		return flagKey(append(has, given...)...)
	case "-":
		return flagKey(slices.DeleteFunc(has, func(f string) bool { return slices.Contains(given, f) })...)
	}
	return flagKey(given...)
}

func (s *modelStore) start(m *modelCommand, tagged *wireResponse) {
	c := s.c
	at, bad := c.eval(s.set)
	switch m.want = "OK"; {
	case bad:
		m.want = "BAD"
	case c.readOnly:
		m.want = "NO"
	}
	if s.conditional && m.want == "OK" {
		c.condstore = true
	}
	s.assume(m, at, tagged)
	if !c.w.exact {
		m.want = ""
		return
	}
	live, some := c.liveAt(at)
	if some && m.want == "OK" {
		m.want = ""
	}
	if tagged.name != "OK" && !(tagged.name == "NO" && some && !c.readOnly) {
		return
	}
	for _, uid := range live {
		v := c.box.msgs[uid]
		if s.conditional && v.versions[v.latest()].modseq > s.unchanged {
			s.failed = append(s.failed, uid)
			continue
		}
		s.live = append(s.live, uid)
		if v.set(s.apply(v.flags())) {
			s.own[uid] = v.latest()
		}
	}
}

// assume has the client believe, before it looks at the answer, that its silent change was
// made: it hears of it only where others changed a message too (RFC 9051 section 6.4.6).
func (s *modelStore) assume(m *modelCommand, at []int, tagged *wireResponse) {
	if !m.silent || tagged.name == "BAD" || s.c.readOnly {
		return
	}
	var modified []uint32
	if code, arg, _ := strings.Cut(tagged.code, " "); code == "MODIFIED" {
		modified = s.c.numbersOf(arg)
	}
	for i := range s.c.slots {
		slot, n := &s.c.slots[i], uint32(i+1)
		if m.uid() {
			n = s.c.uidAt(i)
		}
		_, in := slices.BinarySearch(at, i)
		switch {
		case n == 0: // it may be in the set or not
			slot.known = false
		case !in || slices.Contains(modified, n):
		case tagged.name != "OK":
			slot.known = false
		case slot.known || s.op == "":
			slot.flags, slot.known = s.apply(slot.flags), true
		}
	}
}

func (s *modelStore) claims(m *modelCommand, n int, items map[string]wireValue) bool {
	_, flags := items["FLAGS"]
	_, modseq := items["MODSEQ"]
	if !s.c.w.exact {
		return flags != m.silent || modseq
	}
	uid := s.c.shadow[n-1]
	if !slices.Contains(s.live, uid) || s.told[uid] || flags && m.silent && !modseq || !flags && !m.silent || s.c.condstore && !modseq {
		return false
	}
	s.told[uid] = true
	return flags != m.silent // else it is news of another's change as well
}

func (s *modelStore) done(m *modelCommand, tagged *wireResponse) {
	c := s.c
	if !c.w.exact || c.box == nil {
		return
	}
	modified := slices.DeleteFunc(c.numbersOf(m.codes["MODIFIED"]), func(n uint32) bool {
		if !m.uid() && int(n) <= len(c.shadow) {
			n = c.shadow[n-1]
		}
		return c.box.msgs[n] != nil && c.box.msgs[n].gone
	})
	want := slices.Clone(s.failed)
	for i, uid := range want {
		if !m.uid() {
			want[i] = uint32(slices.Index(c.shadow, uid) + 1)
		}
	}
	if !sameNumbers(want, modified) {
		c.fail("MODIFIED %v, not %v", modified, want)
	}
	for _, uid := range s.live {
		i := slices.Index(c.shadow, uid)
		slot, v := &c.slots[i], c.box.msgs[uid]
		own, changed := s.own[uid]
		switch {
		case !m.silent && !s.told[uid]:
			c.fail("%s: nothing came of UID %d", m.name, uid)
		case m.silent && c.condstore && changed && !s.told[uid]:
			c.fail("%s: UID %d changed without a mod-sequence (RFC 7162 section 3.1.3)", m.name, uid)
		}
		if m.silent && changed {
			slot.version = own
		}
		if slot.known && slot.flags != v.flags() {
			c.fail("UID %d: the client has to think (%s), there is (%s)", uid, slot.flags, v.flags())
		}
	}
}

// appendMessage is APPEND.
func (c *modelClient) appendMessage() *modelCommand {
	w := c.w
	to := modelPick(w, w.boxesOf(c.account))
	if c.box != nil && w.pct(50) {
		to = c.box
	}
	text, flags := w.text(), w.flagsToUse()
	m := &modelCommand{name: "APPEND", want: "OK"}
	head := fmt.Sprintf(" %s (%s) ", quoteName(to.name), strings.Join(flags, " "))
	if w.pct(50) {
		head += `"17-Jul-2020 02:44:25 -0700" `
	}
	m.start = func(tagged *wireResponse) {
		if tagged.name != "OK" || !w.exact {
			return
		}
		f := strings.Fields(tagged.code)
		if len(f) != 3 || f[0] != "APPENDUID" || to.validity != 0 && f[1] != strconv.Itoa(int(to.validity)) {
			c.fail("not APPENDUID %d: %s", to.validity, tagged.raw)
		}
		uid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil || uint32(uid) < to.uidNext || to.msgs[uint32(uid)] != nil {
			c.fail("UID %v, though UIDNEXT was %d", f[2], to.uidNext)
		}
		to.add(uint32(uid), text, flagKey(flags...))
	}
	if m.args = fmt.Sprintf("%s{%d+}\r\n%s", head, len(text), text); w.pct(40) {
		m.args, m.literal = fmt.Sprintf("%s{%d}", head, len(text)), text
	}
	return m
}

func quoteName(s string) string { return string(appendString(nil, s, false)) }
