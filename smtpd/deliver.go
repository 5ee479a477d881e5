package smtpd

import (
	"context"
	"slices"
	"strings"

	"kurir/internal/queue"
)

// deliver puts the trace headers on and hands the message over. The answer is the one to
// the client.
func (s *session) deliver(ctx context.Context, m *incoming) *Reply {
	if err := m.head.finish(); err != nil {
		return replyTo(err)
	}
	if r := s.checkHops(m.head.seen()); r != nil {
		return r
	}
	s.tlsWaived = m.head.seen().tls.waived()
	if r := s.judged(ctx, m); r != nil {
		return r
	}
	if r := s.provePosting(ctx); r != nil {
		return r
	}
	above, below := s.forwardHeader(ctx, m.staged)
	signature, err := s.sign(ctx, m)
	if err != nil {
		return replyTo(err)
	}
	final := s.final()
	if err := m.staged.Prepend(slices.Concat(final, signature, above, s.verdict.Header, s.received(), below)); err != nil {
		return replyTo(err)
	}
	size := m.staged.Size() - int64(len(final))
	// The message is whole: the end of the connection must not part its recipients.
	return s.handOver(context.WithoutCancel(ctx), m.staged, size)
}

// handOver gives the message to mailboxes and queue. What is for elsewhere is durable
// before anybody here gets it, so that what can go wrong afterwards is little: if it
// does, the client will send the message again, and some will have it twice, which is
// better than not at all. The same holds for what aliases pass on, which has envelopes of
// its own: only when all are committed does the client hear so.
// size is the message's on the wire, without what s.final adds.
func (s *session) handOver(ctx context.Context, m Staged, size int64) *Reply {
	w := s.wire
	passed := s.onwardEnvelopes(size)
	o := outgoing{q: w.srv.Queue}
	defer o.drop()
	open, waiting := s.openTargets()
	n := len(passed)
	if s.needsQueue() || len(waiting) > 0 {
		n++
	}
	if err := o.keep(m, n); err != nil {
		return replyTo(err)
	}
	var failed []Failure
	if len(open) > 0 {
		var err error
		if failed, err = w.srv.Store.Deliver(ctx, m, open); err != nil {
			return replyTo(err)
		}
	}
	failed = append(failed, waiting...)
	s.noteDelivery(open, failed)
	failed = s.settleEach(failed)
	all := passed
	if len(failed) > 0 || s.needsQueue() {
		if len(failed) > 0 {
			w.log.Warn("delivery failed for some recipients, will be tried again", "failed", len(failed), "error", failed[0].Err)
		}
		if w.srv.Queue == nil {
			return replyUnavailable.because(failed[0].Err)
		}
		if err := o.keep(m, len(passed)+1); err != nil {
			return replyUnavailable.because(err)
		}
		all = append([]queue.Envelope{s.envelope(size, failed)}, passed...)
	}
	if len(all) == 0 {
		return &Reply{250, "2.0.0", "OK delivered as " + s.messageID(), nil}
	}
	receipt, err := o.commit(ctx, all)
	switch {
	case err == nil:
		s.noteQueued(all, passed)
		s.passed(all[len(all)-len(passed):])
		return s.queued(receipt)
	case len(s.targets) > 0 || o.committed > 0 || replyTo(err).Code >= 500:
		return replyUnavailable.because(err)
	}
	return replyTo(err)
}

// needsQueue tells whether the message goes elsewhere, or whether somebody wants to hear
// of its delivery here.
func (s *session) needsQueue() bool {
	return slices.ContainsFunc(s.recipients, func(r recipient) bool {
		return r.elsewhere() || r.comesBack() || s.wantsReport(r)
	})
}

// wantsReport tells whether the delivery to a recipient is reported. Nobody hears of what
// came from nobody (RFC 3461 section 5.2.2).
func (s *session) wantsReport(r recipient) bool {
	return r.Notify.Success() && (len(r.accounts) > 0 || r.expands()) && !s.mail.From.IsNull() && s.wire.srv.Queue != nil
}

// envelope is what the queue is to know: recipients elsewhere, mailboxes here that have
// failed, and recipients whose mailboxes all have the message, if that is to be reported.
func (s *session) envelope(size int64, failed []Failure) queue.Envelope {
	e := s.emptyEnvelope(size)
	why := map[string]error{} // by account; each is tried once, for the first who leads to it
	for _, f := range failed {
		why[f.Address] = f.Err
	}
	for _, r := range s.recipients {
		to := queue.Recipient{Address: s.wire.address(r.To), ORCPT: r.ORCPT, Notify: r.Notify}
		if r.elsewhere() || r.comesBack() {
			if r.comesBack() {
				to.Address = r.onward[0].address
				e.UTF8 = e.UTF8 || !isASCII(to.Address)
			}
			e.Recipients = append(e.Recipients, to)
			continue
		}
		missed := false
		for _, a := range r.accounts {
			err, is := why[a]
			missed = missed || is
			if err != nil {
				why[a] = nil
				to.Account, to.Err = a, err
				e.Recipients = append(e.Recipients, to)
			}
		}
		if !missed && s.wantsReport(r) {
			to.Expanded = r.expands()
			e.Delivered = append(e.Delivered, to)
		}
	}
	return e
}

// emptyEnvelope is what all envelopes of a message begin with.
func (s *session) emptyEnvelope(size int64) queue.Envelope {
	return s.wantsTLS(queue.Envelope{
		ID: s.messageID(), Sender: s.mail.From.String(), Account: s.by.account, Client: s.clientName(),
		EnvID: s.mail.EnvID, Ret: s.mail.Ret, UTF8: s.mail.UTF8, Size: size,
		By: s.deliverBy(), MTPriority: s.mail.Priority,
	})
}

// queued is the answer for a message that the queue has.
func (s *session) queued(receipt queue.Receipt) *Reply {
	text := "OK queued as " + s.messageID()
	if receipt.Held != "" {
		text += ", held for the administrator: " + strings.Map(oneLine, receipt.Held)
	}
	return &Reply{250, "2.0.0", text, nil}
}

// oneLine replaces what has no place in a reply.
func oneLine(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}
