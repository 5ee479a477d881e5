package message

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"
)

// TextDecoder decodes texts that are in memory as DecodeText does, one after the other in
// the same room. The zero value is ready for use, by one goroutine.
type TextDecoder struct {
	bytes    []byte // out of the transfer encoding
	text     []byte // in UTF-8
	charsets map[string]charsetDecoder
}

// maxKeptText is how much room is kept for the next text, and maxKeptCharsets how many
// charsets are remembered.
const (
	maxKeptText     = 1 << 20
	maxKeptCharsets = 32
)

// charsetDecoder turns text in one charset into UTF-8.
type charsetDecoder struct {
	transform.Transformer
	ascii bool // it leaves ASCII as it is
	utf8  bool // and all UTF-8
}

// Decode returns the text that src holds in a Content-Transfer-Encoding and a charset, as
// UTF-8: what DecodeText reads of it. It is valid until the next call, and may be src itself.
func (d *TextDecoder) Decode(src []byte, encoding, charset string) []byte {
	switch encoding = strings.TrimSpace(encoding); {
	case strings.EqualFold(encoding, "base64"):
		d.bytes = appendBase64(emptied(d.bytes), src)
		src = d.bytes
	case strings.EqualFold(encoding, "quoted-printable"):
		d.bytes = appendQP(emptied(d.bytes), src)
		src = d.bytes
	}
	c := d.charset(charset)
	if c.utf8 && utf8.Valid(src) || c.ascii && ascii(src) == len(src) {
		return src
	}
	// The decoders have no errors: what they don't understand becomes U+FFFD.
	d.text, _, _ = transform.Append(c.Transformer, emptied(d.text), src)
	return d.text
}

// emptied is b without its bytes, unless it is too large to be kept.
func emptied(b []byte) []byte {
	if cap(b) > maxKeptText {
		return nil
	}
	return b[:0]
}

func (d *TextDecoder) charset(name string) charsetDecoder {
	c, ok := d.charsets[name]
	if ok {
		return c
	}
	c.Transformer = decoderFor(name)
	_, c.utf8 = c.Transformer.(repair)
	c.ascii = c.utf8 || keepsASCII(name)
	if d.charsets == nil || len(d.charsets) >= maxKeptCharsets {
		d.charsets = map[string]charsetDecoder{}
	}
	d.charsets[strings.Clone(name)] = c
	return c
}

// keepsASCII reports whether the charset is known to have ASCII at its place and to need
// nothing before it to be decoded.
func keepsASCII(charset string) bool {
	t := decoderFor(charset)
	if _, ok := lookup(strings.ToLower(strings.TrimSpace(charset))).(*charmap.Charmap); !ok {
		return false
	}
	all := make([]byte, utf8.RuneSelf)
	for i := range all {
		all[i] = byte(i)
	}
	out, _, err := transform.Bytes(t, all)
	return err == nil && bytes.Equal(out, all)
}

// appendBase64 appends what src is in Base64, see base64Decoder.
func appendBase64(dst, src []byte) []byte {
	dst = slices.Grow(dst, len(src)/4*3+6)
	var d base64Decoder
	nDst, _, _ := d.Transform(dst[len(dst):cap(dst)], src, true) // there is room enough
	return dst[:len(dst)+nDst]
}

// appendQP appends what src is in quoted-printable, see qpDecoder: line by line, all at
// once that lies between its escapes and before the white space at its end.
func appendQP(dst, src []byte) []byte {
	dst = slices.Grow(dst, len(src))
	for len(src) > 0 {
		end := lineLen(src)
		text := bytes.TrimRight(bytes.TrimSuffix(bytes.TrimSuffix(src[:end], []byte{'\n'}), []byte{'\r'}), " \t")
		from, i := 0, bytes.IndexByte(text, '=')
		for i >= 0 && i+2 < len(text) && unhex(text[i+1]) >= 0 && unhex(text[i+2]) >= 0 {
			dst = append(append(dst, text[from:i]...), byte(unhex(text[i+1])<<4|unhex(text[i+2])))
			from = i + 3
			if i = bytes.IndexByte(text[from:], '='); i >= 0 {
				i += from
			}
		}
		if i < 0 && len(text) < end && isWSP(src[len(text)]) {
			i = len(text)
		}
		if i < 0 {
			dst = append(dst, src[from:end]...)
			src = src[end:]
			continue
		}
		dst = append(dst, src[from:i]...) // a soft line break, white space at the end, or an escape of nothing
		skip, kept, _ := qpSpecial(src[i:], true)
		dst = append(dst, kept...)
		src = src[i+skip:]
	}
	return dst
}
