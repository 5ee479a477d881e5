package message

import (
	"encoding/binary"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold appends text, which is UTF-8, in the form in which i;unicode-casemap compares it
// (RFC 5051 section 2): each character in title case, and then taken apart for good. What
// two texts with the same form are in bytes, SEARCH, SORT and THREAD take for the same;
// a text is found within another where its form is. Characters are folded one by one, so
// that the form of pieces is in pieces the form of the whole. Bytes that are not UTF-8 stay.
func Fold(dst, text []byte) []byte {
	dst = slices.Grow(dst, len(text))
	for i := 0; i < len(text); {
		n := foldASCII(dst[len(dst):cap(dst)], text[i:])
		dst = dst[:len(dst)+n]
		if i += n; i == len(text) {
			break
		}
		c := text[i]
		if c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case size <= 2 && r != utf8.RuneError:
			dst = append(dst, twoByteFolds()[r-utf8.RuneSelf]...)
		case r == utf8.RuneError || isWhole(r):
			dst = append(dst, text[i:i+size]...)
		case r >= hangulFirst && r <= hangulLast:
			dst = foldHangul(dst, r)
		default:
			dst = foldRune(dst, r)
		}
		i += size
	}
	return dst
}

// foldASCII folds the ASCII that text begins with into dst, eight characters at a time, as
// far as there is room, and says how many.
func foldASCII(dst, text []byte) (n int) {
	const each = notASCII >> 7
	for len(text) >= 8 && len(dst) >= 8 {
		x := binary.LittleEndian.Uint64(text)
		if x&notASCII != 0 {
			break
		}
		from := x + (128-'a')*each   // the high bit of each that is at least a
		past := x + (128-'z'-1)*each // and of each beyond z
		binary.LittleEndian.PutUint64(dst, x-(from&^past&notASCII)>>2)
		dst, text = dst[8:], text[8:]
		n += 8
	}
	return n
}

// twoByteFolds has the form of each character that is two bytes in UTF-8: of those of
// most alphabets.
var twoByteFolds = sync.OnceValue(func() *[0x800 - utf8.RuneSelf]string {
	var t [0x800 - utf8.RuneSelf]string
	for i := range t {
		t[i] = string(foldRune(nil, rune(i)+utf8.RuneSelf))
	}
	return &t
})

// isWhole reports whether r is known to have no other form: the ideographs of the basic
// plane, most of the text in their scripts.
func isWhole(r rune) bool { return r >= 0x3400 && r <= 0x9FFF }

// The syllables of Hangul, and the letters that they are made of (Unicode section 3.12).
const (
	hangulFirst, hangulLast = 0xAC00, 0xD7A3
	hangulL, hangulV        = 0x1100, 0x1161
	hangulT                 = 0x11A7 // one below the first: most syllables have none
	hangulVs, hangulTs      = 21, 28 // how many there are
)

// foldHangul appends the letters of a syllable.
func foldHangul(dst []byte, r rune) []byte {
	s := r - hangulFirst
	dst = utf8.AppendRune(dst, hangulL+s/(hangulVs*hangulTs))
	dst = utf8.AppendRune(dst, hangulV+s/hangulTs%hangulVs)
	if t := s % hangulTs; t > 0 {
		dst = utf8.AppendRune(dst, hangulT+t)
	}
	return dst
}

// foldRune appends the form of one character.
func foldRune(dst []byte, r rune) []byte {
	var in [utf8.UTFMax]byte
	n := utf8.EncodeRune(in[:], unicode.ToTitle(r))
	var out [64]byte // by itself, lest it be put in order with what is in dst
	return append(dst, norm.NFKD.Append(out[:0], in[:n]...)...)
}
