package sevenbit

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
)

// write carries out the plan.
func (pl *plan) write(w io.Writer, open func() (io.ReadCloser, error)) error {
	source, err := open()
	if err != nil {
		return err
	}
	defer source.Close()
	r := bufio.NewReaderSize(source, bufferSize)
	out := bufio.NewWriterSize(w, bufferSize)
	from := int64(0)
	for i := range pl.segments {
		s := &pl.segments[i]
		rest := io.LimitedReader{R: r, N: s.end - from}
		if err := s.write(out, &rest, pl.charset(i)); err != nil {
			return err
		}
		if rest.N > 0 {
			return io.ErrUnexpectedEOF
		}
		from = s.end
	}
	if _, err := io.Copy(out, r); err != nil {
		return err
	}
	return out.Flush()
}

// charset is that of the body behind the header that segment i is, as far as it shows.
func (pl *plan) charset(i int) string {
	if i+1 < len(pl.segments) && pl.segments[i+1].found.utf8 {
		return "utf-8"
	}
	return "unknown-8bit" // RFC 1428 section 3
}

// write writes a segment.
func (s *segment) write(w *bufio.Writer, r io.Reader, charset string) error {
	switch s.do {
	case relabel:
		h := headerWriter{w: w, label: s.label, message: s.part.Envelope != nil, charset: charset}
		return h.copy(bufio.NewReaderSize(r, 4096))
	case blank:
		return copyBlank(w, r)
	case quoted:
		return writeQuoted(w, bufio.NewReaderSize(r, 4096))
	case base64Text:
		return writeBase64(w, &crlfReader{r: bufio.NewReaderSize(r, 4096)})
	case base64Octets:
		return writeBase64(w, r)
	}
	_, err := io.Copy(w, r)
	return err
}

// headerWriter copies a header with another Content-Transfer-Encoding.
type headerWriter struct {
	w       *bufio.Writer
	label   string
	message bool   // it is a message's, so that it says MIME-Version
	charset string // for text that has no Content-Type

	encoding, contentType, version bool // fields seen
	dropping                       bool
}

func (h *headerWriter) copy(r *bufio.Reader) error {
	for fresh := true; ; {
		piece, err := r.ReadSlice('\n')
		if len(piece) > 0 {
			h.piece(piece, fresh)
		}
		fresh = err == nil
		switch {
		case err == io.EOF:
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// piece takes a line, or a piece of one if not fresh. Errors of h.w come with its Flush.
func (h *headerWriter) piece(b []byte, fresh bool) {
	end := b[len(b)-lineEnd(b):]
	if fresh && len(end) == len(b) {
		h.missing()
		h.dropping = false
	} else if fresh && b[0] != ' ' && b[0] != '\t' {
		name, _, _ := bytes.Cut(b, []byte{':'})
		h.dropping = false
		switch strings.ToLower(strings.TrimRight(string(name), " \t")) {
		case "content-type":
			h.contentType = true
		case "mime-version":
			h.version = true
		case "content-transfer-encoding":
			if !h.encoding {
				h.w.WriteString("Content-Transfer-Encoding: " + h.label)
				h.w.Write(end)
			}
			h.encoding, h.dropping = true, true
		}
	}
	if !h.dropping {
		h.w.Write(b)
	}
}

// missing adds the fields that the header does not have, before the blank line.
func (h *headerWriter) missing() {
	if h.message && !h.version {
		h.w.WriteString("MIME-Version: 1.0\r\n")
	}
	if !h.contentType && h.label == "quoted-printable" {
		h.w.WriteString("Content-Type: text/plain; charset=" + h.charset + "\r\n")
	}
	if !h.encoding {
		h.w.WriteString("Content-Transfer-Encoding: " + h.label + "\r\n")
	}
}

// copyBlank copies what nobody reads, with "?" for what has not 7 bits.
func copyBlank(w *bufio.Writer, r io.Reader) error {
	br := bufio.NewReaderSize(r, 4096)
	for {
		c, err := br.ReadByte()
		if err == io.EOF {
			return nil
		}
		if c >= 0x80 || c == 0 {
			c = '?'
		}
		if err == nil {
			err = w.WriteByte(c)
		}
		if err != nil {
			return err
		}
	}
}

// quotedLine is how long a line of quoted-printable may be, its soft end not counted
// (RFC 2045 section 6.7 rule 5).
const quotedLine = 75

// writeQuoted writes r as quoted-printable (RFC 2045 section 6.7). Line ends stay; a CR
// or LF that is none is encoded, and so is a "-" at the beginning of a line, lest a line
// become a delimiter that was none.
func writeQuoted(w *bufio.Writer, r *bufio.Reader) error {
	col := 0
	for {
		c, err := r.ReadByte()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if c == '\n' || c == '\r' && startsWith(r, "\n") {
			col = 0
			if err := w.WriteByte(c); err != nil {
				return err
			}
			if c == '\r' {
				r.Discard(1)
				w.WriteByte('\n')
			}
			continue
		}
		plain := c > ' ' && c < 0x7f && c != '=' || (c == ' ' || c == '\t') && !atLineEnd(r)
		if width := 1; col > 0 {
			if !plain {
				width = 3
			}
			if col+width > quotedLine {
				w.WriteString("=\r\n")
				col = 0
			}
		}
		if plain && (c != '-' || col > 0) {
			col++
			err = w.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			col += 3
			_, err = w.Write([]byte{'=', hex[c>>4], hex[c&15]})
		}
		if err != nil {
			return err
		}
	}
}

// startsWith tells whether s comes next.
func startsWith(r *bufio.Reader, s string) bool {
	b, _ := r.Peek(len(s))
	return string(b) == s
}

// atLineEnd tells whether a line end or the end of all comes next.
func atLineEnd(r *bufio.Reader) bool {
	b, _ := r.Peek(2)
	return len(b) == 0 || b[0] == '\n' || string(b) == "\r\n"
}

// writeBase64 writes r as base64 in lines of 76 (RFC 2045 section 6.8).
func writeBase64(w *bufio.Writer, r io.Reader) error {
	e := base64.NewEncoder(base64.StdEncoding, &lineWriter{w: w})
	if _, err := io.Copy(e, r); err != nil {
		return err
	}
	return e.Close()
}

// lineWriter puts a line end between each 76 octets.
type lineWriter struct {
	w   *bufio.Writer
	col int
}

func (l *lineWriter) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		if l.col == 76 {
			l.w.WriteString("\r\n")
			l.col = 0
		}
		n := min(len(rest), 76-l.col)
		if _, err := l.w.Write(rest[:n]); err != nil {
			return 0, err
		}
		rest, l.col = rest[n:], l.col+n
	}
	return len(b), nil
}

// crlfReader gives lines that end in LF a CRLF, the form in which a part that is no
// binary is encoded (RFC 2045 section 6.8).
type crlfReader struct {
	r  *bufio.Reader
	cr bool // the last octet was one
	lf bool // a LF is still to come
}

func (c *crlfReader) Read(b []byte) (n int, err error) {
	for n < len(b) {
		if c.lf {
			b[n], c.lf, c.cr = '\n', false, false
			n++
			continue
		}
		o, err := c.r.ReadByte()
		if err != nil {
			return n, err
		}
		if o == '\n' && !c.cr {
			o, c.lf = '\r', true
		}
		b[n], c.cr = o, o == '\r'
		n++
	}
	return n, nil
}
