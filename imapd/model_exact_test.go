package imapd

import (
	"slices"
	"strconv"
	"strings"
)

// What a client is told, compared with what is so.

// checkVersion finds the version of a message's flags that a response tells of. What nobody
// asked for must be news; and no older version may come after a newer one.
func (c *modelClient) checkVersion(n int, flags string, hasFlags bool, modseq uint64, claimed bool) {
	s, m := &c.slots[n-1], c.box.msgs[c.shadow[n-1]]
	from := max(s.version, 0)
	if !claimed && !m.gone { // of one that is gone, what was last known may be said again
		if c.idle != nil {
			from = s.version + 1
		} else if n-1 < len(c.head.base) {
			from = max(s.version, c.head.base[n-1]+1)
		}
	}
	found, echo := -1, -1
	for i := from; i < len(m.versions); i++ { // the last one: flags may have been the same before
		v := &m.versions[i]
		if hasFlags && v.flags != flags || modseq != 0 && v.modseq != 0 && v.modseq != modseq {
			continue
		}
		// One's own silent change is told only along with another's (RFC 9051 section 6.4.6).
		if own, ok := c.head.own[m.uid]; ok && own == i && c.head.silent && hasFlags && s.version == i-1 {
			echo = i
			continue
		}
		found = i
	}
	switch {
	case found >= 0:
		if modseq != 0 {
			m.versions[found].modseq = modseq
		}
		if hasFlags {
			s.version = found
		}
		return
	case echo >= 0:
		c.fail("message %d: its own change, which was to be silent, is told", n)
	}
	c.fail("message %d, UID %d: flags (%s), mod-sequence %d: no version from %d on is that: %v", n, m.uid, flags, modseq, from, m.versions)
}

// checkContent compares the constant items of a FETCH response with the message's text.
func (c *modelClient) checkContent(n int, items map[string]wireValue) {
	m := c.box.msgs[c.shadow[n-1]]
	head, body, _ := strings.Cut(m.text, "\r\n\r\n")
	for name, v := range items {
		want, got := "", v.text
		switch {
		case name == "RFC822.SIZE":
			want = strconv.Itoa(len(m.text))
		case name == "BODY[]" || name == "RFC822" || name == "BINARY[]":
			want = m.text
		case name == "BODY[TEXT]" || name == "RFC822.TEXT" || name == "BODY[1]" || name == "BINARY[1]":
			want = body
		case name == "BINARY.SIZE[1]":
			want = strconv.Itoa(len(body))
		case name == "BODY[TEXT]<2>":
			want = body[2:min(len(body), 9)]
		case name == "BODY[HEADER]" || name == "RFC822.HEADER":
			want = head + "\r\n\r\n"
		case name == "BODY[HEADER.FIELDS (SUBJECT)]":
			want = "Subject: " + m.subject() + "\r\n\r\n"
		case name == "ENVELOPE":
			if len(v.list) != 10 {
				c.fail("message %d: ENVELOPE %v", n, v)
			}
			want, got = m.subject(), v.list[1].text
		default:
			continue
		}
		if got != want {
			c.fail("message %d, UID %d: %s is %.200q, not %.200q", n, m.uid, name, got, want)
		}
	}
}

// complete compares the client's picture with the truth after a command that told all.
func (c *modelClient) complete(m *modelCommand) {
	switch m.name {
	case "NOOP", "CHECK", "IDLE", "EXPUNGE", "UID EXPUNGE", "UID FETCH", "UID STORE", "UID COPY", "UID MOVE", "COPY", "MOVE":
		c.verify(true)
	case "FETCH", "STORE", "SEARCH", "UID SEARCH":
		c.verify(false)
	}
}

// verify compares the picture with the truth. Without all, messages that are gone may be
// in it still.
func (c *modelClient) verify(all bool) {
	if c.idle != nil {
		c.resolve()
	}
	var shadow []uint32
	for i, uid := range c.shadow {
		m := c.box.msgs[uid]
		if m.gone && !all {
			continue
		}
		shadow = append(shadow, uid)
		s := &c.slots[i]
		if !m.gone && (s.version != m.latest() || s.known && s.flags != m.flags()) {
			c.fail("message %d, UID %d: the client was told version %d of its flags, (%s); they are %v", i+1, uid, s.version, s.flags, m.versions)
		}
		if s.uid != 0 && s.uid != uid {
			c.fail("message %d has UID %d, the client was told %d", i+1, uid, s.uid)
		}
	}
	if live := c.box.after(0); !slices.Equal(live, shadow) {
		c.fail("the client was told of UIDs %v; there are %v", shadow, live)
	}
}

// resolve finds the UIDs of messages that came during IDLE, now that nothing moves.
func (c *modelClient) resolve() {
	live := c.box.after(0)
	for i, uid := range c.shadow {
		if uid != 0 {
			continue
		}
		if i >= len(live) {
			c.fail("%d messages exist, there are %d", len(c.shadow), len(live))
		}
		c.shadow[i] = live[i]
		m, s := c.box.msgs[live[i]], &c.slots[i]
		if s.known && s.flags != m.flags() {
			c.fail("message %d, UID %d: the client was told (%s), not (%s)", i+1, m.uid, s.flags, m.flags())
		}
		s.version = m.latest()
	}
}

// cache is what a client keeps of a mailbox when it leaves.
type modelCache struct {
	validity uint32
	highest  uint64
	flags    map[uint32]string
}

// remember keeps what the client knows for the next time. Without a mod-sequence to ask
// from there is nothing to keep.
func (c *modelClient) remember() {
	if c.box == nil || c.highest == 0 {
		return
	}
	k := &modelCache{validity: c.validity, highest: c.highest, flags: map[uint32]string{}}
	for _, s := range c.slots {
		if s.uid != 0 && s.known {
			k.flags[s.uid] = s.flags
		}
	}
	c.w.caches[cacheKey{c.id, c.account, c.box.name}] = k
}

// leave is the end of a mailbox, for the client.
func (c *modelClient) leave() {
	c.remember()
	c.box, c.readOnly, c.slots, c.shadow, c.saved, c.hasSaved, c.highest, c.idle = nil, false, nil, nil, nil, false, 0, nil
}

type cacheKey struct {
	id      int
	account string
	box     string
}
