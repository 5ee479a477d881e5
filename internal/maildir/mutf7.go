package maildir

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// b64 is the alphabet of modified UTF-7 (RFC 3501 section 5.1.3): a comma for the slash.
const b64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"

// EncodeUTF7 gives s (UTF-8) in modified UTF-7. Bytes that are not UTF-8 become U+FFFD.
func EncodeUTF7(s string) string {
	return encodeUTF7(s, func(c rune) bool { return ' ' <= c && c <= '~' })
}

func encodeUTF7(s string, direct func(rune) bool) string {
	var out strings.Builder
	var run []uint16
	flush := func() {
		if len(run) > 0 {
			appendShift(&out, run)
			run = run[:0]
		}
	}
	for _, c := range s {
		switch {
		case !direct(c):
			run = utf16.AppendRune(run, c)
		case c == '&':
			flush()
			out.WriteString("&-")
		default:
			flush()
			out.WriteRune(c)
		}
	}
	flush()
	return out.String()
}

func appendShift(out *strings.Builder, run []uint16) {
	raw := make([]byte, 0, 2*len(run))
	for _, u := range run {
		raw = append(raw, byte(u>>8), byte(u))
	}
	enc := base64.NewEncoding(b64Alphabet).WithPadding(base64.NoPadding)
	out.WriteByte('&')
	out.WriteString(enc.EncodeToString(raw))
	out.WriteByte('-')
}

// DecodeUTF7 gives modified UTF-7 as UTF-8. It is strict (RFC 3501 section 5.1.3): printable
// ASCII must stand for itself, shifts must end, hold whole characters and not follow each other.
func DecodeUTF7(s string) (string, bool) {
	out, ok := decodeUTF7(s)
	return out, ok && EncodeUTF7(out) == s
}

// decodeUTF7 decodes without asking whether the encoding was the canonical one.
func decodeUTF7(s string) (string, bool) {
	enc := base64.NewEncoding(b64Alphabet).WithPadding(base64.NoPadding).Strict()
	var out strings.Builder
	for s != "" {
		c := s[0]
		if c < ' ' || c > '~' {
			return "", false
		}
		s = s[1:]
		if c != '&' {
			out.WriteByte(c)
			continue
		}
		shift, rest, ok := strings.Cut(s, "-")
		if !ok {
			return "", false
		}
		s = rest
		if shift == "" {
			out.WriteByte('&')
			continue
		}
		raw, err := enc.DecodeString(shift)
		if err != nil || strings.ContainsAny(shift, "\r\n") || !appendUTF16(&out, raw) {
			return "", false
		}
	}
	return out.String(), true
}

func appendUTF16(out *strings.Builder, raw []byte) bool {
	if len(raw)%2 != 0 {
		return false
	}
	for i := 0; i < len(raw); i += 2 {
		c := rune(raw[i])<<8 | rune(raw[i+1])
		if utf16.IsSurrogate(c) {
			if i += 2; i >= len(raw) {
				return false
			}
			c = utf16.DecodeRune(c, rune(raw[i])<<8|rune(raw[i+1]))
			if c == utf8.RuneError {
				return false
			}
		}
		out.WriteRune(c)
	}
	return true
}
