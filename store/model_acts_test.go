package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

var modelKeywords = []string{"$Junk", "work", "$Label1", "later", "todo", "paid"}

// text makes a message: one of three kinds of line ends, on the wire as stored or not.
func (w *world) text() string {
	w.serial++
	var b strings.Builder
	fmt.Fprintf(&b, "Subject: message %d\r\nFrom: a@b.test\r\n\r\n", w.serial)
	for range w.rng.IntN(30) {
		b.WriteString(strings.Repeat("x", w.rng.IntN(60)))
		switch w.rng.IntN(200) {
		case 0:
			b.WriteString("\n")
		case 1:
			b.WriteString("\r\r\n")
		case 2:
			b.WriteString("\r")
		default:
			b.WriteString("\r\n")
		}
	}
	w.texts[w.serial] = b.String()
	return b.String()
}

func (w *world) staged(text string) *Staged {
	m, err := w.s.Stage()
	w.must(err)
	for rest := []byte(text); len(rest) > 0; {
		n := 1 + w.rng.IntN(len(rest))
		_, err := m.Write(rest[:n])
		w.must(err)
		rest = rest[n:]
	}
	return m
}

// flagSet draws flags to set; its second form is their names.
func (w *world) flagSet(keywords bool) (FlagSet, []string) {
	some, fewer := Flags(w.rng.Uint32()), Flags(w.rng.Uint32())
	f := FlagSet{Flags: some & fewer & systemFlags}
	if keywords {
		for w.pct(40) {
			f.Keywords = append(f.Keywords, pick(w, modelKeywords))
		}
		if w.pct(3) {
			f.Keywords = append(f.Keywords, fmt.Sprintf("many%d", w.rng.IntN(40)))
		}
	}
	return f, slices.Compact(strings.Fields(setNames(f)))
}

func (w *world) anyBox() *wantBox { return pick(w, pick(w, w.accounts).boxes) }

// box draws a mailbox, rather one with messages; sometimes it is compared first.
func (w *world) box() *wantBox {
	b := w.anyBox()
	for range 5 {
		if b.count() > 0 {
			break
		}
		b = w.anyBox()
	}
	if w.watch || w.pct(50) {
		w.compare(b)
	}
	return b
}

// some draws UIDs: some that are there, now and then one that is not.
func (w *world) some(b *wantBox) []UID {
	var list []UID
	n := 1 + w.rng.IntN(4)
	if w.pct(10) {
		n = 1000
	}
	for _, uid := range b.uids() {
		if n == 1000 || w.rng.IntN(max(len(b.msgs)/n, 1)) == 0 {
			list = append(list, uid)
		}
	}
	if b.next > 1 && w.pct(10) {
		list = append(list, UID(1+w.rng.IntN(int(b.next)-1)))
		slices.Sort(list)
	}
	return slices.Compact(list)
}

func (w *world) deliver() bool {
	var to []*wantBox
	for range 1 + w.rng.IntN(3) {
		to = append(to, w.anyBox())
	}
	w.deliverTo(to)
	return true
}

func (w *world) deliverTo(to []*wantBox) {
	text := w.text()
	m := w.staged(text)
	defer m.Close()
	if w.pct(30) {
		head := "Received: here\r\nX-Other: x\r\n"
		w.must(m.Prepend([]byte(head)))
		text = head + text
		w.texts[w.serial] = text
	}
	f, names := w.flagSet(false)
	var targets []Target
	seen := map[*wantBox]bool{}
	for _, b := range to {
		w.note("deliver %d to %s of %s", w.serial, b.name, b.a.address)
		targets = append(targets, Target{Address: b.a.address, Mailbox: b.name, Flags: f.Flags})
		if !seen[b] {
			b.fresh = append(b.fresh, &wantMsg{text: text, flags: names})
		}
		seen[b] = true
	}
	failed, err := w.s.Deliver(w.ctx(), m, targets)
	if err != nil || len(failed) > 0 {
		w.fatalf("deliver: %v %v", failed, err)
	}
}

func (w *world) append() bool {
	w.appendTo(w.box())
	return true
}

func (w *world) appendTo(b *wantBox) {
	var msgs []Appending
	var want []*wantMsg
	for range 1 + w.rng.IntN(3) {
		text := w.text()
		f, names := w.flagSet(true)
		a := Appending{Message: w.staged(text), Flags: f}
		if w.pct(50) {
			a.Date = time.Unix(1_000_000_000+w.rng.Int64N(700_000_000), 0)
		}
		msg := &wantMsg{text: text, flags: names}
		if !a.Date.IsZero() {
			msg.date = a.Date.Unix()
		}
		msgs, want = append(msgs, a), append(want, msg)
	}
	w.note("append %d to %s", len(msgs), b.name)
	w.on(b, func(_ *Account, m *Mailbox) {
		uids, err := m.Append(w.ctx(), msgs)
		if errors.Is(err, ErrTooManyKeywords) {
			return
		}
		w.must(err)
		b.added(w, uids, want)
	})
	for _, a := range msgs {
		w.must(a.Message.Close())
	}
}

// added notes messages whose UIDs were told.
func (b *wantBox) added(w *world, uids []UID, msgs []*wantMsg) {
	if len(uids) != len(msgs) || !slices.IsSorted(uids) || len(slices.Compact(slices.Clone(uids))) != len(uids) || len(uids) > 0 && uids[0] < max(b.next, b.top) {
		w.fatalf("%s: new UIDs %v for %d messages, UIDNEXT was %d", b.name, uids, len(msgs), max(b.next, b.top))
	}
	for i, uid := range uids {
		b.msgs[uid] = msgs[i]
		b.top = uid + 1
	}
}

func (w *world) storeFlags() bool {
	b := w.box()
	uids := w.some(b)
	f, names := w.flagSet(true)
	op := FlagOp(w.rng.IntN(3))
	w.note("store %s %v %d %q", b.name, uids, op, names)
	w.on(b, func(_ *Account, m *Mailbox) {
		modified, at, err := m.Store(w.ctx(), uids, op, f, NoModSeq)
		if errors.Is(err, ErrTooManyKeywords) {
			return
		}
		if err != nil || len(modified) > 0 || at < b.modseq {
			w.fatalf("store: %v %d %v", modified, at, err)
		}
		b.stored(uids, op, names)
	})
	return true
}

// stored changes flags as Store did. Where another program changed them before, unseen,
// and Store thus had nothing to do, that may count as the later change.
func (b *wantBox) stored(uids []UID, op FlagOp, names []string) {
	for _, uid := range uids {
		if m := b.msgs[uid]; m != nil {
			theirs := append(slices.Clone(m.or), m.names())
			m.change(op, names)
			if b.foreign[uid] {
				m.or = append(m.or, theirs...)
				slices.Sort(m.or)
				m.or = slices.Compact(m.or)
			}
		}
	}
}

func (w *world) storeConditional() bool {
	b := w.box()
	w.compare(b)
	uids := slices.DeleteFunc(w.some(b), func(u UID) bool { return b.msgs[u] == nil })
	if len(uids) == 0 {
		return false
	}
	var since ModSeq
	switch w.rng.IntN(4) {
	case 0:
	case 1:
		since = b.modseq
	default:
		since = b.known[pick(w, uids)].modseq
	}
	f, names := w.flagSet(true)
	op := FlagOp(w.rng.IntN(3))
	w.note("store %s %v %d %q unless changed since %d", b.name, uids, op, names, since)
	var want, done []UID
	for _, uid := range uids {
		if b.known[uid].modseq > since {
			want = append(want, uid)
		} else {
			done = append(done, uid)
		}
	}
	w.on(b, func(_ *Account, m *Mailbox) {
		modified, _, err := m.Store(w.ctx(), uids, op, f, since)
		if errors.Is(err, ErrTooManyKeywords) {
			return
		}
		if err != nil || !slices.Equal(modified, want) {
			w.fatalf("store unless changed since %d: %v %v, want %v", since, modified, err, want)
		}
		b.stored(done, op, names)
	})
	return true
}

func (w *world) copy() bool { return w.transfer(false) }

func (w *world) move() bool { return w.transfer(true) }

func (w *world) transfer(move bool) bool {
	b := w.box()
	to := pick(w, b.a.boxes)
	uids := w.some(b)
	w.note("transfer %v (move %v) from %s to %s", uids, move, b.name, to.name)
	w.on(b, func(a *Account, m *Mailbox) {
		dst, err := a.Mailbox(w.ctx(), to.name)
		w.must(err)
		defer dst.Close()
		run := m.Copy
		if move {
			run = m.Move
		}
		r, err := run(w.ctx(), uids, dst)
		if err != nil && !errors.Is(err, ErrTooManyKeywords) {
			w.must(err)
		}
		if err != nil && !move && len(r.Dest) > 0 || r.UIDValidity != dst.UIDValidity() || len(r.Source) != len(r.Dest) {
			w.fatalf("transfer: %+v %v", r, err)
		}
		for uid := range b.foreign {
			if msg := b.msgs[uid]; msg != nil {
				msg.rename(m.Keywords())
			}
		}
		var msgs []*wantMsg
		for _, uid := range r.Source {
			if b.msgs[uid] == nil || !slices.Contains(uids, uid) {
				w.fatalf("transfer: %+v, but there is no %d", r, uid)
			}
			n := b.msgs[uid].clone()
			if to != b {
				n.flags = named(n.flags)
				for i, o := range n.or {
					n.or[i] = strings.Join(named(strings.Fields(o)), " ")
				}
			}
			msgs = append(msgs, n)
		}
		for _, uid := range uids {
			if err == nil && b.msgs[uid] != nil && !slices.Contains(r.Source, uid) {
				w.fatalf("transfer: %+v, but %d is there", r, uid)
			}
		}
		to.added(w, r.Dest, msgs)
		if move {
			w.bury(b, r.Source, false)
		}
	})
	return true
}

// named leaves out keywords without a name, which no other mailbox can have.
func named(flags []string) []string {
	return slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return f[0] == '?' })
}

func (w *world) expunge() bool {
	b := w.box()
	var uids []UID
	if w.pct(50) {
		uids = append([]UID{}, w.some(b)...)
	} else {
		w.compare(b)
	}
	w.note("expunge %s %v", b.name, uids)
	w.on(b, func(_ *Account, m *Mailbox) {
		gone, err := m.Expunge(w.ctx(), uids)
		w.must(err)
		for uid, msg := range b.msgs {
			want := msg.has(`\Deleted`) && (uids == nil || slices.Contains(uids, uid))
			if got := slices.Contains(gone, uid); got != want && !b.foreign[uid] {
				w.fatalf("expunge %v: %v; %d has %q", uids, gone, uid, msg.names())
			}
		}
		w.gone(b, gone)
	})
	return true
}

func (w *world) gone(b *wantBox, uids []UID) {
	for _, uid := range uids {
		if b.msgs[uid] == nil {
			w.fatalf("%s: %v were expunged, but there was no %d", b.name, uids, uid)
		}
	}
	w.bury(b, uids, true)
}

func (w *world) remove() bool {
	b := w.box()
	uids := w.some(b)
	w.note("remove %s %v", b.name, uids)
	w.on(b, func(_ *Account, m *Mailbox) {
		gone, err := m.Remove(w.ctx(), uids)
		w.must(err)
		for _, uid := range uids {
			if b.msgs[uid] != nil && !slices.Contains(gone, uid) {
				w.fatalf("remove %v: only %v", uids, gone)
			}
		}
		w.gone(b, gone)
	})
	return true
}
