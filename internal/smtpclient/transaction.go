package smtpclient

import (
	"context"
	"io"
	"strconv"
)

// Transaction is one message to one or more recipients of a server.
type Transaction struct {
	From string      // reverse-path without brackets, "" for the null path
	To   []Recipient // at least one; the caller keeps to what a server takes at once (RFC 5321 section 4.5.3.1.8)

	Size int64 // octets on the wire, for a server that offers SIZE; 0: unknown
	// Body8Bit, UTF8 and RequireTLS are the needs of the message: BODY=8BITMIME, SMTPUTF8
	// and REQUIRETLS. A server that does not offer one of them gets nothing.
	Body8Bit, UTF8, RequireTLS bool
	// Ret is "FULL", "HDRS" or "", EnvID xtext or "" (RFC 3461 sections 4.3 and 4.4). They,
	// and those of recipients, are left out where the server does not offer DSN.
	Ret, EnvID string
	// By is "seconds;mode" (RFC 2852 section 4), Priority -9 to 9 (RFC 6710). They are left out
	// where the server does not offer DELIVERBY or MT-PRIORITY, and if they are zero.
	By       string
	Priority int

	// Open opens the message. Its lines may end in CRLF or LF.
	Open func() (io.ReadCloser, error)
	// BeforeDot is called when all of the message but its last part has been sent, right
	// before the octets that end it. After an error they are not sent. Nil: nothing.
	BeforeDot func(context.Context) error
}

// Recipient is one forward-path of a transaction.
type Recipient struct {
	Address string // without brackets
	ORCPT   string // "type;xtext", "" if none (RFC 3461 section 4.2)
	Notify  string // "NEVER", or of "SUCCESS,FAILURE,DELAY"; "" if none (RFC 3461 section 4.1)
}

// Outcome is how far a transaction came. A Reply that was not given has Code 0.
type Outcome struct {
	Mail  Reply
	Rcpt  []Reply // in the order of Transaction.To
	Data  Reply
	Final Reply // to the end of the message; may be a refusal given before that
	// Dot: the octets that end the message began to be written. If there is no Final
	// reply then, the server may have the message, or not.
	Dot bool
}

// accepted tells whether the server wants the message for anybody.
func (o *Outcome) accepted() bool {
	if !o.Mail.Positive() {
		return false
	}
	for i := range o.Rcpt {
		if o.Rcpt[i].Positive() {
			return true
		}
	}
	return false
}

// rest gives r to MAIL, and to all of RCPT and DATA, that have no reply.
func (o *Outcome) rest(r Reply) {
	for i := range o.Rcpt {
		if o.Rcpt[i].Code == 0 {
			o.Rcpt[i] = r
		}
	}
	if o.Data.Code == 0 {
		o.Data = r
	}
}

// check makes sure that a transaction can be sent here. Errors: ErrNotOffered,
// *EnvelopeError.
func (c *Conn) check(t *Transaction) error {
	for _, need := range []struct {
		is bool
		of string
	}{{t.Body8Bit, "8BITMIME"}, {t.UTF8, "SMTPUTF8"}, {t.RequireTLS, "REQUIRETLS"}} {
		if _, ok := c.ext[need.of]; need.is && !ok {
			return ErrNotOffered
		}
	}
	if t.RequireTLS && c.tls == nil { // RFC 8689 section 4.2.1
		return ErrNotOffered
	}
	if len(t.To) == 0 {
		return &EnvelopeError{Field: "RCPT"}
	}
	if !validPath(t.From, t.UTF8) {
		return &EnvelopeError{Field: "MAIL", Value: t.From}
	}
	if !validParam(t.Ret, false) || !validParam(t.EnvID, false) || !validParam(t.By, false) {
		return &EnvelopeError{Field: "ENVID", Value: t.Ret + t.EnvID}
	}
	for _, r := range t.To {
		if r.Address == "" || !validPath(r.Address, t.UTF8) {
			return &EnvelopeError{Field: "RCPT", Value: r.Address}
		}
		if !validParam(r.ORCPT, t.UTF8) || !validParam(r.Notify, false) {
			return &EnvelopeError{Field: "ORCPT", Value: r.ORCPT + r.Notify}
		}
	}
	return nil
}

// maxPath bounds an address and a parameter, in octets. RFC 5321 section 4.5.3.1.3 has
// 256 for a path, RFC 3461 section 4.2 500 for ORCPT; addresses in UTF-8 are longer.
const maxPath = 1000

// validPath tells whether an address can stand between the brackets of a path: nothing
// in it ends the path or the line. White space and brackets may be quoted.
func validPath(s string, utf8 bool) bool {
	quoted, escaped := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f || c >= 0x80 && !utf8:
			return false
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '<' || c == '>'):
			return false
		}
	}
	return !quoted && len(s) <= maxPath
}

// validParam tells whether a value can stand in a parameter (esmtp-value, RFC 5321
// section 4.1.2, but for "=", which some programs write).
func validParam(s string, utf8 bool) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f || c >= 0x80 && !utf8 {
			return false
		}
	}
	return len(s) <= maxPath
}

// appendMail appends the MAIL command of a transaction.
func (c *Conn) appendMail(b []byte, t *Transaction) []byte {
	b = append(append(append(b, "MAIL FROM:<"...), t.From...), '>')
	if _, ok := c.ext["SIZE"]; ok && t.Size > 0 { // RFC 1870 section 5
		b = strconv.AppendInt(append(b, " SIZE="...), t.Size, 10)
	}
	if t.Body8Bit { // RFC 6152 section 2
		b = append(b, " BODY=8BITMIME"...)
	}
	if t.UTF8 { // RFC 6531 section 3.4
		b = append(b, " SMTPUTF8"...)
	}
	if t.RequireTLS { // RFC 8689 section 2
		b = append(b, " REQUIRETLS"...)
	}
	if _, ok := c.ext["DSN"]; ok {
		b = appendParam(b, " RET=", t.Ret)
		b = appendParam(b, " ENVID=", t.EnvID)
	}
	if _, ok := c.ext["DELIVERBY"]; ok {
		b = appendParam(b, " BY=", t.By)
	}
	if _, ok := c.ext["MT-PRIORITY"]; ok && t.Priority != 0 {
		b = strconv.AppendInt(append(b, " MT-PRIORITY="...), int64(t.Priority), 10)
	}
	return append(b, "\r\n"...)
}

// appendRcpt appends the RCPT command of a recipient.
func (c *Conn) appendRcpt(b []byte, r *Recipient) []byte {
	b = append(append(append(b, "RCPT TO:<"...), r.Address...), '>')
	if _, ok := c.ext["DSN"]; ok {
		b = appendParam(b, " NOTIFY=", r.Notify)
		b = appendParam(b, " ORCPT=", r.ORCPT)
	}
	return append(b, "\r\n"...)
}

func appendParam(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return append(append(b, name...), value...)
}
