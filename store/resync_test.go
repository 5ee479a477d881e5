package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// modelHistory is so little that the model's mailboxes forget what was expunged.
var modelHistory = historyBound{rows: 2, bytes: 6}

// offline is what a client without a connection remembers of a mailbox.
type offline struct {
	b        *wantBox
	validity uint32
	modseq   ModSeq
	msgs     map[UID]Flags
}

// remember writes down what a session's client knows, as it would find it after the loss of
// its connection: also while messages that are gone have not been told.
func (w *world) remember() bool {
	if len(w.sessions) == 0 || len(w.away) >= 20 {
		return false
	}
	c := pick(w, w.sessions)
	w.note("remember %s", c)
	w.refreshOf(c, w.pct(60))
	o := &offline{b: c.b, validity: c.m.UIDValidity(), modseq: c.v.Settled(), msgs: map[UID]Flags{}}
	for _, in := range c.v.Infos(1, c.v.Count(), nil) {
		if in.ModSeq <= c.v.ModSeq() { // else it changed again, and that is told next time
			o.msgs[in.UID] = in.Flags
		}
	}
	w.away = append(w.away, o)
	return true
}

// comeBack has a client that was away learn what it missed: it then knows the mailbox as it
// is. It may come back again later with what it knew.
func (w *world) comeBack() bool {
	if len(w.away) == 0 {
		return false
	}
	i := w.rng.IntN(len(w.away))
	o := w.away[i]
	if !slices.Contains(o.b.a.boxes, o.b) || w.pct(20) {
		w.away = slices.Delete(w.away, i, i+1)
	}
	if !slices.Contains(o.b.a.boxes, o.b) { // deleted meanwhile
		return true
	}
	w.note("come back to %s of %s at %d", o.b.name, o.b.a.address, o.modseq)
	w.compare(o.b)
	var v *View
	w.on(o.b, func(_ *Account, m *Mailbox) {
		var err error
		v, err = m.View(w.ctx())
		w.must(err)
		defer v.Close()
		if m.UIDValidity() != o.validity {
			return
		}
		if err := o.resync(w, v); err != nil {
			w.fatalf("%s of %s, known up to %d: %v", o.b.name, o.b.a.address, o.modseq, err)
		}
	})
	return true
}

// resync does what RFC 7162 section 3.2.5.1 has a server and a client do.
func (o *offline) resync(w *world, v *View) error {
	var known []UIDRange
	if w.pct(50) {
		s := rangeSet{}
		for uid := range o.msgs {
			s.add(UIDRange{uid, uid})
		}
		known = append([]UIDRange{}, s.ranges()...)
	}
	return o.apply(v, known, func() ([]UIDRange, error) { return v.Vanished(w.ctx(), o.modseq, known) })
}

// apply brings the client up to the view and compares the two.
func (o *offline) apply(v *View, known []UIDRange, vanished func() ([]UIDRange, error)) error {
	gone, err := vanished()
	if err != nil {
		return err
	}
	last := UID(0)
	for _, r := range gone {
		if r.First <= last || r.Last < r.First || r.Last >= v.UIDNext() {
			return fmt.Errorf("vanished %v: out of order, or beyond UIDNEXT %d", gone, v.UIDNext())
		}
		last = r.Last
	}
	if known != nil {
		if in := intersect(gone, known); !slices.Equal(in, gone) {
			return fmt.Errorf("vanished %v, of which only %v is known", gone, in)
		}
	}
	in := func(uid UID) bool {
		return slices.ContainsFunc(gone, func(r UIDRange) bool { return r.First <= uid && uid <= r.Last })
	}
	for uid := range o.msgs {
		if in(uid) {
			delete(o.msgs, uid)
		}
	}
	infos := v.Infos(1, v.Count(), nil)
	for _, m := range infos {
		if in(m.UID) {
			return fmt.Errorf("UID %d is there and has vanished: %v", m.UID, gone)
		}
		if m.ModSeq > o.modseq { // new, or changed
			o.msgs[m.UID] = m.Flags
		}
		if f, ok := o.msgs[m.UID]; !ok || f != m.Flags {
			return fmt.Errorf("UID %d has flags %x at %d, the client has it %v with %x; vanished %v", m.UID, m.Flags, m.ModSeq, ok, f, gone)
		}
	}
	if len(o.msgs) != len(infos) {
		return fmt.Errorf("the client has %d messages, the mailbox %d; vanished %v of %v", len(o.msgs), len(infos), gone, known)
	}
	o.modseq = v.ModSeq()
	return nil
}

// remembered is what a client knows that has fetched a mailbox whole.
func remembered(g *gotBox) *offline {
	o := &offline{validity: g.validity, modseq: g.modseq, msgs: map[UID]Flags{}}
	for _, m := range g.msgs {
		o.msgs[m.uid] = m.bits
	}
	return o
}

// comeBack has every client that had selected a mailbox before the crash, or in a recovery
// from it, come back and learn what it missed.
func (v *trial) comeBack(ctx context.Context, s *Store, got map[string]*gotAccount) {
	for _, key := range slices.Sorted(maps.Keys(v.before.boxes)) {
		b := v.before.boxes[key]
		g := match(got, b, v.after.boxes[key])
		if g == nil || len(b.away) == 0 {
			continue
		}
		away := slices.Clone(b.away)
		if a := v.told[b.account]; a != nil && slices.Contains(v.toldOf, b.account) && a.boxes[g.name] != nil {
			away = append(away, remembered(a.boxes[g.name]))
		}
		address := b.account
		if got[address] == nil || got[address].boxes[g.name] != g {
			address = v.after.boxes[key].account
		}
		if err := comeBackTo(ctx, s, address, g.name, away); err != nil {
			v.errorf("%s of %s: %w", g.name, address, err)
		}
	}
}

func comeBackTo(ctx context.Context, s *Store, address, name string, away []*offline) error {
	a, err := s.Account(ctx, address)
	if err != nil {
		return err
	}
	defer a.Close()
	m, err := a.Mailbox(ctx, name)
	if err != nil {
		return err
	}
	defer m.Close()
	view, err := m.View(ctx)
	if err != nil {
		return err
	}
	defer view.Close()
	for _, o := range away {
		if o.validity != m.UIDValidity() {
			continue
		}
		o := &offline{modseq: o.modseq, msgs: maps.Clone(o.msgs)}
		since := o.modseq
		if err := o.apply(view, nil, func() ([]UIDRange, error) { return view.Vanished(ctx, since, nil) }); err != nil {
			return fmt.Errorf("known up to %d: %w", since, err)
		}
	}
	return nil
}
