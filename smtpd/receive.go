package smtpd

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"kurir/internal/queue"
)

// incoming is one message while it is received.
type incoming struct {
	staged Staged
	head   headerReader // between the decoder and staged
	d      decoder
	max    int64
	tooBig bool
	end    time.Time // no octet is taken after it
	err    error     // of head or staged
}

var (
	errAborted = errors.New("smtpd: message given up by the client")
	errTooLate = errors.New("smtpd: message took too long")
)

// write takes decoded octets, and forgets them once the message is refused anyway.
func (m *incoming) write(p []byte) {
	if m.d.size > m.max {
		m.tooBig = true
	}
	if m.err == nil && !m.tooBig {
		m.err = m.head.write(p)
	}
}

// refused says why the message received so far is refused; nil: it is not.
func (m *incoming) refused() *Reply {
	if r := m.d.fault(); r != nil {
		return r
	}
	if m.tooBig {
		return replyTooBig
	}
	if m.err != nil {
		return replyTo(m.err)
	}
	return nil
}

// receive takes a message and delivers it. nil: it is delivered, or will be.
func (s *session) receive() *Reply {
	w := s.wire
	staged, err := w.srv.Store.Stage()
	if err != nil {
		staged = nil // the data is read all the same
	} else {
		defer staged.Close()
	}
	m := &incoming{staged: staged, max: w.srv.MaxSize, err: err, end: time.Now().Add(w.srv.MessageTimeout)}
	if err == nil {
		m.head = s.newHeaderReader(staged)
	}
	if err := w.receiveMessage(m); err != nil {
		w.log.Info("message not received", "error", err)
		s.observe(replyUnavailable, 0, 0)
		return s.lost(err)
	}
	began := time.Now()
	r := m.refused()
	if r == nil {
		r = s.deliver(m)
	}
	s.observe(r, m.d.size, time.Since(began))
	log := w.log.With("from", s.mail.From.String(), "to", recipientList(s.recipients), "size", m.d.size)
	switch {
	case r == nil:
		w.bad, w.refused = 0, 0
		log.Info("message accepted", "id", s.messageID(), "took", time.Since(began))
	case r.Code == replyUnavailable.Code:
		log.Error("message deferred", "reply", r)
	default:
		log.Warn("message refused", "reply", r)
	}
	return r
}

// observe reports the end of a transaction.
func (s *session) observe(r *Reply, size int64, d time.Duration) {
	result := "accepted"
	switch {
	case r != nil && r.Code < 500:
		result = "deferred"
	case r != nil:
		result = "refused"
	}
	s.wire.srv.Observe(result, size, d)
}

// lost ends the session, or the transaction, after a message that did not come whole.
// Nothing of it is kept, and nothing of what may follow is taken for a command.
func (s *session) lost(err error) *Reply {
	w := s.wire
	if errors.Is(err, errAborted) {
		w.mute = true // go-smtp's answer; the command that gave up gets its own
		return replyUnavailable
	}
	if errors.Is(err, errTooLate) || errors.Is(err, errDrain) {
		w.hangUp(replyIdle)
	} else {
		w.readFailed(err)
	}
	return replyUnavailable
}

// deliver puts the trace headers on and hands the message over.
func (s *session) deliver(m *incoming) *Reply {
	w := s.wire
	if err := m.head.finish(); err != nil {
		return replyTo(err)
	}
	if r := s.checkHops(m.head.seen()); r != nil {
		return r
	}
	if err := m.staged.Prepend(s.trace()); err != nil {
		return replyTo(err)
	}
	// The message is whole: the end of the connection must not part its recipients.
	ctx := context.WithoutCancel(w.ctx)
	failed, err := w.srv.Store.Deliver(ctx, m.staged, s.targets)
	if err != nil {
		return replyTo(err)
	}
	if err := s.keep(ctx, m.staged, failed); err != nil {
		// The client will send it again, and some will have it twice: better than not at all.
		return replyUnavailable.because(err)
	}
	return nil
}

// keep hands those that could not be delivered to on to the retry.
func (s *session) keep(ctx context.Context, m Staged, failed []Failure) error {
	if len(failed) == 0 {
		return nil
	}
	w := s.wire
	w.log.Warn("delivery failed for some recipients, will be tried again", "failed", len(failed),
		"error", failed[0].Err)
	var why []queue.Failed
	for _, f := range failed {
		why = append(why, queue.Failed{Account: f.Address, Recipient: f.Recipient, Err: f.Err})
	}
	return w.srv.Retry.Keep(ctx, m, s.mail.From.String(), why)
}

// recipientList logs recipients.
type recipientList []Path

func (l recipientList) LogValue() slog.Value {
	s := ""
	for i, p := range l {
		if i > 0 {
			s += " "
		}
		s += p.String()
	}
	return slog.StringValue(s)
}

// receiveMessage reads the data of a message to its end.
func (w *wire) receiveMessage(m *incoming) (err error) {
	w.in.large()
	defer w.in.small()
	if w.chunk != nil {
		err = w.receiveChunks(m)
	} else {
		err = w.receiveData(m)
	}
	// go-smtp's own reader is shown an empty message.
	w.give(".")
	return err
}

// receiveData reads dot-stuffed data (RFC 5321 section 4.1.1.4).
func (w *wire) receiveData(m *incoming) error {
	for {
		b := w.in.bytes()
		n, end := m.d.write(b, m.write)
		w.in.skip(n)
		if end {
			return nil
		}
		if err := w.fillMessage(m); err != nil {
			return err
		}
	}
}

// fillMessage reads more of a message, while there is time for it.
func (w *wire) fillMessage(m *incoming) error {
	if m.tooBig {
		m.end = earlier(m.end, time.Now().Add(w.srv.DrainTimeout))
	}
	left := time.Until(m.end)
	if left <= 0 {
		if m.tooBig {
			return errDrain
		}
		return errTooLate
	}
	return w.fill(min(left, w.srv.IdleTimeout))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
