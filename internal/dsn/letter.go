package dsn

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const width = 76 // characters in a line of the words

// letter is the text for the sender, as it grows: paragraphs with a blank line between.
type letter struct{ b strings.Builder }

// lines writes text, which is one line, wrapped: the first line behind first, further
// ones behind next.
func (l *letter) lines(first, next, text string) {
	l.b.WriteString(first)
	col, fresh := utf8.RuneCountInString(first), true
	for word := range strings.FieldsSeq(text) {
		for word != "" {
			n := cut(word, maxWord)
			size := utf8.RuneCountInString(word[:n])
			switch {
			case !fresh && col+1+size > width:
				l.b.WriteString("\n" + next)
				col = utf8.RuneCountInString(next)
			case !fresh:
				l.b.WriteString(" ")
				col++
			}
			l.b.WriteString(word[:n])
			col, fresh, word = col+size, false, word[n:]
		}
	}
	l.b.WriteString("\n")
}

// blank separates what comes from what was.
func (l *letter) blank() {
	if l.b.Len() > 0 {
		l.b.WriteString("\n")
	}
}

// paragraph writes text, indented.
func (l *letter) paragraph(indent, text string) {
	if text != "" {
		l.blank()
		l.lines(indent, indent, text)
	}
}

// opening says in a sentence what has happened, and tells whether the kinds of outcome
// differ, so that each needs its section.
func (l *letter) opening(groups []*group) (sections bool) {
	n := 0
	for _, g := range groups {
		n += len(g.addresses)
		sections = sections || g.kind != groups[0].kind
	}
	p := groups[0].kind.phrases()
	switch {
	case sections:
		l.paragraph("", "This is what has become of your message so far.")
	case n == 1:
		l.paragraph("", fmt.Sprintf(p.one, groups[0].addresses[0]))
	default:
		l.paragraph("", fmt.Sprintf(p.many, n))
	}
	return sections
}

// about says which message it is.
func (l *letter) about(r *Report, o *original, zone *time.Location) {
	l.blank()
	const first, next = "    Subject: ", "             "
	switch {
	case o.subject != "":
		l.lines(first, next, shorten(o.subject, maxSubject))
	case !o.missing():
		l.lines(first, next, "(none)")
	}
	sent := o.date
	if sent.IsZero() {
		sent = r.Arrival
	}
	l.lines("    Date:    ", next, when(sent, zone))
}

// group tells of some recipients; named: of each by its address.
func (l *letter) group(g *group, named bool) {
	if named {
		l.blank()
		for _, a := range g.addresses[:min(len(g.addresses), maxAddresses)] {
			l.lines("  * ", "    ", a)
		}
		if more := len(g.addresses) - maxAddresses; more > 0 {
			l.lines("  * ", "    ", fmt.Sprintf("and %d more, who are in the attached part for mail programs", more))
		}
	}
	for text := range strings.SplitSeq(g.before, "\n") {
		l.paragraph("", text)
	}
	for _, q := range g.quotes {
		switch {
		case len(g.quotes) > 1:
			l.quote(q, "About "+q.address+", t", " said:")
		case len(g.addresses) > 1 && q.text != q.masked:
			l.quote(q, "T", " said of "+q.address+", and the like of the others:")
		default:
			l.quote(q, "T", " said:")
		}
	}
	for text := range strings.SplitSeq(g.after, "\n") {
		l.paragraph("", text)
	}
}

// quote gives the words of another server, line by line, under a sentence of which
// before and after stand around "he mail server".
func (l *letter) quote(q quote, before, after string) {
	server := "he other mail server"
	if q.host != "" {
		server = "he mail server " + q.host
	}
	l.paragraph("", before+server+after)
	l.blank()
	left := maxLines
	for line := range strings.SplitSeq(q.text, "\n") {
		if line = plain(line); line == "" {
			continue
		}
		if left--; left < 0 {
			l.lines("    ", "    ", "...")
			return
		}
		l.lines("    ", "    ", line)
	}
}

// closing says what is attached and whom to ask.
func (l *letter) closing(r *Report, o *original, groups []*group) {
	if k := groups[0].kind; k == failed || k == delayed {
		l.paragraph("", "If the message has other recipients, this is not about them.")
	}
	switch {
	case o.missing():
		l.paragraph("", "Your message itself can't be read here any more, so nothing of it is attached.")
	case o.whole != nil:
		l.paragraph("", "Your message is attached.")
	case o.why != "":
		l.paragraph("", o.why)
	case o.cut:
		l.paragraph("", "Attached is the beginning of your message's header, which is too long to be sent back whole.")
	default:
		l.paragraph("", "Attached is the header of your message (subject, date, addresses), not its text.")
	}
	text := "This report was written by the mail system of " + r.hostname() + "; there is no need to answer it."
	if id := shorten(plain(r.ID), 64); id != "" {
		text += " If you ask your administrator about it, please name the number " + id + "."
	}
	l.paragraph("", text)
}
