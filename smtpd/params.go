package smtpd

import (
	"strconv"
	"strings"

	"kurir/internal/relay"
)

// mailCommand is a MAIL command that was understood.
type mailCommand struct {
	From       Path
	Size       int64  // RFC 1870; 0: not said
	EightBit   bool   // BODY=8BITMIME (RFC 6152)
	UTF8       bool   // RFC 6531
	RequireTLS bool   // RFC 8689
	Ret        string // "FULL", "HDRS" or "" (RFC 3461 section 4.3)
	EnvID      string // xtext, as it came (RFC 3461 section 4.4)
	By         *deliverBy
	Priority   int // -9 to 9 (RFC 6710)
}

// rcptCommand is a RCPT command that was understood.
type rcptCommand struct {
	To     Path
	Notify relay.Notify // RFC 3461 section 4.1
	ORCPT  string       // "type;address", as it came (RFC 3461 section 4.2)
}

// grammar is what a listener lets a client say.
type grammar struct {
	spaces     bool // around the path, as some mail programs send them
	dsn        bool // parameters of RFC 3461
	requireTLS bool // the parameter of RFC 8689
	schedule   bool // those of RFC 2852 and RFC 6710
	maxSize    int64
}

// parameters maps keyword, in capitals, to value.
type parameters map[string]string

// parseParameters reads what follows a path: nothing, or SP and esmtp-params separated
// by SP (RFC 5321 section 4.1.2).
func parseParameters(s string) (parameters, *Reply) {
	s = strings.TrimRight(s, " ")
	if s == "" {
		return nil, nil
	}
	if s[0] != ' ' {
		return nil, replyPath
	}
	p := parameters{}
	for f := range strings.SplitSeq(s[1:], " ") {
		if f == "" {
			continue
		}
		key, value, has := strings.Cut(f, "=")
		if !isKeyword(key) || has && !isValue(value) {
			return nil, replyParameters
		}
		key = strings.ToUpper(key)
		if _, twice := p[key]; twice {
			return nil, replyParameters
		}
		p[key] = value
	}
	return p, nil
}

func isKeyword(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && (s[i] != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}

func isValue(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == '=' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// parseMail reads what follows "MAIL ".
func parseMail(arg string, g grammar) (m mailCommand, r *Reply) {
	arg, ok := cutFold(arg, "FROM:")
	if !ok {
		return m, replyMailSyntax
	}
	if g.spaces {
		arg = strings.TrimLeft(arg, " ")
	}
	from, rest, err := parsePath(arg, true)
	if err != nil {
		return m, pathReply(err, replySender)
	}
	m.From = from
	params, r := parseParameters(rest)
	if r != nil {
		return m, r
	}
	for key, value := range params {
		if r := m.set(key, value, g); r != nil {
			return m, r
		}
	}
	if !m.UTF8 && !from.ASCII() {
		return m, replyNeedsUTF8
	}
	return m, nil
}

// set takes one parameter of MAIL.
func (m *mailCommand) set(key, value string, g grammar) *Reply {
	ok := true
	switch {
	case key == "SIZE":
		return m.setSize(value, g.maxSize)
	case key == "BODY": // RFC 6152
		m.EightBit = strings.EqualFold(value, "8BITMIME")
		ok = m.EightBit || strings.EqualFold(value, "7BIT")
	case key == "SMTPUTF8":
		m.UTF8, ok = true, value == ""
	case key == "REQUIRETLS" && g.requireTLS:
		m.RequireTLS, ok = true, value == ""
	case key == "AUTH": // RFC 4954 section 5: taken as AUTH=<>, we do not vouch for others
		ok = value != ""
	case key == "RET" && g.dsn:
		m.Ret, ok = parseRet(value)
	case key == "ENVID" && g.dsn:
		m.EnvID, ok = value, validEnvID(value)
	case key == "BY" && g.schedule:
		m.By, ok = parseBy(value)
	case key == "MT-PRIORITY" && g.schedule:
		m.Priority, ok = parsePriority(value)
	default:
		return replyUnknownParameter
	}
	if !ok {
		return replyParameters
	}
	return nil
}

// setSize takes the size that a client announces: up to 20 digits (RFC 1870 section 6).
func (m *mailCommand) setSize(value string, maxSize int64) *Reply {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil && strings.Trim(value, "0123456789") != "" || value == "" {
		return replyParameters
	}
	if err != nil || n > uint64(maxSize) {
		return replyTooBig
	}
	m.Size = int64(n)
	return nil
}

// parseRcpt reads what follows "RCPT ".
func parseRcpt(arg string, g grammar) (c rcptCommand, r *Reply) {
	arg, ok := cutFold(arg, "TO:")
	if !ok {
		return c, replyRcptSyntax
	}
	if g.spaces {
		arg = strings.TrimLeft(arg, " ")
	}
	to, rest, err := parsePath(arg, false)
	if err != nil {
		return c, pathReply(err, replyRecipient)
	}
	c.To = to
	params, r := parseParameters(rest)
	if r != nil {
		return c, r
	}
	for key, value := range params {
		ok := true
		switch {
		case key == "NOTIFY" && g.dsn:
			c.Notify, ok = parseNotify(value)
		case key == "ORCPT" && g.dsn:
			c.ORCPT, ok = value, validORCPT(value)
		default:
			return c, replyUnknownParameter
		}
		if !ok {
			return c, replyParameters
		}
	}
	return c, nil
}

// pathReply answers a path that could not be read; mailbox is for one whose brackets at
// least are there.
func pathReply(err error, mailbox *Reply) *Reply {
	if err == errMailbox {
		return mailbox
	}
	return replyPath
}

// cutFold is strings.CutPrefix for any case.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
