package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// wantAccount, wantBox and wantMsg are what there should be.
type wantAccount struct {
	address    string
	boxes      []*wantBox
	subs       map[string]bool
	validities map[uint32]bool // given to a mailbox so far
}

type wantBox struct {
	a        *wantAccount
	name     string
	id       string
	validity uint32
	msgs     map[UID]*wantMsg
	fresh    []*wantMsg // there, but not given a UID yet, as far as we know
	next     UID        // the highest UIDNEXT told
	top      UID        // above all UIDs told
	modseq   ModSeq     // the highest told
	known    map[UID]knownFlags
	foreign  map[UID]bool // changed by another program since the last comparison
}

// knownFlags is what a client knows of a message that saw the mailbox at wantBox.modseq.
type knownFlags struct {
	flags  string
	modseq ModSeq
	uidl   string
}

type wantMsg struct {
	text  string
	flags []string // sorted names as flagNames has them
	or    []string // other flags that are as good, each a joined list
	date  int64    // 0: not known
}

func newWantBox(a *wantAccount, name string) *wantBox {
	return &wantBox{a: a, name: name, msgs: map[UID]*wantMsg{}, known: map[UID]knownFlags{}, foreign: map[UID]bool{}}
}

func (m *wantMsg) clone() *wantMsg {
	n := *m
	n.flags = slices.Clone(m.flags)
	return &n
}

func (m *wantMsg) names() string { return strings.Join(m.flags, " ") }

func (m *wantMsg) fits(flags string) bool { return flags == m.names() || slices.Contains(m.or, flags) }

// rename gives keyword letters that had no name the names that they have got meanwhile.
func (m *wantMsg) rename(keywords []string) {
	for i, f := range m.flags {
		var k int
		if _, err := fmt.Sscanf(f, "?%d", &k); err == nil && k < len(keywords) && keywords[k] != "" {
			m.flags[i] = keywords[k]
		}
	}
	slices.Sort(m.flags)
	m.flags = slices.Compact(m.flags)
}

func (m *wantMsg) has(flag string) bool { return slices.Contains(m.flags, flag) }

// change does op to the flags.
func (m *wantMsg) change(op FlagOp, names []string) {
	m.flags = changedFlags(m.flags, op, names)
	for i, o := range m.or {
		m.or[i] = strings.Join(changedFlags(strings.Fields(o), op, names), " ")
	}
}

func changedFlags(have []string, op FlagOp, names []string) []string {
	switch op {
	case SetFlags:
		have = slices.Clone(names)
	case AddFlags:
		have = slices.Concat(have, names)
	default:
		have = slices.DeleteFunc(slices.Clone(have), func(f string) bool { return slices.Contains(names, f) })
	}
	slices.Sort(have)
	return slices.Compact(have)
}

func (b *wantBox) uids() []UID { return slices.Sorted(maps.Keys(b.msgs)) }

func (b *wantBox) count() int { return len(b.msgs) + len(b.fresh) }

func (a *wantAccount) box(name string) *wantBox {
	for _, b := range a.boxes {
		if b.name == name {
			return b
		}
	}
	return nil
}

// on opens a mailbox for a moment.
func (w *world) on(b *wantBox, f func(a *Account, m *Mailbox)) {
	a, err := w.s.Account(w.ctx(), b.a.address)
	w.must(err)
	defer a.Close()
	m, err := a.Mailbox(w.ctx(), b.name)
	if err != nil {
		w.fatalf("%s: %v", b.name, err)
	}
	defer m.Close()
	f(a, m)
}

// compare compares a mailbox with the model, which learns the UIDs of new messages. What
// other programs did may take a second to show where nobody looks for it.
func (w *world) compare(b *wantBox) {
	w.t.Helper()
	w.on(b, func(_ *Account, m *Mailbox) {
		var err error
		for end := time.Now().Add(time.Second); ; time.Sleep(2 * time.Millisecond) {
			if err = w.compareNow(b, m); err == nil || !w.watch || time.Now().After(end) {
				break
			}
		}
		if err != nil {
			w.fatalf("%s %s: %v", b.a.address, b.name, err)
		}
	})
}

func (w *world) compareNow(b *wantBox, m *Mailbox) error {
	v, err := m.View(w.ctx())
	if err != nil {
		return err
	}
	defer v.Close()
	st, err := m.Status(w.ctx())
	if err != nil {
		return err
	}
	uids := v.UIDs()
	if len(uids) != v.Count() || len(uids) != b.count() {
		return fmt.Errorf("%d messages, Count %d; want %d", len(uids), v.Count(), b.count())
	}
	infos := v.Infos(1, len(uids), nil)
	var sum Status
	fresh := slices.Clone(b.fresh)
	found := map[UID]*wantMsg{}
	known := map[UID]knownFlags{}
	uidls := map[string]bool{}
	for _, f := range fresh {
		f.rename(v.Keywords())
	}
	for uid := range b.foreign {
		if m := b.msgs[uid]; m != nil {
			m.rename(v.Keywords())
		}
	}
	for i, uid := range uids {
		in := infos[i]
		flags := flagNames(in.Flags, v.Keywords())
		if i > 0 && uid <= uids[i-1] || in.UID != uid || in.Seq != i+1 || v.Seq(uid) != i+1 {
			return fmt.Errorf("UIDs %v, at %d %+v", uids, i, in)
		}
		msg := b.msgs[uid]
		if msg == nil {
			if uid < b.next {
				return fmt.Errorf("UID %d is new where UIDNEXT was %d", uid, b.next)
			}
			text, err := readMessage(w.ctx(), v, uid)
			if err != nil {
				return fmt.Errorf("UID %d: %w", uid, err)
			}
			date, err := v.InternalDate(w.ctx(), uid)
			if err != nil {
				return fmt.Errorf("UID %d: %w", uid, err)
			}
			k := newMessage(fresh, text, flags, date.Unix())
			if k < 0 {
				return fmt.Errorf("UID %d with flags %q was not expected: %.60q", uid, flags, text)
			}
			msg = fresh[k]
			fresh = slices.Delete(fresh, k, k+1)
		} else if !msg.fits(flags) {
			return fmt.Errorf("UID %d has flags %q, want %q or %q", uid, flags, msg.names(), msg.or)
		} else if w.rng.IntN(8) == 0 {
			if text, err := readMessage(w.ctx(), v, uid); err != nil || text != msg.text {
				return fmt.Errorf("UID %d: %.60q %v, want %.60q", uid, text, err, msg.text)
			}
		}
		if err := w.compareMessage(b, v, in, msg, flags); err != nil {
			return err
		}
		k := knownFlags{flags, in.ModSeq, v.UIDL(uid)}
		if uidls[k.uidl] || k.uidl == "" || b.known[uid].uidl != "" && b.known[uid].uidl != k.uidl {
			return fmt.Errorf("UID %d: UIDL %q, was %q", uid, k.uidl, b.known[uid].uidl)
		}
		uidls[k.uidl] = true
		found[uid], known[uid] = msg, k
		sum.count(i, in)
	}
	if err := b.compareStatus(st, v, sum); err != nil {
		return err
	}
	w.learn(b, st, found, known)
	return nil
}

// newMessage finds the message that came with this text and these flags. Of two that a
// program made of one, that of the right date is it before one of any date.
func newMessage(fresh []*wantMsg, text, flags string, date int64) int {
	k := slices.IndexFunc(fresh, func(f *wantMsg) bool { return f.text == text && f.fits(flags) && f.date == date })
	if k < 0 {
		k = slices.IndexFunc(fresh, func(f *wantMsg) bool { return f.text == text && f.fits(flags) && f.date == 0 })
	}
	return k
}

func (st *Status) count(i int, in Info) {
	st.Messages++
	st.Size += in.Size
	if in.Flags&Seen == 0 {
		if st.Unseen++; st.FirstUnseen == 0 {
			st.FirstUnseen = uint32(i + 1)
		}
	}
	if in.Flags&Deleted != 0 {
		st.Deleted++
	}
}

// compareMessage compares size, date and mod-sequence.
func (w *world) compareMessage(b *wantBox, v *View, in Info, msg *wantMsg, flags string) error {
	if in.Size != int64(len(msg.text)) {
		return fmt.Errorf("UID %d has %d bytes, want %d", in.UID, in.Size, len(msg.text))
	}
	d, err := v.InternalDate(w.ctx(), in.UID)
	if err != nil || msg.date != 0 && d.Unix() != msg.date {
		return fmt.Errorf("UID %d is of %v %v, want %v", in.UID, d, err, time.Unix(msg.date, 0))
	}
	if k, ok := b.known[in.UID]; ok && (in.ModSeq < k.modseq || flags != k.flags && in.ModSeq <= b.modseq) || in.ModSeq == 0 || in.ModSeq > v.ModSeq() {
		return fmt.Errorf("UID %d: flags %q at %d are now %q at %d: told up to %d, the mailbox is at %d", in.UID, k.flags, k.modseq, flags, in.ModSeq, b.modseq, v.ModSeq())
	} else if !ok && in.ModSeq <= b.modseq && in.UID >= b.next {
		return fmt.Errorf("UID %d is new at %d; told up to %d", in.UID, in.ModSeq, b.modseq)
	}
	return nil
}

func (b *wantBox) compareStatus(st Status, v *View, sum Status) error {
	sum.ID, sum.UIDValidity, sum.UIDNext, sum.HighestModSeq = st.ID, st.UIDValidity, st.UIDNext, st.HighestModSeq
	uids := v.UIDs()
	switch {
	case st != sum:
		return fmt.Errorf("status %+v, counted %+v", st, sum)
	case b.id != "" && (st.ID != b.id || st.UIDValidity != b.validity):
		return fmt.Errorf("it was %s %d and is %s %d", b.id, b.validity, st.ID, st.UIDValidity)
	case b.id == "" && b.a.validities[st.UIDValidity]:
		return fmt.Errorf("UIDVALIDITY %d is given a second time", st.UIDValidity)
	case st.UIDNext < b.next || len(uids) > 0 && st.UIDNext <= uids[len(uids)-1] || v.UIDNext() != st.UIDNext:
		return fmt.Errorf("UIDNEXT %d, the view's %d, was %d", st.UIDNext, v.UIDNext(), b.next)
	case st.HighestModSeq < b.modseq || st.HighestModSeq < 1 || st.HighestModSeq != v.ModSeq():
		return fmt.Errorf("HIGHESTMODSEQ %d, the view's %d, was %d", st.HighestModSeq, v.ModSeq(), b.modseq)
	case len(uids) != len(b.known) && st.HighestModSeq == b.modseq, st.HighestModSeq == b.modseq && len(b.fresh) > 0:
		return errors.New("messages came or went and HIGHESTMODSEQ did not rise")
	}
	return nil
}

// learn takes over what a successful comparison showed.
func (w *world) learn(b *wantBox, st Status, found map[UID]*wantMsg, known map[UID]knownFlags) {
	for uid, m := range found {
		m.or = nil
		m.flags = strings.Fields(known[uid].flags)
	}
	b.msgs, b.known, b.fresh = found, known, nil
	b.id, b.validity, b.next, b.modseq = st.ID, st.UIDValidity, st.UIDNext, st.HighestModSeq
	b.a.validities[st.UIDValidity] = true
	clear(b.foreign)
}

// compareTree compares the listing of mailboxes and the subscriptions.
func (w *world) compareTree(a *wantAccount) {
	w.t.Helper()
	acc, err := w.s.Account(w.ctx(), a.address)
	w.must(err)
	defer acc.Close()
	list, err := acc.Mailboxes(w.ctx())
	w.must(err)
	want := map[string]MailboxInfo{}
	for _, b := range a.boxes {
		i := want[b.name]
		i.Name, i.Exists, i.ID = b.name, true, b.id
		want[b.name] = i
		for p := parent(b.name); p != ""; p = parent(p) {
			i := want[p]
			i.Name, i.HasChildren = p, true
			want[p] = i
		}
	}
	if len(list) != len(want) || list[0].Name != "INBOX" {
		w.fatalf("%s: mailboxes %+v, want %+v", a.address, list, want)
	}
	for _, got := range list {
		is := want[got.Name]
		is.Subscribed, is.SpecialUse = a.subs[got.Name], got.SpecialUse
		if got != is {
			w.fatalf("%s: %+v, want %+v", a.address, got, is)
		}
	}
	subs, err := acc.Subscriptions(w.ctx())
	w.must(err)
	slices.Sort(subs)
	if !slices.Equal(subs, slices.Sorted(maps.Keys(a.subs))) {
		w.fatalf("%s is subscribed to %q, want %v", a.address, subs, a.subs)
	}
}
