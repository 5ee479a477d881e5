package message

import (
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
	if len(name) > len("In-Reply-To") {
		return 0
	}
	switch strings.ToLower(name) {
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

// HeadingField is one field of a Heading: its value as [Field.Value] gives it, unfolded
// and not decoded.
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
	h := new(Heading)
	for f := range Fields(header) {
		if n := NamedField(f.Name); n != 0 {
			h.Fields = append(h.Fields, HeadingField{n, f.Value()})
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
