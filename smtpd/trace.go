package smtpd

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"kurir/internal/directory"
)

// randomID is a short name for a session.
func randomID() string { return strings.ToLower(rand.Text()[:10]) }

// messageID names this transaction in logs and in Received: an Atom, which has no dot
// (RFC 5321 section 4.4).
func (s *session) messageID() string { return fmt.Sprintf("%s-%d", s.wire.id, s.wire.messages) }

// final makes the header lines that final delivery puts in front (RFC 5321 section 4.4),
// none if the message goes to nobody here. The queue takes them off again for recipients
// elsewhere. Delivered-To names a recipient only if there is no other to hide.
func (s *session) final() []byte {
	if len(s.targets) == 0 {
		return nil
	}
	b := fmt.Appendf(nil, "Return-Path: <%s>\r\n", s.mail.From)
	if len(s.recipients) == 1 {
		b = fmt.Appendf(b, "Delivered-To: %s\r\n", s.wire.address(s.recipients[0].To))
	}
	return b
}

// received makes the Received field (RFC 5321 section 4.4). "for" names a recipient only
// if there is no other to hide. All is in ASCII, lest a message whose header needs no
// SMTPUTF8 comes to need it here. Where a message has come from no other host there is no
// "from", and no protocol.
func (s *session) received() []byte {
	w := s.wire
	b := []byte("Received: ")
	if s.by.role == trusted {
		b = fmt.Appendf(b, "by %s id %s", w.srv.Hostname, s.messageID())
	} else {
		b = fmt.Appendf(b, "from %s\r\n\tby %s with %s id %s", w.fromDomain(), w.srv.Hostname, s.protocol(), s.messageID())
	}
	if len(s.recipients) == 1 {
		if to := inASCII(s.recipients[0].To); to.ASCII() {
			b = fmt.Appendf(b, "\r\n\tfor <%s>", w.address(to))
		}
	}
	if s.mail.Priority != 0 { // RFC 6710 section 5
		b = fmt.Appendf(b, "\r\n\tpriority %d", s.mail.Priority)
	}
	if w.tls != nil { // RFC 8314 section 4.3
		b = fmt.Appendf(b, "\r\n\ttls %s", tls.CipherSuiteName(w.tls.ConnectionState().CipherSuite))
	}
	return fmt.Appendf(b, ";\r\n\t%s\r\n", w.srv.Now().Format(time.RFC1123Z))
}

// protocol is the "with" of RFC 3848 and RFC 6531 section 4.3.
func (s *session) protocol() string {
	w := s.wire
	p := "SMTP"
	switch {
	case w.run.mode == LMTP && s.mail.UTF8:
		p = "UTF8LMTP"
	case w.run.mode == LMTP:
		p = "LMTP"
	case s.mail.UTF8:
		p = "UTF8SMTP"
	case w.esmtp:
		p = "ESMTP"
	}
	if p != "SMTP" && w.tls != nil {
		p += "S"
	}
	if p != "SMTP" && s.account != "" {
		p += "A"
	}
	return p
}

// fromDomain is the Extended-Domain: the name the client gave, if it is one, and its
// address. The name is not looked up.
func (w *wire) fromDomain() string {
	ip := " (" + literal(w.ip) + ")"
	if w.isUnix() {
		ip = ""
	}
	if name, ok := parseDomain(w.helo); ok {
		if p := inASCII(Path{"x", name}); p.ASCII() {
			return p.Domain + ip
		}
	}
	if w.isUnix() {
		return "localhost"
	}
	return literal(w.ip) + ip
}

// inASCII is a path with its domain in A-labels, if all of it can be written in ASCII so;
// else it is as it was.
func inASCII(p Path) Path {
	if p.ASCII() || !isASCII(p.Local) {
		return p
	}
	if domain, err := directory.ParseDomain(p.Domain); err == nil {
		p.Domain = domain
	}
	return p
}

// literal writes an address literal (RFC 5321 section 4.1.3).
func literal(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "[0.0.0.0]"
	case a.Is4():
		return "[" + a.String() + "]"
	}
	return "[IPv6:" + a.WithZone("").String() + "]"
}
