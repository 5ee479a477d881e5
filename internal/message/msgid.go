package message

import (
	"iter"
	"strings"
)

// maxQuotedID is how much is read of a message id that needs more than a look: RFC 5322
// section 2.1.1 allows no longer line.
const maxQuotedID = 998

// MessageIDs walks over the message ids in the value of a field (RFC 5322 section 3.6.4):
// what stands in angle brackets and has an "@" within. They come without the brackets, and
// without quoting, white space and comments, so that ids that mean the same are the same
// (RFC 5256 section 3, REFERENCES). What is between ids is passed over.
func MessageIDs(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for left := s; ; {
			_, rest, ok := strings.Cut(left, "<")
			if !ok {
				return
			}
			id, n := messageID(rest)
			if left = rest[n:]; id != "" && !yield(id) {
				return
			}
		}
	}
}

// messageID reads the id that s begins with, "" if that is none, and says how much of s
// has been looked at.
func messageID(s string) (id string, n int) {
	n = strings.IndexAny(s, "<> \t\r\n\"\\(")
	switch {
	case n < 0:
		return "", len(s)
	case s[n] == '<':
		return "", n
	case s[n] == '>':
		if i := strings.IndexByte(s[:n], '@'); i <= 0 || i == n-1 {
			return "", n + 1
		}
		return s[:n], n + 1
	}
	l := lexer{s: s[:min(len(s), maxQuotedID)]}
	if !l.skip() {
		return "", l.i
	}
	local, ok := l.localPart()
	if !ok || !l.at('@') {
		return "", l.i
	}
	domain, ok := l.domain()
	if !ok || !l.at('>') {
		return "", l.i
	}
	return local + "@" + domain, l.i + 1
}
