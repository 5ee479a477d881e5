package imapd

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"kurir/store"
)

// itemKind is a data item of FETCH.
type itemKind uint8

const (
	itemUID itemKind = iota
	itemFlags
	itemInternalDate
	itemSize
	itemModSeq
	itemEnvelope
	itemBody          // BODY: the structure without extension data
	itemBodyStructure // BODYSTRUCTURE
	itemSection       // BODY[…] and RFC822…
	itemBinary        // BINARY[…]
	itemBinarySize    // BINARY.SIZE[…]
)

// fetchItem is one data item that was asked for.
type fetchItem struct {
	kind    itemKind
	label   string                    // its name in the response, for the last three kinds
	section imap.FetchItemBodySection // of the last three kinds
}

// fetchRequest is a FETCH command as it was read.
type fetchRequest struct {
	set          messageSet
	items        []fetchItem
	changedSince store.ModSeq
	conditional  bool // CHANGEDSINCE was given
	vanished     bool // VANISHED was given
}

// simpleItems are those without arguments.
var simpleItems = map[string]itemKind{
	"UID": itemUID, "FLAGS": itemFlags, "INTERNALDATE": itemInternalDate, "RFC822.SIZE": itemSize,
	"MODSEQ": itemModSeq, "ENVELOPE": itemEnvelope, "BODY": itemBody, "BODYSTRUCTURE": itemBodyStructure,
}

// macros stand for several items (RFC 9051 section 6.4.5).
var macros = map[string][]itemKind{
	"ALL":  {itemFlags, itemInternalDate, itemSize, itemEnvelope},
	"FAST": {itemFlags, itemInternalDate, itemSize},
	"FULL": {itemFlags, itemInternalDate, itemSize, itemEnvelope, itemBody},
}

// parseFetch reads the arguments of FETCH.
func parseFetch(p *parser) (*fetchRequest, error) {
	r := &fetchRequest{set: p.sp().set()}
	if p.sp().peek() == '(' {
		p.list(func() { r.items = append(r.items, p.fetchItem(p.itemName())) })
	} else {
		name := p.itemName()
		if kinds, ok := macros[name]; ok {
			for _, k := range kinds {
				r.items = append(r.items, fetchItem{kind: k})
			}
		} else {
			r.items = append(r.items, p.fetchItem(name))
		}
	}
	if len(r.items) == 0 {
		p.fail("No FETCH items")
	}
	if p.peek() == ' ' && len(p.rest()) > 1 {
		p.sp().modifiers(func() {
			switch p.word("FETCH modifier") {
			case "CHANGEDSINCE": // RFC 7162 section 3.1.4
				if r.conditional { // section 7
					p.fail("CHANGEDSINCE given twice")
				}
				r.changedSince = p.sp().modSeq()
				r.conditional = true
			case "VANISHED": // RFC 7162 section 3.2.6
				r.vanished = true
			default:
				p.fail("Unknown FETCH modifier")
			}
		})
	}
	return r, p.end()
}

// itemName reads the name of an item in capitals, up to a bracket.
func (p *parser) itemName() string {
	return strings.ToUpper(p.while("FETCH item", func(c byte) bool { return atomChar(c) && c != '[' }))
}

// fetchItem reads the rest of an item.
func (p *parser) fetchItem(name string) fetchItem {
	if kind, ok := simpleItems[name]; ok && (name != "BODY" || p.peek() != '[') {
		return fetchItem{kind: kind}
	}
	it := fetchItem{kind: itemSection, label: name}
	switch name {
	case "RFC822":
		return it
	case "RFC822.PEEK": // RFC 1730 section 6.4.5; Outlook
		it.section.Peek, it.label = true, "RFC822"
		return it
	case "RFC822.HEADER":
		it.section.Specifier, it.section.Peek = imap.PartSpecifierHeader, true
		return it
	case "RFC822.TEXT", "RFC822.TEXT.PEEK": // the latter as RFC822.PEEK
		it.section.Specifier = imap.PartSpecifierText
		it.section.Peek, it.label = len(name) > len("RFC822.TEXT"), "RFC822.TEXT"
		return it
	case "BODY.PEEK", "BINARY.PEEK":
		it.section.Peek = true
		it.label = strings.TrimSuffix(name, ".PEEK")
	case "BINARY.SIZE":
		it.kind, it.section.Peek = itemBinarySize, true
	case "BODY", "BINARY":
	default:
		p.fail("Unknown FETCH item")
		return it
	}
	if strings.HasPrefix(it.label, "BINARY") && it.kind == itemSection {
		it.kind = itemBinary
	}
	p.section(&it)
	it.label += sectionLabel(&it.section)
	if it.kind != itemBinarySize && p.take('<') {
		p.partial(&it)
	}
	return it
}

// section reads "[…]" (RFC 9051 section 6.4.5.1).
func (p *parser) section(it *fetchItem) {
	s := &it.section
	p.need('[')
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		n := p.number("part number")
		if n == 0 || len(s.Part) == 100 {
			p.fail("Invalid part number")
		}
		s.Part = append(s.Part, int(n))
		if !p.take('.') {
			p.need(']')
			return
		}
		if c := p.peek(); c < '0' || c > '9' {
			p.sectionText(it)
			return
		}
	}
	if p.take(']') {
		return
	}
	p.sectionText(it)
}

// sectionText reads HEADER, HEADER.FIELDS (…), TEXT or MIME, and the bracket.
func (p *parser) sectionText(it *fetchItem) {
	s := &it.section
	text := p.word("section")
	switch {
	case it.kind != itemSection:
		p.fail("BINARY has only part numbers")
	case text == "HEADER":
		s.Specifier = imap.PartSpecifierHeader
	case text == "HEADER.FIELDS" || text == "HEADER.FIELDS.NOT":
		s.Specifier = imap.PartSpecifierHeader
		names := &s.HeaderFields
		if text == "HEADER.FIELDS.NOT" {
			names = &s.HeaderFieldsNot
		}
		p.sp().list(func() { *names = append(*names, p.astring("field name")) })
		if len(*names) == 0 {
			p.fail("No field names")
		}
	case text == "TEXT":
		s.Specifier = imap.PartSpecifierText
	case text == "MIME" && len(s.Part) > 0:
		s.Specifier = imap.PartSpecifierMIME
	default:
		p.fail("Invalid section")
	}
	p.need(']')
}

// sectionLabel gives a section as it stands in the response.
func sectionLabel(s *imap.FetchItemBodySection) string {
	b := []byte{'['}
	for i, n := range s.Part {
		if i > 0 {
			b = append(b, '.')
		}
		b = appendNumber(b, n)
	}
	if len(s.Part) > 0 && s.Specifier != imap.PartSpecifierNone {
		b = append(b, '.')
	}
	b = append(b, s.Specifier...)
	names := s.HeaderFields
	if len(names) > 0 {
		b = append(b, ".FIELDS ("...)
	} else if names = s.HeaderFieldsNot; len(names) > 0 {
		b = append(b, ".FIELDS.NOT ("...)
	}
	for i, n := range names {
		if i > 0 {
			b = append(b, ' ')
		}
		b = appendAString(b, n)
	}
	if len(names) > 0 {
		b = append(b, ')')
	}
	return string(append(b, ']'))
}

// appendAString appends s as an atom where it may be one.
func appendAString(b []byte, s string) []byte {
	for i := range len(s) {
		if !atomChar(s[i]) {
			return appendString(b, s, false)
		}
	}
	if s == "" {
		return append(b, `""`...)
	}
	return append(b, s...)
}

// partial reads "<origin.octets>"; "<" is behind. The response names the origin only.
func (p *parser) partial(it *fetchItem) {
	part := &imap.SectionPartial{Offset: p.number64("origin")}
	p.need('.')
	part.Size = p.number64("octet count")
	if part.Size == 0 {
		p.fail("0 octets are not a range")
	}
	p.need('>')
	it.section.Partial = part
	it.label = string(appendNumber(append([]byte(it.label), '<'), part.Offset)) + ">"
}
