package queue

import (
	"strings"

	"kurir/internal/relay"
)

// deadline is when a recipient is given up whose time begins at from: a message that is to
// be returned when its time is over waits no longer (RFC 2852).
func (q *Queue) deadline(r *row, from int64) int64 {
	deadline := from + q.o().Expire.Milliseconds()
	if by := r.mail.by; by.Return && !by.IsZero() {
		deadline = max(from, min(deadline, by.At.UnixMilli()))
	}
	return deadline
}

// delay is when the sender is told that a recipient whose time begins at from waits still.
func (q *Queue) delay(r *row, from int64) int64 {
	delay := from + q.o().DelayNotice.Milliseconds()
	if by := r.mail.by; !by.Return && !by.IsZero() {
		delay = max(from, min(delay, by.At.UnixMilli()))
	}
	return delay
}

// byTime and byMode are a time limit as the database has it; deliverBy is the way back.
func byTime(by relay.DeliverBy) int64 {
	if by.IsZero() {
		return 0
	}
	return by.At.UnixMilli()
}

func byMode(by relay.DeliverBy) string {
	if by.IsZero() {
		return ""
	}
	return by.Mode()
}

func deliverBy(at int64, mode string) relay.DeliverBy {
	if at == 0 {
		return relay.DeliverBy{}
	}
	return relay.DeliverBy{At: fromMilli(at), Return: strings.HasPrefix(mode, "R"), Trace: strings.HasSuffix(mode, "T")}
}
