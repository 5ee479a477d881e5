package relay

import (
	"fmt"
	"strconv"
	"time"

	"kurir/internal/smtpclient"
)

// DeliverBy is until when a message is to be delivered (RFC 2852). Zero: nobody said so.
type DeliverBy struct {
	At     time.Time
	Return bool // then it is returned; else its sender is told, and it goes on
	Trace  bool // its sender wants to hear of each host that takes it
}

// IsZero tells whether nobody said so.
func (b DeliverBy) IsZero() bool { return b.At.IsZero() }

// Mode is the by-mode with its by-trace: "R", "N", "RT" or "NT".
func (b DeliverBy) Mode() string {
	mode := "N"
	if b.Return {
		mode = "R"
	}
	if b.Trace {
		mode += "T"
	}
	return mode
}

// maxBy is what nine digits can say, in seconds.
const maxBy = 999_999_999

// deliverBy says in a transaction how much time is left (RFC 2852 section 4.1.4). What is to
// be returned goes only to hosts that promise to, and that can do it within that time; else
// all are settled, and it reports false.
func (a *attempt) deliverBy(s *session, t *smtpclient.Transaction) bool {
	by := a.m.By
	if by.IsZero() {
		return true
	}
	left := int64(by.At.Sub(a.r.now()) / time.Second)
	most, offered := s.conn.Extension("DELIVERBY")
	if !offered && by.Return {
		a.settleAll(s.cannot("5.4.7", "The sender wants the message back if it is not delivered in time, and %s cannot do that (DELIVERBY).", s.peer.show()))
		return false
	}
	if least, err := strconv.ParseInt(most, 10, 64); offered && by.Return && (left <= 0 || err == nil && left < least) {
		a.settleAll(s.cannot("5.4.7", "The sender wants the message back if it is not delivered in time, and the %d seconds that are left are too few for %s.",
			max(left, 0), s.peer.show()))
		return false
	}
	if offered {
		t.By = fmt.Sprintf("%d;%s", min(max(left, -maxBy), maxBy), by.Mode())
	}
	return true
}
