package mailauth

import (
	"errors"
	"fmt"
	"strings"

	"kurir/internal/mailauth/sig"
)

// Bounds of a field that is parsed.
const (
	maxResults    = 64 << 10 // octets
	maxMethods    = 200
	maxProperties = 100 // of one method
)

var (
	errLongResults = errors.New("authentication results: too long")
	errOpenComment = errors.New("authentication results: a comment or a quoted string has no end")
)

// ParseResults reads the value of an Authentication-Results field, folded or not (RFC 8601
// section 2.2). Comments are passed over, wherever they stand; methods, results and names
// of properties come in lower case. Also of a field that is wrong further on, ID is what
// stands first, if that can be read: whose field it claims to be has to be known even then.
// The error says in words what is wrong.
func ParseResults(text string) (Results, error) {
	var r Results
	if len(text) > maxResults {
		text = text[:maxResults]
	}
	p := &resultsParser{s: text}
	r.ID = p.word(isIDByte)
	p.skip()
	if p.digits() { // the version of all this
		p.skip()
	}
	if p.err != nil || r.ID == "" {
		return r, firstOf(p.err, fmt.Errorf("authentication results: it does not say whose it is: %q", sig.Shown(text)))
	}
	if !p.end() && !p.at(';') {
		return r, p.unexpected()
	}
	for p.take(';') {
		p.skip()
		if p.end() { // a semicolon too many is common
			break
		}
		m, none := p.method()
		switch {
		case p.err != nil:
			return r, p.err
		case none && len(r.Methods) > 0:
			return r, errors.New("authentication results: none, and more")
		case !none:
			r.Methods = append(r.Methods, m)
		}
		if len(r.Methods) > maxMethods {
			return r, errLongResults
		}
	}
	if !p.end() {
		return r, p.unexpected()
	}
	if len(text) == maxResults {
		return r, errLongResults
	}
	return r, p.err
}

func firstOf(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// resultsParser reads tokens and remembers its first error. White space and comments in
// front of a token are passed with it.
type resultsParser struct {
	s   string
	i   int
	err error
}

// method reads one resinfo, or the word "none" alone.
func (p *resultsParser) method() (m Method, none bool) {
	m.Name = strings.ToLower(p.word(isKeyByte))
	p.skip()
	if p.take('/') {
		p.skip()
		p.digits()
		p.skip()
	}
	if m.Name == "none" && (p.end() || p.at(';')) {
		return m, true
	}
	if m.Name == "" || !p.take('=') {
		p.unexpected()
		return m, false
	}
	m.Result = Result(strings.ToLower(p.word(isKeyByte)))
	if m.Result == "" {
		p.unexpected()
	}
	for p.skip(); p.err == nil && !p.end() && !p.at(';'); p.skip() {
		p.property(&m)
	}
	return m, false
}

// property reads reason=… or ptype.property=…. A word without a ptype, such as the
// action=none of Microsoft's servers, is passed over.
func (p *resultsParser) property(m *Method) {
	kind := strings.ToLower(p.word(isKeyByte))
	p.skip()
	if kind == "reason" && p.take('=') {
		m.Reason = p.word(isValueByte)
		return
	}
	if kind != "" && p.take('=') {
		p.word(isValueByte)
		return
	}
	if kind == "" || !p.take('.') {
		p.unexpected()
		return
	}
	name := strings.ToLower(p.word(isKeyByte))
	p.skip()
	if name == "" || !p.take('=') {
		p.unexpected()
		return
	}
	if len(m.Properties) == maxProperties {
		p.fail(errLongResults)
		return
	}
	m.Properties = append(m.Properties, Property{kind, name, p.word(isValueByte)})
}

// word reads a run of characters, or pieces in quotes and such runs next to each other, as
// in "a b"@example.org.
func (p *resultsParser) word(is func(byte) bool) string {
	p.skip()
	var b strings.Builder
	for !p.end() {
		if p.at('"') {
			p.quoted(&b)
			continue
		}
		start := p.i
		for !p.end() && is(p.s[p.i]) {
			p.i++
		}
		if p.i == start {
			break
		}
		b.WriteString(p.s[start:p.i])
	}
	return b.String()
}

func (p *resultsParser) quoted(b *strings.Builder) {
	for p.i++; !p.end(); p.i++ {
		switch c := p.s[p.i]; c {
		case '\\':
			if p.i++; p.end() {
				break
			}
			b.WriteByte(p.s[p.i])
		case '"':
			p.i++
			return
		case '\r', '\n':
		default:
			b.WriteByte(c)
		}
	}
	p.i = len(p.s)
	p.fail(errOpenComment)
}

// skip passes white space and comments.
func (p *resultsParser) skip() {
	depth := 0
	for ; !p.end(); p.i++ {
		switch c := p.s[p.i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0:
			p.i++
		case depth > 0 || c == ' ' || c == '\t' || c == '\r' || c == '\n':
		default:
			return
		}
	}
	p.i = len(p.s)
	if depth > 0 {
		p.fail(errOpenComment)
	}
}

func (p *resultsParser) end() bool { return p.i >= len(p.s) }

func (p *resultsParser) at(c byte) bool { return !p.end() && p.s[p.i] == c }

func (p *resultsParser) take(c byte) bool {
	if !p.at(c) {
		return false
	}
	p.i++
	return true
}

func (p *resultsParser) digits() bool {
	start := p.i
	for !p.end() && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
		p.i++
	}
	return p.i > start
}

func (p *resultsParser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *resultsParser) unexpected() error {
	rest := ""
	if !p.end() {
		rest = p.s[p.i:]
	}
	p.fail(fmt.Errorf("authentication results: it is not understood from %q on", sig.Shown(rest)))
	return p.err
}

// isIDByte and isValueByte are what stands outside of quotes. Values are read as they are
// written in the wild, where not all quote what RFC 8601 would have quoted.
func isIDByte(c byte) bool { return c > ' ' && c != 0x7f && strings.IndexByte(`();"=`, c) < 0 }

func isValueByte(c byte) bool { return c > ' ' && c != 0x7f && strings.IndexByte(`();"`, c) < 0 }
