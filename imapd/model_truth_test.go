package imapd

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"

	"kurir/store"
)

// A modelBox is what there should be in a mailbox.
type modelBox struct {
	account, name string
	validity      uint32
	uidNext       uint32
	highest       uint64
	msgs          map[uint32]*modelMsg // by UID, those that are gone too
	fresh         []*modelMsg          // delivered; their UIDs are not known yet
}

// A modelMsg is a message with all the flags that it ever had.
type modelMsg struct {
	uid      uint32
	text     string
	gone     bool
	read     bool // the text was compared
	versions []modelVersion
}

type modelVersion struct {
	flags  string
	modseq uint64 // 0 is not known
}

func (m *modelMsg) latest() int   { return len(m.versions) - 1 }
func (m *modelMsg) flags() string { return m.versions[m.latest()].flags }

func (m *modelMsg) has(flag string) bool {
	return slices.Contains(strings.Fields(m.flags()), strings.ToLower(flag))
}

// set makes flags the latest version, if they are not; it reports whether.
func (m *modelMsg) set(flags string) bool {
	if m.flags() == flags {
		return false
	}
	m.versions = append(m.versions, modelVersion{flags: flags})
	return true
}

func (m *modelMsg) subject() string {
	_, rest, _ := strings.Cut(m.text, "Subject: ")
	s, _, _ := strings.Cut(rest, "\r\n")
	return s
}

// after lists the UIDs beyond uid of the messages that are there.
func (b *modelBox) after(uid uint32) (out []uint32) {
	for u, m := range b.msgs {
		if u > uid && !m.gone {
			out = append(out, u)
		}
	}
	slices.Sort(out)
	return out
}

// add puts a message in.
func (b *modelBox) add(uid uint32, text, flags string) *modelMsg {
	m := &modelMsg{uid: uid, text: text, versions: []modelVersion{{flags: flags}}}
	b.msgs[uid] = m
	b.uidNext = max(b.uidNext, uid+1)
	return m
}

// box finds a mailbox by its name.
func (w *modelWorld) box(account, name string) *modelBox {
	for _, b := range w.boxes {
		if b.account == account && strings.EqualFold(b.name, name) {
			return b
		}
	}
	return nil
}

// boxesOf lists the mailboxes of an account.
func (w *modelWorld) boxesOf(account string) (out []*modelBox) {
	for _, b := range w.boxes {
		if b.account == account {
			out = append(out, b)
		}
	}
	return out
}

// look runs f with a new view of a mailbox, past all sessions.
func (w *modelWorld) look(b *modelBox, f func(v *store.View)) {
	ctx := context.Background()
	a, err := w.store.Account(ctx, b.account)
	w.must(err)
	defer a.Close()
	box, err := a.Mailbox(ctx, b.name)
	w.must(err)
	defer box.Close()
	v, err := box.View(ctx)
	w.must(err)
	defer v.Close()
	if b.validity != 0 && b.validity != box.UIDValidity() {
		w.fail(nil, "%s: UIDVALIDITY changed from %d to %d", b.name, b.validity, box.UIDValidity())
	}
	b.validity = box.UIDValidity()
	f(v)
}

// textOf reads a message past all sessions.
func (w *modelWorld) textOf(v *store.View, uid store.UID) string {
	body, err := v.Open(context.Background(), uid)
	w.must(err)
	defer body.Close()
	text, err := io.ReadAll(body.Whole().Reader())
	w.must(err)
	return string(text)
}

// discover finds the UIDs of what was delivered.
func (w *modelWorld) discover() {
	for _, b := range w.boxes {
		if !w.exact || len(b.fresh) == 0 {
			continue
		}
		w.look(b, func(v *store.View) {
			for _, uid := range v.UIDs() {
				if len(b.fresh) == 0 || b.msgs[uint32(uid)] != nil {
					continue
				}
				text := w.textOf(v, uid)
				i := slices.IndexFunc(b.fresh, func(m *modelMsg) bool { return m.text == text })
				if i < 0 {
					continue // of a command that is still to be looked at
				}
				b.add(uint32(uid), text, b.fresh[i].flags())
				b.fresh = slices.Delete(b.fresh, i, i+1)
			}
		})
		if len(b.fresh) > 0 {
			w.fail(nil, "%s: %d messages that were delivered are not there", b.name, len(b.fresh))
		}
	}
}

// settle compares all mailboxes with the truth, and learns their mod-sequences.
func (w *modelWorld) settle() {
	w.discover()
	for _, b := range w.boxes {
		w.look(b, func(v *store.View) { w.settleBox(b, v) })
	}
	w.renumbered = false
}

func (w *modelWorld) settleBox(b *modelBox, v *store.View) {
	live := map[uint32]bool{}
	for _, in := range v.Infos(1, v.Count(), nil) {
		uid := uint32(in.UID)
		live[uid] = true
		m := b.msgs[uid]
		if m == nil || m.gone {
			w.fail(nil, "%s: UID %d is there, and should not be", b.name, uid)
		}
		w.settleMsg(b, m, flagKey(strings.Fields(strings.Trim(string(appendFlags(nil, in.Flags, v.Keywords())), "()"))...), uint64(in.ModSeq))
		if !m.read && w.textOf(v, in.UID) != m.text {
			w.fail(nil, "%s: UID %d has another text", b.name, uid)
		}
		m.read = true
	}
	for uid := range maps.Keys(b.msgs) {
		if !live[uid] && !b.msgs[uid].gone {
			w.fail(nil, "%s: UID %d is gone, and should not be", b.name, uid)
		}
	}
	if uint64(v.ModSeq()) < b.highest || uint32(v.UIDNext()) < b.uidNext {
		w.fail(nil, "%s: HIGHESTMODSEQ %d after %d, UIDNEXT %d after %d", b.name, v.ModSeq(), b.highest, v.UIDNext(), b.uidNext)
	}
	b.highest, b.uidNext = uint64(v.ModSeq()), uint32(v.UIDNext())
}

// settleMsg compares a message's flags with the truth, and learns its mod-sequence, which
// rises with each change and with nothing else.
func (w *modelWorld) settleMsg(b *modelBox, m *modelMsg, flags string, modseq uint64) {
	last := &m.versions[m.latest()]
	if flags != last.flags {
		w.fail(nil, "%s: UID %d has flags (%s) instead of (%s)", b.name, m.uid, flags, last.flags)
	}
	switch {
	case last.modseq == modseq:
	case last.modseq == 0:
		if modseq <= b.highest && !w.renumbered {
			w.fail(nil, "%s: UID %d changed, and has mod-sequence %d, not above %d", b.name, m.uid, modseq, b.highest)
		}
	case !w.renumbered || modseq < last.modseq:
		w.fail(nil, "%s: UID %d did not change, but its mod-sequence did from %d to %d", b.name, m.uid, last.modseq, modseq)
	}
	last.modseq = modseq
}
