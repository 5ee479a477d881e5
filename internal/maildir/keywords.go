package maildir

import (
	"bytes"
	"strconv"
	"strings"
)

// KeywordsFile is the name of the file that says which keyword each letter means.
const KeywordsFile = "dovecot-keywords"

// maxKeyword is the longest keyword in bytes.
const maxKeyword = 255

// Keywords are a mailbox's keywords by index: 0 is the letter a, 25 is z; "" is a free one.
type Keywords [MaxKeywords]string

// ParseKeywords reads a dovecot-keywords file: a line "<index> <keyword>" each. Lines that
// make no sense (no number, an index over 25, a keyword that IMAP could not carry) are passed
// over; of two lines with one index the first counts. Two indexes may have one keyword.
func ParseKeywords(data []byte) Keywords {
	var k Keywords
	for line := range bytes.Lines(data) {
		num, name, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		i, isNum := parseDecimal(num, MaxKeywords-1)
		if ok && isNum && k[i] == "" && ValidKeyword(name) {
			k[i] = name
		}
	}
	return k
}

// Format gives the file's content, in order of index.
func (k *Keywords) Format() []byte {
	var b []byte
	for i, name := range k {
		if name != "" {
			b = strconv.AppendInt(b, int64(i), 10)
			b = append(append(append(b, ' '), name...), '\n')
		}
	}
	return b
}

// Index finds a keyword, upper and lower case alike; -1 if there is none.
func (k *Keywords) Index(name string) int {
	if name == "" {
		return -1
	}
	for i, n := range k {
		if strings.EqualFold(n, name) {
			return i
		}
	}
	return -1
}

// Add gives the index of a keyword, taking the first free one that is not in used (the
// keyword bits that some message still has) if need be. It fails if all are taken or the name
// is no keyword.
func (k *Keywords) Add(name string, used Flags) (index int, ok bool) {
	if i := k.Index(name); i >= 0 {
		return i, true
	}
	if !ValidKeyword(name) {
		return -1, false
	}
	for i := range k {
		if k[i] == "" && used&Keyword(i) == 0 {
			k[i] = name
			return i, true
		}
	}
	return -1, false
}

// Names gives the keywords in f, in order of their letters. Keyword bits without a name are
// left out.
func (k *Keywords) Names(f Flags) []string {
	var names []string
	for i := 0; i < MaxKeywords && f>>(6+i) != 0; i++ {
		if f&Keyword(i) != 0 && k[i] != "" {
			names = append(names, k[i])
		}
	}
	return names
}

// ValidKeyword reports whether IMAP can carry the keyword: an atom (RFC 9051 section 9,
// flag-keyword) of at most 255 bytes, in ASCII.
func ValidKeyword(name string) bool {
	if name == "" || len(name) > maxKeyword {
		return false
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}
