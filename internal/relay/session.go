package relay

import (
	"strconv"
	"strings"
	"time"

	"kurir/internal/smtpclient"
)

// session is a connection that is ready for MAIL.
type session struct {
	conn       *smtpclient.Conn
	candidate  candidate
	policy     policy
	peer       Peer
	rule       rule   // that was kept
	name       string // of the way that it was used for last
	requireTLS bool   // what RFC 8689 asks for is there
	fellBack   bool   // TLS failed, so there is none
	served     bool   // a message went over it already, or it has waited for one
	sent       int    // transactions
	most       int    // transactions that the host takes; 0: it does not say
	recipients int    // of one transaction
	timer      *time.Timer
}

func newSession(c *smtpclient.Conn, n *negotiation) *session {
	s := &session{conn: c, candidate: n.c, policy: n.p, rule: n.guard.rule, peer: n.peer, recipients: maxRecipients}
	_, required := c.Extension("REQUIRETLS")
	s.requireTLS = required && n.peer.TLSName != "" && n.guard.known
	s.limits()
	return s
}

// limits obeys what the host says of itself (RFC 9422 section 4).
func (s *session) limits() {
	params, _ := s.conn.Extension("LIMITS")
	for p := range strings.FieldsSeq(params) {
		name, value, _ := strings.Cut(p, "=")
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			continue
		}
		switch strings.ToUpper(name) {
		case "MAILMAX":
			s.most = n
		case "RCPTMAX":
			s.recipients = min(s.recipients, n)
		}
	}
}

// offers tells whether the host has an extension.
func (s *session) offers(keyword string) bool {
	_, ok := s.conn.Extension(keyword)
	return ok
}

// another tells whether the connection is good for one more transaction, of at most so
// many as we want.
func (s *session) another(most int) bool {
	return s.conn.Usable() && s.sent < most && (s.most == 0 || s.sent < s.most)
}
