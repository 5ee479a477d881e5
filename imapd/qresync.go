package imapd

import (
	"slices"

	"kurir/store"
)

// resync is what a client knew of a mailbox when it was last connected: the QRESYNC
// parameter of SELECT (RFC 7162 section 3.2.5). The match of sequence numbers and UIDs that
// may be part of it is read and not needed: the store's answer is short without it.
type resync struct {
	validity uint32
	since    store.ModSeq
	known    []store.UIDRange // nil: all UIDs
}

// selectOptions are the parameters of SELECT.
type selectOptions struct {
	condstore bool
	resync    *resync
}

// selectParams reads the parameters of SELECT (RFC 7162 sections 3.1.8 and 3.2.5). Without
// ENABLE QRESYNC its parameter is an error (section 3.2.3).
func (s *session) selectParams(p *parser) (o selectOptions) {
	p.modifiers(func() {
		switch p.word("SELECT parameter") {
		case "CONDSTORE":
			o.condstore = true
		case "QRESYNC":
			if !s.qresync || o.resync != nil {
				p.fail("QRESYNC is not enabled, or given twice")
			}
			o.resync = p.sp().resync()
		default:
			p.fail("Unknown SELECT parameter")
		}
	})
	return o
}

// modifiers reads a list that may not be empty.
func (p *parser) modifiers(item func()) {
	n := 0
	p.list(func() { item(); n++ })
	if n == 0 {
		p.fail("Empty parentheses")
	}
}

// resync reads what follows QRESYNC (RFC 7162 section 7).
func (p *parser) resync() *resync {
	p.need('(')
	r := &resync{validity: p.number("UIDVALIDITY")}
	if r.validity == 0 {
		p.fail("0 is not a UIDVALIDITY")
	}
	r.since = p.sp().modSeq()
	if p.peek() == ' ' && p.sp().peek() != '(' {
		r.known = uidRanges(p.knownSet(), 0)
		if p.peek() == ' ' {
			p.sp().matchData()
		}
	} else if p.peek() == '(' {
		p.matchData()
	}
	p.need(')')
	return r
}

// matchData reads the sequence numbers and UIDs that the client knew of some messages.
func (p *parser) matchData() {
	p.need('(')
	p.knownSet()
	p.sp().knownSet()
	p.need(')')
}

// knownSet reads a set without "*" and "$".
func (p *parser) knownSet() messageSet {
	m := p.set()
	for _, r := range m.ranges {
		if r.Start == 0 || r.Stop == 0 {
			p.fail("* is not the number of a known message")
		}
	}
	if m.saved {
		p.fail("$ is not a set of known messages")
	}
	return m
}

// modSeq reads a mod-sequence: 63 bits, and 0 for none (RFC 7162 section 7).
func (p *parser) modSeq() store.ModSeq { return store.ModSeq(p.number64("mod-sequence")) }

// uidRanges gives a set of UIDs, last in the place of "*".
func uidRanges(m messageSet, last store.UID) []store.UIDRange {
	if len(m.ranges) == 0 {
		return nil
	}
	sorted := m.resolve(uint32(last))
	out := make([]store.UIDRange, len(sorted))
	for i, r := range sorted {
		out[i] = store.UIDRange{First: store.UID(r.Start), Last: store.UID(r.Stop)}
	}
	return out
}

// resynchronise tells a client what happened to the messages that it knew, after what
// SELECT says of the mailbox anyway: first those that are gone, then flags (RFC 7162
// section 3.2.5.1). With another UIDVALIDITY it knew nothing of this mailbox.
func (s *session) resynchronise(r *resync) error {
	if r.validity != s.mailbox.UIDValidity() {
		return nil
	}
	told, since := s.view.ModSeq(), r.since
	if since == told {
		return nil
	}
	if since > told { // of a later time than the mailbox, which was put back: nothing it knows counts
		since = 0
	}
	gone, err := s.view.Vanished(s.ctx, since, r.known)
	if err != nil {
		return err
	}
	s.sendVanished("VANISHED (EARLIER) ", gone)
	spans := []span{{1, s.view.Count()}}
	if r.known != nil {
		spans = knownSpans(s.view.UIDs(), r.known)
	}
	keywords := s.view.Keywords()
	return s.eachInfo(spans, func(m store.Info) error {
		// What changed since the mailbox was selected is told after the next command: its
		// mod-sequence is above the HIGHESTMODSEQ just told.
		if m.ModSeq > since && m.ModSeq <= told {
			s.out.set(s.appendFlagFetch(s.out.buf(), m, keywords, true, true))
		}
		return s.out.err
	})
}

// knownSpans gives the messages of uids that ranges name.
func knownSpans(uids []store.UID, ranges []store.UIDRange) (out []span) {
	for _, r := range ranges {
		from, _ := slices.BinarySearch(uids, r.First)
		to, ok := slices.BinarySearch(uids, r.Last)
		if ok {
			to++
		}
		out = appendSpan(out, from+1, to)
	}
	return out
}

// vanishedLine is about how long a VANISHED response may get before another one goes on.
const vanishedLine = 8 << 10

// sendVanished sends VANISHED responses, head first (RFC 7162 section 3.2.10); none if
// there is nothing to say.
func (s *session) sendVanished(head string, gone []store.UIDRange) {
	for len(gone) > 0 {
		b := append(append(s.out.buf(), "* "...), head...)
		end := len(b) + vanishedLine
		for first := true; len(gone) > 0 && len(b) < end; first = false {
			if !first {
				b = append(b, ',')
			}
			b = appendNumber(b, uint32(gone[0].First))
			if gone[0].Last > gone[0].First {
				b = appendNumber(append(b, ':'), uint32(gone[0].Last))
			}
			gone = gone[1:]
		}
		s.out.set(append(b, "\r\n"...))
	}
}

// uidRuns gives ascending UIDs as ranges.
func uidRuns(uids []store.UID) (out []store.UIDRange) {
	for _, u := range uids {
		if n := len(out); n > 0 && out[n-1].Last+1 == u {
			out[n-1].Last = u
		} else {
			out = append(out, store.UIDRange{First: u, Last: u})
		}
	}
	return out
}

// checkVanished refuses the VANISHED modifier of FETCH where it may not be (RFC 7162
// sections 3.2.3 and 3.2.6).
func (s *session) checkVanished(r *fetchRequest, uid bool) error {
	switch {
	case !r.vanished:
		return nil
	case !s.qresync:
		return badf("QRESYNC is not enabled")
	case !uid:
		return badf("VANISHED is for UID FETCH")
	case !r.conditional:
		return badf("VANISHED goes with CHANGEDSINCE")
	}
	return nil
}

// tellVanished answers the VANISHED modifier of UID FETCH. "*" stands for the highest UID
// that there ever was, or the last message could go unnoticed.
func (s *session) tellVanished(r *fetchRequest) error {
	known := uidRanges(r.set, max(s.view.UIDNext(), 2)-1)
	if known == nil { // a saved result has nothing that is gone
		return nil
	}
	gone, err := s.view.Vanished(s.ctx, r.changedSince, known)
	s.sendVanished("VANISHED (EARLIER) ", gone)
	return err
}

// settle tells a client with QRESYNC, just before the tagged reply, which mod-sequence it
// may come back with, where that is not the highest that it saw: while an expunge may not
// be told yet, one below the expunge's (RFC 7162 section 3.2), and afterwards the highest
// again. The reply to a command that expunged has it as its code (sections 3.2.7 and 3.2.9,
// RFC 6851 section 4.4).
func (s *session) settle(c *command) {
	at := s.view.Settled()
	behind := at < s.view.ModSeq()
	if c.expunged && !behind {
		c.code = string(appendNumber([]byte("HIGHESTMODSEQ "), at))
	} else if behind || s.behind {
		s.out.line("* OK [", string(appendNumber([]byte("HIGHESTMODSEQ "), at)), "] All changes up to here were told")
	}
	s.behind = behind
}
