package maildir

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var nameTests = []struct {
	file string
	want Name
	back string // what String gives; "" if it is file itself
}{
	{file: "1790000000.M12P34Q5.mx,S=100,W=104,U=7,V=k3:2,S",
		want: Name{Base: "1790000000.M12P34Q5.mx", Size: 100, Wire: 104, UID: 7, Tag: "k3", HasInfo: true, Info: "2,S", Letters: "S"}},
	{file: "1790000000.M12P34Q5.mx,S=100,W=104",
		want: Name{Base: "1790000000.M12P34Q5.mx", Size: 100, Wire: 104}},
	{file: "1790000000.M12P34Q5.mx,S=0,W=0:2,",
		want: Name{Base: "1790000000.M12P34Q5.mx", HasInfo: true, Info: "2,"}},
	// Dovecot, with keyword letters.
	{file: "1795307237.M264515P18078.mx,S=133,W=141:2,FScd",
		want: Name{Base: "1795307237.M264515P18078.mx", Size: 133, Wire: 141, HasInfo: true, Info: "2,FScd", Letters: "FScd"}},
	// Courier.
	{file: "1325427906.M123456P4711V000000000000FD01I0000000000C0FFEE_0.mx,S=98:2,S",
		want: Name{Base: "1325427906.M123456P4711V000000000000FD01I0000000000C0FFEE_0.mx", Size: 98, Wire: -1, HasInfo: true, Info: "2,S", Letters: "S"}},
	// qmail in new/.
	{file: "1000000000.4711.mx.example.org",
		want: Name{Base: "1000000000.4711.mx.example.org", Size: -1, Wire: -1}},
	// mbsync: a UID, but no tag beside it.
	{file: "1600000000.4711_3.laptop,U=12:2,FS",
		want: Name{Base: "1600000000.4711_3.laptop", Size: -1, Wire: -1, UID: 12, HasInfo: true, Info: "2,FS", Letters: "FS"}},
	// Experimental info, and info of no version.
	{file: "1.2.mx:1,xyz", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, HasInfo: true, Info: "1,xyz"}},
	{file: "1.2.mx:hello", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, HasInfo: true, Info: "hello"}},
	{file: "1.2.mx:2", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, HasInfo: true, Info: "2"}},
	{file: "1.2.mx:", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, HasInfo: true}, back: "1.2.mx:2,"},
	// Dovecot keeps what follows a second comma; so do we.
	{file: "1.2.mx:2,Sa,extra,more", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, HasInfo: true, Info: "2,Sa,extra,more", Letters: "Sa"}},
	// The first colon decides.
	{file: "1.2.a:b:2,S", want: Name{Base: "1.2.a", Size: -1, Wire: -1, HasInfo: true, Info: "b:2,S"}},
	// Fields of other programs: before ours they belong to the base, after them they are kept.
	{file: "1.2.mx,X=1,S=5", want: Name{Base: "1.2.mx,X=1", Size: 5, Wire: -1}},
	{file: "1.2.mx,S=5,X=1,foo:2,", want: Name{Base: "1.2.mx", Size: 5, Wire: -1, Extra: []string{"X=1", "foo"}, HasInfo: true, Info: "2,"}},
	{file: "1.2.mx,X=1,Y:2,", want: Name{Base: "1.2.mx,X=1,Y", Size: -1, Wire: -1, HasInfo: true, Info: "2,"}},
	// Spellings that are not canonical are no fields.
	{file: "1.2.mx,S=05", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, Extra: []string{"S=05"}}},
	{file: "1.2.mx,S=-5", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, Extra: []string{"S=-5"}}},
	{file: "1.2.mx,S=", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, Extra: []string{"S="}}},
	{file: "1.2.mx,S=9223372036854775807", want: Name{Base: "1.2.mx", Size: 1<<63 - 1, Wire: -1}},
	{file: "1.2.mx,S=9223372036854775808", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, Extra: []string{"S=9223372036854775808"}}},
	{file: "1.2.mx,U=0", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, Extra: []string{"U=0"}}},
	{file: "1.2.mx,U=4294967295", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, UID: 1<<32 - 1}},
	{file: "1.2.mx,U=4294967296", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, Extra: []string{"U=4294967296"}}},
	{file: "1.2.mx,V=", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, Extra: []string{"V="}}},
	// Twice: the first counts.
	{file: "1.2.mx,S=1,S=2", want: Name{Base: "1.2.mx", Size: 1, Wire: -1, Extra: []string{"S=2"}}},
	{file: "1.2.mx,U=1,U=2,V=a,V=b", want: Name{Base: "1.2.mx", Size: -1, Wire: -1, UID: 1, Tag: "a", Extra: []string{"U=2", "V=b"}}, back: "1.2.mx,U=1,V=a,U=2,V=b"},
	// Another order is put right.
	{file: "1.2.mx,V=a,U=3,W=2,S=1:2,SF", want: Name{Base: "1.2.mx", Size: 1, Wire: 2, UID: 3, Tag: "a", HasInfo: true, Info: "2,SF", Letters: "SF"}, back: "1.2.mx,S=1,W=2,U=3,V=a:2,SF"},
	{file: "", want: Name{Size: -1, Wire: -1}, back: ""},
	{file: ",S=1", want: Name{Size: 1, Wire: -1}},
	{file: ",", want: Name{Base: ",", Size: -1, Wire: -1}},
	{file: "a,S=1,", want: Name{Base: "a", Size: 1, Wire: -1, Extra: []string{""}}},
	{file: "msg\xff\x01", want: Name{Base: "msg\xff\x01", Size: -1, Wire: -1}},
}

func TestParseName(t *testing.T) {
	for _, tt := range nameTests {
		got := ParseName(tt.file)
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseName(%q)\n got %+v\nwant %+v", tt.file, got, tt.want)
		}
		back := tt.back
		if back == "" {
			back = tt.file
		}
		if s := got.String(); s != back {
			t.Errorf("ParseName(%q).String() = %q, want %q", tt.file, s, back)
		}
		if b := BaseOf(tt.file); b != tt.want.Base {
			t.Errorf("BaseOf(%q) = %q, want %q", tt.file, b, tt.want.Base)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, tt := range nameTests {
		f.Add(tt.file)
	}
	f.Fuzz(func(t *testing.T, file string) {
		n := ParseName(file)
		s := n.String()
		// Nothing but the order of the fields, and ":2," for a bare colon, may change.
		a, b := strings.Split(file, ","), strings.Split(s, ",")
		if !strings.HasSuffix(file, ":") && !strings.Contains(file, ":") {
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, b) {
				t.Fatalf("%q became %q", file, s)
			}
		}
		again := ParseName(s)
		if again.String() != s {
			t.Fatalf("%q: %q is not stable, became %q", file, s, again.String())
		}
		if again.Base != n.Base || again.Size != n.Size || again.Wire != n.Wire || again.UID != n.UID || again.Tag != n.Tag || again.Letters != n.Letters {
			t.Fatalf("%q: %+v became %+v", file, n, again)
		}
		if BaseOf(file) != n.Base {
			t.Fatalf("BaseOf(%q) = %q, want %q", file, BaseOf(file), n.Base)
		}
		n.SetFlags(FlagSeen | Keyword(3))
		if f := ParseName(n.String()).Flags(); f != FlagSeen|Keyword(3) {
			t.Fatalf("%q with flags has %b", file, f)
		}
	})
}

func TestSetFlags(t *testing.T) {
	for _, tt := range []struct {
		file  string
		flags Flags
		want  string
	}{
		{"1.2.mx", FlagSeen, "1.2.mx:2,S"},
		{"1.2.mx:2,", 0, "1.2.mx:2,"},
		{"1.2.mx,S=1:2,S", FlagFlagged | Keyword(0), "1.2.mx,S=1:2,Fa"},
		{"1.2.mx:2,SX9", FlagAnswered, "1.2.mx:2,9RX"},           // letters of others stay
		{"1.2.mx:2,S,more", FlagDraft, "1.2.mx:2,D,more"},        // and what follows them
		{"1.2.mx:1,other", FlagSeen, "1.2.mx:2,S"},               // other versions don't
		{"1.2.mx:2,SSFF", FlagSeen | FlagFlagged, "1.2.mx:2,FS"}, // doubles and order are put right
	} {
		n := ParseName(tt.file)
		n.SetFlags(tt.flags)
		if got := n.String(); got != tt.want {
			t.Errorf("%q with %b is %q, want %q", tt.file, tt.flags, got, tt.want)
		}
	}
}

func TestNeedsNewBase(t *testing.T) {
	for file, want := range map[string]bool{
		"1.2.mx:2,S":                         false,
		strings.Repeat("x", 150) + ",S=1:2,": false,
		strings.Repeat("x", 151) + ",S=1:2,": true,
		",S=1":                               true,
		".hidden":                            true,
	} {
		if got := ParseName(file).NeedsNewBase(); got != want {
			t.Errorf("NeedsNewBase(%.20q…) = %v", file, got)
		}
	}
	// The longest name that we make fits: 150 bytes of base, all fields at their largest, 32 letters.
	n := Name{Base: strings.Repeat("x", MaxForeignBase), Size: 1 << 40, Wire: 1 << 40, UID: 1<<32 - 1, Tag: "abcd"}
	n.SetFlags(1<<32 - 1)
	if l := len(n.String()); l > 255 {
		t.Errorf("the longest name has %d bytes", l)
	}
}

func TestOrder(t *testing.T) {
	sorted := []string{
		"9.M1P1Q1.mx",
		"10.1_9.mx",
		"10.1_10.mx",
		"10.M1P1Q1.a",
		"10.M1P1Q1.b",
		"10.M1P2Q1.mx",
		"10.M1P10Q1.mx",
		"10.M2P1Q1.mx",
		"10.M2P1Q9.mx",
		"10.M2P1Q10.mx",
		"10.M000003P5V000000000000FD01I00C0FFEE_0.mx,S=98:2,S",
		"10.M10P1Q1.mx",
		"100.4711.mx",
		"100.4712.mx",
		"99999999999999999999.M1P1.mx",
		"apple",
		"zebra.M1P1Q1",
	}
	for i, a := range sorted {
		for j, b := range sorted {
			if got, want := Less(a, b), i < j; got != want {
				t.Errorf("Less(%q, %q) = %v", a, b, got)
			}
		}
	}
	for range 20 {
		mixed := slices.Clone(sorted)
		rand.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if Sort(mixed); !slices.Equal(mixed, sorted) {
			t.Fatalf("sorted: %q", mixed)
		}
	}
}

func FuzzOrder(f *testing.F) {
	f.Add("10.M1P1Q1.a", "10.M1P1Q1.b", "9.1_2.mx")
	f.Add("18446744073709551615.x", "18446744073709551616.x", "x")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if Compare(a, b) != -Compare(b, a) || (Compare(a, b) == 0) != (a == b) {
			t.Fatalf("no order between %q and %q", a, b)
		}
		if Less(a, b) && Less(b, c) && !Less(a, c) {
			t.Fatalf("%q < %q < %q, but not the first below the last", a, b, c)
		}
	})
}

func BenchmarkParseName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ParseName("1790000000.M123456P4711Q58.mx.example.org,S=12345,W=12500,U=100234,V=k3x9:2,FSa")
	}
}

func BenchmarkNameString(b *testing.B) {
	n := ParseName("1790000000.M123456P4711Q58.mx.example.org,S=12345,W=12500,U=100234,V=k3x9:2,FSa")
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = n.AppendTo(buf[:0])
	}
}

func BenchmarkSort(b *testing.B) {
	m := NewBaseMaker("mx.example.org", 4711, nil)
	names := make([]string, 10000)
	for i := range names {
		names[i] = m.Next() + ",S=1,W=2"
	}
	for b.Loop() {
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		Sort(names)
	}
}
