package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/textproto"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// randomLines are the lines of a message: mostly small, rarely larger than what is kept in memory
// while it comes in.
func randomLines(r *rand.Rand) []string {
	n := r.IntN(40)
	if r.IntN(60) == 0 {
		n = 20000
	}
	lines := []string{".", "Grüße"}
	for range n {
		lines = append(lines, strings.Repeat("x", r.IntN(75)))
	}
	return lines
}

// sender hands over messages by SMTP until the connection ends.
type sender struct {
	s    *server
	l    *ledger
	rand *rand.Rand
}

func (w *sender) run(ready func()) error {
	t, err := dialSMTP(w.s)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := say(t, 250, "EHLO client.test"); err != nil {
		return err
	}
	ready()
	for n := 0; n < 900; n++ {
		to := [][]string{{alice}, {bob}, {alice, bob}}[w.rand.IntN(3)]
		id, text := w.l.compose(randomLines(w.rand), true)
		if err := say(t, 250, "MAIL FROM:<carol@elsewhere.test>"); err != nil {
			return err
		}
		for _, a := range to {
			if err := say(t, 250, "RCPT TO:<"+a+">"); err != nil {
				return err
			}
		}
		if err := say(t, 354, "DATA"); err != nil {
			return err
		}
		for _, a := range to {
			w.l.tried(box{a, "INBOX"}, id)
		}
		d := t.DotWriter()
		_, werr := io.WriteString(d, text)
		werr = errors.Join(werr, d.Close())
		if _, _, err := t.ReadResponse(250); err != nil {
			return errors.Join(err, werr)
		}
		for _, a := range to {
			w.l.accepted(box{a, "INBOX"}, id)
		}
	}
	return say(t, 221, "QUIT")
}

// dialSMTP connects as another server does and reads the greeting.
func dialSMTP(s *server) (*textproto.Conn, error) {
	t, err := textproto.Dial("tcp", s.at(smtpPort))
	if err != nil {
		return nil, err
	}
	if _, _, err := t.ReadResponse(220); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// say sends a line and expects a code.
func say(t *textproto.Conn, code int, line string) error {
	werr := t.PrintfLine("%s", line)
	_, _, err := t.ReadResponse(code) // a farewell is read even if the connection takes no more
	return errors.Join(err, werr)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - 2000; over > 0 {
		t.buf = slices.Delete(t.buf, 0, over)
	}
	return len(p), nil
}

func (t *tail) has(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Contains(t.buf, []byte(text))
}

// keeper works on messages by IMAP until the connection ends. No other one touches the
// same messages, so that it knows what has become of each.
type keeper struct {
	s       *server
	l       *ledger
	rand    *rand.Rand
	account string
	inbox   bool    // takes the messages that come into the INBOX
	mine    []place // what it works on

	c     *imapclient.Client
	wire  tail
	at    box      // selected
	known imap.UID // the last one seen in the INBOX
}

// keptIn are the mailboxes that keepers work in, beside the INBOX.
var keptIn = []string{"Work", "Work/Copies", "Archive"}

func (w *keeper) run(ready func()) error {
	var err error
	w.c, err = imapclient.DialInsecure(w.s.at(imapPort), &imapclient.Options{DebugWriter: &w.wire})
	if err != nil {
		return err
	}
	defer w.c.Close()
	if err := w.c.Login(w.account, password).Wait(); err != nil {
		return err
	}
	for _, name := range keptIn {
		var no *imap.Error
		if err := w.c.Create(name, nil).Wait(); err != nil && !errors.As(err, &no) { // it may be there
			return err
		}
	}
	ready()
	for {
		if err := w.step(); err != nil {
			return err
		}
	}
}

// step does one thing.
func (w *keeper) step() error {
	if w.at.mailbox == "" || w.rand.IntN(8) == 0 {
		return w.selectOne()
	}
	if w.inbox && w.at.mailbox == "INBOX" && w.rand.IntN(3) == 0 {
		return w.look()
	}
	here := slices.DeleteFunc(slices.Clone(w.mine), func(p place) bool { return p.box != w.at })
	if !w.inbox && (len(here) == 0 || w.rand.IntN(4) == 0) {
		return w.add()
	}
	if len(here) == 0 {
		return w.selectOne()
	}
	p := here[w.rand.IntN(len(here))]
	to := box{w.account, keptIn[w.rand.IntN(len(keptIn))]}
	switch n := w.rand.IntN(10); {
	case n < 4:
		return w.flag(p)
	case n < 6 && to != w.at:
		return w.transfer(changeMove, p, to)
	case n < 7 && to != w.at:
		return w.transfer(changeCopy, p, to)
	case n < 9:
		return w.remove(p)
	}
	return w.c.Noop().Wait()
}

func (w *keeper) selectOne() error {
	names := keptIn
	if w.inbox {
		names = append([]string{"INBOX", "INBOX", "INBOX"}, keptIn...)
	}
	w.at = box{w.account, names[w.rand.IntN(len(names))]}
	sel, err := w.c.Select(w.at.mailbox, &imap.SelectOptions{CondStore: true}).Wait()
	if err != nil {
		return err
	}
	w.l.raise(w.at, marks{uidValidity: sel.UIDValidity, uidNext: sel.UIDNext, modseq: sel.HighestModSeq})
	return nil
}

// look takes what is new in the INBOX.
func (w *keeper) look() error {
	section := wholeBody()
	section.Specifier = imap.PartSpecifierHeader
	found, err := w.c.Fetch(imap.UIDSet{{Start: w.known + 1, Stop: 0}}, &imap.FetchOptions{
		UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{section},
	}).Collect()
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.UID <= w.known { // "*" is the last one, even if that is not new
			continue
		}
		p := place{w.at, f.UID}
		w.l.seen(p, idOf(f.FindBodySection(section)), flagText(f.Flags))
		w.mine = append(w.mine, p)
	}
	for _, f := range found {
		w.known = max(w.known, f.UID)
	}
	return nil
}

// add appends a new message.
func (w *keeper) add() error {
	id, text := w.l.compose(randomLines(w.rand), false)
	flags := randomFlags(w.rand)
	w.l.tried(w.at, id)
	uids, err := appendTo(w.c, w.at.mailbox, &imap.AppendOptions{Flags: flags}, text)
	if err != nil {
		return err
	}
	p := place{w.at, uids[0]}
	w.l.seen(p, id, flagText(flags))
	w.mine = append(w.mine, p)
	return nil
}

func randomFlags(r *rand.Rand) (flags []imap.Flag) {
	for _, f := range []imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDraft, imap.FlagForwarded, "work", "$Label1"} {
		if r.IntN(3) == 0 {
			flags = append(flags, f)
		}
	}
	return flags
}

// flag replaces a message's flags.
func (w *keeper) flag(p place) error {
	flags := randomFlags(w.rand)
	return w.setFlags(p, flags)
}

func (w *keeper) setFlags(p place, flags []imap.Flag) error {
	c := change{from: p, kind: changeFlags, flags: flagText(flags)}
	w.l.begin(c)
	got, err := w.c.Store(imap.UIDSetNum(p.uid), &imap.StoreFlags{Op: imap.StoreFlagsSet, Flags: flags}, nil).Collect()
	if err != nil {
		return err
	}
	w.l.done(c, 0)
	for _, f := range got {
		w.l.raise(p.box, marks{uidValidity: w.validity(p.box), modseq: f.ModSeq})
	}
	return nil
}

// validity is the UIDVALIDITY as told before.
func (w *keeper) validity(b box) (v uint32) {
	w.l.with(func() { v = w.l.marks[b].uidValidity })
	return v
}

// transfer copies or moves a message.
func (w *keeper) transfer(kind changeKind, p place, to box) error {
	c := change{from: p, kind: kind, to: to}
	w.l.begin(c)
	var dest imap.NumSet
	if kind == changeMove {
		d, err := w.c.Move(imap.UIDSetNum(p.uid), to.mailbox).Wait()
		if err != nil {
			return err
		}
		dest = d.DestUIDs
	} else {
		d, err := w.c.Copy(imap.UIDSetNum(p.uid), to.mailbox).Wait()
		if err != nil {
			return err
		}
		dest = d.DestUIDs
	}
	set, _ := dest.(imap.UIDSet)
	uids, ok := set.Nums()
	if !ok || len(uids) != 1 {
		return fmt.Errorf("%v: %d to %v gave the UIDs %v", p, kind, to, dest)
	}
	w.l.done(c, uids[0])
	w.mine = append(w.mine, place{to, uids[0]})
	if kind == changeMove {
		w.drop(p)
	}
	return nil
}

// remove marks a message as deleted and expunges it.
func (w *keeper) remove(p place) error {
	if err := w.setFlags(p, []imap.Flag{imap.FlagDeleted}); err != nil {
		return err
	}
	c := change{from: p, kind: changeRemove}
	w.l.begin(c)
	if err := w.c.UIDExpunge(imap.UIDSetNum(p.uid)).Close(); err != nil {
		return err
	}
	w.l.done(c, 0)
	w.drop(p)
	return nil
}

// drop takes a message off the list.
func (w *keeper) drop(p place) {
	w.mine = slices.DeleteFunc(w.mine, func(q place) bool { return q == p })
}
