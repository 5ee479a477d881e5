package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// box names a mailbox of an account.
type box struct{ account, mailbox string }

// place is where a message is: told to a client, it may never stand for another one.
type place struct {
	box
	uid imap.UID
}

// held is a message that a client was told of.
type held struct {
	id    string
	flags string // acknowledged, as flagText gives them
	gone  bool   // its removal was acknowledged
}

// marks are what never go back.
type marks struct {
	uidValidity uint32
	uidNext     imap.UID
	modseq      uint64
	audited     imap.UID // uidNext at the last audit: what is new since has no lower UID
}

// arrival is a message on its way into a mailbox, whose UID is not known yet.
type arrival struct {
	box
	id string
}

// change is a command that was sent and not answered: a crash leaves open whether it was
// carried out.
type change struct {
	from  place
	kind  changeKind
	flags string // afterwards, for changeFlags
	to    box    // for changeCopy and changeMove
}

type changeKind int

const (
	changeFlags changeKind = iota
	changeCopy
	changeMove
	changeRemove
)

// sent is a message as it was handed over.
type sent struct {
	text   string
	traced bool // by SMTP: the server puts header fields in front
}

// ledger is what the server has acknowledged, and what may have happened beyond that.
type ledger struct {
	mu       sync.Mutex
	next     int
	texts    map[string]sent
	held     map[place]*held
	marks    map[box]marks
	arrivals map[arrival]bool // true: acknowledged
	open     map[place]change // at most one a message
	log      []string         // of the last round, for a failure
}

func newLedger() *ledger {
	return &ledger{
		texts: map[string]sent{}, held: map[place]*held{}, marks: map[box]marks{},
		arrivals: map[arrival]bool{}, open: map[place]change{},
	}
}

// with runs f under the ledger's lock.
func (l *ledger) with(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// note adds a line to the log. The lock is held.
func (l *ledger) note(format string, args ...any) {
	if len(l.log) < 20000 {
		l.log = append(l.log, fmt.Sprintf(format, args...))
	}
}

// compose makes a new message and remembers it.
func (l *ledger) compose(lines []string, traced bool) (id, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	id = fmt.Sprintf("m%d.", l.next)
	text = letter("carol@elsewhere.test", alice, id, lines...)
	l.texts[id] = sent{text, traced}
	return id, text
}

// tried notes that a message is about to be handed over for a mailbox.
func (l *ledger) tried(b box, id string) {
	l.with(func() { l.arrivals[arrival{b, id}] = false; l.note("%v: %s is on its way", b, id) })
}

// accepted notes that it was acknowledged, with no word of its UID.
func (l *ledger) accepted(b box, id string) {
	l.with(func() {
		if _, ok := l.arrivals[arrival{b, id}]; ok { // else it was seen already
			l.arrivals[arrival{b, id}] = true
		}
		l.note("%v: %s was accepted", b, id)
	})
}

// seen notes that a client was told of a message and its flags.
func (l *ledger) seen(p place, id, flags string) {
	l.with(func() {
		delete(l.arrivals, arrival{p.box, id})
		l.held[p] = &held{id: id, flags: flags}
		l.note("%v: is %s, %q", p, id, flags)
	})
}

// begin notes that a change is about to be asked for, done that it was acknowledged.
func (l *ledger) begin(c change) {
	l.with(func() { l.open[c.from] = c; l.note("%v: change %+v", c.from, c) })
}

// done notes that a change was acknowledged; uid is the new one of a COPY or MOVE.
func (l *ledger) done(c change, uid imap.UID) {
	l.with(func() {
		delete(l.open, c.from)
		h := l.held[c.from]
		switch c.kind {
		case changeFlags:
			h.flags = c.flags
		case changeCopy, changeMove:
			h.gone = c.kind == changeMove
			l.held[place{c.to, uid}] = &held{id: h.id, flags: h.flags}
		case changeRemove:
			h.gone = true
		}
		l.note("%v: done, %d", c.from, uid)
	})
}

// raise notes what SELECT or STORE told of a mailbox.
func (l *ledger) raise(b box, m marks) {
	l.with(func() {
		old := l.marks[b]
		l.marks[b] = marks{m.uidValidity, max(old.uidNext, m.uidNext), max(old.modseq, m.modseq), old.audited}
	})
}

// live are the messages of an account that are known to exist, in a fixed order.
func (l *ledger) live(account string) (all []place) {
	l.with(func() {
		for p, h := range l.held {
			if p.account == account && !h.gone {
				all = append(all, p)
			}
		}
	})
	slices.SortFunc(all, func(a, b place) int {
		return strings.Compare(fmt.Sprint(a.mailbox, " ", a.uid), fmt.Sprint(b.mailbox, " ", b.uid))
	})
	return all
}

// audit compares an account with the ledger after a restart, and takes over what it
// could not know: which of the open changes were carried out.
func (l *ledger) audit(c *imapclient.Client, account string) (faults []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	boxes, err := c.List("", "*", nil).Collect()
	if err != nil {
		return []string{err.Error()}
	}
	there := map[place]bool{}
	carried := map[change]bool{} // COPY and MOVE that turned out to be done
	for _, item := range boxes {
		b := box{account, item.Mailbox}
		m, err := read(c, b.mailbox)
		if err != nil {
			return append(faults, err.Error())
		}
		old := l.marks[b]
		if old.uidValidity != 0 && m.uidValidity != old.uidValidity || m.uidNext < old.uidNext || m.modseq < old.modseq {
			fault("%v: UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ were %d, %d and %d, are %d, %d and %d", b,
				old.uidValidity, old.uidNext, old.modseq, m.uidValidity, m.uidNext, m.modseq)
		}
		for _, f := range m.messages {
			p := place{b, f.uid}
			there[p] = true
			if f.uid >= m.uidNext || f.modseq > m.modseq {
				fault("%v: UID or mod-sequence %d beyond %d and %d", p, f.modseq, m.uidNext, m.modseq)
			}
			if bad := l.check(p, f, old, carried); bad != "" {
				fault("%v: %s", p, bad)
			}
		}
		l.marks[b] = marks{m.uidValidity, m.uidNext, m.modseq, m.uidNext}
	}
	return append(faults, l.missing(account, there, carried)...)
}

// check judges one message that is there.
func (l *ledger) check(p place, f fetched, old marks, carried map[change]bool) string {
	id := idOf(f.body)
	want, ok := l.texts[id]
	switch {
	case !ok:
		return fmt.Sprintf("a message that nobody sent: %q", clip(string(f.body)))
	case want.traced:
		if err := checkTraced(f.body, want.text); err != nil {
			return err.Error()
		}
	case string(f.body) != want.text:
		return fmt.Sprintf("other bytes: %q, not %q", clip(string(f.body)), clip(want.text))
	}
	flags := flagText(f.flags)
	if h := l.held[p]; h != nil {
		open, changing := l.open[p]
		switch {
		case h.id != id:
			return fmt.Sprintf("was %s, is %s", h.id, id)
		case h.gone:
			return id + " came back"
		case changing && open.kind == changeFlags && flags == open.flags:
			h.flags = flags
		case flags != h.flags:
			return fmt.Sprintf("%s has flags %q, not %q", id, flags, h.flags)
		}
		return ""
	}
	if p.uid < old.audited {
		return fmt.Sprintf("%s is new and has a UID below the UIDNEXT %d of before", id, old.audited)
	}
	l.held[p] = &held{id: id, flags: flags}
	if _, ok := l.arrivals[arrival{p.box, id}]; ok {
		delete(l.arrivals, arrival{p.box, id})
		return ""
	}
	for _, c := range l.open {
		if source := l.held[c.from]; c.to == p.box && source.id == id && !carried[c] {
			carried[c] = true
			if flags != source.flags {
				return fmt.Sprintf("the copy of %s has flags %q, not %q", id, flags, source.flags)
			}
			return ""
		}
	}
	return id + " is there once too often"
}

// missing judges what is not there, and forgets what no longer can be.
func (l *ledger) missing(account string, there map[place]bool, carried map[change]bool) (faults []string) {
	for p, h := range l.held {
		if p.account != account {
			continue
		}
		c, changing := l.open[p]
		moved := changing && c.kind == changeMove
		switch {
		case moved && there[p] && carried[c]:
			faults = append(faults, fmt.Sprintf("%v: %s was moved and is in both mailboxes", p, h.id))
		case there[p] || h.gone:
		case changing && c.kind == changeRemove, moved && carried[c]:
			h.gone = true
		default:
			faults = append(faults, fmt.Sprintf("%v: %s is lost (%q, open change %v: %+v)", p, h.id, h.flags, changing, c))
			h.gone = true
		}
		delete(l.open, p)
	}
	for a, acknowledged := range l.arrivals {
		if a.account != account {
			continue
		}
		if acknowledged {
			faults = append(faults, fmt.Sprintf("%v: %s was accepted and is lost", a.box, a.id))
		}
		delete(l.arrivals, a)
	}
	return faults
}

// about are the lines of the log that tell of any of the faults, and their number in all.
func (l *ledger) about(faults []string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := map[string]bool{}
	for _, f := range faults[:min(len(faults), 5)] {
		for word := range strings.FieldsSeq(f) {
			if _, ok := l.texts[word]; ok {
				ids[word] = true
			}
		}
	}
	var lines []string
	for p, h := range l.held {
		if ids[h.id] {
			ids[fmt.Sprint(p)] = true
		}
	}
	for _, line := range l.log {
		for id := range maps.Keys(ids) {
			if strings.Contains(line, id) {
				lines = append(lines, line)
				break
			}
		}
	}
	return strings.Join(lines, "\n")
}

// idOf finds the id that compose gave a message.
func idOf(body []byte) string {
	_, rest, _ := bytes.Cut(body, []byte("Subject: "))
	id, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(id)
}
