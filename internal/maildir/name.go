// Package maildir owns the names and the small text files of a Maildir++ tree: message
// names, flag letters, keyword lists, folder names, subscriptions, maildirsize, the files
// kurir-mailbox, kurir-account and kurir-uidl, and what Dovecot and Courier leave beside
// the messages. It turns bytes and strings into values and back; it opens no file, and
// knows neither the index nor a protocol.
//
// A message is named
//
//	<sec>.M<us>P<pid>Q<seq>.<host>,S=<bytes>,W=<bytes on the wire>,U=<uid>,V=<tag>:2,<letters>
package maildir

import (
	"strconv"
	"strings"
)

// MaxForeignBase is the longest base, in bytes, that is kept when a message of another
// program is given a UID. Longer ones are replaced: with all fields a name must fit in 255 bytes.
const MaxForeignBase = 150

// Name is a message's file name taken apart. String puts it together again in the
// canonical order: base, S=, W=, U=, V=, other fields, info.
type Name struct {
	Base    string   // up to the first S=, W=, U= or V= field, or the colon
	Size    int64    // S=, bytes of the file; -1 if unknown
	Wire    int64    // W=, bytes once every line ends in CRLF; -1 if unknown
	UID     uint32   // U=; 0 if none. It counts only beside the mailbox's own Tag
	Tag     string   // V=; "" if none
	Extra   []string // other fields after the base, without their comma, in order
	HasInfo bool     // there is a colon
	Info    string   // all after the colon, as found
	Letters string   // flag letters as found, if Info is of version 2
}

// ParseName takes a file name (no directory) apart. It never fails: what has no meaning
// stays part of Base, Extra or Info. A field counts only in its canonical spelling (no
// leading zeros, no sign) and only once; other spellings end up in Extra.
func ParseName(file string) Name {
	n := Name{Size: -1, Wire: -1}
	if i := strings.IndexByte(file, ':'); i >= 0 {
		n.HasInfo, n.Info = true, file[i+1:]
		n.Letters = infoLetters(n.Info)
		file = file[:i]
	}
	i := firstField(file)
	n.Base = file[:i]
	for i < len(file) {
		field := file[i+1:]
		if j := strings.IndexByte(field, ','); j >= 0 {
			field = field[:j]
		}
		i += 1 + len(field)
		if !n.field(field) {
			n.Extra = append(n.Extra, field)
		}
	}
	return n
}

// firstField says where the comma before the first known field is, or len(s).
func firstField(s string) int {
	for i := 0; i < len(s); i++ {
		j := strings.IndexByte(s[i:], ',')
		if j < 0 {
			break
		}
		i += j
		if i+2 < len(s) && s[i+2] == '=' {
			switch s[i+1] {
			case 'S', 'W', 'U', 'V':
				return i
			}
		}
	}
	return len(s)
}

// field stores a known field and reports whether it is one.
func (n *Name) field(f string) bool {
	if len(f) < 3 || f[1] != '=' {
		return false
	}
	value := f[2:]
	switch f[0] {
	case 'S':
		return n.Size < 0 && setSize(&n.Size, value)
	case 'W':
		return n.Wire < 0 && setSize(&n.Wire, value)
	case 'U':
		v, ok := parseDecimal(value, 1<<32-1)
		if !ok || v == 0 || n.UID != 0 {
			return false
		}
		n.UID = uint32(v)
		return true
	case 'V':
		if n.Tag != "" {
			return false
		}
		n.Tag = value
		return true
	}
	return false
}

func setSize(dst *int64, s string) bool {
	v, ok := parseDecimal(s, 1<<63-1)
	if ok {
		*dst = int64(v)
	}
	return ok
}

// parseDecimal reads digits without sign or leading zeros, up to max (below 2^63).
func parseDecimal(s string, max uint64) (uint64, bool) {
	if s == "" || len(s) > 19 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	var v uint64
	for i := 0; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		v = v*10 + uint64(d)
	}
	return v, v <= max
}

// infoLetters gives the flag letters of info text; none if it isn't of version 2.
func infoLetters(info string) string {
	if !strings.HasPrefix(info, "2,") {
		return ""
	}
	letters := info[2:]
	if i := strings.IndexByte(letters, ','); i >= 0 {
		letters = letters[:i]
	}
	return letters
}

// infoTail gives what other programs put behind the letters, with its comma.
func infoTail(info string) string {
	if !strings.HasPrefix(info, "2,") {
		return ""
	}
	if i := strings.IndexByte(info[2:], ','); i >= 0 {
		return info[2+i:]
	}
	return ""
}

// String gives the file name. For each x, ParseName(ParseName(x).String()) is
// ParseName(x), but for the Info of a name that ends in a bare colon; ParseName(x).String() is x if x has its fields in canonical order.
func (n Name) String() string {
	return string(n.AppendTo(make([]byte, 0, 128)))
}

// AppendTo appends the file name to b. Letters are written as they are; info text that
// isn't of version 2 (":1,…" of experiments, or anything else) is kept, and Letters then ignored.
func (n Name) AppendTo(b []byte) []byte {
	b = append(b, n.Base...)
	if n.Size >= 0 {
		b = strconv.AppendInt(append(b, ",S="...), n.Size, 10)
	}
	if n.Wire >= 0 {
		b = strconv.AppendInt(append(b, ",W="...), n.Wire, 10)
	}
	if n.UID != 0 {
		b = strconv.AppendUint(append(b, ",U="...), uint64(n.UID), 10)
	}
	if n.Tag != "" {
		b = append(append(b, ",V="...), n.Tag...)
	}
	for _, x := range n.Extra {
		b = append(append(b, ','), x...)
	}
	if !n.HasInfo {
		return b
	}
	if n.foreignInfo() {
		return append(append(b, ':'), n.Info...)
	}
	b = append(append(b, ":2,"...), n.Letters...)
	return append(b, infoTail(n.Info)...)
}

func (n Name) foreignInfo() bool {
	return n.Info != "" && !strings.HasPrefix(n.Info, "2,")
}

// Flags gives the flags that the letters stand for.
func (n Name) Flags() Flags { return ParseFlags(n.Letters) }

// SetFlags gives the name version 2 info with the letters of f, sorted. Letters of other
// programs that have no meaning here stay; info of another version is replaced.
func (n *Name) SetFlags(f Flags) {
	if n.foreignInfo() {
		n.Info = ""
	}
	n.HasInfo = true
	n.Letters = MergeLetters(n.Letters, f)
}

// NeedsNewBase reports whether the base can't be kept when the message is given a UID:
// it is empty, begins with a dot (such files are not messages), or is longer than MaxForeignBase.
func (n Name) NeedsNewBase() bool {
	return n.Base == "" || n.Base[0] == '.' || len(n.Base) > MaxForeignBase
}

// BaseOf gives the base of a file name, without taking apart the rest.
func BaseOf(file string) string {
	if i := strings.IndexByte(file, ':'); i >= 0 {
		file = file[:i]
	}
	return file[:firstField(file)]
}
