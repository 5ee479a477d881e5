package maildir

import "strings"

// Flags is a message's set of flags: six system flags and 26 keywords, one bit each.
type Flags uint32

// The system flags and their letters.
const (
	FlagSeen      Flags = 1 << iota // S, \Seen
	FlagAnswered                    // R, \Answered
	FlagFlagged                     // F, \Flagged
	FlagDeleted                     // T, \Deleted
	FlagDraft                       // D, \Draft
	FlagForwarded                   // P, $Forwarded

	// FlagsSystem is all of the above; the other bits are keywords.
	FlagsSystem Flags = 1<<6 - 1
)

// MaxKeywords is how many keywords a mailbox can have: the letters a to z.
const MaxKeywords = 26

// Keyword gives the flag of the keyword with index i (0 to 25, letters a to z).
func Keyword(i int) Flags { return 1 << (6 + i) }

// upper has the system flags in the order of their letters.
var upper = [...]struct {
	letter byte
	flag   Flags
}{
	{'D', FlagDraft}, {'F', FlagFlagged}, {'P', FlagForwarded},
	{'R', FlagAnswered}, {'S', FlagSeen}, {'T', FlagDeleted},
}

// flagOf gives the flag of a letter, 0 if it has none.
func flagOf(c byte) Flags {
	switch c {
	case 'S':
		return FlagSeen
	case 'R':
		return FlagAnswered
	case 'F':
		return FlagFlagged
	case 'T':
		return FlagDeleted
	case 'D':
		return FlagDraft
	case 'P':
		return FlagForwarded
	}
	if 'a' <= c && c <= 'z' {
		return Keyword(int(c - 'a'))
	}
	return 0
}

// ParseFlags gives the flags that letters stand for, in any order; letters without a
// meaning are passed over.
func ParseFlags(letters string) Flags {
	var f Flags
	for i := 0; i < len(letters); i++ {
		f |= flagOf(letters[i])
	}
	return f
}

// Letters gives the letters of f in ASCII order.
func (f Flags) Letters() string {
	if f == 0 {
		return ""
	}
	return string(f.AppendLetters(make([]byte, 0, 32)))
}

// AppendLetters appends the letters of f in ASCII order.
func (f Flags) AppendLetters(b []byte) []byte {
	for _, u := range upper {
		if f&u.flag != 0 {
			b = append(b, u.letter)
		}
	}
	for i, k := 0, f>>6; k != 0; i, k = i+1, k>>1 {
		if k&1 != 0 {
			b = append(b, byte('a'+i))
		}
	}
	return b
}

// MergeLetters gives the letters of f, with those letters of old kept that have no
// meaning here, all in ASCII order and each once.
func MergeLetters(old string, f Flags) string {
	out := f.Letters()
	for i := 0; i < len(old); i++ {
		c := old[i]
		if flagOf(c) != 0 || strings.IndexByte(out, c) >= 0 {
			continue
		}
		j := 0
		for j < len(out) && out[j] < c {
			j++
		}
		out = out[:j] + string([]byte{c}) + out[j:]
	}
	return out
}
