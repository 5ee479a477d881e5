package message

import (
	"bytes"
	"errors"
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

func TestHeadingFolded(t *testing.T) {
	h := ParseHeading([]byte("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nSubject: b\r\nTo:\r\n\r\n"))
	want := "\xff" + string(Fold(nil, []byte("Grüße"))) + "\xffB"
	if got := h.AppendFolded([]byte("x"), FieldSubject); string(got) != "x"+want {
		t.Errorf("%q, want %q", got, want)
	}
	for in, want := range map[string]string{
		"Subject: a\r\n\t b   c  \r\n\r\n":      "\xffA B C",
		"From: a@b, c <d@e>\r\n\r\n":            "\xffA@B, C <D@E>",
		"From: \"x \\\"y\\\"\" <d@e>\r\n\r\n":   "\xff\"X \\\"Y\\\"\" <D@E>\xffX \"Y\" <D@E>",
		"From: =?utf-8?q?=41?= \"z\" <d@e>\r\n": "\xffA \"Z\" <D@E>\xffA Z <D@E>",
		"From: d@e (name)\r\n":                  "\xffD@E (NAME)\xffNAME <D@E>",
		"From: \"g\": d@e;\r\nFrom: f@g\r\n":    "\xff\"G\": D@E;\xffG, D@E, \xffF@G",
	} {
		h := ParseHeading([]byte(in))
		got := h.AppendFolded(nil, FieldFrom)
		if in[0] == 'S' {
			got = h.AppendFolded(nil, FieldSubject)
		}
		if string(got) != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := h.AppendFolded(nil, FieldTo); string(got) != "\xff" {
		t.Errorf("an empty field: %q", got)
	}
	if got := h.AppendFolded(nil, FieldCc); len(got) != 0 {
		t.Errorf("no field: %q", got)
	}
}

func FuzzHeading(f *testing.F) {
	f.Add([]byte("Subject: a\r\nTo: b\r\n\r\n"), []byte("\x01\x02\x03abc\x0b\x00"))
	f.Add([]byte(sampleHeader), []byte("\x01\x0c\x00"))
	f.Add([]byte("from:\xff\\\r\nTo: \"\xff\" <a@\xff>\r\n"), []byte{})
	f.Add([]byte{}, []byte("\x01\x01\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, header, data []byte) {
		h := ParseHeading(header)
		var g Heading
		if err := g.Decode(string(h.AppendBinary(nil))); err != nil || !slices.Equal(g.Fields, h.Fields) {
			t.Fatalf("%v: %q, want %q", err, g.Fields, h.Fields)
		}
		for name := FieldDate; name <= lastField; name++ {
			n, texts := len(slices.Collect(h.Values(name))), bytes.Count(h.AppendFolded(nil, name), []byte{Folded})
			if texts < n || texts > 2*n || texts > n && (name < FieldFrom || name > FieldBcc) {
				t.Fatalf("field %d of %q: %d values, folded %q", name, header, n, h.AppendFolded(nil, name))
			}
		}
		if err := g.Decode(string(data)); err != nil {
			if !errors.Is(err, ErrBinary) || len(g.Fields) > 0 {
				t.Fatal(err, g.Fields)
			}
			return
		}
		var again Heading
		if err := again.Decode(string(g.AppendBinary(nil))); err != nil || !slices.Equal(again.Fields, g.Fields) {
			t.Fatalf("%v: %q, want %q", err, again.Fields, g.Fields)
		}
	})
}
