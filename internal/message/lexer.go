package message

import "strings"

// lexer reads the tokens of RFC 5322 section 3.2 and RFC 2045 section 5.1 from an
// unfolded field value. Its methods take CFWS behind a token with it. After an
// unterminated comment or quoted string it stands at the end.
type lexer struct {
	s       string
	i       int
	comment string // the last comment passed, as written, without the outer parentheses
	quoted  bool   // the last comment has quoted pairs in it
	open    bool   // the last quoted string had no end
}

// Character classes. Bytes above 127 are letters: headers are not always ASCII.
const (
	classAtext = 1 << iota // RFC 5322 atext
	classToken             // RFC 2045 token, atext and "." but for tspecials
)

// class has the classes of each byte, 32 in a row.
var class = [256]byte{
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 3, 0, 3, 3, 3, 3, 3, 0, 0, 3, 3, 0, 3, 2, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 1, 0, 1,
	0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 3, 3,
	3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0,
	3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
	3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
	3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
	3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
}

func is(c byte, cl byte) bool { return class[c]&cl != 0 }

func (l *lexer) end() bool { return l.i >= len(l.s) }

// at reports whether c comes next.
func (l *lexer) at(c byte) bool { return l.i < len(l.s) && l.s[l.i] == c }

// next reports whether a character of the class comes next.
func (l *lexer) next(cl byte) bool { return l.i < len(l.s) && is(l.s[l.i], cl) }

// skip passes white space and comments. It reports false if a comment has no end.
func (l *lexer) skip() bool {
	for l.i < len(l.s) {
		switch l.s[l.i] {
		case ' ', '\t', '\r', '\n':
			l.i++
		case '(':
			if !l.skipComment() {
				return false
			}
		default:
			return true
		}
	}
	return true
}

func (l *lexer) skipComment() bool {
	start, level := l.i+1, 0
	l.comment, l.quoted = "", false
	for ; l.i < len(l.s); l.i++ {
		switch l.s[l.i] {
		case '\\':
			l.i++
			l.quoted = true
		case '(':
			level++
		case ')':
			if level--; level == 0 {
				l.comment = l.s[start:l.i]
				l.i++
				return true
			}
		}
	}
	l.i = len(l.s)
	return false
}

// lastComment returns the text of the last comment passed.
func (l *lexer) lastComment() string {
	if !l.quoted {
		return l.comment
	}
	return unescape(l.comment)
}

// unescape removes the backslash of each quoted pair.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// run takes all characters of the class that come next, without white space behind.
func (l *lexer) run(cl byte) string {
	start := l.i
	for l.next(cl) {
		l.i++
	}
	return l.s[start:l.i]
}

// token takes a run and the CFWS behind it; ok is false if that has no end.
func (l *lexer) token(cl byte) (s string, ok bool) {
	s = l.run(cl)
	return s, l.skip()
}

// quotedString takes a quoted string that begins here and the CFWS behind it. If the
// closing quote is missing it returns all there is, and false.
func (l *lexer) quotedString() (s string, ok bool) {
	start := l.i + 1
	l.open = false
	for l.i = start; l.i < len(l.s); l.i++ {
		switch l.s[l.i] {
		case '\\':
			l.i++
		case '"':
			s = unescape(l.s[start:l.i])
			l.i++
			return s, l.skip()
		}
	}
	l.i, l.open = len(l.s), true
	return unescape(l.s[min(start, l.i):]), false
}

// phrase takes words, dots allowed, and joins them with single spaces (RFC 5322
// sections 3.2.5 and 4.1). Where a quoted string or a comment has no end it returns the
// words up to there, and false; so it does, without one, where no phrase begins.
func (l *lexer) phrase() (s string, ok bool) {
	if l.end() || l.at('.') {
		return "", false
	}
	var words []string
	for {
		var w string
		if l.at('"') {
			w, ok = l.quotedString()
		} else {
			l.open = false
			w, ok = l.atomOrDots()
		}
		if ok || w != "" && !l.open {
			words = append(words, w)
		}
		if !ok || !l.next(classAtext) && !l.at('"') && !l.at('.') {
			return strings.Join(words, " "), ok
		}
	}
}

// dotAtom is where the characters of atoms and dots that come next end.
func (l *lexer) dotAtom() int {
	i := l.i
	for i < len(l.s) && (l.s[i] == '.' || is(l.s[i], classAtext)) {
		i++
	}
	return i
}

func (l *lexer) atomOrDots() (string, bool) {
	start := l.i
	l.i = l.dotAtom()
	s := l.s[start:l.i]
	return s, l.skip()
}

// localPart takes word *("." word), with CFWS around dots (RFC 5322 sections 3.4.1 and
// 4.4). Stray dots are forgiven: between words, in front of the first one, and at the end
// if nothing or the "@" follows them.
func (l *lexer) localPart() (string, bool) {
	var b strings.Builder
	dot := false // the last word ended with an unquoted dot
	for first := true; ; first = false {
		var w string
		var ok bool
		switch {
		case l.at('"'):
			w, ok = l.quotedString()
			dot = false
		case l.next(classAtext) || l.at('.'):
			w = l.s[l.i:l.dotAtom()]
			l.i += len(w)
			dot = w[len(w)-1] == '.'
			stray, comment := dot && !l.end() && !l.at('@'), l.comment
			ok = l.skip()
			if stray && !l.next(classAtext) && !l.at('"') {
				l.comment = comment
				return "", false
			}
		default:
			return "", false
		}
		b.WriteString(w)
		if !ok {
			return "", false
		}
		if first && dot && strings.Trim(w, ".") == "" { // no word begins with a dot and a space
			return w, true
		}
		if more := l.at('.') || dot && (l.next(classAtext) || l.at('"')); !more {
			return b.String(), true
		}
	}
}

// domain takes "@" and a domain or domain literal (RFC 5322 section 3.4.1).
func (l *lexer) domain() (s string, ok bool) {
	l.i++
	if !l.skip() || l.end() {
		return "", false
	}
	if l.at('[') {
		return l.domainLiteral()
	}
	var b strings.Builder
	for l.next(classAtext) {
		b.WriteString(l.run(classAtext))
		if !l.skip() {
			return "", false
		}
		if !l.at('.') {
			return b.String(), true
		}
		l.i++
		b.WriteByte('.')
		if !l.skip() {
			return "", false
		}
	}
	return "", false
}

func (l *lexer) domainLiteral() (string, bool) {
	for start := l.i; l.i < len(l.s); l.i++ {
		switch l.s[l.i] {
		case '\\':
			l.i++
		case ']':
			l.i++
			s := strings.Clone(l.s[start:l.i])
			return s, l.skip()
		}
	}
	l.i = len(l.s)
	return "", false
}
