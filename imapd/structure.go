package imapd

import (
	"strings"

	"kurir/internal/message"
)

// appendEnvelope appends ENVELOPE (RFC 9051 section 7.5.2).
func appendEnvelope(b []byte, e *message.Envelope, utf8ok bool) []byte {
	if e == nil {
		return append(b, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"...)
	}
	b = append(b, '(')
	b = appendPresent(b, e.Date, e.HasDate, utf8ok)
	b = append(b, ' ')
	b = appendPresent(b, e.Subject, e.HasSubject, utf8ok)
	for _, list := range [...][]message.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		b = append(b, ' ')
		b = appendAddresses(b, list, utf8ok)
	}
	b = append(b, ' ')
	b = appendPresent(b, e.InReplyTo, e.HasInReplyTo, utf8ok)
	b = append(b, ' ')
	b = appendPresent(b, e.MessageID, e.HasMessageID, utf8ok)
	return append(b, ')')
}

// appendPresent appends a field that is "" if it is empty, and NIL if it is absent.
func appendPresent(b []byte, s string, present, utf8ok bool) []byte {
	if !present {
		return append(b, "NIL"...)
	}
	return appendString(b, s, utf8ok)
}

// appendAddresses appends an address list, NIL if it is empty. Only the end of a group has
// no mailbox: a group's name, and a quoted local part, may be empty.
func appendAddresses(b []byte, list []message.Address, utf8ok bool) []byte {
	if len(list) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	group := false
	for _, a := range list {
		b = appendNString(append(b, '('), a.Name, utf8ok)
		b = appendNString(append(b, ' '), a.Route, utf8ok)
		b = appendPresent(append(b, ' '), a.Mailbox, a.Host != "" || !group, utf8ok)
		b = appendNString(append(b, ' '), a.Host, utf8ok)
		b = append(b, ')')
		group = group != (a.Host == "")
	}
	return append(b, ')')
}

// structureForm says how a structure is to be shown.
type structureForm struct {
	ext  bool // BODYSTRUCTURE, and not BODY
	utf8 bool // strings may be UTF-8
	rev2 bool // message/global has the form of message/rfc822 (RFC 9051 section 9, media-message)
}

// appendStructure appends BODYSTRUCTURE or BODY (RFC 9051 section 7.5.2).
func appendStructure(b []byte, p *message.Part, form structureForm) []byte {
	utf8ok := form.utf8
	b = append(b, '(')
	if p.IsMultipart() {
		for _, c := range p.Children {
			b = appendStructure(b, c, form)
		}
		if len(p.Children) == 0 {
			b = appendStructure(b, p.Placeholder(), form)
		}
		b = appendString(append(b, ' '), p.Subtype, utf8ok)
		if form.ext {
			b = appendParams(append(b, ' '), p.Params, utf8ok)
			b = appendExtension(b, p, utf8ok)
		}
		return append(b, ')')
	}
	b = appendBasic(b, p, utf8ok)
	switch {
	case p.IsText():
		b = appendNumber(append(b, ' '), p.Lines)
	case p.IsMessage() && (form.rev2 || strings.EqualFold(p.Subtype, "rfc822")) && len(p.Children) == 1:
		inner := p.Children[0]
		b = appendEnvelope(append(b, ' '), inner.Envelope, utf8ok)
		b = appendStructure(append(b, ' '), inner, form)
		b = appendNumber(append(b, ' '), p.Lines)
	}
	if form.ext {
		b = appendNString(append(b, ' '), p.MD5, utf8ok)
		b = appendExtension(b, p, utf8ok)
	}
	return append(b, ')')
}

// appendBasic appends what each part that is no multipart has: type to size.
func appendBasic(b []byte, p *message.Part, utf8ok bool) []byte {
	b = appendString(b, p.Type, utf8ok)
	b = appendString(append(b, ' '), p.Subtype, utf8ok)
	b = appendParams(append(b, ' '), p.Params, utf8ok)
	b = appendNString(append(b, ' '), p.ID, utf8ok)
	b = appendNString(append(b, ' '), p.Description, utf8ok)
	b = appendString(append(b, ' '), p.Encoding, utf8ok)
	return appendNumber(append(b, ' '), p.BodyWire())
}

// appendExtension appends disposition, language and location.
func appendExtension(b []byte, p *message.Part, utf8ok bool) []byte {
	b = append(b, ' ')
	if p.Disposition == "" {
		b = append(b, "NIL"...)
	} else {
		b = appendString(append(b, '('), p.Disposition, utf8ok)
		b = appendParams(append(b, ' '), p.DispositionParams, utf8ok)
		b = append(b, ')')
	}
	b = append(b, ' ')
	if len(p.Language) == 0 {
		b = append(b, "NIL"...)
	} else {
		b = append(b, '(')
		for i, l := range p.Language {
			if i > 0 {
				b = append(b, ' ')
			}
			b = appendString(b, l, utf8ok)
		}
		b = append(b, ')')
	}
	return appendNString(append(b, ' '), p.Location, utf8ok)
}

// appendParams appends a parameter list, NIL if it is empty.
func appendParams(b []byte, params []message.Param, utf8ok bool) []byte {
	if len(params) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for i, p := range params {
		if i > 0 {
			b = append(b, ' ')
		}
		b = appendString(b, p.Name, utf8ok)
		b = appendString(append(b, ' '), p.Value, utf8ok)
	}
	return append(b, ')')
}
