package dsn

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
)

// Write writes the whole report, a message of type multipart/report (RFC 6522) whose
// lines end in LF: the words for the sender, the delivery status for mail programs, and
// the original message or its header. All of it is ASCII unless an address or the
// original is not. It is given to w in one piece, of at most 1 MiB and what the
// recipients need, about 4 KiB each. Possible errors: ErrNoRecipient and those of w; an
// original that can't be read is no error, the report says so.
func (r *Report) Write(w io.Writer) error {
	if len(r.Recipients) == 0 {
		return ErrNoRecipient
	}
	o := r.read()
	words := r.words(o)
	status, global := r.deliveryStatus()
	kind, encoding, content := o.part()

	p := &parts{boundary: "kurir-" + strings.ToLower(rand.Text())}
	report := "delivery-status"
	if global {
		report = "global-delivery-status" // RFC 6533 section 4
	}
	r.header(&p.b, o, report, p.boundary, global || encoding == "8bit")

	if isASCII(words) {
		p.add("text/plain; charset=utf-8", "What happened", "7bit", []byte(words))
	} else {
		p.add("text/plain; charset=utf-8", "What happened", "quoted-printable", quoted([]byte(words)))
	}
	if global {
		p.add("message/global-delivery-status", "For mail programs", "8bit", []byte(status))
	} else {
		p.add("message/delivery-status", "For mail programs", "7bit", []byte(status))
	}
	description := "Header of your message"
	if o.whole != nil {
		description = "Your message"
	}
	p.add(kind, description, encoding, content)
	fmt.Fprintf(&p.b, "--%s--\n", p.boundary)
	_, err := w.Write(p.b.Bytes())
	return err
}

// NeedsUTF8 tells whether the report can travel only where SMTPUTF8 is offered (RFC
// 6531): the address in To is not ASCII and has no ASCII form. Other addresses and the
// original may be beyond ASCII too, but are then in parts that need only 8BITMIME.
func (r *Report) NeedsUTF8() bool { return !isASCII(destination(r.To)) }

// header writes the header of the report and the blank line.
func (r *Report) header(b *bytes.Buffer, o *original, report, boundary string, eightBit bool) {
	if r.ReturnPath {
		b.WriteString("Return-Path: <>\n")
	}
	self := r.hostname()
	fmt.Fprintf(b, "From: Mail Delivery System <MAILER-DAEMON@%s>\n", self)
	fmt.Fprintf(b, "To: %s\n", destination(r.To))
	b.WriteString(unstructured("Subject", r.subject(o)))
	fmt.Fprintf(b, "Date: %s\nMessage-ID: <%s@%s>\n", date(r.Now), strings.ToLower(rand.Text()), self)
	if o.id != "" {
		fmt.Fprintf(b, "In-Reply-To: %s\nReferences: %s\n", o.id, o.id)
	}
	b.WriteString("Auto-Submitted: auto-replied\nMIME-Version: 1.0\n") // RFC 3834 section 5
	fmt.Fprintf(b, "Content-Type: multipart/report; report-type=%s;\n\tboundary=\"%s\"\n", report, boundary)
	if eightBit {
		b.WriteString("Content-Transfer-Encoding: 8bit\n") // RFC 2045 section 6.4
	}
	b.WriteString("\n")
}

// parts is a multipart entity that is being written.
type parts struct {
	b        bytes.Buffer
	boundary string
}

// add writes one part. What content ends in is kept: the line end before the next
// delimiter belongs to that (RFC 2046 section 5.1.1).
func (p *parts) add(kind, description, encoding string, content []byte) {
	fmt.Fprintf(&p.b, "--%s\nContent-Type: %s\nContent-Description: %s\nContent-Transfer-Encoding: %s\n\n", p.boundary, kind, description, encoding)
	p.b.Write(content)
	p.b.WriteByte('\n')
}
