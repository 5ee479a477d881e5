package message

import (
	"strings"
	"testing"
)

// Rows of a subject, its base, and whether it is a reply or a forward; all seed the fuzz target.
var subjectTests = []struct {
	in, want string
	reply    bool
}{
	// RFC 5256 section 2.1 (1): white space.
	{"", "", false},
	{"  lunch\t today  ", "lunch today", false},
	{" \t ", "", false},
	// (2): trailers.
	{"lunch (fwd)", "lunch", true},
	{"lunch (Fwd)(FWD) (fwd) ", "lunch", true},
	{"(fwd)", "", true},
	{"lunch (fwd) today", "lunch (fwd) today", false},
	{"lunch fwd)", "lunch fwd)", false},
	// (3): leaders.
	{"re: lunch", "lunch", true},
	{"Re:lunch", "lunch", true},
	{"RE : lunch", "lunch", true},
	{"fw: lunch", "lunch", true},
	{"Fwd: lunch", "lunch", true},
	{"Re: Fw: fwd: RE: lunch", "lunch", true},
	{"re[2]: lunch", "lunch", true},
	{"Re [ 3 ] : lunch", "lunch", true},
	{"[list] Re: lunch", "lunch", true},
	{"[a] [b][c] fwd: re: lunch", "lunch", true},
	{"re: [list] re: lunch", "lunch", true},
	{"Re:", "", true},
	{"re", "re", false},
	{"reply: lunch", "reply: lunch", false},
	{"fwdd: lunch", "fwdd: lunch", false},
	{"re [x[y]: lunch", "re [x[y]: lunch", false},
	{"re[1][2]: lunch", "re[1][2]: lunch", false},
	{"AW: lunch", "AW: lunch", false}, // section 7: no translations
	{"reé: lunch", "reé: lunch", false},
	// (4): blobs, unless nothing else is there.
	{"[list] lunch", "lunch", false},
	{"[list]lunch", "lunch", false},
	{"[list]", "[list]", false},
	{"[a] [b]", "[b]", false},
	{"[a][b] [c] lunch", "lunch", false},
	{"re: [list]", "[list]", true},
	{"lunch [list]", "lunch [list]", false},
	{"[unclosed lunch", "[unclosed lunch", false},
	{"[a[b] lunch", "[a[b] lunch", false},
	{"[] lunch", "lunch", false},
	{"[Grüße] lunch", "lunch", false},
	// (6): forwards in brackets.
	{"[fwd: lunch]", "lunch", true},
	{"[Fwd: re: lunch (fwd) ]", "lunch", true},
	{"Re: [FWD: [fwd: [list] lunch]]", "lunch", true},
	{"[fwd:]", "", true},
	{"[fwd: lunch] today", "today", false}, // a blob
	{"[fwd: [x] lunch", "[fwd: [x] lunch", false},
	{"[fwd: lunch [x] y]", "lunch [x] y", true},
}

func TestBaseSubject(t *testing.T) {
	for _, tt := range subjectTests {
		if got, reply := BaseSubject(tt.in); got != tt.want || reply != tt.reply {
			t.Errorf("%q: %q, %t; want %q, %t", tt.in, got, reply, tt.want, tt.reply)
		}
	}
}

// Marks without end take time that grows with their number, not with its square.
func TestBaseSubjectLong(t *testing.T) {
	const n = 300_000
	for _, tt := range []struct{ in, want string }{
		{strings.Repeat("[a]", n), "[a]"},
		{strings.Repeat("[a] ", n) + "x", "x"},
		{strings.Repeat("re: ", n) + "x", "x"},
		{strings.Repeat("[fwd: ", n) + "x" + strings.Repeat("]", n), "x"},
		{strings.Repeat("[a]re:", n) + strings.Repeat("(fwd) ", n), ""},
		{strings.Repeat("[", n), strings.Repeat("[", n)},
	} {
		if got, _ := BaseSubject(tt.in); got != tt.want {
			t.Errorf("%.20q…: %.20q of %d bytes", tt.in, got, len(got))
		}
	}
}

// stepByStep is section 2.1 word by word.
func stepByStep(s string) (base string, reply bool) {
	s = squeeze(s)
	for {
		for more := true; more; { // step 2
			more = false
			if t, ok := strings.CutSuffix(s, " "); ok {
				s, more = t, true
			}
			if n := len(s) - 5; n >= 0 && strings.EqualFold(s[n:], "(fwd)") {
				s, more, reply = s[:n], true, true
			}
		}
		for more := true; more; { // steps 3 to 5
			more = false
			if t, ok := strings.CutPrefix(s, " "); ok {
				s, more = t, true
			}
			rest := s
			for blob(rest) > 0 {
				rest = rest[blob(rest):]
			}
			if n := refwd(rest); n > 0 {
				s, more, reply = rest[n:], true, true
			} else if n := blob(s); n > 0 && s[n:] != "" {
				s, more = s[n:], true
			}
		}
		if len(s) < 6 || !strings.EqualFold(s[:5], "[fwd:") || s[len(s)-1] != ']' {
			return s, reply
		}
		s, reply = s[5:len(s)-1], true // step 6
	}
}

// FuzzBaseSubject: the base is what the procedure gives step by step, and its own base.
func FuzzBaseSubject(f *testing.F) {
	for _, tt := range subjectTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1000 {
			return
		}
		got, reply := BaseSubject(s)
		if want, wantReply := stepByStep(s); got != want || reply != wantReply {
			t.Fatalf("%q: %q, %t; want %q, %t", s, got, reply, want, wantReply)
		}
		if again, reply := BaseSubject(got); again != got || reply {
			t.Fatalf("%q: %q, then %q, %t", s, got, again, reply)
		}
	})
}
