package imapd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

// What happens, each as often as its weight says. An act that can't be done as things are
// is not done.
var modelActs = []struct {
	weight int
	name   string
	do     func(w *modelWorld, c *modelClient) bool
}{
	{40, "commands", (*modelWorld).actCommands},
	{12, "pipeline", (*modelWorld).actPipeline},
	{8, "select", (*modelWorld).actSelect},
	{3, "close", (*modelWorld).actClose},
	{6, "idle", (*modelWorld).actIdle},
	{6, "noop", (*modelWorld).actNoop},
	{8, "deliver", (*modelWorld).actDeliver},
	{5, "foreign flags", (*modelWorld).actForeignFlags},
	{2, "foreign remove", (*modelWorld).actForeignRemove},
	{3, "folders", (*modelWorld).actFolders},
	{4, "status", (*modelWorld).actStatus},
	{2, "list", (*modelWorld).actList},
	{3, "cut", (*modelWorld).actCut},
	{2, "drop", (*modelWorld).actDrop},
	{1, "restart", (*modelWorld).actRestart},
	{2, "conditional", (*modelWorld).actConditional},
}

// act does one thing of many.
func (w *modelWorld) act() {
	total := 0
	for _, a := range modelActs {
		total += a.weight
	}
	for {
		n := w.rng.IntN(total)
		i := w.rng.IntN(len(w.clients))
		c := w.clients[i]
		if c.bye {
			c.conn.Close()
			c.remember()
			w.reconnect(i)
			c = w.clients[i]
		}
		for _, a := range modelActs {
			if n -= a.weight; n < 0 {
				w.note("%s, %v", a.name, c)
				if a.do(w, c) {
					time.Sleep(10 * time.Millisecond)
					return
				}
				break
			}
		}
	}
}

// enable turns extensions on, as the server has them.
func (c *modelClient) enable() {
	var names []string
	for _, n := range []string{"CONDSTORE", "QRESYNC", "IMAP4rev2", "UTF8=ACCEPT"} {
		if (c.caps[n] || c.caps["IMAP4rev2"] && n == "IMAP4rev2") && (n == "QRESYNC" && c.w.pct(60) || c.w.pct(30)) {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return
	}
	c.run(&modelCommand{name: "ENABLE", args: " " + strings.Join(names, " "), want: "OK"})
	for _, n := range names {
		c.condstore = c.condstore || n == "CONDSTORE" || n == "QRESYNC"
		c.qresync = c.qresync || n == "QRESYNC"
		c.rev2 = c.rev2 || n == "IMAP4rev2"
	}
}

// awake ends IDLE.
func (c *modelClient) awake() {
	if c.idle == nil {
		return
	}
	c.write("DONE\r\n")
	all, tagged := c.until(c.idle.tag)
	if tagged == nil {
		return
	}
	m := c.idle
	c.head = m
	c.w.discover()
	for _, r := range all {
		c.untagged(r)
	}
	c.end(m, tagged)
	c.idle = nil
}

// drain takes in what has come without a command at work.
func (c *modelClient) drain() {
	c.head = c.idle
	for {
		select {
		case raw, ok := <-c.in:
			if !ok {
				c.bye = true
				return
			}
			c.note("S: %s", strings.TrimSuffix(raw, "\r\n"))
			r, err := parseResponse(raw)
			switch {
			case err != nil:
				c.fail("%v", err)
			case r.name == "BYE":
				c.bye = true
			case c.head == nil:
				c.fail("told without a command at work: %s", r.raw)
			default:
				c.untagged(r)
			}
		default:
			if c.idle != nil && !c.bye && c.box != nil {
				c.verify(true)
			}
			return
		}
	}
}

// command draws a command that a selected mailbox takes.
func (c *modelClient) command() *modelCommand {
	switch n := c.w.rng.IntN(20); {
	case n < 5:
		return c.fetch()
	case n < 10:
		return c.storeFlags(false)
	case n < 12:
		return c.appendMessage()
	case n < 14:
		return c.transferTo("COPY")
	case n < 15:
		return c.transferTo("MOVE")
	case n < 17:
		return c.expunge()
	default:
		return c.search()
	}
}

func (w *modelWorld) actCommands(c *modelClient) bool {
	if c.awake(); c.box == nil || c.bye {
		return false
	}
	c.run(c.command())
	return true
}

// actConditional has commands with conditions on mod-sequences.
func (w *modelWorld) actConditional(c *modelClient) bool {
	if c.awake(); c.box == nil || c.bye || !c.caps["CONDSTORE"] {
		return false
	}
	if w.pct(50) {
		c.run(c.fetchSince())
	} else {
		c.run(c.storeFlags(true))
	}
	return true
}

// actPipeline sends several commands in one go.
func (w *modelWorld) actPipeline(c *modelClient) bool {
	fresh := slices.ContainsFunc(w.boxes, func(b *modelBox) bool { return len(b.fresh) > 0 })
	if c.awake(); c.box == nil || c.bye || fresh {
		return false
	}
	var all []*modelCommand
	for range 2 + w.rng.IntN(3) {
		all = append(all, c.command())
		if w.pct(20) {
			all = append(all, &modelCommand{name: "NOOP", want: "OK"})
		}
	}
	c.run(all...)
	return true
}

func (w *modelWorld) actSelect(c *modelClient) bool {
	if c.awake(); c.bye {
		return false
	}
	m := c.selectBox()
	plain := !strings.Contains(m.args, "QRESYNC")
	var before *modelCache
	c.run(m)
	if c.box != nil && plain && c.qresync {
		before = w.caches[cacheKey{c.id, c.account, c.box.name}]
	}
	switch {
	case c.box == nil || c.bye:
	case before != nil && before.validity == c.validity:
		c.catchUp(before)
	case w.pct(60):
		c.run(c.fetchCommand("UID FETCH", allOf(true), []string{"FLAGS"}, ""))
	}
	return true
}

func (w *modelWorld) actClose(c *modelClient) bool {
	if c.awake(); c.box == nil || c.bye {
		return false
	}
	c.run(c.closeBox())
	return true
}

func (w *modelWorld) actIdle(c *modelClient) bool {
	if c.box == nil || c.bye {
		return false
	}
	if c.idle != nil {
		c.awake()
		return true
	}
	c.serial++
	m := &modelCommand{name: "IDLE", tag: fmt.Sprintf("c%d.%d", c.id, c.serial)}
	c.write(m.tag + " IDLE\r\n")
	if all, r := c.until("+"); len(all) > 0 || r == nil {
		c.fail("told before IDLE was granted")
	}
	c.begin(m)
	c.idle = m
	return true
}

func (w *modelWorld) actNoop(c *modelClient) bool {
	if c.awake(); c.bye {
		return false
	}
	name := "NOOP"
	if c.box != nil && w.pct(30) && !c.rev2 {
		name = "CHECK"
	}
	c.run(&modelCommand{name: name, want: "OK"})
	return true
}

func (w *modelWorld) actDeliver(*modelClient) bool {
	w.deliver(modelPick(w, w.boxes))
	if w.pct(50) {
		w.settle()
	}
	return true
}

// deliver is a message from outside.
func (w *modelWorld) deliver(b *modelBox) {
	if w.pct(60) {
		b = w.box("alice@example.org", "INBOX")
	}
	text := w.text()
	w.note("deliver to %s", b.name)
	w.server.deliver(b.account, b.name, text)
	b.fresh = append(b.fresh, &modelMsg{text: text, versions: []modelVersion{{}}})
}

// actFolders makes, deletes and renames mailboxes that are not always there.
func (w *modelWorld) actFolders(c *modelClient) bool {
	if c.awake(); c.bye {
		return false
	}
	name := fmt.Sprintf("side%d", w.rng.IntN(3))
	b := w.box(c.account, name)
	switch {
	case b == nil:
		c.run(&modelCommand{name: "CREATE", args: " " + name, want: "OK"})
		w.boxes = append(w.boxes, &modelBox{account: c.account, name: name, msgs: map[uint32]*modelMsg{}})
	case w.pct(50):
		to := fmt.Sprintf("side%d", 3+w.rng.IntN(3))
		if w.box(c.account, to) != nil {
			return false
		}
		c.run(&modelCommand{name: "RENAME", args: " " + name + " " + to, want: "OK"})
		b.name = to
	default:
		w.deleteBox(c, b)
	}
	return true
}

// deleteBox deletes a mailbox. Other sessions that have it selected end.
func (w *modelWorld) deleteBox(c *modelClient, b *modelBox) {
	c.run(&modelCommand{name: "DELETE", args: " " + b.name, want: "OK", start: func(*wireResponse) {
		if c.box == b {
			c.leave()
		}
	}})
	w.boxes = slices.DeleteFunc(w.boxes, func(o *modelBox) bool { return o == b })
	synctest.Wait()
	for i, o := range w.clients {
		if o.box == b {
			o.conn.Close()
			o.box = nil
			w.reconnect(i)
		}
	}
}

func (w *modelWorld) actStatus(c *modelClient) bool {
	if c.awake(); c.bye {
		return false
	}
	b := modelPick(w, w.boxesOf(c.account))
	m := &modelCommand{name: "STATUS", args: " " + quoteName(b.name) + " (MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE HIGHESTMODSEQ)", want: "OK"}
	m.start = func(*wireResponse) { c.condstore = true }
	m.takes = func(r *wireResponse) bool {
		if r.name != "STATUS" {
			return false
		}
		got, err := pairs(r.args[1].list)
		if err != nil {
			c.fail("%v", err)
		}
		unseen, size := 0, 0
		for _, uid := range b.after(0) {
			if size += len(b.msgs[uid].text); !b.msgs[uid].has(`\Seen`) {
				unseen++
			}
		}
		want := map[string]int{"MESSAGES": len(b.after(0)), "UNSEEN": unseen, "SIZE": size}
		for name := range maps.Keys(want) {
			if n, _ := got[name].number(); int(n) != want[name] {
				c.fail("%s of %s is %d, not %d", name, b.name, n, want[name])
			}
		}
		next, _ := got["UIDNEXT"].number()
		high, _ := got["HIGHESTMODSEQ"].number()
		if uint32(next) < b.uidNext || high < b.highest || high == 0 {
			c.fail("%s: UIDNEXT was %d, HIGHESTMODSEQ %d", r.raw, b.uidNext, b.highest)
		}
		return true
	}
	c.run(m)
	return true
}

func (w *modelWorld) actList(c *modelClient) bool {
	if c.awake(); c.bye {
		return false
	}
	var got []string
	c.run(&modelCommand{name: "LIST", args: ` "" *`, want: "OK", takes: func(r *wireResponse) bool {
		if r.name == "LIST" {
			got = append(got, r.args[2].text)
		}
		return r.name == "LIST"
	}})
	var want []string
	for _, b := range w.boxesOf(c.account) {
		want = append(want, b.name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.fail("LIST has %q, there are %q", got, want)
	}
	return true
}
