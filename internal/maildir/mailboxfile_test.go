package maildir

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

const mailboxText = `kurir-mailbox 1
id 5f0c3c1b2a
uidvalidity 1790000000
tag k3
special-use \Sent
uid-floor 257
modseq-floor 1048576
generation 4
clean
end
`

var mailboxFile = MailboxFile{ID: "5f0c3c1b2a", UIDValidity: 1790000000, Tag: "k3", SpecialUse: `\Sent`,
	UIDFloor: 257, ModSeqFloor: 1 << 20, Generation: 4, Clean: true}

func TestMailboxFile(t *testing.T) {
	got, err := ParseMailboxFile([]byte(mailboxText))
	if err != nil || !reflect.DeepEqual(got, mailboxFile) {
		t.Errorf("%+v, %v", got, err)
	}
	text, err := mailboxFile.Format()
	if err != nil || string(text) != mailboxText {
		t.Errorf("%q, %v", text, err)
	}
	dirty := mailboxFile
	dirty.Clean, dirty.BootID, dirty.SpecialUse = false, "0b1c-2d", ""
	dirty.Extra = []string{"later thing", "flag"}
	text, err = dirty.Format()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseMailboxFile(text); err != nil || !reflect.DeepEqual(got, dirty) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A file cut short anywhere, by a full disk or a power cut, is corrupt, never half read.
func TestMailboxFileCut(t *testing.T) {
	for i := range len(mailboxText) {
		if _, err := ParseMailboxFile([]byte(mailboxText[:i])); !errors.Is(err, ErrCorrupt) {
			t.Errorf("first %d bytes: %v", i, err)
		}
	}
}

func TestMailboxFileErrors(t *testing.T) {
	for _, tt := range []struct {
		name, old, new string
		want           error
	}{
		{"newer", "kurir-mailbox 1", "kurir-mailbox 2", ErrNewer},
		{"version 0", "kurir-mailbox 1", "kurir-mailbox 0", ErrCorrupt},
		{"another kind", "kurir-mailbox 1", "kurir-account 1", ErrCorrupt},
		{"no id", "id 5f0c3c1b2a\n", "", ErrCorrupt},
		{"no uidvalidity", "uidvalidity 1790000000\n", "", ErrCorrupt},
		{"uidvalidity 0", "uidvalidity 1790000000", "uidvalidity 0", ErrCorrupt},
		{"uidvalidity of 33 bits", "1790000000", "4294967296", ErrCorrupt},
		{"negative", "uid-floor 257", "uid-floor -1", ErrCorrupt},
		{"modseq of 64 bits", "1048576", "9223372036854775808", ErrCorrupt},
		{"tag that is none", "tag k3", "tag a,b", ErrCorrupt},
		{"twice", "tag k3\n", "tag k3\ntag k4\n", ErrCorrupt},
		{"empty line", "tag k3\n", "tag k3\n\n", ErrCorrupt},
		{"more behind the end", "end\n", "end\nmore\n", ErrCorrupt},
		{"two ends", "clean\n", "end\nclean\n", ErrCorrupt},
		{"clean and dirty", "clean\n", "clean\nboot x\n", ErrCorrupt},
		{"huge", "clean\n", "x " + strings.Repeat("y", maxTextFile) + "\n", ErrCorrupt},
	} {
		text := strings.Replace(mailboxText, tt.old, tt.new, 1)
		if m, err := ParseMailboxFile([]byte(text)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v", tt.name, m, err)
		}
	}
	for name, m := range map[string]MailboxFile{
		"empty":      {},
		"bad tag":    {ID: "x", UIDValidity: 1, Tag: "a:b"},
		"line break": {ID: "x\ny", UIDValidity: 1, Tag: "a"},
		"extra":      {ID: "x", UIDValidity: 1, Tag: "a", Extra: []string{"a\nend"}},
	} {
		if text, err := m.Format(); err == nil {
			t.Errorf("%s: %q", name, text)
		}
	}
}

func TestAccountFile(t *testing.T) {
	const text = "kurir-account 1\nlast-uidvalidity 1790000000\nend\n"
	a, err := ParseAccountFile([]byte(text))
	if err != nil || a.LastUIDValidity != 1790000000 {
		t.Errorf("%+v, %v", a, err)
	}
	if got := string(a.Format()); got != text {
		t.Errorf("%q", got)
	}
	if a, err := ParseAccountFile([]byte("kurir-account 1\nend\n")); err != nil || a.LastUIDValidity != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := ParseAccountFile([]byte("kurir-account 1\nnew thing\nend\n")); err != nil || string(a.Format()) != "kurir-account 1\nlast-uidvalidity 0\nnew thing\nend\n" {
		t.Errorf("%+v, %v", a, err)
	}
	for text, want := range map[string]error{
		"kurir-account 2\nend\n":                     ErrNewer,
		"kurir-account 1\n":                          ErrCorrupt,
		"kurir-account 1\nlast-uidvalidity x\nend\n": ErrCorrupt,
		"": ErrCorrupt,
	} {
		if _, err := ParseAccountFile([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzMailboxFile(f *testing.F) {
	f.Add([]byte(mailboxText))
	f.Add([]byte("kurir-account 1\nlast-uidvalidity 1790000000\nend\n"))
	f.Add([]byte("kurir-mailbox 1\nid a\nuidvalidity 1\ntag b\nboot c\nother \nx y z\nend\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := ParseAccountFile(data); err == nil {
			if again, err := ParseAccountFile(a.Format()); err != nil || !reflect.DeepEqual(again, a) {
				t.Fatalf("%+v became %+v, %v", a, again, err)
			}
		}
		m, err := ParseMailboxFile(data)
		if err != nil {
			return
		}
		text, err := m.Format()
		if err != nil {
			return // a carriage return or NUL in a value
		}
		if again, err := ParseMailboxFile(text); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}
