package smtpd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"kurir/internal/relay"
)

// When a message has to be delivered, and before which others (RFC 2852, RFC 6710). Who
// submits mail may say so; on port 25, strangers may not.

// deliverBy is the parameter BY.
type deliverBy struct {
	within        time.Duration // zero or less: it is late already
	giveUp, trace bool
}

// parseBy reads "seconds;mode" (RFC 2852 section 4): the mode is N or R, and a T may follow.
// What is to be returned at once could as well not be sent.
func parseBy(value string) (*deliverBy, bool) {
	seconds, mode, ok := strings.Cut(value, ";")
	digits := strings.TrimLeft(seconds, "+-")
	if !ok || len(digits) < 1 || len(digits) > 9 || len(seconds)-len(digits) > 1 {
		return nil, false
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, false
	}
	by := &deliverBy{within: time.Duration(n) * time.Second}
	mode, by.trace = strings.CutSuffix(strings.ToUpper(mode), "T")
	by.giveUp = mode == "R"
	return by, mode == "N" || by.giveUp && n > 0
}

// parsePriority reads a priority-value (RFC 6710 section 6): -9 to 9.
func parsePriority(value string) (int, bool) {
	digit := strings.TrimPrefix(value, "-")
	if len(digit) != 1 || digit[0] < '0' || digit[0] > '9' || value == "-0" {
		return 0, false
	}
	n, err := strconv.Atoi(value)
	return n, err == nil
}

// deliverBy is until when the message of this transaction is to be delivered.
func (s *session) deliverBy() relay.DeliverBy {
	by := s.mail.By
	if by == nil {
		return relay.DeliverBy{}
	}
	return relay.DeliverBy{At: s.wire.srv.Now().Add(by.within), Return: by.giveUp, Trace: by.trace}
}

// lastLines are those at the end of the reply to EHLO, of which go-smtp knows the last: what
// can be scheduled, and how much a client may ask for (RFC 9422).
func (w *wire) lastLines(last string) string {
	var b strings.Builder
	if w.run.offersDSN() {
		b.WriteString("250-DELIVERBY\r\n250-MT-PRIORITY\r\n")
	}
	if strings.HasPrefix(last, "250 LIMITS ") && w.run.mode != Trusted {
		last = fmt.Sprintf("%s MAILMAX=%d\r\n", strings.TrimSuffix(last, "\r\n"), w.srv.MaxMessages)
	}
	return b.String() + last
}
