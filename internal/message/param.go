package message

import (
	"slices"
	"strconv"
	"strings"
)

// maxParams bounds the parameters taken from one field.
const maxParams = 1024

// Decoded returns the parameter's name without the "*" of RFC 2231 and its value as
// UTF-8: percent-encoding and charset decoded, and encoded words too, since many
// mailers put them here although RFC 2047 section 5 forbids it.
func (p Param) Decoded() (name, value string) {
	name, extended := strings.CutSuffix(p.Name, "*")
	if !extended {
		return name, DecodeHeader(p.Value)
	}
	charset, rest, ok := strings.Cut(p.Value, "'")
	if !ok {
		return name, toUTF8([]byte(unpercent(p.Value)), "")
	}
	if _, text, ok := strings.Cut(rest, "'"); ok {
		rest = text
	}
	return name, toUTF8([]byte(unpercent(rest)), charset)
}

// findParam returns the decoded value of a parameter, the extended form first.
func findParam(params []Param, name string) string {
	plain := ""
	for _, p := range params {
		base, extended := strings.CutSuffix(p.Name, "*")
		if !strings.EqualFold(base, name) {
			continue
		}
		if _, v := p.Decoded(); extended {
			return v
		} else if plain == "" {
			plain = v
		}
	}
	return plain
}

// unpercent decodes %XX; what is no hexadecimal stays.
func unpercent(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0 {
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// piece is one parameter of the kinds name*, name*N and name*N* (RFC 2231).
type piece struct {
	name, value string
	index       int
	extended    bool
}

// params takes *(";" parameter) up to the end of the field (RFC 2045 section 5.1).
// Plain parameters come first in their order, those of RFC 2231 behind them by name.
func (l *lexer) params() []Param {
	var list []Param
	var pieces []piece
	for !l.end() && len(list)+len(pieces) < maxParams {
		if !l.at(';') {
			l.i++ // garbage up to the next semicolon
			continue
		}
		l.i++
		name, value, ok := l.param()
		if !ok {
			l.i++ // the character that could not be
			continue
		}
		if p, ok := parsePiece(name, value); ok {
			pieces = append(pieces, p)
		} else {
			list = append(list, Param{strings.Clone(name), strings.Clone(value)})
		}
	}
	return joinPieces(list, pieces)
}

// param takes attribute "=" value. The value is a quoted string or a token; one that
// begins with "=", as an encoded word without quotes does, goes up to white space or a
// semicolon.
func (l *lexer) param() (name, value string, ok bool) {
	if !l.skip() {
		return "", "", false
	}
	if name, ok = l.token(classToken); !ok || !l.at('=') {
		return "", "", false
	}
	l.i++
	if !l.skip() {
		return "", "", false
	}
	switch {
	case l.at('"'):
		value, ok = l.quotedString()
	case l.at('='):
		value, ok = l.upTo("; \t\r\n")
	default:
		value, ok = l.token(classToken)
	}
	return name, value, ok
}

// upTo takes what comes before any of the bytes, and the CFWS behind it.
func (l *lexer) upTo(bytes string) (s string, ok bool) {
	n := strings.IndexAny(l.s[l.i:], bytes)
	if n < 0 {
		n = len(l.s) - l.i
	}
	s = l.s[l.i : l.i+n]
	l.i += n
	return s, l.skip()
}

// parsePiece reads name*, name*N or name*N*. An N beyond 32 bits counts what is left of
// it there.
func parsePiece(name, value string) (piece, bool) {
	base, rest, ok := strings.Cut(name, "*")
	if !ok {
		return piece{}, false
	}
	p := piece{name: base, value: value, extended: rest == ""}
	index := uint32(0)
	for rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		index = 10*index + uint32(rest[0]-'0')
		rest = rest[1:]
	}
	p.index = int(index)
	p.extended = p.extended || rest == "*"
	return p, rest == "" || rest == "*"
}

// joinPieces appends the joined pieces to list. Pieces of a name that are not numbered
// 0, 1, 2 … are no continuation, and stay apart under their full names.
func joinPieces(list []Param, pieces []piece) []Param {
	slices.SortStableFunc(pieces, func(a, b piece) int {
		if c := strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name)); c != 0 {
			return c
		}
		return a.index - b.index
	})
	for len(pieces) > 0 {
		n, whole, extended := 0, true, false
		for n < len(pieces) && strings.EqualFold(pieces[n].name, pieces[0].name) {
			whole = whole && pieces[n].index == n
			extended = extended || pieces[n].extended
			n++
		}
		if whole {
			list = append(list, joinPiece(pieces[:n], extended))
		} else {
			for _, p := range pieces[:n] {
				name := p.name + "*" + strconv.Itoa(p.index)
				if p.extended {
					name += "*"
				}
				list = append(list, Param{name, strings.Clone(p.value)})
			}
		}
		pieces = pieces[n:]
	}
	return list
}

// joinPiece makes one parameter of the pieces. If any is extended, all become so.
func joinPiece(pieces []piece, extended bool) Param {
	var b strings.Builder
	if extended && !pieces[0].extended {
		b.WriteString("''")
	}
	for _, p := range pieces {
		if extended && !p.extended {
			b.WriteString(strings.ReplaceAll(p.value, "%", "%25"))
		} else {
			b.WriteString(p.value)
		}
	}
	name := strings.Clone(pieces[0].name)
	if extended {
		name += "*"
	}
	return Param{name, b.String()}
}
