// Package message knows the shape of a mail: where in its bytes each MIME part's
// header and body lie, what its header fields say, and how encoded text becomes
// UTF-8. Parse reads a message once, in bounded memory, and never refuses one: what
// RFC 5322 and RFC 2045 to 2049 leave open for broken mail is settled as Dovecot does.
//
// A Part tree is what IMAP's BODYSTRUCTURE, ENVELOPE and BODY[1.2] are made of
// (RFC 9051 sections 6.4.5.1 and 7.5.2); its binary form is kept in the index. The
// package reads no files, speaks no IMAP and keeps no state.
//
// Where it knowingly differs from Dovecot 2.3 the RFCs say so: an invalid Content-Type is
// text/plain (RFC 2045 section 5.2); the line end before a delimiter never belongs to the
// part before it (RFC 2046 section 5.1.1); boundary and charset may be parameters of RFC
// 2231; local parts may have quoted words and white space, and lists null members (RFC
// 5322 section 4.4); message/global is a message (RFC 6532 section 3.7). What no RFC has,
// NUL and empty Content- fields, is shown a little otherwise.
package message

import "strings"

// Limits bound what Parse keeps. The zero value of each field means its default.
type Limits struct {
	MaxDepth  int   // how deep parts nest, the message itself being 1; default 50
	MaxParts  int   // how many parts in all; default 10,000
	MaxHeader int64 // bytes kept of the interesting fields of one header, all headers together four times that; default 1 MiB
}

// Part is one MIME part, or the message itself. Offsets count bytes of the message as
// stored. An NL count says how many line feeds in a range have no CR before them, so
// that the range's size on the wire, where every line ends in CRLF, is bytes + NL.
type Part struct {
	HeaderOff int64 // where the header begins
	BodyOff   int64 // where the body begins, behind the blank line
	EndOff    int64 // where the body ends; a CRLF before a boundary is the boundary's
	HeaderNL  int64 // bare line feeds in [HeaderOff, BodyOff)
	BodyNL    int64 // bare line feeds in [BodyOff, EndOff)
	Lines     int64 // line feeds in [BodyOff, EndOff)

	// Type and Subtype are as written in the header. Without a (valid) Content-Type
	// they are text/plain, or message/rfc822 inside multipart/digest (RFC 2046
	// section 5.1.5). A multipart or message beyond a limit is application/octet-stream.
	Type, Subtype string
	// Params holds the parameters of Content-Type in the form BODYSTRUCTURE wants
	// (RFC 2231 section 8): continuations are joined; a value with a charset or
	// percent-encoding keeps it and its name ends in "*" (see Param.Decoded). Text
	// parts without a charset have "us-ascii".
	Params []Param

	ID                string   // Content-ID, "" if none
	Description       string   // Content-Description, encoded words left as they are
	Encoding          string   // Content-Transfer-Encoding as written, "7bit" if none
	MD5               string   // Content-MD5
	Location          string   // Content-Location
	Disposition       string   // Content-Disposition without its parameters, "" if none
	DispositionParams []Param  // in the form of Params
	Language          []string // Content-Language

	// Envelope is set for the message itself and for the inner message of a
	// message/rfc822 or message/global part, so for Children[0] of the latter.
	Envelope *Envelope
	// Children has a multipart's parts, or exactly one, the inner message, for a
	// message/rfc822 or message/global part. A multipart without a usable boundary
	// has none; its Placeholder then stands in their place.
	Children []*Part
}

// Param is one parameter of Content-Type or Content-Disposition; the name is as written.
type Param struct{ Name, Value string }

// Envelope has the fields that IMAP's ENVELOPE is made of. Text is raw (encoded words
// and 8-bit bytes as they are) but unfolded. Sender and ReplyTo are those of From
// where the header has none (RFC 9051 section 7.5.2).
type Envelope struct {
	Date, Subject                      string
	From, Sender, ReplyTo, To, Cc, Bcc []Address
	InReplyTo, MessageID               string

	// A field that is present but empty is "" in ENVELOPE, one that is absent NIL.
	HasDate, HasSubject, HasInReplyTo, HasMessageID bool

	FirstRef string // the first id in References without its brackets, "" if none; not part of ENVELOPE
}

// Address is one address, or one end of a group (RFC 9051 section 7.5.2): Host == ""
// begins a group, Mailbox being its name, and the next Host == "" ends it. An address
// that lacks a half has "MISSING_MAILBOX" or "MISSING_DOMAIN" for it, one that can't
// be read to its end the host "SYNTAX_ERROR".
type Address struct {
	Name    string // display name, encoded words left as they are, "" if none
	Route   string // obsolete source route, "@a,@b"
	Mailbox string // local part without its quotes
	Host    string // domain, or a literal with its brackets
}

// IsMultipart reports whether the part is a multipart that may have parts of its own.
func (p *Part) IsMultipart() bool { return strings.EqualFold(p.Type, "multipart") }

// IsMessage reports whether the part holds a message (message/rfc822, or
// message/global of RFC 6532), which then is Children[0].
func (p *Part) IsMessage() bool {
	return strings.EqualFold(p.Type, "message") &&
		(strings.EqualFold(p.Subtype, "rfc822") || strings.EqualFold(p.Subtype, "global"))
}

// IsText reports whether the part is text, so that its BODYSTRUCTURE has a line count.
func (p *Part) IsText() bool { return strings.EqualFold(p.Type, "text") }

// HeaderWire is the size of the header on the wire, the blank line included, in bytes.
func (p *Part) HeaderWire() int64 { return p.BodyOff - p.HeaderOff + p.HeaderNL }

// BodyWire is the size of the body on the wire in bytes.
func (p *Part) BodyWire() int64 { return p.EndOff - p.BodyOff + p.BodyNL }

// Param returns the value, as UTF-8, of the Content-Type parameter of that name, or "".
func (p *Part) Param(name string) string { return findParam(p.Params, name) }

// Filename returns the name the sender gave the part, as UTF-8: the filename of
// Content-Disposition, else the name of Content-Type, else "".
func (p *Part) Filename() string {
	if s := findParam(p.DispositionParams, "filename"); s != "" {
		return s
	}
	return findParam(p.Params, "name")
}

// Placeholder is the empty text that stands for the parts of a multipart without any,
// since IMAP's grammar wants at least one (RFC 9051 section 9, body-type-mpart). It lies
// at the multipart's end.
func (p *Part) Placeholder() *Part {
	return &Part{
		HeaderOff: p.EndOff, BodyOff: p.EndOff, EndOff: p.EndOff,
		Type: "text", Subtype: "plain", Params: []Param{{"charset", "us-ascii"}}, Encoding: "7bit",
	}
}

// Find returns the part that an IMAP part number names, or nil if there is none
// (RFC 9051 section 6.4.5.1). An empty path is the message itself. The body of a message
// that is no multipart is part 1, and a last 1 behind any such part names it once more;
// a number after a message/rfc822 part counts inside its message, whose HEADER and TEXT
// are those of Children[0] of what Find returns.
func (p *Part) Find(path []int) *Part {
	for i, n := range path {
		if i > 0 && p.IsMessage() && len(p.Children) > 0 {
			p = p.Children[0]
		}
		switch {
		case n < 1:
			return nil
		case p.IsMultipart() && len(p.Children) == 0 && n == 1:
			p = p.Placeholder()
		case p.IsMultipart():
			if n > len(p.Children) {
				return nil
			}
			p = p.Children[n-1]
		case n != 1 || !p.IsMessage() && i < len(path)-1:
			return nil
		}
	}
	return p
}
