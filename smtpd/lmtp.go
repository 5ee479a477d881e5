package smtpd

import (
	"net/netip"
	"slices"
)

// LMTP (RFC 2033) is SMTP with another greeting and, behind a message, an answer for each
// recipient. go-smtp is shown SMTP; the answers are put in the place of its one.

var (
	replyOnlyLMTP = &Reply{500, "5.5.1", "this is LMTP: say LHLO", nil}
	replyNoPeer   = &Reply{554, "5.7.1", "your address may not deliver mail here by LMTP", nil}
)

// wrongHello answers EHLO and HELO where LHLO is wanted, and the other way round (RFC 2033
// section 4.1).
func wrongHello(m Mode) *Reply {
	if m == LMTP {
		return replyOnlyLMTP
	}
	return replyUnknownCommand
}

// isUnix tells whether the client has come by a unix socket.
func (w *wire) isUnix() bool {
	if w.raw == nil {
		return false
	}
	a := w.raw.LocalAddr()
	return a != nil && a.Network() == "unix"
}

// isPeer tells whether a client may speak with this listener at all. What comes by LMTP is
// not judged, so it may come from this machine, and from those that the administrator has
// named.
func (w *wire) isPeer() bool {
	if w.run.mode != LMTP || w.isUnix() || w.ip.IsLoopback() {
		return true
	}
	ip := w.ip.WithZone("")
	shared := w.srv.Shared != nil && w.srv.Shared(ip)
	if !shared && slices.ContainsFunc(w.srv.Peers, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return true
	}
	w.log.Warn("refused", "reply", replyNoPeer)
	w.hangUp(replyNoPeer)
	return false
}

// outcomes are the answers for the recipients of a message.
type outcomes struct {
	order   []int    // the recipient of each RCPT that was accepted
	settled []*Reply // of each recipient; nil: what is said of the message
}

// answerEach prepares an answer for each RCPT that was accepted, in their order (RFC 2033
// section 4.2). A chunk that is not the last has one answer alone (section 4.3).
func (s *session) answerEach(r *Reply) {
	w := s.wire
	if w.run.mode != LMTP || w.mute || w.dead || s.partial {
		return
	}
	for _, i := range s.each.order {
		one := r
		if i < len(s.each.settled) && s.each.settled[i] != nil {
			one = s.each.settled[i]
		}
		w.answers = append(w.answers, one)
	}
}

// passEach sends the answers that have been prepared, and tells whether there were any.
func (w *wire) passEach() bool {
	if len(w.answers) == 0 {
		return false
	}
	for _, r := range w.answers {
		w.put(r)
	}
	w.answers = nil
	if len(w.out) > maxOut {
		w.flush()
	}
	return true
}

// settleEach decides what an LMTP client hears of each recipient once the mailboxes had
// their turn, and returns those failures that are the queue's to mend. A recipient none of
// whose mailboxes has the message is the client's to send again; where others behind the
// same address have it, the client would send it to them, too. In all other modes the
// failures stay as they are.
func (s *session) settleEach(failed []Failure) (queued []Failure) {
	if s.wire.run.mode != LMTP || len(s.targets) == 0 {
		return failed
	}
	why := map[string]error{}
	for _, f := range failed {
		why[f.Address] = f.Err
	}
	s.each.settled = make([]*Reply, len(s.recipients))
	theirs := map[string]bool{}
	for i, r := range s.recipients {
		missing := slices.DeleteFunc(slices.Clone(r.accounts), func(a string) bool { return why[a] == nil })
		switch {
		case len(r.onward) > 0 || len(r.accounts) == 0: // what the queue says of it
		case len(missing) == 0:
			s.each.settled[i] = &Reply{250, "2.1.5", "OK delivered as " + s.messageID(), nil}
		case len(missing) == len(r.accounts):
			s.each.settled[i] = replyTo(why[missing[0]])
			s.wire.log.Warn("not delivered to a recipient, the client shall try again", "id", s.messageID(),
				"to", s.wire.address(r.To), "reply", s.each.settled[i])
			for _, a := range missing {
				theirs[a] = true
			}
		}
	}
	return slices.DeleteFunc(failed, func(f Failure) bool { return theirs[f.Address] })
}
