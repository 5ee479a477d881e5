package dsn

import (
	"encoding/base64"
	"fmt"
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	maxLine   = 998 // octets in a line of mail (RFC 5322 section 2.1.1)
	foldAt    = 76  // where our own lines are folded
	maxWord   = 500 // octets in a word of our own lines; a longer one is broken
	maxTo     = 512 // octets in the address of a To field
	maxMsgID  = 512 // octets in a Message-ID that is referred to
	maxDomain = 255
)

// isControl tells whether r has no place in text: C0 and C1, DEL, line and paragraph
// separators, and what turns the direction of the text around it (Unicode UAX 9).
func isControl(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// plain makes s valid UTF-8 on one line: what is no text is a space, white space is
// one space.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// escape is s in ASCII: other characters are written \x{HEX} (RFC 6533 section 3).
func escape(s string) string {
	if isASCII(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x{%X}`, r)
		}
	}
	return b.String()
}

// shorten cuts s after at most limit octets, between two characters, and says so by "…" or
// "..." when s is ASCII.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	dots := "…"
	if isASCII(s) {
		dots = "..."
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + dots
}

// fold is a field on lines of about 76 octets; value is on one line and has only single
// spaces, as plain makes it.
func fold(name, value string) string {
	var b strings.Builder
	b.WriteString(name + ":")
	col := b.Len()
	for word := range strings.SplitSeq(value, " ") {
		for word != "" {
			n := cut(word, maxWord)
			if col > len(name)+1 && col+1+n > foldAt {
				b.WriteString("\n")
				col = 0
			}
			b.WriteString(" " + word[:n])
			col += 1 + n
			word = word[n:]
		}
	}
	b.WriteString("\n")
	return b.String()
}

// cut is the length of the longest beginning of s that has at most limit octets and whole
// characters.
func cut(s string, limit int) int {
	if len(s) <= limit {
		return len(s)
	}
	for limit > 1 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return limit
}

// unstructured is a field whose value may be any text: from the first word on that is
// not plain ASCII, or would be taken for an encoded word, it is in encoded words (RFC
// 2047 section 5).
func unstructured(name, value string) string {
	value = plain(value)
	var words []string
	for value != "" {
		word, rest, _ := strings.Cut(value, " ")
		if !isASCII(word) || strings.Contains(word, "=?") || len(word) > maxWord {
			break
		}
		words = append(words, word)
		value = rest
	}
	// 36 octets become 48 characters: with the frame, a word stays below 75.
	for value != "" {
		n := cut(value, 36)
		words = append(words, "=?utf-8?B?"+base64.StdEncoding.EncodeToString([]byte(value[:n]))+"?=")
		value = value[n:]
	}
	return fold(name, strings.Join(words, " "))
}

// destination is the value of a To field for the address. Its domain is in A-labels if
// that makes it ASCII, so that the report does not need SMTPUTF8 (RFC 6531). What is no
// address at all does not get into the header.
func destination(addr string) string {
	if len(addr) <= maxTo && plain(addr) == addr {
		if at := strings.LastIndexByte(addr, '@'); at > 0 && isASCII(addr[:at]) {
			addr = addr[:at+1] + domain(addr[at+1:])
		}
		if a, err := mail.ParseAddress("<" + addr + ">"); err == nil && a.Name == "" {
			return "<" + addr + ">"
		}
	}
	return "undisclosed-recipients:;" // RFC 5322 appendix A.1.3
}

// domain is the domain in ASCII if it has such a form.
func domain(d string) string {
	if isASCII(d) {
		return d
	}
	if a, err := idna.Lookup.ToASCII(d); err == nil {
		return a
	}
	return d
}

// host is the name of a host as a header field can hold it, "" if it can't.
func host(name string) string {
	name = domain(name)
	for _, r := range name {
		if !strings.ContainsRune("-._:[]", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return ""
		}
	}
	if len(name) > maxDomain {
		return ""
	}
	return name
}

// messageID is the first Message-ID in the value of a field, with its brackets; "" if
// there is none that could be referred to.
func messageID(value string) string {
	_, id, ok := strings.Cut(value, "<")
	id, _, closed := strings.Cut(id, ">")
	if !ok || !closed || id == "" || len(id) > maxMsgID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' }) {
		return ""
	}
	return "<" + id + ">"
}
