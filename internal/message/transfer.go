package message

import (
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"golang.org/x/text/transform"
)

// ErrBroken says that content does not follow its Content-Transfer-Encoding.
var ErrBroken = errors.New("message: content is not in its transfer encoding")

// Undo returns what r holds without its Content-Transfer-Encoding (RFC 2045 section 6),
// byte by byte; nil if the encoding is not known. Unlike DecodeText it does not pass what
// is broken: Base64 that is cut off or has other characters than white space between its
// own, and a "=" in quoted-printable that begins nothing valid, end the reader with an
// error. Other possible errors: those of r.
func Undo(r io.Reader, encoding string) io.Reader {
	switch strings.ToLower(encoding) {
	case "7bit", "8bit", "binary":
		return r
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, &blankless{r: r})
	case "quoted-printable":
		return transform.NewReader(r, qpDecoder{strict: true})
	}
	return nil
}

// blankless leaves out white space, and ends in ErrBroken where something follows the
// padding: whether base64.NewDecoder sees that depends on how the bytes come.
type blankless struct {
	r      io.Reader
	padded bool
}

func (b *blankless) Read(p []byte) (int, error) {
	for {
		n, err := b.r.Read(p)
		kept := 0
		for _, c := range p[:n] {
			switch {
			case c == ' ', c == '\t', c == '\r', c == '\n':
				continue
			case c == '=':
				b.padded = true
			case b.padded:
				return kept, ErrBroken
			}
			p[kept] = c
			kept++
		}
		if kept > 0 || n == 0 || err != nil {
			return kept, err
		}
	}
}
