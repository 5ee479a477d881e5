package imapd

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A modelClient believes what it is told, and fails the test where it may not be told so.
// In an exact world it is known as well what the server thinks that it has told.
type modelClient struct {
	w       *modelWorld
	id      int
	account string
	conn    net.Conn
	in      <-chan string
	serial  int      // of tags
	talk    []string // the conversation
	caps    map[string]bool
	rev2    bool
	qresync bool

	condstore bool
	box       *modelBox // selected; nil: none
	readOnly  bool
	slots     []modelSlot // by sequence number
	shadow    []uint32    // the UIDs of slots, if the world is exact; 0 is not known yet
	keywords  map[string]bool
	saved     []uint32 // UIDs of SEARCH RETURN (SAVE)
	hasSaved  bool
	validity  uint32
	highest   uint64 // HIGHESTMODSEQ, as RFC 7162 lets the client keep it
	idle      *modelCommand
	head      *modelCommand // what the server is answering
	gone      []uint32      // of the last resynchronisation, if the world is not exact
	bye       bool
}

// A modelSlot is what the client knows of the message with a sequence number.
type modelSlot struct {
	uid     uint32
	known   bool // the flags
	flags   string
	modseq  uint64
	version int // the version of the flags that was told, in an exact world
}

// A modelCommand is a command with what is to come of it.
type modelCommand struct {
	name    string
	args    string
	literal string // sent after "+"
	start   func(tagged *wireResponse)
	claims  func(n int, items map[string]wireValue) bool // a FETCH response is an answer to it
	takes   func(r *wireResponse) bool                   // another response is
	done    func(tagged *wireResponse)
	want    string         // status; "" is any
	own     map[uint32]int // by UID: the version that STORE made
	silent  bool

	tag   string
	base  []int // versions when it began
	told  uint64
	high  uint64
	codes map[string]string
}

func (m *modelCommand) uid() bool { return strings.HasPrefix(m.name, "UID ") }

// holdsExpunge says that no EXPUNGE may come while it is answered (RFC 9051 section 7.5.1).
func (m *modelCommand) holdsExpunge() bool {
	return slices.Contains([]string{"FETCH", "STORE", "SEARCH", "SORT", "THREAD"}, m.name)
}

func (c *modelClient) String() string { return "client " + strconv.Itoa(c.id) }

func (c *modelClient) note(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if len(s) > 600 {
		s = s[:600] + "…"
	}
	c.talk = append(c.talk, s)
	if len(c.talk) > 400 {
		c.talk = slices.Delete(c.talk, 0, 200)
	}
}

func (c *modelClient) fail(format string, args ...any) {
	c.w.fail(c, format, args...)
}

func (c *modelClient) write(s string) {
	c.note("C: %s", strings.TrimSuffix(s, "\r\n"))
	c.conn.SetWriteDeadline(time.Now().Add(10 * time.Minute))
	if _, err := io.WriteString(c.conn, s); err != nil && !c.bye {
		c.fail("sending: %v", err)
	}
}

// next waits for a response; nil is the end of the connection.
func (c *modelClient) next() *wireResponse {
	select {
	case raw, ok := <-c.in:
		if !ok {
			return nil
		}
		c.note("S: %s", strings.TrimSuffix(raw, "\r\n"))
		r, err := parseResponse(raw)
		if err != nil {
			c.fail("%v", err)
		}
		return r
	case <-time.After(10 * time.Minute):
		c.fail("no answer")
	}
	return nil
}

// until reads up to the response with a tag, "+" included.
func (c *modelClient) until(tag string) (all []*wireResponse, last *wireResponse) {
	for {
		r := c.next()
		switch {
		case r == nil && c.bye:
			return all, nil
		case r == nil:
			c.fail("the connection was closed")
		case r.tag == tag:
			return all, r
		case r.tag == "*":
			c.bye = c.bye || r.name == "BYE"
			all = append(all, r)
		default:
			c.fail("%q comes out of order: %s is awaited", r.raw, tag)
		}
	}
}

// run sends commands in one go, and takes in what comes, up to the last tagged reply.
func (c *modelClient) run(cmds ...*modelCommand) {
	var out strings.Builder
	for _, m := range cmds {
		c.serial++
		m.tag = fmt.Sprintf("c%d.%d", c.id, c.serial)
		if m.literal != "" && len(cmds) > 1 { // nothing can be sent behind it before "+" has come
			m.args, m.literal = strings.TrimSuffix(m.args, "}")+"+}\r\n"+m.literal, ""
		}
		out.WriteString(m.tag + " " + m.name + m.args + "\r\n")
	}
	c.write(out.String())
	answers := make([][]*wireResponse, len(cmds))
	tagged := make([]*wireResponse, len(cmds))
	for i, m := range cmds {
		if m.literal != "" {
			r := c.next()
			for r != nil && r.tag == "*" {
				answers[i] = append(answers[i], r)
				r = c.next()
			}
			if r == nil || r.tag != "+" && r.tag != m.tag {
				c.fail("+ or %s is awaited", m.tag)
			}
			if r.tag == m.tag {
				tagged[i] = r
				continue
			}
			c.write(m.literal + "\r\n")
		}
		more, last := c.until(m.tag)
		answers[i], tagged[i] = append(answers[i], more...), last
		if last == nil {
			break
		}
	}
	c.w.discover()
	for i, m := range cmds {
		if tagged[i] == nil {
			return
		}
		c.process(m, answers[i], tagged[i])
	}
}

// process takes in the answer to a command.
func (c *modelClient) process(m *modelCommand, answer []*wireResponse, tagged *wireResponse) {
	c.begin(m)
	if m.start != nil {
		m.start(tagged)
	}
	if m.want != "" && tagged.name != m.want && !(m.want == "BAD" && tagged.name == "NO") {
		c.fail("%s is awaited: %s", m.want, tagged.raw)
	}
	for _, r := range answer {
		c.untagged(r)
	}
	c.end(m, tagged)
}

func (c *modelClient) begin(m *modelCommand) {
	c.head, m.codes = m, map[string]string{}
	m.base = m.base[:0]
	for _, s := range c.slots {
		m.base = append(m.base, s.version)
	}
}

// end takes in the tagged reply. Only now may the client believe the mod-sequences that
// it was told (RFC 7162 section 3.2.1).
func (c *modelClient) end(m *modelCommand, tagged *wireResponse) {
	c.noteCode(tagged)
	c.w.saw(m.name + " " + tagged.name)
	if m.done != nil {
		m.done(tagged)
	}
	switch {
	case m.high != 0:
		c.highest = m.high
	case c.qresync || !m.holdsExpunge(): // else nobody has said whether messages are gone by then
		c.highest = max(c.highest, m.told)
	}
	c.head = nil
	if c.box != nil && tagged.name == "OK" && c.w.exact {
		c.complete(m)
	}
}

func (c *modelClient) noteCode(r *wireResponse) {
	name, arg, _ := strings.Cut(r.code, " ")
	c.head.codes[strings.ToUpper(name)] = arg
	if name == "HIGHESTMODSEQ" {
		n, err := strconv.ParseUint(arg, 10, 63)
		if err != nil || n == 0 {
			c.fail("not a mod-sequence: %s", r.raw)
		}
		c.head.high = n
	}
}

// untagged takes in one response while c.head is answered.
func (c *modelClient) untagged(r *wireResponse) {
	c.w.saw(r.name)
	if c.head.takes != nil && c.head.takes(r) {
		return
	}
	switch r.name {
	case "OK", "NO", "BYE":
		c.noteCode(r)
		return
	case "CAPABILITY", "ENABLED":
		return
	}
	if c.box == nil {
		c.fail("%s without a mailbox, in answer to %s", r.raw, c.head.name)
	}
	switch r.name {
	case "FLAGS":
		c.keywords = map[string]bool{}
		for _, f := range r.args[0].list {
			c.keywords[strings.ToLower(f.text)] = true
		}
	case "EXISTS":
		c.exists(int(r.num))
	case "RECENT":
		if c.rev2 {
			c.fail("IMAP4rev2 has no RECENT")
		}
	case "EXPUNGE":
		c.expunged(int(r.num))
	case "VANISHED":
		c.vanished(r)
	case "FETCH":
		c.fetched(r)
	default:
		c.fail("%s in answer to %s", r.raw, c.head.name)
	}
}

func (c *modelClient) exists(n int) {
	if n < len(c.slots) {
		c.fail("EXISTS falls from %d to %d", len(c.slots), n)
	}
	if !c.w.exact {
		c.slots = append(c.slots, make([]modelSlot, n-len(c.slots))...)
		return
	}
	fresh := c.box.after(c.lastShadow())
	for k := 0; len(c.slots) < n; k++ {
		s, uid := modelSlot{version: -1}, uint32(0)
		if c.idle == nil {
			if k >= len(fresh) {
				c.fail("%d messages exist, there are %d", n, len(c.slots))
			}
			uid = fresh[k]
			s.version = c.box.msgs[uid].latest()
		}
		c.slots, c.shadow = append(c.slots, s), append(c.shadow, uid)
		c.head.base = append(c.head.base, s.version)
	}
}

func (c *modelClient) lastShadow() uint32 {
	if len(c.shadow) == 0 {
		return 0
	}
	return c.shadow[len(c.shadow)-1]
}

func (c *modelClient) expunged(n int) {
	switch {
	case c.head.holdsExpunge():
		c.fail("EXPUNGE in answer to %s", c.head.name)
	case c.qresync:
		c.fail("EXPUNGE, though QRESYNC is enabled")
	case n < 1 || n > len(c.slots):
		c.fail("EXPUNGE %d of %d", n, len(c.slots))
	}
	c.remove(n - 1)
}

// remove takes a message out of the picture.
func (c *modelClient) remove(i int) {
	uid := c.slots[i].uid
	if c.w.exact {
		if u := c.shadow[i]; u != 0 && !c.box.msgs[u].gone {
			c.fail("message %d, UID %d, is said to be gone but is there", i+1, u)
		}
		uid = c.shadow[i]
		c.shadow = slices.Delete(c.shadow, i, i+1)
		if i < len(c.head.base) {
			c.head.base = slices.Delete(c.head.base, i, i+1)
		}
	}
	c.slots = slices.Delete(c.slots, i, i+1)
	c.saved = slices.DeleteFunc(c.saved, func(u uint32) bool { return u == uid })
}

// vanished is VANISHED (RFC 7162 section 3.2.10).
func (c *modelClient) vanished(r *wireResponse) {
	if !c.qresync {
		c.fail("VANISHED, though QRESYNC is not enabled")
	}
	if len(r.args) != 1 || c.head.holdsExpunge() {
		c.fail("%s in answer to %s", r.raw, c.head.name)
	}
	uids, err := parseNumbers(r.args[0].text)
	if err != nil {
		c.fail("%v", err)
	}
	for _, uid := range uids {
		if i := c.find(uid); i >= 0 {
			if c.slots[i].uid == 0 && !c.w.exact { // it may have been another one of those
				c.forgetNameless()
			}
			c.remove(i)
		} else {
			c.fail("VANISHED %d, which the client does not have", uid)
		}
	}
}

// forgetNameless drops what is known of messages without their UIDs.
func (c *modelClient) forgetNameless() {
	for i, s := range c.slots {
		if s.uid == 0 {
			c.slots[i] = modelSlot{}
		}
	}
}

// find gives the place of a UID, -1 if there is none. One that the client has not been told
// of can only be among the last.
func (c *modelClient) find(uid uint32) int {
	if c.w.exact {
		if i := slices.Index(c.shadow, uid); i >= 0 || c.idle == nil {
			return i
		}
		return slices.Index(c.shadow, 0)
	}
	empty := -1
	for i, s := range c.slots {
		if s.uid == uid {
			return i
		}
		if s.uid > uid {
			break
		}
		if s.uid != 0 {
			empty = -1
		} else if empty < 0 {
			empty = i
		}
	}
	return empty
}
