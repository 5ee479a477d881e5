package smtpd

import (
	"crypto/tls"
	"strings"
	"time"

	"kurir/internal/policy"
	"kurir/internal/queue"
	"kurir/internal/trace"
)

// record begins what is noted of the message under way.
func (s *session) record() trace.Record {
	w := s.wire
	r := trace.Record{ID: s.messageID(), Sender: s.mail.From.String(), Account: s.by.account, TLS: w.tlsName()}
	if w.run.mode != Trusted && !w.isUnix() && w.ip.IsValid() {
		r.Client = w.ip.Unmap().WithZone("").String()
	}
	for _, c := range s.recipients {
		r.To = append(r.To, w.address(c.To))
	}
	return r
}

// tlsName is the version of TLS, "" without.
func (w *wire) tlsName() string {
	if w.tls == nil {
		return ""
	}
	return tls.VersionName(w.tls.ConnectionState().Version)
}

// step adds to what is noted of the message under way, once it has ended.
func (s *session) step(one trace.Step) {
	if s.wire.srv.Trace != nil {
		s.steps = append(s.steps, one)
	}
}

// noteMessage notes a message that came whole at began, or should have come, with the answer.
func (s *session) noteMessage(m *incoming, began time.Time, answer *Reply, lost error) {
	if s.wire.srv.Trace == nil {
		return
	}
	r := s.record()
	r.At, r.Size = began, m.d.size
	if m.head != nil {
		if t := m.head.seen(); t != nil {
			r.MessageID = t.messageID
		}
	}
	r.Steps = append([]trace.Step{{Kind: trace.Received, Text: s.cameFrom()}}, s.steps...)
	switch {
	case lost != nil:
		r.Steps = []trace.Step{{Kind: trace.Lost, Text: s.cameFrom() + ", who broke off: " + lost.Error()}}
	case answer.Code >= 500:
		r.Steps = append(r.Steps, trace.Step{Kind: trace.Refused, Text: answer.line()})
	case answer.Code >= 400:
		r.Steps = append(r.Steps, trace.Step{Kind: trace.Deferred, Text: answer.line()})
	}
	s.wire.srv.Trace(r)
}

// cameFrom says who has handed the message in.
func (s *session) cameFrom() string {
	w := s.wire
	from := "from " + w.fromDomain()
	switch {
	case s.by.role == trusted:
		return "from a program of this machine"
	case s.by.role == user:
		from = "submitted " + from
	case s.by.role == device:
		from = "from the device " + literal(w.ip)
	}
	by := " by " + s.protocol()
	if v := w.tlsName(); v != "" {
		by += ", " + v
	}
	return from + by
}

// line is the reply as the client sees it.
func (r *Reply) line() string { return strings.TrimRight(string(r.append(nil)), "\r\n") }

// noteVerdict notes what was thought of a stranger's message.
func (s *session) noteVerdict() {
	word := s.verdict.Decision.String()
	switch s.verdict.Decision {
	case policy.Accept:
		word = "to be taken"
	case policy.Junk:
		word = "junk"
	}
	if s.verdict.Reason != "" {
		word += ": " + s.verdict.Reason
	}
	s.step(trace.Step{Kind: trace.Judged, Text: word})
}

// noteDelivery notes which mailboxes have the message.
func (s *session) noteDelivery(open []Target, failed []Failure) {
	if s.wire.srv.Trace == nil {
		return
	}
	missed := map[string]bool{}
	for _, f := range failed {
		missed[f.Address] = true
		s.step(trace.Step{Kind: trace.Missed, Recipient: f.Recipient, Account: f.Address, Text: f.Err.Error()})
	}
	for _, t := range open {
		if !missed[t.Address] {
			s.step(trace.Step{Kind: trace.Delivered, Recipient: t.Recipient, Account: t.Address, Mailbox: orDefault(t.Placed, "INBOX")})
		}
	}
}

// noteRefusal notes a recipient that was refused.
func (s *session) noteRefusal(answer *Reply) {
	w := s.wire
	if w.srv.Trace == nil || w.verb != "RCPT" {
		return
	}
	r := s.record()
	one := trace.Step{Kind: trace.Refused, Text: answer.line()}
	one.Recipient = w.address(w.rcpt.To)
	if answer.Code < 500 {
		one.Kind = trace.Deferred
	}
	r.Steps = []trace.Step{one}
	w.srv.Trace(r)
}

// noteVisit notes a client that may not come in at all.
func (w *wire) noteVisit(answer *Reply) {
	w.noteClient("", answer.Code, "at connecting: "+answer.line())
}

// noteSender notes a MAIL that was refused, be it for its size.
func (w *wire) noteSender(code int, reply string) {
	if w.verb == "MAIL" && code >= 400 {
		w.noteClient(w.mail.From.String(), code, strings.TrimRight(reply, "\r\n"))
	}
}

// noteClient notes a refusal before there is a message; its id is the session's.
func (w *wire) noteClient(sender string, code int, text string) {
	if w.srv.Trace == nil {
		return
	}
	r := trace.Record{ID: w.id, Sender: sender, TLS: w.tlsName(), Steps: []trace.Step{{Kind: trace.Refused, Text: text}}}
	if w.ip.IsValid() && !w.isUnix() {
		r.Client = w.ip.Unmap().WithZone("").String()
	}
	if code < 500 {
		r.Steps[0].Kind = trace.Deferred
	}
	w.srv.Trace(r)
}

// noteQueued notes what the queue has taken: of all, the last ones are passed on by aliases.
func (s *session) noteQueued(all, passed []queue.Envelope) {
	if s.wire.srv.Trace == nil {
		return
	}
	for i, e := range all {
		kind := trace.Queued
		if i >= len(all)-len(passed) {
			kind = trace.Forwarded
		}
		for _, to := range e.Recipients {
			if to.Account == "" {
				s.step(trace.Step{Kind: kind, Recipient: to.Address, Text: e.ID})
			}
		}
	}
}
