package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A client has a mailbox selected and knows of it what the view told, nothing else.
type client struct {
	b      *wantBox
	a      *Account
	m      *Mailbox
	v      *View
	mirror []mirrored // by sequence number
	kw     []string
	buried map[UID]string // expunged through the store while the view had it: the text
}

// mirrored is a message as a client knows it. One that it has not asked about has no UID.
type mirrored struct {
	uid   UID
	flags string
}

// enter selects a mailbox, with or without a look at its messages.
func (w *world) enter() bool {
	if len(w.sessions) >= 5 {
		return false
	}
	b := pick(w, pick(w, w.accounts).boxes)
	w.note("enter %s of %s", b.name, b.a.address)
	c := &client{b: b, buried: map[UID]string{}}
	var err error
	c.a, err = w.s.Account(w.ctx(), b.a.address)
	w.must(err)
	c.m, err = c.a.Mailbox(w.ctx(), b.name)
	w.must(err)
	c.v, err = c.m.View(w.ctx())
	w.must(err)
	c.kw = c.v.Keywords()
	c.mirror = make([]mirrored, c.v.Count())
	if w.pct(60) {
		w.fetch(c)
	}
	w.sessions = append(w.sessions, c)
	return true
}

// fetch asks about the messages that the client knows nothing of.
func (w *world) fetch(c *client) {
	if len(c.mirror) != c.v.Count() {
		w.fatalf("%s: the client counts %d, the view %d", c.b.name, len(c.mirror), c.v.Count())
	}
	for i, in := range c.v.Infos(1, c.v.Count(), nil) {
		if k := &c.mirror[i]; k.uid == 0 && in.ModSeq != 0 {
			*k = mirrored{in.UID, flagNames(in.Flags, c.kw)}
		}
	}
}

func (w *world) leave() bool {
	if len(w.sessions) == 0 {
		return false
	}
	w.leaveOne(pick(w, w.sessions))
	return true
}

func (w *world) leaveOne(c *client) {
	w.sessions = slices.DeleteFunc(w.sessions, func(o *client) bool { return o == c })
	c.v.Close()
	c.m.Close()
	c.a.Close()
}

func (w *world) leaveAll() {
	for _, c := range slices.Clone(w.sessions) {
		w.leaveOne(c)
	}
}

func (w *world) refresh() bool {
	if len(w.sessions) == 0 {
		return false
	}
	c := pick(w, w.sessions)
	expunge := w.pct(60)
	w.note("refresh %s, expunge %v", c.b.name, expunge)
	w.refreshOf(c, expunge)
	return true
}

// refreshOf applies what Refresh says to the mirror and compares that with a fresh view.
func (w *world) refreshOf(c *client, expunge bool) {
	w.t.Helper()
	if w.watch { // what others did may not show yet
		w.compare(c.b)
	}
	had := slices.Clone(c.v.UIDs())
	if len(had) != len(c.mirror) {
		w.fatalf("%s: the view had %d messages, its client %d", c.b.name, len(had), len(c.mirror))
	}
	before := c.v.ModSeq()
	d, err := c.v.Refresh(w.ctx(), expunge)
	w.must(err)
	if c.v.ModSeq() < before || !expunge && len(d.Expunged) > 0 || len(d.Expunged) != len(d.ExpungedUIDs) || !slices.IsSorted(d.ExpungedUIDs) {
		w.fatalf("%s: %d to %d: %+v", c.b.name, before, c.v.ModSeq(), d)
	}
	var gone []UID
	for _, seq := range d.Expunged {
		gone = append(gone, had[seq-1])
		had = slices.Delete(had, seq-1, seq)
		c.mirror = slices.Delete(c.mirror, seq-1, seq)
	}
	slices.Sort(gone)
	if !slices.Equal(gone, d.ExpungedUIDs) {
		w.fatalf("%s: expunged %v, by number %v", c.b.name, d.ExpungedUIDs, gone)
	}
	for _, uid := range gone {
		delete(c.buried, uid)
	}
	if d.Exists >= 0 {
		if d.Exists < len(c.mirror) {
			w.fatalf("%s: %d exist, the client knew of %d", c.b.name, d.Exists, len(c.mirror))
		}
		c.mirror = append(c.mirror, make([]mirrored, d.Exists-len(c.mirror))...)
	}
	if d.Keywords != nil {
		c.kw = d.Keywords
	}
	for _, in := range d.Changed {
		k := &c.mirror[in.Seq-1]
		if k.uid != 0 && k.uid != in.UID || c.v.Seq(in.UID) != in.Seq {
			w.fatalf("%s: %+v, but the client knows UID %d there", c.b.name, in, k.uid)
		}
		*k = mirrored{in.UID, flagNames(in.Flags, c.kw)}
	}
	w.compareMirror(c, expunge)
}

func (w *world) compareMirror(c *client, all bool) {
	w.t.Helper()
	w.compare(c.b)
	v, err := c.m.View(w.ctx())
	w.must(err)
	defer v.Close()
	kept := slices.Clone(c.mirror)
	if !all {
		is := c.v.UIDs()
		kept = nil
		for i, k := range c.mirror {
			if v.Seq(is[i]) > 0 {
				kept = append(kept, k)
			}
		}
	}
	if len(kept) != v.Count() || v.ModSeq() != c.v.ModSeq() || v.UIDNext() != c.v.UIDNext() || !slices.Equal(v.Keywords(), c.kw) {
		w.fatalf("%s: the client has %d messages, at %d, next %d, keywords %q; a new one %d, %d, %d, %q", c.b.name, len(kept), c.v.ModSeq(), c.v.UIDNext(), c.kw,
			v.Count(), v.ModSeq(), v.UIDNext(), v.Keywords())
	}
	for i, in := range v.Infos(1, v.Count(), nil) {
		if k := kept[i]; k.uid != 0 && (k.uid != in.UID || k.flags != flagNames(in.Flags, v.Keywords())) {
			w.fatalf("%s: the client has %+v at %d, there is %+v %q", c.b.name, k, i+1, in, flagNames(in.Flags, v.Keywords()))
		}
	}
	w.fetch(c)
}

// readSome opens messages of a session, also such that others have expunged.
func (w *world) readSome() bool {
	if len(w.sessions) == 0 {
		return false
	}
	c := pick(w, w.sessions)
	uids := c.v.UIDs()
	if len(uids) == 0 {
		return false
	}
	w.note("read in %s", c.b.name)
	for range 3 {
		uid := pick(w, uids)
		want, buried := "", false
		if m := c.b.msgs[uid]; m != nil {
			want = m.text
		} else {
			want, buried = c.buried[uid]
		}
		text, err := readMessage(w.ctx(), c.v, uid)
		switch {
		case errors.Is(err, ErrExpunged) && c.b.msgs[uid] == nil && !buried:
			continue
		case err != nil:
			w.fatalf("%s: UID %d: %v", c.b.name, uid, err)
		case want != "" && text != want:
			w.fatalf("%s: UID %d is %.60q, want %.60q", c.b.name, uid, text, want)
		case want == "" && !w.oneOf(text):
			w.fatalf("%s: UID %d is %.60q", c.b.name, uid, text)
		}
		if p, err := c.v.Structure(w.ctx(), uid); err != nil {
			if c.b.msgs[uid] != nil {
				w.fatalf("%s: UID %d: structure: %v", c.b.name, uid, err)
			}
		} else if p.Envelope == nil || !strings.Contains(text, "Subject: "+p.Envelope.Subject+"\r\n") {
			w.fatalf("%s: UID %d has another message's structure: %+v, text %.60q", c.b.name, uid, p.Envelope, text)
		}
	}
	w.readPart(c, pick(w, uids))
	return true
}

func (w *world) oneOf(text string) bool {
	for _, t := range w.texts {
		if t == text {
			return true
		}
	}
	return false
}

// readPart compares a slice with the whole.
func (w *world) readPart(c *client, uid UID) {
	b, err := c.v.Open(w.ctx(), uid)
	if err != nil {
		return
	}
	defer b.Close()
	whole, err := io.ReadAll(b.Whole().Reader())
	w.must(err)
	off, n := w.rng.Int64N(b.Size()+5), w.rng.Int64N(b.Size()+5)
	part, err := io.ReadAll(b.Whole().Slice(off, n).Reader())
	w.must(err)
	from := min(off, b.Size())
	if want := whole[from:min(from+n, b.Size())]; string(part) != string(want) {
		w.fatalf("slice %d %d of UID %d: %q, want %q", off, n, uid, part, want)
	}
}

// waitChange has a session wait while another changes the mailbox.
func (w *world) waitChange() bool {
	if len(w.sessions) == 0 {
		return false
	}
	c := pick(w, w.sessions)
	w.note("wait in %s", c.b.name)
	w.refreshOf(c, true)
	since := c.v.ModSeq()
	if now, err := c.m.Wait(w.ctx(), since-1); err != nil || now != since {
		w.fatalf("Wait since %d: %d %v, want %d", since-1, now, err, since)
	}
	ctx, cancel := context.WithTimeout(w.ctx(), 5*time.Second)
	defer cancel()
	type answer struct {
		at  ModSeq
		err error
	}
	told := make(chan answer, 1)
	go func() {
		at, err := c.m.Wait(ctx, since)
		told <- answer{at, err}
	}()
	switch {
	case w.pct(50):
		w.deliverTo([]*wantBox{c.b})
	case len(c.b.msgs) > 0:
		w.storeOn(c.b, pick(w, c.b.uids()))
	default:
		w.appendTo(c.b)
	}
	if a := <-told; a.err != nil || a.at <= since {
		w.fatalf("%s: Wait since %d: %d %v", c.b.name, since, a.at, a.err)
	}
	return true
}

// storeOn flips a flag of one message.
func (w *world) storeOn(b *wantBox, uid UID) {
	op, m := AddFlags, b.msgs[uid]
	if m.has(`\Flagged`) {
		op = RemoveFlags
	}
	w.on(b, func(_ *Account, box *Mailbox) {
		_, _, err := box.Store(w.ctx(), []UID{uid}, op, FlagSet{Flags: Flagged}, NoModSeq)
		w.must(err)
	})
	m.change(op, []string{`\Flagged`})
}

// bury remembers the text of what the store expunged for the views that have it.
func (w *world) bury(b *wantBox, uids []UID, readable bool) {
	for _, c := range w.sessions {
		if c.b != b {
			continue
		}
		for _, uid := range uids {
			if readable && c.v.Seq(uid) > 0 {
				c.buried[uid] = b.msgs[uid].text
			}
		}
	}
	for _, uid := range uids {
		delete(b.msgs, uid)
	}
}

func (c *client) String() string { return fmt.Sprintf("%s of %s", c.b.name, c.b.a.address) }
