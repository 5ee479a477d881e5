package message

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"strings"
)

// FieldName is one of the header fields that a Heading keeps. Zero is none.
type FieldName uint8

// The fields of a Heading: what SEARCH, SORT and THREAD look at. Their numbers are part of
// the heading's binary form.
const (
	FieldDate FieldName = 1 + iota
	FieldSubject
	FieldFrom
	FieldSender
	FieldReplyTo
	FieldTo
	FieldCc
	FieldBcc
	FieldMessageID
	FieldInReplyTo
	FieldReferences

	lastField = FieldReferences
)

// NamedField gives the FieldName of a field, whatever the case of its name; 0 if a Heading
// does not keep it.
func NamedField(name string) FieldName {
	var lower [len("in-reply-to")]byte
	if len(name) > len(lower) {
		return 0
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	switch string(lower[:len(name)]) {
	case "date":
		return FieldDate
	case "subject":
		return FieldSubject
	case "from":
		return FieldFrom
	case "sender":
		return FieldSender
	case "reply-to":
		return FieldReplyTo
	case "to":
		return FieldTo
	case "cc":
		return FieldCc
	case "bcc":
		return FieldBcc
	case "message-id":
		return FieldMessageID
	case "in-reply-to":
		return FieldInReplyTo
	case "references":
		return FieldReferences
	}
	return 0
}

// HeadingField is one field of a Heading: its value as [Field.Unfolded] gives it, not
// decoded.
type HeadingField struct {
	Name  FieldName
	Value string
}

// Heading is what the index keeps of a message's own header for SEARCH, SORT and THREAD:
// the fields of interest in the order of the header, each as often as it stands there.
type Heading struct {
	Fields []HeadingField
}

// ParseHeading picks the fields of interest out of a header.
func ParseHeading(header []byte) *Heading {
	h := &Heading{Fields: make([]HeadingField, 0, 8)}
	for raw := range rawFields(header) {
		name := fieldName(raw)
		if n := NamedField(string(name)); n != 0 { // a name of no interest is not copied
			h.Fields = append(h.Fields, HeadingField{n, unfolded(raw[bytes.IndexByte(raw, ':')+1:])})
		}
	}
	return h
}

// First is the value of the first field of that name; false if there is none.
func (h *Heading) First(name FieldName) (string, bool) {
	for v := range h.Values(name) {
		return v, true
	}
	return "", false
}

// Values walks over the values of all fields of that name.
func (h *Heading) Values(name FieldName) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range h.Fields {
			if h.Fields[i].Name == name && !yield(h.Fields[i].Value) {
				return
			}
		}
	}
}

// Folded begins each text of AppendFolded: no byte of UTF-8.
const Folded = 0xff

// AppendFolded appends the values of all fields of that name as SEARCH compares them:
// decoded, see [DecodeHeader], and folded, see [Fold]; before each a byte Folded, which is
// in no text that is looked for. Subjects are as in ENVELOPE, with single spaces. Addresses
// with quoting or comments come twice: as they are, and as ENVELOPE has them.
func (h *Heading) AppendFolded(dst []byte, name FieldName) []byte {
	for v := range h.Values(name) {
		text := DecodeHeader(v)
		if name == FieldSubject {
			text = squeeze(text)
		}
		dst = Fold(append(dst, Folded), []byte(text))
		if name >= FieldFrom && name <= FieldBcc && strings.ContainsAny(v, "\"(\\") {
			dst = Fold(append(dst, Folded), addressText(v))
		}
	}
	return dst
}

// addressText writes the addresses in the value of a field with nothing more than it takes.
func addressText(v string) (text []byte) {
	for i, a := range ParseAddressList(v) {
		if i > 0 {
			text = append(text, ", "...)
		}
		mailbox := DecodeHeader(a.Mailbox) // which may hold any octet, Folded too
		switch {
		case a.Host == "": // a group begins or ends
			text = append(text, mailbox...)
		case a.Name != "":
			text = fmt.Appendf(text, "%s <%s@%s>", DecodeHeader(a.Name), mailbox, DecodeHeader(a.Host))
		default:
			text = fmt.Appendf(text, "%s@%s", mailbox, DecodeHeader(a.Host))
		}
	}
	return text
}

// headingVersion begins the binary form of a Heading: the version, then for each field its
// number, the length of its value as a varint, and the value.
const headingVersion = 1

// AppendBinary appends the heading's binary form to b.
func (h *Heading) AppendBinary(b []byte) []byte {
	b = append(b, headingVersion)
	for i := range h.Fields {
		b = append(b, byte(h.Fields[i].Name))
		b = binary.AppendUvarint(b, uint64(len(h.Fields[i].Value)))
		b = append(b, h.Fields[i].Value...)
	}
	return b
}

// Decode makes h what AppendBinary was given, out of data, which its values are then
// pieces of; it uses the room that h has. The only error is ErrBinary; h is then empty.
func (h *Heading) Decode(data string) error {
	h.Fields = h.Fields[:0]
	if data == "" || data[0] != headingVersion {
		return ErrBinary
	}
	r := reader{s: data[1:]}
	for r.s != "" {
		name := FieldName(r.s[0])
		r.s = r.s[1:]
		n := r.size(int64(len(r.s)))
		if r.bad || n > int64(len(r.s)) || name == 0 || name > lastField {
			h.Fields = h.Fields[:0]
			return ErrBinary
		}
		h.Fields = append(h.Fields, HeadingField{name, r.s[:n]})
		r.s = r.s[n:]
	}
	if r.bad {
		h.Fields = h.Fields[:0]
		return ErrBinary
	}
	return nil
}
