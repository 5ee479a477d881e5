package imapd

import (
	"slices"
	"strings"
)

// fetched takes in a FETCH response.
func (c *modelClient) fetched(r *wireResponse) {
	n := int(r.num)
	if n < 1 || n > len(c.slots) {
		c.fail("FETCH of %d, there are %d", n, len(c.slots))
	}
	if len(r.args) != 1 || len(r.args[0].list) == 0 {
		c.fail("not a FETCH response: %s", r.raw)
	}
	items, err := pairs(r.args[0].list)
	if err != nil {
		c.fail("%v", err)
	}
	s := &c.slots[n-1]
	c.checkUID(n, items)
	modseq := c.checkModSeq(s, items)
	flags, hasFlags := c.flagsOf(items)
	claimed := c.head.claims != nil && c.head.claims(n, items)
	if !claimed && c.condstore && hasFlags && modseq == 0 {
		c.fail("flags without a mod-sequence: %s", r.raw)
	}
	if !claimed && !hasFlags && modseq == 0 {
		c.fail("nobody asked for %s", r.raw)
	}
	if c.w.exact && c.shadow[n-1] != 0 {
		c.checkContent(n, items)
		if hasFlags || modseq != 0 {
			c.checkVersion(n, flags, hasFlags, modseq, claimed)
		}
	}
	if hasFlags {
		s.flags, s.known = flags, true
	}
	if !c.w.exact && hasFlags && modseq != 0 && s.uid != 0 {
		c.w.ledger.compare(c, s)
	}
}

func (c *modelClient) checkUID(n int, items map[string]wireValue) {
	v, ok := items["UID"]
	if !ok {
		if c.head.uid() {
			c.fail("no UID in answer to a UID command (RFC 9051 section 6.4.9)")
		}
		return
	}
	uid, ok := v.number()
	s := &c.slots[n-1]
	if !ok || s.uid != 0 && s.uid != uint32(uid) || c.w.exact && c.shadow[n-1] != 0 && c.shadow[n-1] != uint32(uid) {
		c.fail("message %d has UID %v; it had %d", n, v, s.uid)
	}
	s.uid = uint32(uid)
	if c.w.exact {
		c.shadow[n-1] = uint32(uid)
	}
	if n > 1 && c.slots[n-2].uid >= s.uid || n < len(c.slots) && c.slots[n].uid != 0 && c.slots[n].uid <= s.uid {
		c.fail("UIDs do not ascend at %d", n)
	}
}

// checkModSeq gives the mod-sequence, 0 if there is none.
func (c *modelClient) checkModSeq(s *modelSlot, items map[string]wireValue) uint64 {
	v, ok := items["MODSEQ"]
	if !ok {
		return 0
	}
	if len(v.list) != 1 {
		c.fail("not a mod-sequence: %v", v)
	}
	n, ok := v.list[0].number()
	if !ok || n == 0 || n < s.modseq {
		c.fail("mod-sequence %v after %d", v, s.modseq)
	}
	s.modseq = n
	c.head.told = max(c.head.told, n)
	return n
}

// flagsOf gives the flags in one form; each keyword must have been in FLAGS.
func (c *modelClient) flagsOf(items map[string]wireValue) (string, bool) {
	v, ok := items["FLAGS"]
	if !ok {
		return "", false
	}
	var all []string
	for _, f := range v.list {
		name := strings.ToLower(f.text)
		if name == `\recent` {
			continue
		}
		if !c.keywords[name] {
			c.fail("flag %s was not in FLAGS", f.text)
		}
		all = append(all, name)
	}
	return flagKey(all...), true
}

// flagKey writes flags in one form.
func flagKey(flags ...string) string {
	for i := range flags {
		flags[i] = strings.ToLower(flags[i])
	}
	slices.Sort(flags)
	return strings.Join(slices.Compact(flags), " ")
}
