package dsn

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxEnvID bounds an ENVID, in octets (RFC 3461 section 4.4).
const maxEnvID = 100

const upperHex = "0123456789ABCDEF"

// Xtext decodes s (RFC 3461 section 4). It is not ok if s has an octet that must have
// been encoded, or a "+" without two hexadecimal digits; small ones are forgiven.
// What comes out may be any octets, also line ends.
func Xtext(s string) (decoded string, ok bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			if i+2 >= len(s) {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			b = append(b, byte(n))
			i += 2
		case isXchar(c):
			b = append(b, c)
		default:
			return "", false
		}
	}
	return string(b), true
}

// AppendXtext appends s, encoded as xtext (RFC 3461 section 4), to dst.
func AppendXtext(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; isXchar(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '+', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

func isXchar(c byte) bool { return '!' <= c && c <= '~' && c != '+' && c != '=' }

// decodeORCPT splits s into the address type and the address, decoded.
func decodeORCPT(s string) (kind, addr string, ok bool) {
	kind, enc, ok := strings.Cut(s, ";")
	if !ok || kind == "" || strings.ContainsFunc(kind, func(r rune) bool { return !isAtom(r) }) {
		return "", "", false
	}
	if strings.EqualFold(kind, "utf-8") {
		addr, ok = unicodeText(enc)
		return kind, addr, ok
	}
	addr, ok = Xtext(enc)
	return kind, addr, ok && printableASCII(addr)
}

// isAtom tells whether r may be in an atom (RFC 5322 section 3.2.3).
func isAtom(r rune) bool {
	return r > ' ' && r < 0x7f && !strings.ContainsRune(`()<>[]:;@\,."`, r)
}

// unicodeText decodes utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 section 3):
// UTF-8 in which "+", "=", "\" and what is not printable is written \x{HEX}.
func unicodeText(s string) (decoded string, ok bool) {
	var b strings.Builder
	for s != "" {
		if rest, found := strings.CutPrefix(s, `\x{`); found {
			digits, rest, found := strings.Cut(rest, "}")
			n, err := strconv.ParseUint(digits, 16, 32)
			if !found || err != nil || len(digits) < 2 || len(digits) > 6 || !utf8.ValidRune(rune(n)) || isControl(rune(n)) {
				return "", false
			}
			b.WriteRune(rune(n))
			s = rest
			continue
		}
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 || r <= ' ' || isControl(r) || strings.ContainsRune(`+=\`, r) {
			return "", false
		}
		b.WriteRune(r)
		s = s[size:]
	}
	return b.String(), true
}

// printableASCII tells whether s has only graphic characters and spaces.
func printableASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if (s[i] < ' ' && s[i] != '\t') || s[i] > '~' {
			return false
		}
	}
	return true
}
