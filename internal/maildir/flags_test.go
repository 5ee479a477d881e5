package maildir

import (
	"slices"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	for _, tt := range []struct {
		letters string
		flags   Flags
		sorted  string
	}{
		{"", 0, ""},
		{"S", FlagSeen, "S"},
		{"TSRPFD", FlagSeen | FlagAnswered | FlagFlagged | FlagDeleted | FlagDraft | FlagForwarded, "DFPRST"},
		{"aSz", FlagSeen | Keyword(0) | Keyword(25), "Saz"},
		{"SS", FlagSeen, "S"},
		{"X1!\xff", 0, ""},
	} {
		if got := ParseFlags(tt.letters); got != tt.flags {
			t.Errorf("ParseFlags(%q) = %b", tt.letters, got)
		}
		if got := tt.flags.Letters(); got != tt.sorted {
			t.Errorf("Letters of %q = %q", tt.letters, got)
		}
	}
	if FlagsSystem != FlagSeen|FlagAnswered|FlagFlagged|FlagDeleted|FlagDraft|FlagForwarded {
		t.Error("FlagsSystem is not all system flags")
	}
}

func FuzzFlags(f *testing.F) {
	f.Add(uint32(0), "")
	f.Add(uint32(1<<32-1), "X9S")
	f.Fuzz(func(t *testing.T, bits uint32, old string) {
		l := Flags(bits).Letters()
		if ParseFlags(l) != Flags(bits) || !slices.IsSorted([]byte(l)) {
			t.Fatalf("%b: %q", bits, l)
		}
		if m := MergeLetters(old, Flags(bits)); ParseFlags(m) != Flags(bits) {
			t.Fatalf("%q merged with %b is %q", old, bits, m)
		}
	})
}

func TestKeywords(t *testing.T) {
	k := ParseKeywords([]byte("0 $Junk\n1 work\n25 last\n"))
	if k[0] != "$Junk" || k[1] != "work" || k[25] != "last" {
		t.Errorf("%q", k)
	}
	if got := string(k.Format()); got != "0 $Junk\n1 work\n25 last\n" {
		t.Errorf("Format: %q", got)
	}
	if k.Index("$JUNK") != 0 || k.Index("none") != -1 || k.Index("") != -1 {
		t.Error("Index")
	}
	if got := k.Names(FlagSeen | Keyword(25) | Keyword(0) | Keyword(9)); !slices.Equal(got, []string{"$Junk", "last"}) {
		t.Errorf("Names: %q", got)
	}
}

// Junk in the file is passed over and never takes a letter away from a good line.
func TestKeywordsJunk(t *testing.T) {
	k := ParseKeywords([]byte("\n0\n1 \n26 toomany\n-1 x\n01 x\nx y\n2 a b\n3 ok\n3 second\n4 üml\n5 dos\r\n6 cut"))
	want := Keywords{3: "ok", 5: "dos", 6: "cut"}
	if k != want {
		t.Errorf("%q", k)
	}
}

func TestKeywordsAdd(t *testing.T) {
	var k Keywords
	if i, ok := k.Add("a", 0); i != 0 || !ok {
		t.Error("first")
	}
	if i, ok := k.Add("A", 0); i != 0 || !ok {
		t.Error("the same in other case")
	}
	// A letter that some message still has is not given again.
	if i, ok := k.Add("b", Keyword(1)|Keyword(2)); i != 3 || !ok {
		t.Errorf("in use: %d", i)
	}
	if _, ok := k.Add("not valid", 0); ok {
		t.Error("a keyword with a space")
	}
	for i := range MaxKeywords {
		k[i] = strings.Repeat("x", i+1)
	}
	if _, ok := k.Add("the27th", 0); ok {
		t.Error("the 27th keyword")
	}
}

func TestValidKeyword(t *testing.T) {
	for name, want := range map[string]bool{
		"$Junk": true, "work": true, "a.b-c/d": true, "": false, "a b": false, "(x": false, "x)": false, "{": false,
		"%": false, "*": false, `"`: false, `\Seen`: false, "]": false, "ü": false, "\x7f": false, "a\n": false,
		strings.Repeat("x", 255): true, strings.Repeat("x", 256): false,
	} {
		if got := ValidKeyword(name); got != want {
			t.Errorf("ValidKeyword(%q) = %v", name, got)
		}
	}
}

func FuzzKeywords(f *testing.F) {
	f.Add([]byte("0 $Junk\n1 work\n"))
	f.Add([]byte("26 x\n\n1\n 2 x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		k := ParseKeywords(data)
		if again := ParseKeywords(k.Format()); again != k {
			t.Fatalf("%q became %q", k, again)
		}
	})
}
