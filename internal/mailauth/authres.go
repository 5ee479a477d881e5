package mailauth

import (
	"strings"
	"unicode/utf8"
)

// foldAt is where lines are folded, maxValue what a value or a reason may have in octets.
const (
	foldAt   = 76
	maxValue = 400
)

// Results is the value of an Authentication-Results field (RFC 8601 section 2.2).
type Results struct {
	ID      string   // who says so: the name of the server that checked
	Methods []Method // none: nothing was checked
}

// Method is the outcome of one check.
type Method struct {
	Name       string // "spf", "dkim", "dmarc", "arc", "iprev", "auth" …, in lower case
	Result     Result
	Reason     string // in words; "" for none
	Properties []Property
}

// Property is what a check was made of, as in smtp.mailfrom=example.org.
type Property struct {
	Type  string // "smtp", "header", "body" or "policy"
	Name  string // "mailfrom", "helo", "d", "s", "b", "from", "iprev" …
	Value string
}

// Format gives the value, folded: lines end with CRLF and go on with a tab, the last has no
// end. What cannot stand in a field is left out; what is too long is cut. A property
// without a value is left out.
func (r Results) Format() string {
	var b strings.Builder
	b.WriteString(value(r.ID))
	if len(r.Methods) == 0 {
		b.WriteString("; none")
	}
	for _, m := range r.Methods {
		words := []string{key(m.Name) + "=" + key(string(m.Result))}
		if m.Reason != "" {
			words = append(words, "reason="+quoted(m.Reason))
		}
		for _, p := range m.Properties {
			if p.Value != "" {
				words = append(words, key(p.Type)+"."+key(p.Name)+"="+value(p.Value))
			}
		}
		b.WriteString(";\r\n\t")
		column := 8
		for i, word := range words {
			switch {
			case i > 0 && column+1+len(word) > foldAt:
				b.WriteString("\r\n\t")
				column = 8
			case i > 0:
				b.WriteString(" ")
				column++
			}
			b.WriteString(word)
			column += len(word)
		}
	}
	return b.String()
}

// key is a Keyword: letters, digits and hyphens (RFC 5321 section 4.1.2).
func key(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf || !isKeyByte(byte(r)) {
			return -1
		}
		return r
	}, strings.ToLower(s))
	return strings.Trim(s, "-")
}

func isKeyByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// value is a value or an address: as it is if nothing in it has another meaning, else
// quoted.
func value(s string) string {
	s = clipped(s)
	local, domain, address := strings.Cut(s, "@")
	if isToken(s) || address && isToken(domain) && (local == "" || isToken(local)) {
		return s
	}
	return quoted(s)
}

// clipped is s up to maxValue.
func clipped(s string) string {
	if len(s) > maxValue {
		return s[:maxValue-3] + "..."
	}
	return s
}

// isToken tells whether s is a token (RFC 2045 section 5.1).
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

// quoted is a quoted string. Its octets are UTF-8 without control characters.
func quoted(s string) string {
	s = strings.ToValidUTF8(clipped(s), "?")
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029:
			b.WriteByte(' ')
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
