package imapd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// COPY, MOVE, EXPUNGE and what selects a mailbox and leaves it.

// transferTo is COPY or MOVE.
func (c *modelClient) transferTo(verb string) *modelCommand {
	uid := c.w.pct(60)
	to := modelPick(c.w, c.w.boxesOf(c.account))
	set := c.pickSet(uid)
	m := &modelCommand{name: uidName(uid, verb), args: fmt.Sprintf(" %v %s", set, quoteName(to.name))}
	var live []uint32
	copied := false
	m.start = func(tagged *wireResponse) {
		at, bad := c.eval(set)
		switch m.want = "OK"; {
		case bad:
			m.want = "BAD"
		case c.readOnly && verb == "MOVE":
			m.want = "NO"
		}
		if !c.w.exact {
			m.want = ""
			return
		}
		var some bool
		if live, some = c.liveAt(at); some && m.want == "OK" {
			m.want = ""
		}
		if verb == "COPY" && tagged.name == "OK" && strings.HasPrefix(tagged.code, "COPYUID ") {
			copied = true
			c.copied(tagged.code, live, to)
		}
	}
	m.takes = func(r *wireResponse) bool {
		if verb != "MOVE" || r.name != "OK" || !strings.HasPrefix(r.code, "COPYUID ") || !c.w.exact {
			return false
		}
		copied = true
		c.copied(r.code, live, to)
		for _, uid := range live {
			c.box.msgs[uid].gone = true
		}
		return true
	}
	m.done = func(tagged *wireResponse) {
		if c.w.exact && tagged.name == "OK" && !copied && len(live) > 0 {
			c.fail("%s without COPYUID", m.name)
		}
	}
	return m
}

// copied compares COPYUID with what was to be copied, and adds that to the truth.
func (c *modelClient) copied(code string, live []uint32, to *modelBox) {
	f := strings.Fields(code)
	if len(f) != 4 || to.validity != 0 && f[1] != strconv.Itoa(int(to.validity)) {
		c.fail("not COPYUID %d: %s", to.validity, code)
	}
	from, dest := c.numbersOf(f[2]), c.numbersOf(f[3])
	if !sameNumbers(from, live) || len(from) != len(dest) {
		c.fail("%s: UIDs %v were to be copied", code, live)
	}
	for i, uid := range dest {
		if uid < to.uidNext || to.msgs[uid] != nil {
			c.fail("%s: UID %d, though UIDNEXT was %d", code, uid, to.uidNext)
		}
		m := c.box.msgs[from[i]]
		to.add(uid, m.text, m.flags())
	}
}

// expunge is EXPUNGE or UID EXPUNGE.
func (c *modelClient) expunge() *modelCommand {
	m := &modelCommand{name: "EXPUNGE"}
	set := allOf(true)
	if c.w.pct(40) {
		set = c.pickSet(true)
		m.name, m.args = "UID EXPUNGE", " "+set.String()
	}
	m.start = func(tagged *wireResponse) {
		if m.want = "OK"; c.readOnly {
			m.want = "NO"
		}
		if !c.w.exact || tagged.name != "OK" {
			return
		}
		at, _ := c.eval(set)
		live, _ := c.liveAt(at)
		if m.name == "EXPUNGE" {
			live = c.box.after(0)
		}
		c.box.purge(live)
	}
	return m
}

// purge takes those of the messages away that have \Deleted.
func (b *modelBox) purge(uids []uint32) {
	for _, uid := range uids {
		if m := b.msgs[uid]; m.has(`\Deleted`) {
			m.gone = true
		}
	}
}

// closeBox is CLOSE or UNSELECT.
func (c *modelClient) closeBox() *modelCommand {
	m := &modelCommand{name: modelPick(c.w, []string{"CLOSE", "UNSELECT"}), want: "OK"}
	m.start = func(*wireResponse) {
		if m.name == "CLOSE" && !c.readOnly && c.w.exact {
			c.box.purge(c.box.after(0))
		}
		c.leave()
	}
	return m
}

// selectBox is SELECT or EXAMINE, with CONDSTORE or QRESYNC now and then.
func (c *modelClient) selectBox() *modelCommand {
	b := modelPick(c.w, c.w.boxesOf(c.account))
	if c.w.pct(50) {
		b = c.w.box(c.account, "INBOX")
	}
	return c.selectOne(b)
}

func (c *modelClient) selectOne(b *modelBox) *modelCommand {
	w := c.w
	m := &modelCommand{name: modelPick(w, []string{"SELECT", "SELECT", "SELECT", "EXAMINE"}), want: "OK"}
	if c.box != nil {
		c.remember()
	}
	var k *modelCache
	if c.qresync && (w.exact || w.quiet) {
		k = w.caches[cacheKey{c.id, c.account, b.name}]
	}
	m.args = " " + quoteName(b.name)
	var gone []uint32
	switch {
	case k != nil:
		m.args += c.qresyncArgs(k)
		m.claims = func(int, map[string]wireValue) bool { return true }
	case c.caps["CONDSTORE"] && w.pct(20):
		m.args += " (CONDSTORE)"
		c.condstore = true
	}
	m.start = func(*wireResponse) {
		c.leave()
		c.box, c.readOnly, c.keywords = b, m.name == "EXAMINE", map[string]bool{}
	}
	m.takes = func(r *wireResponse) bool {
		if r.name == "VANISHED" && k != nil && len(r.args) == 2 {
			gone = append(gone, c.earlier(r)...)
			return true
		}
		return r.name == "LIST" && c.rev2 && len(r.args) > 2 && r.args[2].text == b.name // RFC 9051 section 6.3.2
	}
	m.done = func(*wireResponse) {
		c.selected(m)
		switch {
		case k != nil && w.exact:
			c.resynced(k, gone)
		case k != nil:
			c.gone = gone
		}
	}
	return m
}

// qresyncArgs is the parameter of RFC 7162 section 3.2.5.
func (c *modelClient) qresyncArgs(k *modelCache) string {
	s := fmt.Sprintf("%d %d", k.validity, k.highest)
	var uids []uint32
	for uid := range k.flags {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	if len(uids) > 0 && c.w.pct(60) {
		s += " " + numberSet(uids)
	}
	if c.w.pct(30) {
		return " (CONDSTORE QRESYNC (" + s + "))"
	}
	return " (QRESYNC (" + s + "))"
}

// earlier is VANISHED (EARLIER) (RFC 7162 section 3.2.10): none of it may be there.
func (c *modelClient) earlier(r *wireResponse) []uint32 {
	if len(r.args[0].list) != 1 || r.args[0].list[0].text != "EARLIER" {
		c.fail("not VANISHED: %s", r.raw)
	}
	uids := c.numbersOf(r.args[1].text)
	for _, uid := range uids {
		if m := c.box.msgs[uid]; m != nil && !m.gone {
			c.fail("VANISHED says that UID %d is gone, but it is there", uid)
		}
	}
	return uids
}

// selected looks at what SELECT must say.
func (c *modelClient) selected(m *modelCommand) {
	number := func(code string) uint64 {
		s, ok := m.codes[code]
		n, err := strconv.ParseUint(s, 10, 63)
		if !ok || err != nil || n == 0 {
			c.fail("%s with %s %q", m.name, code, s)
		}
		return n
	}
	c.validity, c.highest = uint32(number("UIDVALIDITY")), number("HIGHESTMODSEQ")
	next := number("UIDNEXT")
	if _, ok := m.codes["READ-ONLY"]; ok != c.readOnly {
		c.fail("%s: %v", m.name, m.codes)
	}
	if !c.w.exact {
		return
	}
	b := c.box
	if uint32(next) < b.uidNext || b.validity != 0 && b.validity != c.validity || c.highest < b.highest {
		c.fail("UIDNEXT %d, %d is awaited; UIDVALIDITY %d, %d; HIGHESTMODSEQ %d, %d", next, b.uidNext, c.validity, b.validity, c.highest, b.highest)
	}
	unseen := ""
	for i, uid := range c.shadow {
		if !b.msgs[uid].has(`\Seen`) {
			unseen = strconv.Itoa(i + 1)
			break
		}
	}
	if got, ok := m.codes["UNSEEN"]; got != unseen && (ok || !c.rev2) {
		c.fail("UNSEEN is %q, not %q", got, unseen)
	}
	c.verify(true)
}

// resynced compares what a client has after a resynchronisation with the truth.
func (c *modelClient) resynced(k *modelCache, gone []uint32) {
	if k.validity != c.validity {
		if len(gone) > 0 {
			c.fail("VANISHED for another UIDVALIDITY")
		}
		return
	}
	c.w.saw("resync")
	told := map[uint32]modelSlot{}
	for _, s := range c.slots {
		told[s.uid] = s
	}
	for uid, flags := range k.flags {
		if slices.Contains(gone, uid) {
			c.w.saw("resync vanished")
			continue
		}
		m := c.box.msgs[uid]
		if m == nil || m.gone {
			c.fail("UID %d is gone since mod-sequence %d, and the client was not told; it was told %v", uid, k.highest, gone)
		}
		if s := told[uid]; s.known {
			if flags != s.flags {
				c.w.saw("resync flags")
			}
			flags = s.flags
		}
		if flags != m.flags() {
			c.fail("UID %d has had its flags changed since mod-sequence %d, and the client was not told: it knows (%s); they are %v", uid, k.highest, flags, m.versions)
		}
		if i := slices.Index(c.shadow, uid); i >= 0 {
			c.slots[i].uid, c.slots[i].known, c.slots[i].flags = uid, true, flags
		}
	}
}

// catchUp is a resynchronisation by UID FETCH (RFC 7162 section 3.2.6), after a SELECT.
func (c *modelClient) catchUp(k *modelCache) {
	var gone []uint32
	m := c.fetchCommand("UID FETCH", allOf(true), []string{"FLAGS"}, fmt.Sprintf(" (CHANGEDSINCE %d VANISHED)", k.highest))
	m.takes = func(r *wireResponse) bool {
		if r.name != "VANISHED" || len(r.args) != 2 {
			return false
		}
		gone = append(gone, c.earlier(r)...)
		return true
	}
	done := m.done
	m.done = func(tagged *wireResponse) {
		done(tagged)
		c.resynced(k, gone)
	}
	c.run(m)
}
