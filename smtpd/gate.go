package smtpd

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"kurir/internal/gate"
)

// Gate looks at strangers on port 25 before their messages come. Users who have logged
// in, devices and the administrator's own programs never meet it.
type Gate interface {
	// Connect begins a visit that ends with ctx. ip is the client's address, the zero Addr
	// if it has none. The error is a *gate.Refusal that closes the connection.
	Connect(ctx context.Context, ip netip.Addr) (Visit, error)
	// Wrote is told whom users and devices here have written to elsewhere.
	Wrote(ctx context.Context, addresses []string)
}

// Visit is one connection at the gate. Errors are a *gate.Refusal; any other is our own
// fault.
type Visit interface {
	// Hello takes the name of EHLO or HELO; the last one counts.
	Hello(name string)
	// Mail is asked about the sender of a message, "" being the null reverse-path.
	Mail(ctx context.Context, from string) error
	// Rcpt is asked about a recipient here, an address with its domain.
	Rcpt(ctx context.Context, to string) error
	// Count takes note of a message that was taken, or of a command that was refused for
	// good.
	Count(taken bool)
	// Findings are those about the message under way.
	Findings() gate.Findings
}

// MailGate is the Gate that the administrator's settings make.
type MailGate struct{ *gate.Gate }

// Connect begins a visit.
func (g MailGate) Connect(ctx context.Context, ip netip.Addr) (Visit, error) {
	v, err := g.Gate.Connect(ctx, ip)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// clientAddr is the client's address for all that is judged by it: SPF, limits, bans. It
// is the zero Addr if the address stands for everybody, as that of a proxy does.
func (w *wire) clientAddr() netip.Addr {
	if !w.ip.IsValid() || w.ip.IsLoopback() || w.srv.Shared != nil && w.srv.Shared(w.ip) {
		return netip.Addr{}
	}
	return w.ip
}

// visitGate shows a new connection to the gate, and tells whether it may go on.
func (w *wire) visitGate() bool {
	if w.srv.Gate == nil || w.run.mode != Inbound {
		return true
	}
	v, err := w.srv.Gate.Connect(w.ctx, w.ip)
	if err != nil {
		r := replyTo(err)
		level := slog.LevelWarn
		if g, ok := errors.AsType[*gate.Refusal](err); ok && g.Again {
			level = slog.LevelDebug // a flood shall not fill the log
		}
		w.log.Log(w.ctx, level, "refused", "reply", r)
		if level == slog.LevelWarn {
			w.noteVisit(r)
		}
		w.hangUp(r)
		return false
	}
	w.visit = v
	return true
}

// gateMail asks the gate about the sender of a stranger's message.
func (s *session) gateMail(by submitter, from Path) *Reply {
	w := s.wire
	if w.visit == nil || by.submits() {
		return nil
	}
	w.visit.Hello(w.helo)
	if err := w.visit.Mail(w.ctx, from.String()); err != nil {
		return replyTo(err)
	}
	return nil
}

// gateRcpt asks the gate about a recipient of a stranger's message.
func (s *session) gateRcpt(to Path) error {
	w := s.wire
	if w.visit == nil || s.by.submits() {
		return nil
	}
	return w.visit.Rcpt(w.ctx, w.address(to))
}

// tellGate tells the gate of a message that was taken, and whom elsewhere a user writes
// to, so that their answers are let in at once. Who writes as nobody, as a notice does,
// expects none.
func (s *session) tellGate() {
	w := s.wire
	if w.visit != nil && !s.by.submits() {
		w.visit.Count(true)
	}
	if w.srv.Gate == nil || !s.by.submits() || s.mail.From.IsNull() {
		return
	}
	var elsewhere []string
	for _, r := range s.recipients {
		if r.elsewhere() {
			elsewhere = append(elsewhere, w.address(r.To))
		}
	}
	w.srv.Gate.Wrote(w.ctx, elsewhere)
}

// findings are the gate's about the message under way, none where it is not asked.
func (s *session) findings() gate.Findings {
	if s.wire.visit == nil || s.by.submits() {
		return gate.Findings{}
	}
	return s.wire.visit.Findings()
}
