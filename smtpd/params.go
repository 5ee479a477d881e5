package smtpd

import (
	"strconv"
	"strings"
)

// mailCommand is a MAIL command that was understood.
type mailCommand struct {
	From Path
	Size int64 // RFC 1870; 0: not said
	UTF8 bool  // RFC 6531
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

// parseMail reads what follows "MAIL ". spaces allows them around the path, as some
// mail programs send it.
func parseMail(arg string, spaces bool, maxSize int64) (m mailCommand, r *Reply) {
	arg, ok := cutFold(arg, "FROM:")
	if !ok {
		return m, replyMailSyntax
	}
	if spaces {
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
		if r := m.set(key, value, maxSize); r != nil {
			return m, r
		}
	}
	if !m.UTF8 && !from.ASCII() {
		return m, replyNeedsUTF8
	}
	return m, nil
}

// set takes one parameter of MAIL.
func (m *mailCommand) set(key, value string, maxSize int64) *Reply {
	switch key {
	case "SIZE": // RFC 1870 section 6; 20 digits at most
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil && strings.Trim(value, "0123456789") != "" || value == "" {
			return replyParameters
		}
		if err != nil || n > uint64(maxSize) {
			return replyTooBig
		}
		m.Size = int64(n)
	case "BODY": // RFC 6152
		if !strings.EqualFold(value, "7BIT") && !strings.EqualFold(value, "8BITMIME") {
			return replyParameters
		}
	case "SMTPUTF8":
		if value != "" {
			return replyParameters
		}
		m.UTF8 = true
	case "AUTH": // RFC 4954 section 5: taken as AUTH=<>, we do not vouch for others
		if value == "" {
			return replyParameters
		}
	default:
		return replyUnknownParameter
	}
	return nil
}

// parseRcpt reads what follows "RCPT ". No parameter is known.
func parseRcpt(arg string, spaces bool) (Path, *Reply) {
	arg, ok := cutFold(arg, "TO:")
	if !ok {
		return Path{}, replyRcptSyntax
	}
	if spaces {
		arg = strings.TrimLeft(arg, " ")
	}
	to, rest, err := parsePath(arg, false)
	if err != nil {
		return Path{}, pathReply(err, replyRecipient)
	}
	params, r := parseParameters(rest)
	if r == nil && len(params) > 0 {
		r = replyUnknownParameter
	}
	return to, r
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
