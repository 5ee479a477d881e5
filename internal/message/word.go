package message

import (
	"strings"
)

// DecodeHeader returns the value of a field with its encoded words (RFC 2047) decoded.
// It never fails and always returns valid UTF-8: what is no encoded word stays, raw
// 8-bit text that is not UTF-8 is taken for Windows-1252. White space between two
// encoded words is dropped; a character split over two words of one charset is whole
// again.
func DecodeHeader(s string) string {
	if !strings.Contains(s, "=?") {
		return toUTF8([]byte(s), "")
	}
	var out strings.Builder
	var text []byte // decoded words in charset, not yet converted
	charset := ""
	flush := func() {
		if len(text) > 0 {
			out.WriteString(toUTF8(text, charset))
			text = text[:0]
		}
	}
	afterWord := false
	for s != "" {
		i := strings.Index(s, "=?")
		if i < 0 {
			i = len(s)
		}
		w, ok := encodedWord{}, false
		if i < len(s) {
			w, ok = parseWord(s[i:])
		}
		if !ok { // text up to here and the "=?" that begins no word
			i = min(i+2, len(s))
		}
		if plain := s[:i]; !ok || !afterWord || strings.Trim(plain, " \t\r\n") != "" {
			flush()
			out.WriteString(toUTF8([]byte(plain), ""))
		}
		s, afterWord = s[i:], ok
		if ok {
			if !strings.EqualFold(w.charset, charset) {
				flush()
				charset = w.charset
			}
			text = append(text, w.text...)
			s = s[w.size:]
		}
	}
	flush()
	return out.String()
}

// encodedWord is one encoded word: its decoded bytes, and the size of its own text.
type encodedWord struct {
	charset string
	text    []byte
	size    int
}

// maxWord bounds an encoded word. RFC 2047 section 2 allows 75 bytes, mailers differ.
const maxWord = 4 << 10

// parseWord reads the encoded word that s begins with: "=?" charset ["*" language] "?"
// encoding "?" text "?=". Text with spaces in it, and Base64 with errors, is forgiven.
func parseWord(s string) (w encodedWord, ok bool) {
	rest := s[2:min(len(s), maxWord)]
	charset, rest, ok := strings.Cut(rest, "?")
	if !ok || charset == "" || len(rest) < 2 || rest[1] != '?' || strings.ContainsAny(charset, " \t\"<>()") {
		return w, false
	}
	enc := rest[0]
	text, _, ok := strings.Cut(rest[2:], "?=")
	if !ok || strings.ContainsAny(text, "\r\n") {
		return w, false
	}
	w.charset, _, _ = strings.Cut(charset, "*")
	w.size = 2 + len(charset) + 3 + len(text) + 2
	switch enc {
	case 'q', 'Q':
		w.text = decodeQ(text)
	case 'b', 'B':
		w.text = decodeB(text)
	default:
		return w, false
	}
	return w, true
}

// decodeQ decodes the Q encoding (RFC 2047 section 4.2).
func decodeQ(s string) []byte {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			b = append(b, ' ')
		case c == '=' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return b
}

// decodeB decodes the B encoding (RFC 2047 section 4.1).
func decodeB(s string) []byte {
	b := make([]byte, len(s)+3)
	n, _, _ := new(base64Decoder).Transform(b, []byte(s), true) // b has room for all
	return b[:n]
}
