package smtpd

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"kurir/internal/policy"
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
	judge  judge     // nil: it is not judged
	// partial: the chunk that was received last is not the last of the message.
	partial bool
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

// receive takes a message and delivers it. The answer is 250 if it is delivered, or
// will be.
func (s *session) receive() *Reply {
	w := s.wire
	staged, err := w.srv.Store.Stage()
	if err != nil {
		staged = nil // the data is read all the same
	} else {
		defer staged.Close()
	}
	m := &incoming{staged: staged, max: w.srv.MaxSize, err: err, end: time.Now().Add(w.srv.MessageTimeout)}
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	if err == nil {
		m.head = s.newHeaderReader(staged)
		m.judge = s.beginJudgment(ctx)
	}
	if err := w.receiveMessage(m); err != nil {
		w.log.Info("message not received", "error", err)
		s.observe(replyUnavailable, 0, 0)
		s.noteMessage(m, time.Now(), nil, err)
		return s.lost(err)
	}
	s.partial = m.partial
	began := time.Now()
	r := m.refused()
	if r == nil {
		r = w.room(0) // what it takes is taken, and others came at the same time
	}
	if r == nil {
		r = s.deliver(ctx, m)
	}
	s.observe(r, m.d.size, time.Since(began))
	s.noteMessage(m, began, r, nil)
	log := w.log.With("from", s.mail.From.String(), "to", recipientList(s.recipients), "size", m.d.size)
	if s.by.role == device || s.by.role == trusted {
		log = log.With("account", s.by.account)
	}
	switch {
	case r.Code < 300:
		w.bad, w.refused = 0, 0
		s.tellGate()
		log.Info("message accepted", "id", s.messageID(), "reply", r.Text, "took", time.Since(began))
	case s.verdict.Decision == policy.Later:
		log.Warn("message deferred", "reply", r)
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
	case r.Code >= 500:
		result = "refused"
	case r.Code >= 400:
		result = "deferred"
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

// recipientList logs recipients.
type recipientList []recipient

func (l recipientList) LogValue() slog.Value {
	s := ""
	for i, r := range l {
		if i > 0 {
			s += " "
		}
		s += r.To.String()
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
