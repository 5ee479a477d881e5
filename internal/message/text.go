package message

import (
	"io"
	"strings"

	"golang.org/x/text/transform"
)

// DecodeText returns the text that r holds in a Content-Transfer-Encoding and a charset
// as UTF-8. Unknown encodings are passed as they are, and so is what is broken in known
// ones, as far as it can be; unknown charsets are taken for UTF-8 or Windows-1252, byte
// by byte. The only errors of the reader are those of r.
func DecodeText(r io.Reader, encoding, charset string) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		r = transform.NewReader(r, &base64Decoder{})
	case "quoted-printable":
		r = transform.NewReader(r, qpDecoder{})
	}
	return transform.NewReader(r, decoderFor(charset))
}

// base64Value has the six bits of each character of Base64, 64 for "=" and 65 for
// what is not of its alphabet (RFC 2045 section 6.8), 16 in a row.
var base64Value = [256]byte{
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 62, 65, 65, 65, 63,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 65, 65, 65, 64, 65, 65,
	65, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 65, 65, 65, 65, 65,
	65, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
}

// base64Decoder decodes Base64 as a stream. Characters outside its alphabet are left
// out; padding ends a group, and what follows begins a new one, so that pieces encoded
// apart and joined decode too.
type base64Decoder struct {
	bits uint32
	n    int // characters in bits, 0 to 3
}

// Reset implements transform.Transformer.
func (d *base64Decoder) Reset() { *d = base64Decoder{} }

// Transform implements transform.Transformer.
func (d *base64Decoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for ; nSrc < len(src); nSrc++ {
		if d.n == 0 {
			n := decodeGroups(dst[nDst:], src[nSrc:])
			nDst, nSrc = nDst+n*3, nSrc+n*4
			if nSrc == len(src) {
				break
			}
		}
		v := base64Value[src[nSrc]]
		if v > 64 {
			continue
		}
		if len(dst)-nDst < 3 {
			return nDst, nSrc, transform.ErrShortDst
		}
		if v == 64 {
			nDst += d.flush(dst[nDst:])
			continue
		}
		d.bits = d.bits<<6 | uint32(v)
		if d.n++; d.n == 4 {
			dst[nDst], dst[nDst+1], dst[nDst+2] = byte(d.bits>>16), byte(d.bits>>8), byte(d.bits)
			nDst += 3
			d.bits, d.n = 0, 0
		}
	}
	if atEOF && d.n > 0 {
		if len(dst)-nDst < 3 {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += d.flush(dst[nDst:])
	}
	return nDst, nSrc, nil
}

// decodeGroups decodes the groups of four characters of the alphabet that src begins with,
// as many as there is room for in dst, and says how many.
func decodeGroups(dst, src []byte) (n int) {
	for len(src) >= 4 && len(dst) >= 3 {
		a, b, c, e := base64Value[src[0]], base64Value[src[1]], base64Value[src[2]], base64Value[src[3]]
		if (a|b|c|e)&64 != 0 {
			break
		}
		dst[0], dst[1], dst[2] = a<<2|b>>4, b<<4|c>>2, c<<6|e
		dst, src = dst[3:], src[4:]
		n++
	}
	return n
}

// flush writes the whole bytes of an unfinished group.
func (d *base64Decoder) flush(dst []byte) (n int) {
	switch d.n {
	case 2:
		dst[0] = byte(d.bits >> 4)
		n = 1
	case 3:
		dst[0], dst[1] = byte(d.bits>>10), byte(d.bits>>2)
		n = 2
	}
	d.bits, d.n = 0, 0
	return n
}

// maxSoftBreak is how much white space before a line end is held to see whether it is
// at a soft line break or the end of a line. RFC 2045 section 6.7 allows 76 in a line.
const maxSoftBreak = 256

// qpDecoder decodes quoted-printable (RFC 2045 section 6.7) as a stream. White space at
// the end of a line is dropped; an "=" that begins nothing valid stays, or is ErrBroken.
type qpDecoder struct {
	transform.NopResetter
	strict bool
}

// Transform implements transform.Transformer.
func (d qpDecoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		switch c := src[nSrc]; c {
		case '=', ' ', '\t':
			skip, text, ok := qpSpecial(src[nSrc:], atEOF)
			if !ok {
				return nDst, nSrc, transform.ErrShortSrc
			}
			if d.strict && c == '=' && skip == len(text) {
				return nDst, nSrc, ErrBroken
			}
			if nDst+len(text) > len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			nDst += copy(dst[nDst:], text)
			nSrc += skip
		default:
			if nDst == len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			dst[nDst] = c
			nDst++
			nSrc++
		}
	}
	return nDst, nSrc, nil
}

// qpSpecial decodes what begins with "=" or white space: skip bytes of src stand for
// text. It reports false if more of src is needed to tell.
func qpSpecial(src []byte, atEOF bool) (skip int, text []byte, ok bool) {
	if src[0] == '=' && len(src) >= 3 && unhex(src[1]) >= 0 && unhex(src[2]) >= 0 {
		return 3, []byte{byte(unhex(src[1])<<4 | unhex(src[2]))}, true
	}
	first := 0
	if src[0] == '=' {
		first = 1
		if len(src) == 2 && unhex(src[1]) >= 0 && !atEOF {
			return 0, nil, false
		}
	}
	i := first
	for i < len(src) && i < maxSoftBreak && isWSP(src[i]) {
		i++
	}
	if i == len(src) && !atEOF {
		return 0, nil, false
	}
	n := i // where the line end begins
	if i < len(src) && src[i] == '\r' {
		if i++; i == len(src) && !atEOF {
			return 0, nil, false
		}
	}
	lineEnds := i == len(src) || src[i] == '\n'
	switch {
	case !lineEnds:
		return max(first, n), src[:max(first, n)], true
	case first == 0:
		return n, nil, true // the line end itself is text
	case i < len(src):
		i++
	}
	return i, nil, true
}
