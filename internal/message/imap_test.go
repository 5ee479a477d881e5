package message

import (
	"fmt"
	"strconv"
	"strings"
)

// What follows writes a Part as IMAP does (RFC 9051 section 7.5.2), so that the tests
// can say what a client would see. Strings are quoted as Go quotes them.

func imapString(s string) string { return strconv.Quote(s) }

func imapNString(s string) string {
	if s == "" {
		return "NIL"
	}
	return imapString(s)
}

func imapParams(params []Param) string {
	if len(params) == 0 {
		return "NIL"
	}
	var list []string
	for _, p := range params {
		list = append(list, imapString(p.Name), imapString(p.Value))
	}
	return "(" + strings.Join(list, " ") + ")"
}

func imapBodyStructure(p *Part) string {
	var b strings.Builder
	switch {
	case p.IsMultipart():
		b.WriteString("(")
		for _, c := range p.Children {
			b.WriteString(imapBodyStructure(c))
		}
		if len(p.Children) == 0 {
			b.WriteString(imapBodyStructure(&Part{Type: "text", Subtype: "plain", Encoding: "7bit", Params: []Param{{"charset", "us-ascii"}}}))
		}
		fmt.Fprintf(&b, " %s %s", imapString(p.Subtype), imapParams(p.Params))
	default:
		fmt.Fprintf(&b, "(%s %s %s %s %s %s %d", imapString(p.Type), imapString(p.Subtype), imapParams(p.Params),
			imapNString(p.ID), imapNString(p.Description), imapString(p.Encoding), p.BodyWire())
		if p.IsText() {
			fmt.Fprintf(&b, " %d", p.Lines)
		} else if p.IsMessage() {
			fmt.Fprintf(&b, " %s %s %d", imapEnvelope(p.Children[0].Envelope), imapBodyStructure(p.Children[0]), p.Lines)
		}
		fmt.Fprintf(&b, " %s", imapNString(p.MD5))
	}
	disposition, language := "NIL", "NIL"
	if p.Disposition != "" {
		disposition = "(" + imapString(p.Disposition) + " " + imapParams(p.DispositionParams) + ")"
	}
	if len(p.Language) > 0 {
		var list []string
		for _, s := range p.Language {
			list = append(list, imapString(s))
		}
		language = "(" + strings.Join(list, " ") + ")"
	}
	fmt.Fprintf(&b, " %s %s %s)", disposition, language, imapNString(p.Location))
	return b.String()
}

func imapAddresses(list []Address) string {
	if len(list) == 0 {
		return "NIL"
	}
	var b strings.Builder
	group := false
	for _, a := range list {
		mailbox, host := imapString(a.Mailbox), imapNString(a.Host)
		if a.Host == "" {
			if group {
				mailbox = "NIL"
			}
			group = !group
		}
		fmt.Fprintf(&b, "(%s %s %s %s)", imapNString(a.Name), imapNString(a.Route), mailbox, host)
	}
	return "(" + b.String() + ")"
}

func imapEnvelope(e *Envelope) string {
	text := func(s string, has bool) string {
		if !has {
			return "NIL"
		}
		return imapString(s)
	}
	return "(" + strings.Join([]string{
		text(e.Date, e.HasDate), text(e.Subject, e.HasSubject),
		imapAddresses(e.From), imapAddresses(e.Sender), imapAddresses(e.ReplyTo),
		imapAddresses(e.To), imapAddresses(e.Cc), imapAddresses(e.Bcc),
		text(e.InReplyTo, e.HasInReplyTo), text(e.MessageID, e.HasMessageID),
	}, " ") + ")"
}

// walk calls f for p and all parts in it with their IMAP part numbers, "" for the
// message itself. The body of a message that is no multipart is not called again.
func walk(p *Part, number string, f func(number string, p *Part)) {
	f(number, p)
	q := p
	if p.IsMessage() && len(p.Children) == 1 {
		if number == "" {
			number = "1"
		}
		q = p.Children[0]
		f(number+".MESSAGE", q)
		if !q.IsMultipart() {
			walkInside(q, number+".1", f)
			return
		}
	}
	for i, c := range q.Children {
		walk(c, strings.TrimPrefix(number+"."+strconv.Itoa(i+1), "."), f)
	}
}

func walkInside(p *Part, number string, f func(number string, p *Part)) {
	if p.IsMessage() && len(p.Children) == 1 {
		walk(p, number, f)
	}
}
