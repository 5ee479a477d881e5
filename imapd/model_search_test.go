package imapd

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A modelKey is a search key, as text and as what it means.
type modelKey struct {
	text string
	is   func(c *modelClient, i int) bool
}

func (c *modelClient) flagKey() modelKey {
	w := c.w
	keys := map[string]string{"SEEN": `\seen`, "ANSWERED": `\answered`, "FLAGGED": `\flagged`, "DELETED": `\deleted`, "DRAFT": `\draft`,
		"KEYWORD $Forwarded": "$forwarded", "KEYWORD BLUE": "blue", "KEYWORD red": "red"}
	names := []string{"SEEN", "ANSWERED", "FLAGGED", "DELETED", "DRAFT", "KEYWORD $Forwarded", "KEYWORD BLUE", "KEYWORD red"}
	name := modelPick(w, names)
	flag := keys[name]
	if w.pct(50) {
		return modelKey{name, func(c *modelClient, i int) bool { return c.msg(i).has(flag) }}
	}
	return modelKey{"UN" + name, func(c *modelClient, i int) bool { return !c.msg(i).has(flag) }}
}

func (c *modelClient) msg(i int) *modelMsg { return c.box.msgs[c.shadow[i]] }

// key draws a search key.
func (c *modelClient) key(depth int) modelKey {
	w := c.w
	n := w.rng.IntN(10)
	if depth == 0 {
		n = w.rng.IntN(7)
	}
	switch n {
	case 0:
		return modelKey{"ALL", func(*modelClient, int) bool { return true }}
	case 1, 2:
		return c.flagKey()
	case 3:
		set := c.pickSet(w.pct(50))
		text := set.String()
		if set.uid && !set.saved {
			text = "UID " + text
		}
		return modelKey{text, func(c *modelClient, i int) bool { at, _ := c.eval(set); return slices.Contains(at, i) }}
	case 4:
		return c.textKey()
	case 5:
		size := 150 + w.rng.IntN(150)
		return modelKey{fmt.Sprintf("LARGER %d", size), func(c *modelClient, i int) bool { return len(c.msg(i).text) > size }}
	case 6:
		day := 1 + w.rng.IntN(28)
		return modelKey{fmt.Sprintf("SENTSINCE %d-Jan-2024", day), func(c *modelClient, i int) bool {
			_, rest, _ := strings.Cut(c.msg(i).text, "Date: Mon, ")
			n, _, _ := strings.Cut(rest, " ")
			d, _ := strconv.Atoi(n)
			return d >= day
		}}
	case 7:
		k := c.key(depth - 1)
		return modelKey{"NOT " + k.text, func(c *modelClient, i int) bool { return !k.is(c, i) }}
	case 8:
		a, b := c.key(depth-1), c.key(depth-1)
		return modelKey{"OR " + a.text + " " + b.text, func(c *modelClient, i int) bool { return a.is(c, i) || b.is(c, i) }}
	}
	a, b := c.key(depth-1), c.key(depth-1)
	return modelKey{"(" + a.text + " " + b.text + ")", func(c *modelClient, i int) bool { return a.is(c, i) && b.is(c, i) }}
}

func (c *modelClient) textKey() modelKey {
	word := modelPick(c.w, []string{"apple", "BANANA", "erry", "dattel", "xyzzy"})
	field := modelPick(c.w, []string{"SUBJECT", "BODY", "TEXT", "FROM"})
	return modelKey{fmt.Sprintf("%s %s", field, word), func(c *modelClient, i int) bool {
		text := c.msg(i).text
		head, body, _ := strings.Cut(text, "\r\n\r\n")
		from, _, _ := strings.Cut(head, "\r\n")
		text = map[string]string{"SUBJECT": c.msg(i).subject(), "BODY": body, "TEXT": text, "FROM": from}[field]
		return strings.Contains(strings.ToLower(text), strings.ToLower(word))
	}}
}

// search is SEARCH, SORT or THREAD.
func (c *modelClient) search() *modelCommand {
	w := c.w
	uid := w.pct(50)
	s := &modelSearch{c: c, key: c.key(2), verb: "SEARCH"}
	head := " "
	switch {
	case c.caps["SORT"] && w.pct(20):
		s.verb, s.order = "SORT", modelPick(w, []string{"SIZE", "REVERSE SIZE", "SUBJECT", "DATE", "ARRIVAL", "FROM"})
		head = " (" + s.order + ") UTF-8 "
	case c.caps["THREAD=REFERENCES"] && w.pct(10):
		s.verb = "THREAD"
		head = " " + modelPick(w, []string{"REFERENCES", "ORDEREDSUBJECT"}) + " UTF-8 "
	case w.pct(50):
		s.extended = true
		for _, o := range []string{"MIN", "MAX", "ALL", "COUNT", "SAVE"} {
			if w.pct(35) {
				s.options = append(s.options, o)
			}
		}
		head = " RETURN (" + strings.Join(s.options, " ") + ") "
	}
	s.extended = s.extended || c.rev2 && s.verb == "SEARCH"
	if s.extended && len(s.options) == 0 {
		s.options = []string{"ALL"}
	}
	m := &modelCommand{name: uidName(uid, s.verb), args: head + s.key.text}
	m.start = func(tagged *wireResponse) { s.start(m, tagged) }
	m.takes = func(r *wireResponse) bool { return s.takes(m, r) }
	m.done = func(tagged *wireResponse) { s.done(m, tagged) }
	return m
}

// modelSearch is one SEARCH at work.
type modelSearch struct {
	c        *modelClient
	key      modelKey
	verb     string
	order    string
	extended bool
	options  []string

	want, gone []uint32 // UIDs or sequence numbers; gone may be found or not
	wantUIDs   []uint32
	answered   bool
}

func (s *modelSearch) has(option string) bool { return slices.Contains(s.options, option) }

func (s *modelSearch) start(m *modelCommand, tagged *wireResponse) {
	c := s.c
	m.want = "OK"
	if !c.w.exact || tagged.name != "OK" {
		m.want = ""
		if s.has("SAVE") {
			c.saved, c.hasSaved = nil, false
		}
		return
	}
	for i, uid := range c.shadow {
		n := uid
		if !m.uid() {
			n = uint32(i + 1)
		}
		if c.box.msgs[uid].gone {
			s.gone = append(s.gone, n)
		} else if s.key.is(c, i) {
			s.want, s.wantUIDs = append(s.want, n), append(s.wantUIDs, uid)
		}
	}
	if s.has("SAVE") {
		c.save(s)
	}
}

// save is the saved result (RFC 5182 section 2.4); it is not known if some of what was
// searched is gone: that may be in it or not.
func (c *modelClient) save(s *modelSearch) {
	c.saved, c.hasSaved = slices.Clone(s.wantUIDs), len(s.gone) == 0
	onlyEnds := !s.has("ALL") && !s.has("COUNT") && (s.has("MIN") || s.has("MAX"))
	if !onlyEnds || len(c.saved) == 0 {
		return
	}
	first, last := c.saved[0], c.saved[len(c.saved)-1]
	switch {
	case !s.has("MAX"):
		c.saved = []uint32{first}
	case !s.has("MIN"):
		c.saved = []uint32{last}
	default:
		c.saved = slices.Compact([]uint32{first, last})
	}
}

func (s *modelSearch) takes(m *modelCommand, r *wireResponse) bool {
	want := s.verb
	if s.extended {
		want = "ESEARCH"
	}
	if r.name != want {
		return false
	}
	if s.answered {
		s.c.fail("a second %s", want)
	}
	if s.answered = true; !s.c.w.exact {
		return true
	}
	switch {
	case s.extended:
		s.esearch(m, r)
	case s.verb == "THREAD":
		s.compare(flattenThreads(s.c, r.args))
	default:
		var nums []uint32
		for _, a := range r.args {
			if !a.isList {
				n, _ := a.number()
				nums = append(nums, uint32(n))
			}
		}
		s.compare(nums)
		s.checkOrder(m, nums)
	}
	return true
}

// compare compares a result with what was to be found.
func (s *modelSearch) compare(nums []uint32) {
	nums = slices.DeleteFunc(slices.Clone(nums), func(n uint32) bool { return slices.Contains(s.gone, n) })
	if !sameNumbers(nums, s.want) {
		s.c.fail("%s found %v, not %v", s.key.text, nums, s.want)
	}
}

// checkOrder looks at the order of SORT by size.
func (s *modelSearch) checkOrder(m *modelCommand, nums []uint32) {
	if !strings.HasSuffix(s.order, "SIZE") {
		return
	}
	sign := 1
	if strings.HasPrefix(s.order, "REVERSE") {
		sign = -1
	}
	size := func(n uint32) int {
		if !m.uid() {
			n = s.c.shadow[n-1]
		}
		return len(s.c.box.msgs[n].text)
	}
	nums = slices.DeleteFunc(slices.Clone(nums), func(n uint32) bool { return slices.Contains(s.gone, n) })
	if !slices.IsSortedFunc(nums, func(a, b uint32) int { return cmp.Or(sign*cmp.Compare(size(a), size(b)), cmp.Compare(a, b)) }) {
		s.c.fail("not in the order of %s: %v", s.order, nums)
	}
}

func (s *modelSearch) esearch(m *modelCommand, r *wireResponse) {
	args := r.args
	if len(args) == 0 || !args[0].isList || len(args[0].list) != 2 || args[0].list[1].text != m.tag {
		s.c.fail("not the answer to %s: %s", m.tag, r.raw)
	}
	if args = args[1:]; m.uid() {
		if len(args) == 0 || args[0].text != "UID" {
			s.c.fail("no UID in %s", r.raw)
		}
		args = args[1:]
	}
	got, err := pairs(args)
	if err != nil {
		s.c.fail("%v", err)
	}
	for name := range got {
		if !s.has(name) && name != "MODSEQ" {
			s.c.fail("nobody asked for %s: %s", name, r.raw)
		}
	}
	if s.has("ALL") {
		s.compare(s.c.numbersOf(got["ALL"].text))
	}
	if len(s.gone) > 0 {
		return
	}
	check := func(name, want string) {
		if s.has(name) && got[name].text != want {
			s.c.fail("%s is %q, not %q: %s", name, got[name].text, want, r.raw)
		}
	}
	check("COUNT", strconv.Itoa(len(s.want)))
	if len(s.want) > 0 {
		check("MIN", strconv.Itoa(int(s.want[0])))
		check("MAX", strconv.Itoa(int(s.want[len(s.want)-1])))
	}
}

func (s *modelSearch) done(_ *modelCommand, tagged *wireResponse) {
	onlySave := len(s.options) == 1 && s.has("SAVE")
	if tagged.name == "OK" && s.answered == onlySave {
		s.c.fail("answered: %v", s.answered)
	}
}

// flattenThreads lists the numbers of a THREAD response.
func flattenThreads(c *modelClient, list []wireValue) (out []uint32) {
	for _, v := range list {
		if v.isList {
			out = append(out, flattenThreads(c, v.list)...)
			continue
		}
		n, ok := v.number()
		if !ok {
			c.fail("%q in a thread", v.text)
		}
		out = append(out, uint32(n))
	}
	return out
}
