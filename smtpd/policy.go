package smtpd

import (
	"context"
	"log/slog"
	"strings"

	"kurir/internal/policy"
)

// Policy judges strangers' messages. Those of users, devices and the administrator's own
// programs are not judged.
type Policy interface {
	// Begin is called when a stranger's recipients are known and his message is about to
	// come, so that what needs no message is found out meanwhile. The judge that it returns
	// is called once at most, with the whole message; ctx ends when it never will be.
	Begin(ctx context.Context, a policy.Arrival) func(context.Context, policy.Open) policy.Verdict
}

// judge is one message's, nil if it is not judged.
type judge func(context.Context, policy.Open) policy.Verdict

// beginJudgment tells the policy of a message that is about to come.
func (s *session) beginJudgment(ctx context.Context) judge {
	w := s.wire
	if w.srv.Policy == nil || s.by.submits() {
		return nil
	}
	found := s.findings()
	a := policy.Arrival{
		ID: s.messageID(), IP: w.clientAddr(), Helo: w.helo, Sender: s.mail.From.String(),
		Notes: found.Notes, Trusted: found.Trusted, Junk: found.Junk,
	}
	for _, r := range s.recipients {
		a.Recipients = append(a.Recipients, w.address(r.To))
	}
	return w.srv.Policy.Begin(ctx, a)
}

// judged has a message judged, and remembers the verdict. The answer is for one that is
// not taken; nil: it is.
func (s *session) judged(ctx context.Context, m *incoming) *Reply {
	if m.judge == nil {
		return nil
	}
	s.verdict = m.judge(ctx, m.staged.Reader)
	if ctx.Err() != nil { // what was not found out is no fault of the message
		return replyUnavailable.because(ctx.Err())
	}
	w := s.wire
	w.log.LogAttrs(ctx, slog.LevelInfo, "message judged", append([]slog.Attr{slog.String("id", s.messageID())}, s.verdict.Details...)...)
	s.noteVerdict()
	switch s.verdict.Decision {
	case policy.Refuse:
		return &Reply{550, s.verdict.Status, strings.Map(oneLine, s.verdict.Reason), nil}
	case policy.Later:
		return &Reply{451, s.verdict.Status, strings.Map(oneLine, s.verdict.Reason), nil}
	case policy.Junk:
		if r := s.dropJunk(); r != nil {
			return r
		}
		for i := range s.targets {
			s.targets[i].Junk = true
		}
	}
	return nil
}
