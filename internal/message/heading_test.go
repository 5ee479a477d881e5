package message

import (
	"slices"
	"testing"
)

func TestParseHeading(t *testing.T) {
	h := ParseHeading([]byte("Received: x\r\nSUBJECT: one\r\n two\r\nTo : a@b\r\nsubject: again\r\nX-Subject: no\r\nDate:\r\n\r\nFrom: body\r\n"))
	want := []HeadingField{{FieldSubject, "one two"}, {FieldTo, "a@b"}, {FieldSubject, "again"}, {FieldDate, ""}}
	if !slices.Equal(h.Fields, want) {
		t.Errorf("%q", h.Fields)
	}
	if s, ok := h.First(FieldSubject); s != "one two" || !ok {
		t.Error(s, ok)
	}
	if got := slices.Collect(h.Values(FieldSubject)); !slices.Equal(got, []string{"one two", "again"}) {
		t.Error(got)
	}
	if s, ok := h.First(FieldCc); s != "" || ok {
		t.Error(s, ok)
	}
}

func TestNamedField(t *testing.T) {
	seen := map[FieldName]bool{}
	for _, s := range []string{"Date", "SUBJECT", "from", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References"} {
		n := NamedField(s)
		if n < 1 || n > lastField || seen[n] {
			t.Error(s, n)
		}
		seen[n] = true
	}
	for _, s := range []string{"", "Received", "X-Date", "Date ", "In-Reply-To-Too"} {
		if n := NamedField(s); n != 0 {
			t.Error(s, n)
		}
	}
}
