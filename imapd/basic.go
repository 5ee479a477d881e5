package imapd

import (
	"slices"
	"strings"
)

// Capabilities of every session, and those from login on. Only what is whole is here. IDLE is
// announced early for Outlook, which otherwise never uses it.
const (
	capsAlways = "IMAP4rev2 IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE"
	capsLogin  = " NAMESPACE UIDPLUS UNSELECT CHILDREN LIST-EXTENDED LIST-STATUS STATUS=SIZE" +
		" SPECIAL-USE CREATE-SPECIAL-USE UTF8=ACCEPT MOVE CONDSTORE QRESYNC ESEARCH SEARCHRES WITHIN" +
		" SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES I18NLEVEL=1 BINARY QUOTA QUOTA=RES-STORAGE APPENDLIMIT="
)

// capabilities lists what the client may use now (RFC 9051 section 7.2.2).
func (s *session) capabilities() string {
	caps := capsAlways
	if s.state != notAuthenticated {
		b := appendNumber([]byte(caps+capsLogin), s.maxMessage())
		if !s.compressed { // RFC 4978 section 3
			b = append(b, " COMPRESS=DEFLATE"...)
		}
		return string(b)
	}
	if s.srv.TLS != nil && !s.tls {
		caps += " STARTTLS"
	}
	if !s.plainAllowed() {
		return caps + " LOGINDISABLED"
	}
	for _, m := range s.srv.Auth.Mechanisms(s.attempt()) {
		caps += " AUTH=" + m
	}
	if !s.srv.Auth.PasswordCommands() {
		caps += " LOGINDISABLED"
	}
	return caps
}

func (s *session) maxMessage() int64 { return orDefault(s.srv.MaxMessage, DefaultMaxMessage) }

// capability is CAPABILITY (RFC 9051 section 6.1.1).
func (s *session) capability(c *command) error {
	if err := c.args.end(); err != nil {
		return err
	}
	s.out.line("* CAPABILITY ", s.capabilities())
	return nil
}

// noop is NOOP (RFC 9051 section 6.1.2) and CHECK (RFC 3501 section 6.4.1): what they are
// good for is what may be told after them.
func (s *session) noop(c *command) error { return c.args.end() }

// logout is LOGOUT (RFC 9051 section 6.1.3).
func (s *session) logout(c *command) error {
	if err := c.args.end(); err != nil {
		return err
	}
	s.out.line("* BYE Until next time")
	c.after = errGoodbye
	return nil
}

// startTLS is STARTTLS (RFC 9051 section 6.2.1). What the client sent in the clear behind
// the command is dropped (section 11.3: command injection).
func (s *session) startTLS(c *command) error {
	if err := c.args.end(); err != nil {
		return err
	}
	switch {
	case s.tls:
		return badf("TLS is active already")
	case s.srv.TLS == nil:
		return badf("TLS is not available")
	}
	s.answer(c, "OK", "", "Begin TLS now")
	if err := s.out.flush(); err != nil {
		return connError{err}
	}
	if err := s.handshake(); err != nil {
		s.log.Info("TLS handshake failed", "error", err)
		s.out.err = err // nothing more may be said in the clear
		return connError{err}
	}
	c.answered = true
	return nil
}

// id is ID (RFC 2971). The client's own words are of use in the log only.
func (s *session) id(c *command) error {
	p := c.args.sp()
	var said []string
	if p.peek() == '(' {
		p.list(func() {
			said = append(said, p.str("field name"))
			said = append(said, p.sp().nstring("field value"))
			if len(said) > 60 { // RFC 2971 section 3.3: 30 pairs
				p.fail("Too many fields")
			}
		})
	} else {
		p.nstring("parameter list")
	}
	if err := p.end(); err != nil {
		return err
	}
	s.log.Debug("client", "software", strings.Join(said, " "))
	s.out.line(`* ID ("name" "kurir")`)
	return nil
}

// namespace is NAMESPACE (RFC 9051 section 6.3.10): only personal mailboxes.
func (s *session) namespace(c *command) error {
	if err := c.args.end(); err != nil {
		return err
	}
	s.out.line(`* NAMESPACE (("" "/")) NIL NIL`)
	return nil
}

// enabling says what can be enabled, in the order of the response, and how.
var enabling = []struct {
	name string
	how  func(*session)
}{
	{"IMAP4rev2", func(s *session) { s.rev2, s.utf8 = true, true }},         // RFC 9051 section 6.3.1
	{"UTF8=ACCEPT", func(s *session) { s.utf8accept, s.utf8 = true, true }}, // RFC 9755 section 3
	{"CONDSTORE", (*session).enableCondstore},                               // RFC 7162 section 3.1
	{"QRESYNC", func(s *session) { s.qresync = true; s.enableCondstore() }}, // RFC 7162 section 3.2.3
}

// enable is ENABLE (RFC 9051 section 6.3.1). Names that can't be enabled are passed over.
// Servers need not check that no mailbox is selected.
func (s *session) enable(c *command) error {
	var wanted []string
	for first := true; first || c.args.peek() == ' ' && len(c.args.rest()) > 1; first = false {
		wanted = append(wanted, c.args.sp().word("capability"))
	}
	if err := c.args.end(); err != nil {
		return err
	}
	var how []func(*session)
	line := "* ENABLED"
	for _, e := range enabling {
		if slices.Contains(wanted, strings.ToUpper(e.name)) {
			line += " " + e.name
			how = append(how, e.how)
		}
	}
	s.out.line(line)
	for _, f := range how {
		f(s)
	}
	return nil
}

// enableCondstore notes that the client knows CONDSTORE. If a mailbox is selected, it
// is told HIGHESTMODSEQ the first time (RFC 7162 section 3.1).
func (s *session) enableCondstore() {
	if s.condstore {
		return
	}
	s.condstore = true
	if s.view != nil {
		b := append(s.out.buf(), "* OK [HIGHESTMODSEQ "...)
		b = appendNumber(b, s.view.Settled())
		s.out.set(append(b, "] Mod-sequences from here on\r\n"...))
	}
}
