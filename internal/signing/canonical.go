package signing

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"slices"
	"strings"
)

// maxHeader bounds the header of a message that is signed, which waits in memory.
const maxHeader = 1 << 20

// ErrHeader: the message's header is longer than 1 MiB.
var ErrHeader = errors.New("signing: the header is too long")

// content is what of a message is signed, in the form "relaxed" (RFC 6376 section 3.4): that
// which smtpclient makes of it on the wire, where each line ends in CRLF and a CR alone
// becomes a space.
type content struct {
	fields []field
	body   [sha256.Size]byte
}

// field is one header field.
type field struct {
	name string // in small letters
	text string // all of it, relaxed, with CRLF
}

// readContent reads a message once, to its end. Errors: ErrHeader, those of r.
func readContent(r io.Reader) (*content, error) {
	br := bufio.NewReaderSize(r, 32<<10)
	var c content
	if err := c.header(br); err != nil {
		return nil, err
	}
	b := relaxedBody{hash: sha256.New()}
	if _, err := io.Copy(&b, br); err != nil {
		return nil, err
	}
	b.sum(&c.body)
	return &c, nil
}

// header reads the header and the blank line.
func (c *content) header(br *bufio.Reader) error {
	var raw []byte // of the field so far
	size, begun := 0, 0
	end := func() {
		if len(raw) > 0 {
			c.fields = append(c.fields, relaxedField(raw))
		}
		raw = raw[:0]
	}
	for {
		piece, err := br.ReadSlice('\n')
		if size += len(piece); size > maxHeader {
			return ErrHeader
		}
		if begun == 0 && len(piece) > 0 { // at the beginning of a line
			if blank(piece) {
				break
			}
			if piece[0] != ' ' && piece[0] != '\t' {
				end()
			}
		}
		raw = append(raw, piece...)
		begun += len(piece)
		switch {
		case err == nil:
			begun = 0
		case err == io.EOF:
			end()
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
	end()
	return nil
}

// blank tells whether a line is the one that ends the header.
func blank(line []byte) bool { return string(line) == "\r\n" || string(line) == "\n" }

// relaxedField makes a field relaxed (RFC 6376 section 3.4.2).
func relaxedField(raw []byte) field {
	name, value, _ := bytes.Cut(raw, []byte(":"))
	f := field{name: strings.ToLower(string(bytes.TrimRight(name, " \t\r\n")))}
	f.text = f.name + ":" + relax(string(value)) + "\r\n"
	return f
}

// relax unfolds the value of a field and makes each piece of white space one space.
func relax(value string) string {
	return strings.Join(strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }), " ")
}

// relaxedBody hashes a body relaxed (RFC 6376 section 3.4.4). It holds nothing of it.
type relaxedBody struct {
	hash  hash.Hash
	out   []byte // reused
	lines int    // line ends that wait: those at the end do not count
	space bool   // white space that waits: that at the end of a line does not count
	cr    bool   // the last octet was a CR
	any   bool   // there was something but blank lines
}

// pieceSize bounds what is made relaxed at a time.
const pieceSize = 16 << 10

// Write takes octets of the body.
func (b *relaxedBody) Write(p []byte) (int, error) {
	for piece := range slices.Chunk(p, pieceSize) {
		b.write(piece)
	}
	return len(p), nil
}

func (b *relaxedBody) write(p []byte) {
	b.out = b.out[:0]
	for i := 0; i < len(p); {
		c := p[i]
		if b.cr && c != '\n' {
			b.space = true // a CR alone
		}
		b.cr = c == '\r'
		switch c {
		case '\r':
		case '\n':
			b.lines++
			b.space = false
		case ' ', '\t':
			b.space = true
		default:
			end := i + 1
			for end < len(p) && p[end] > ' ' {
				end++
			}
			b.text(p[i:end])
			i = end
			continue
		}
		i++
	}
	b.hash.Write(b.out)
}

// text takes a piece without white space, behind what waits.
func (b *relaxedBody) text(p []byte) {
	for ; b.lines > 0; b.lines-- {
		b.out = append(b.out, '\r', '\n')
		if len(b.out) >= pieceSize {
			b.hash.Write(b.out)
			b.out = b.out[:0]
		}
	}
	if b.space {
		b.out = append(b.out, ' ')
		b.space = false
	}
	b.any = true
	b.out = append(b.out, p...)
}

// sum ends the body: its last line gets its end, if there is one.
func (b *relaxedBody) sum(to *[sha256.Size]byte) {
	if b.any {
		io.WriteString(b.hash, "\r\n")
	}
	b.hash.Sum(to[:0])
}
