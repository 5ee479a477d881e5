package maildir

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"kurir/internal/maildir/maildirtest"
)

func TestUIDListOfDovecot(t *testing.T) {
	tree := maildirtest.Dovecot()
	l, err := ParseUIDList([]byte(maildirtest.Find(tree, DovecotUIDListFile)))
	if err != nil {
		t.Fatal(err)
	}
	if l.Version != 3 || l.UIDValidity != 1795307237 || l.NextUID != 5 || l.GUID != "1876b60ee536026b9e46000083ecc375" || l.Broken() != 0 {
		t.Errorf("%+v", l)
	}
	uids := make(map[string]uint32)
	for e := range l.Entries() {
		uids[e.File] = e.UID
	}
	// Every message of the tree has a line, found by the name without its flags, and sizes that are right.
	found := 0
	for _, f := range tree {
		file, ok := strings.CutPrefix(f.Name, "cur/")
		if !ok || f.Dir {
			continue
		}
		found++
		name, _, _ := strings.Cut(file, ":")
		if uids[name] == 0 {
			t.Errorf("no UID for %s", file)
		}
		n := ParseName(file)
		if n.Size != int64(len(f.Data)) || n.Wire != n.Size+int64(strings.Count(f.Data, "\n")) {
			t.Errorf("%s has %d bytes", file, len(f.Data))
		}
	}
	if found != 4 || len(uids) != 5 {
		t.Errorf("%d messages, %d lines", found, len(uids))
	}
	k := ParseKeywords([]byte(maildirtest.Find(tree, KeywordsFile)))
	flags := ParseName("1795307237.M264515P18078.mx,S=133,W=141:2,FScd").Flags()
	if got := k.Names(flags); !slices.Equal(got, []string{"$Forwarded", "$MDNSent"}) {
		t.Errorf("keywords %q", got)
	}
}

func TestUIDListOfCourier(t *testing.T) {
	tree := maildirtest.Courier()
	l, err := ParseUIDList([]byte(maildirtest.Find(tree, CourierUIDFile)))
	if err != nil {
		t.Fatal(err)
	}
	if l.Version != 1 || l.UIDValidity != 1325427900 || l.NextUID != 8 {
		t.Errorf("%+v", l)
	}
	var uids []uint32
	for e := range l.Entries() {
		uids = append(uids, e.UID)
		if !slices.ContainsFunc(tree, func(f maildirtest.File) bool { return strings.HasPrefix(f.Name, "cur/"+e.File+":2,") }) {
			t.Errorf("no file for %s", e.File)
		}
	}
	if !slices.Equal(uids, []uint32{3, 5, 7}) {
		t.Errorf("UIDs %d", uids)
	}
	for _, f := range tree {
		if dir, file, ok := strings.Cut(f.Name, "/"); ok && !f.Dir && (dir == "cur" || dir == "new") {
			if n := ParseName(file); n.Size != int64(len(f.Data)) {
				t.Errorf("%s has %d bytes", file, len(f.Data))
			}
		}
	}
}

func TestUIDListEntries(t *testing.T) {
	l, err := ParseUIDList([]byte("3 G00 N9 V5 Xwhat\n" +
		"1 :a\n" +
		"2 W10 S9 Gabc Pold-id O4 Zz :b,S=9:2,S\n" +
		"3 S05 : c \n" +
		"x :d\n" + "4 d\n" + "5\n" + "6 :\n" + "0 :e\n" + "7 :../f\n" + "\n" +
		"8 :cut"))
	if err != nil {
		t.Fatal(err)
	}
	want := []UIDEntry{
		{UID: 1, File: "a", Size: -1, Wire: -1},
		{UID: 2, File: "b,S=9", Size: 9, Wire: 10, GUID: "abc", UIDL: "old-id", Order: 4},
		{UID: 3, File: " c ", Size: -1, Wire: -1},
	}
	if got := slices.Collect(l.Entries()); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if n := l.Broken(); n != 8 {
		t.Errorf("%d broken lines", n)
	}
}

func TestUIDListErrors(t *testing.T) {
	for head, want := range map[string]error{
		"":                         ErrCorrupt,
		"3":                        ErrCorrupt,
		"3 V1 G0\n":                ErrCorrupt,
		"3 V0 N1\n":                ErrCorrupt,
		"3 Vx N1\n":                ErrCorrupt,
		"3 V4294967296 N1\n":       ErrCorrupt,
		"1 5\n":                    ErrCorrupt,
		"1 5 x\n":                  ErrCorrupt,
		"1 5 6 7\n":                ErrCorrupt,
		"4 V1 N1\n":                ErrNewer,
		strings.Repeat("x", 99999): ErrCorrupt,
	} {
		if _, err := ParseUIDList([]byte(head)); !errors.Is(err, want) {
			t.Errorf("%.20q: %v", head, err)
		}
	}
}

func FuzzUIDList(f *testing.F) {
	f.Add([]byte(maildirtest.Find(maildirtest.Dovecot(), DovecotUIDListFile)))
	f.Add([]byte(maildirtest.Find(maildirtest.Courier(), CourierUIDFile)))
	f.Add([]byte("3 V1 N1\n1 W10 :a\n2 \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseUIDList(data)
		if err != nil {
			return
		}
		n := l.Broken()
		for e := range l.Entries() {
			n++
			if e.UID == 0 || e.File == "" || strings.ContainsAny(e.File, "/\n:") {
				t.Fatalf("%+v", e)
			}
		}
		if lines := strings.Count(string(l.entries), "\n"); n < lines || n > lines+1 {
			t.Fatalf("%d entries and broken lines in %d lines", n, lines)
		}
	})
}

func TestUIDLs(t *testing.T) {
	file := AppendUIDL(AppendUIDL(nil, "1.2.mx", "old-1"), "1.3.mx", "old 2")
	file = append(file, "\nno tab\n\tid\nx\t\n1.4.mx\tnew\r\n1.2.mx\told-3\n5\t"+strings.Repeat("i", 71)+"\n6\tcut"...)
	want := map[string]string{"1.2.mx": "old-3", "1.4.mx": "new", "6": "cut"}
	if got := ParseUIDLs(file); !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func FuzzUIDLs(f *testing.F) {
	f.Add([]byte("1.2.mx\told-1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := ParseUIDLs(data)
		var b []byte
		for base, id := range m {
			if !ValidUIDL(id) {
				t.Fatalf("unique-id %q", id)
			}
			b = AppendUIDL(b, base, id)
		}
		if again := ParseUIDLs(b); !maps.Equal(again, m) {
			t.Fatalf("%q became %q", m, again)
		}
	})
}

func TestCourierKeywords(t *testing.T) {
	tree := maildirtest.Courier()
	m := ParseCourierKeywords([]byte(maildirtest.Find(tree, CourierKeywordsDir+"/"+CourierKeywordsList)))
	const one = "1325427906.M123456P4711V000000000000FD01I0000000000C0FFEE_0.mail.example.org,S=98"
	const two = "1325427907.M023456P4711V000000000000FD01I0000000000C0FFEF_0.mail.example.org,S=72"
	if len(m) != 2 || !slices.Equal(m[one], []string{"$Label1", "NonJunk"}) || !slices.Equal(m[two], []string{"NonJunk"}) {
		t.Errorf("%q", m)
	}
	changes := 0
	for _, f := range tree {
		file, ok := strings.CutPrefix(f.Name, CourierKeywordsDir+"/")
		if !ok {
			continue
		}
		if name, n, final, ok := CourierChangeName(file); ok {
			changes++
			words := ParseCourierChange([]byte(f.Data))
			if final && (name != two || !slices.Equal(words, []string{"$Label1"})) || !final && (n != 1 || !slices.Equal(words, []string{"Later"})) {
				t.Errorf("%s: %q %d %v %q", file, name, n, final, words)
			}
		}
	}
	if changes != 2 {
		t.Errorf("%d changes", changes)
	}
}

func TestCourierKeywordsJunk(t *testing.T) {
	m := ParseCourierKeywords([]byte("a\nnot valid\n\nf:0 1 2 x -1\n:0\nnothing\ng:\nh:i:0\n"))
	if len(m) != 2 || !slices.Equal(m["f"], []string{"a"}) || !slices.Equal(m["h:i"], []string{"a"}) {
		t.Errorf("%q", m)
	}
	if m := ParseCourierKeywords(nil); len(m) != 0 {
		t.Errorf("%q", m)
	}
	for _, bad := range []string{"", ":list", ":tmp", ".", ".x.y", ".1", ".1.", ".01.x"} {
		if name, _, _, ok := CourierChangeName(bad); ok {
			t.Errorf("CourierChangeName(%q) = %q", bad, name)
		}
	}
}

func FuzzCourierKeywords(f *testing.F) {
	f.Add([]byte("a\nb\n\nf:0 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, words := range ParseCourierKeywords(data) {
			if name == "" || len(words) == 0 || !ValidKeyword(words[0]) {
				t.Fatalf("%q: %q", name, words)
			}
		}
	})
}
