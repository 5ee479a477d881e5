package message

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// decoderFor returns what turns text in the charset into UTF-8. ASCII, UTF-8 and
// unknown charsets get repair, since none of them is always what it says.
func decoderFor(charset string) transform.Transformer {
	name := strings.ToLower(strings.TrimSpace(charset))
	name, _, _ = strings.Cut(name, "*") // the language of RFC 2231 section 5
	switch name {
	case "", "us-ascii", "ascii", "ansi_x3.4-1968", "utf-8", "utf8", "unknown-8bit", "x-unknown", "default":
		return repair{}
	case "utf-16", "utf16":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder() // RFC 2781 section 4.3
	case "utf-16be": // htmlindex has no big-endian decoder that keeps a BOM from the text
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder()
	}
	if name = strings.TrimPrefix(name, "x-"); strings.HasPrefix(name, "cp-") {
		name = "cp" + name[3:]
	}
	if e := lookup(name); e != nil {
		return e.NewDecoder()
	}
	return repair{}
}

// Charset is the encoding of the charset of that name, in any case; nil if it is not known.
// ASCII is Windows-1252 here, as on the web.
func Charset(name string) encoding.Encoding { return lookup(strings.ToLower(name)) }

// lookup finds an encoding by its WHATWG name, whose tables are the ones mail really
// uses, or its IANA name.
func lookup(name string) encoding.Encoding {
	if e, err := htmlindex.Get(name); err == nil && e != encoding.Replacement {
		return e
	}
	for _, n := range []string{name, "ibm" + strings.TrimPrefix(name, "cp")} {
		if e, err := ianaindex.MIME.Encoding(n); err == nil && e != nil && e != encoding.Replacement {
			return e
		}
	}
	return nil
}

// toUTF8 decodes b from the charset. The result is always valid UTF-8.
func toUTF8(b []byte, charset string) string {
	t := decoderFor(charset)
	if _, ok := t.(repair); ok && utf8.Valid(b) {
		return string(b)
	}
	out, _, err := transform.Bytes(t, b)
	if err != nil {
		out, _, _ = transform.Bytes(repair{}, b)
	}
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

// repair passes valid UTF-8 and takes every other byte for one of Windows-1252, which
// is what unlabelled 8-bit text most often is.
type repair struct{ transform.NopResetter }

// Transform implements transform.Transformer. It has no errors but those for short buffers.
func (repair) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		n := ascii(src[nSrc:])
		if n > 0 {
			n = copy(dst[nDst:], src[nSrc:nSrc+n])
			nDst, nSrc = nDst+n, nSrc+n
			if n == 0 {
				return nDst, nSrc, transform.ErrShortDst
			}
			continue
		}
		if !atEOF && !utf8.FullRune(src[nSrc:]) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		r, size := utf8.DecodeRune(src[nSrc:])
		if r == utf8.RuneError && size == 1 {
			r = charmap.Windows1252.DecodeByte(src[nSrc])
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}

// ascii is the length of the run of ASCII that b begins with.
func ascii(b []byte) int {
	i := 0
	for i+8 <= len(b) && binary.LittleEndian.Uint64(b[i:])&notASCII == 0 {
		i += 8
	}
	for i < len(b) && b[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// notASCII is the bit of each of eight bytes that no ASCII has.
const notASCII = 0x8080808080808080
