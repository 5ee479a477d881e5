package imapd

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/text/unicode/norm"

	"kurir/internal/maildir"
)

// parser reads the arguments of one command (RFC 9051 section 9), literals included: the
// bytes of a literal stand in b behind "{n}" and CRLF, as they came. It remembers its
// first error, after which every method returns a zero value; callers check end or err.
type parser struct {
	b    []byte
	i    int
	utf8 bool   // names of mailboxes are UTF-8, not modified UTF-7
	sent string // the last name of a mailbox as it was sent, if that is not its spelling here
	err  error
}

// fail keeps the first error and moves to the end, so that loops end.
func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = badf(format, args...)
	}
	p.i = len(p.b)
}

// refuse keeps r as the first error, for arguments that are well formed but can't be met.
func (p *parser) refuse(r *reply) {
	if p.err == nil {
		p.err = r
	}
	p.i = len(p.b)
}

// peek is the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

// take moves past c, if it is next.
func (p *parser) take(c byte) bool {
	if p.peek() != c || p.i >= len(p.b) {
		return false
	}
	p.i++
	return true
}

// need moves past c, which must be next.
func (p *parser) need(c byte) {
	if p.err != nil || p.take(c) {
		return
	}
	switch {
	case p.i >= len(p.b):
		p.fail("Missing arguments")
	case c == ' ':
		p.fail("Missing space between arguments")
	default:
		p.fail("Missing %q", c)
	}
}

// sp moves past the space between two arguments.
func (p *parser) sp() *parser { p.need(' '); return p }

// end says that no arguments are left. Blanks at the end of a line are forgiven.
func (p *parser) end() error {
	for p.err == nil && p.take(' ') {
	}
	if p.err == nil && p.i < len(p.b) {
		p.fail("Too many arguments")
	}
	return p.err
}

// rest is what has not been read.
func (p *parser) rest() []byte { return p.b[p.i:] }

// atomChar reports whether c may stand in an atom (RFC 9051 section 9, ATOM-CHAR).
func atomChar(c byte) bool {
	switch c {
	case '(', ')', '{', '%', '*', '"', '\\', ']':
		return false
	}
	return c > ' ' && c < 0x7f
}

// while takes the bytes for which ok holds; there must be one.
func (p *parser) while(what string, ok func(c byte) bool) string {
	from := p.i
	for p.i < len(p.b) && ok(p.b[p.i]) {
		p.i++
	}
	if p.err == nil && p.i == from {
		p.fail("Missing or invalid %s", what)
		return ""
	}
	if p.err != nil {
		return ""
	}
	return string(p.b[from:p.i])
}

// atom reads an atom.
func (p *parser) atom(what string) string { return p.while(what, atomChar) }

// word reads an atom in upper case: a keyword of the protocol.
func (p *parser) word(what string) string { return strings.ToUpper(p.atom(what)) }

// number reads a 32-bit number.
func (p *parser) number(what string) uint32 {
	n := p.number64(what)
	if n > 1<<32-1 {
		p.fail("%s is too large", what)
		return 0
	}
	return uint32(n)
}

// number64 reads a number of up to 63 bits (RFC 9051 section 9, number64).
func (p *parser) number64(what string) int64 {
	s := p.while(what, func(c byte) bool { return c >= '0' && c <= '9' })
	var n int64
	for i := range len(s) {
		digit := int64(s[i] - '0')
		if n > (1<<63-1-digit)/10 {
			p.fail("%s is too large", what)
			return 0
		}
		n = 10*n + digit
	}
	return n
}

// astring reads an atom or a string (RFC 9051 section 9; "]" may stand in it).
func (p *parser) astring(what string) string {
	if c := p.peek(); c == '"' || c == '{' {
		return p.str(what)
	}
	return p.while(what, func(c byte) bool { return atomChar(c) || c == ']' })
}

// str reads a quoted string or a literal.
func (p *parser) str(what string) string {
	switch {
	case p.take('"'):
		return p.quoted(what)
	case p.take('{'):
		return p.literal(what)
	}
	p.fail("%s must be a string", what)
	return ""
}

// nstring reads a string or NIL, which is "".
func (p *parser) nstring(what string) string {
	if c := p.peek(); c == '"' || c == '{' {
		return p.str(what)
	}
	if s := p.word(what); s != "NIL" {
		p.fail("%s must be a string or NIL", what)
	}
	return ""
}

// quoted reads the rest of a quoted string. Bytes of 8 bits are let through: clients send
// UTF-8 in passwords and search keys long before they may (RFC 6855).
func (p *parser) quoted(what string) string {
	n := bytes.IndexAny(p.rest(), "\"\\")
	if n >= 0 && p.b[p.i+n] == '"' { // no escapes: the usual case
		s := p.b[p.i : p.i+n]
		p.i += n + 1
		return p.text(what, s)
	}
	var out []byte
	for p.i < len(p.b) {
		c := p.b[p.i]
		p.i++
		switch c {
		case '"':
			return p.text(what, out)
		case '\\':
			if c = p.peek(); c != '"' && c != '\\' {
				p.fail("Invalid escape in a quoted string")
				return ""
			}
			p.i++
		}
		out = append(out, c)
	}
	p.fail("A quoted string has no end")
	return ""
}

// text refuses bytes that no quoted string may hold.
func (p *parser) text(what string, s []byte) string {
	if bytes.ContainsAny(s, "\x00\r\n") {
		p.fail("%s has a control character", what)
		return ""
	}
	if p.utf8 && !utf8.Valid(s) { // RFC 9755 section 3
		p.fail("%s is not UTF-8", what)
		return ""
	}
	return string(s)
}

// literal reads the rest of a literal; "{" is behind.
func (p *parser) literal(what string) string {
	n := p.number64("literal")
	p.take('+')
	p.need('}')
	p.take('\r')
	p.need('\n')
	if p.err != nil || n > int64(len(p.b)-p.i) {
		p.fail("A literal is not complete")
		return ""
	}
	s := p.b[p.i : p.i+int(n)]
	p.i += int(n)
	if bytes.IndexByte(s, 0) >= 0 {
		p.fail("%s has a NUL", what) // RFC 9051 section 4.3: literal8 only
		return ""
	}
	return string(s)
}

// mailbox reads the name of a mailbox (RFC 9051 section 5.1), in the store's form.
func (p *parser) mailbox() string {
	wire := p.astring("mailbox name")
	name, ok := decodeName(wire, p.utf8)
	switch {
	case p.err != nil || ok:
	case p.utf8:
		p.refuse(no(imap.ResponseCodeCannot, "Not a valid mailbox name: it is not UTF-8"))
	default:
		p.refuse(no(imap.ResponseCodeCannot, "Not a valid mailbox name: modified UTF-7 is wanted (RFC 3501 section 5.1.3)"))
	}
	if p.sent = ""; p.utf8 && !norm.NFC.IsNormalString(wire) {
		p.sent = wire
	}
	return name
}

// decodeName gives the store's form of a mailbox name: UTF-8 in NFC, and INBOX in capitals.
// With utf8ok a "&" stands for itself.
func decodeName(wire string, utf8ok bool) (string, bool) {
	name, ok := wire, utf8.ValidString(wire)
	if ok && !utf8ok {
		name, ok = decodeUTF7(wire)
	}
	name = norm.NFC.String(name)
	if len(name) >= 5 && strings.EqualFold(name[:5], "INBOX") && (len(name) == 5 || name[5] == '/') {
		name = "INBOX" + name[5:]
	}
	return name, ok
}

// decodeUTF7 decodes modified UTF-7. Characters that it would have encoded may stand for
// themselves: clients send UTF-8 as soon as it is advertised (RFC 9755 section 3).
func decodeUTF7(wire string) (string, bool) {
	var name strings.Builder
	for wire != "" {
		n := strings.IndexFunc(wire, func(r rune) bool { return r >= utf8.RuneSelf })
		if n < 0 {
			n = len(wire)
		}
		text, ok := maildir.DecodeUTF7(wire[:n])
		if !ok {
			return "", false
		}
		m := strings.IndexFunc(wire[n:], func(r rune) bool { return r < utf8.RuneSelf })
		if m < 0 {
			m = len(wire) - n
		}
		name.WriteString(text + wire[n:n+m])
		wire = wire[n+m:]
	}
	return name.String(), true
}

// appendMailbox appends the name of a mailbox as this client wants it.
func appendMailbox(b []byte, name string, utf8ok bool) []byte {
	if !utf8ok {
		name = maildir.EncodeUTF7(name)
	}
	return appendString(b, name, utf8ok)
}

// list reads a parenthesised list by calling item for each member.
func (p *parser) list(item func()) {
	p.need('(')
	for n := 0; p.err == nil && !p.take(')'); n++ {
		if n > 0 {
			p.sp()
		}
		if p.err == nil {
			item()
		}
	}
}

// flag reads one flag: an atom, with a backslash in front for a system flag.
func (p *parser) flag() imap.Flag {
	if p.take('\\') {
		return imap.Flag(`\` + p.atom("flag"))
	}
	return imap.Flag(p.atom("flag"))
}

// maxRanges bounds the ranges of one set.
const maxRanges = 32 << 10

// set reads a sequence-set. "$", the saved result, stands alone or is its last member (RFC
// 9051 section 9, seq-last-command).
func (p *parser) set() messageSet {
	var m messageSet
	for p.err == nil {
		if p.take('$') {
			m.saved = true
			break
		}
		r := imap.SeqRange{Start: p.setNumber()}
		r.Stop = r.Start
		if p.take(':') {
			r.Stop = p.setNumber()
		}
		if len(m.ranges) == maxRanges {
			p.fail("Too many ranges in a message set")
		}
		m.ranges = append(m.ranges, r)
		if !p.take(',') {
			break
		}
	}
	return m
}

// setNumber reads a number of a set, which is not 0, or "*", which is 0.
func (p *parser) setNumber() uint32 {
	if p.take('*') {
		return 0
	}
	if p.peek() == '0' { // nz-number
		p.fail("0 is not the number of a message")
	}
	return p.number("message set")
}

// dateTime reads the date-time of APPEND, always quoted: "17-Jul-1996 02:44:25 -0700".
func (p *parser) dateTime() time.Time {
	s := p.str("date-time")
	t, err := time.Parse("_2-Jan-2006 15:04:05 -0700", s)
	if p.err == nil && err != nil {
		p.fail("Invalid date-time")
	}
	return t
}

// date reads the date of a search key, quoted or not, as midnight UTC.
func (p *parser) date() time.Time {
	t, err := time.Parse("2-Jan-2006", p.astring("date"))
	if p.err == nil && err != nil {
		p.fail("Invalid date")
	}
	return t
}
