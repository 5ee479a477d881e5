package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"
)

// ErrHeaderTooLong says that a header has more bytes than the caller wanted to hold.
var ErrHeaderTooLong = errors.New("message: header too long")

// Field is one header field.
type Field struct {
	Name string // as written, without white space before the colon; "" if the line has no colon
	Raw  []byte // the whole field as stored: name, colon, folded lines and the final line end
}

// ReadHeader reads a header up to and including the blank line that ends it. A message
// that ends before one is all header; that is no error. Possible errors: those of r,
// and ErrHeaderTooLong once more than max bytes would have to be kept; raw then has
// what was read of it.
func ReadHeader(r *bufio.Reader, max int64) (raw []byte, err error) {
	fresh := true // at the beginning of a line
	for {
		line, err := r.ReadSlice('\n')
		if int64(len(raw))+int64(len(line)) > max {
			return raw, ErrHeaderTooLong
		}
		raw = append(raw, line...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			fresh = false
			continue
		case errors.Is(err, io.EOF):
			return raw, nil
		case err != nil:
			return raw, err
		}
		if fresh && isBlank(line) {
			return raw, nil
		}
		fresh = true
	}
}

// isBlank reports whether the line is nothing but its end.
func isBlank(line []byte) bool {
	return len(line) == 1 && line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n'
}

// Fields walks over the fields of a header up to its blank line or end, in their order.
// Their Raw parts follow each other without a gap.
func Fields(raw []byte) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for field := range rawFields(raw) {
			if !yield(Field{string(fieldName(field)), field}) {
				return
			}
		}
	}
}

// rawFields is Fields without the names.
func rawFields(raw []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(raw) > 0 {
			n := lineLen(raw)
			if isBlank(raw[:n]) {
				return
			}
			for n < len(raw) && isWSP(raw[n]) {
				n += lineLen(raw[n:])
			}
			if !yield(raw[:n:n]) {
				return
			}
			raw = raw[n:]
		}
	}
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' }

func lineLen(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

func fieldName(field []byte) []byte {
	i := bytes.IndexByte(field[:lineLen(field)], ':')
	if i < 0 || isWSP(field[0]) {
		return nil
	}
	return bytes.TrimRight(field[:i], " \t")
}

// Value returns what stands behind the colon, unfolded (RFC 5322 section 2.2.3: the
// line ends removed, the white space kept) and without white space at both ends.
// NUL becomes U+FFFD. Nothing else is decoded.
func (f Field) Value() string { return strings.TrimRight(f.text(), " \t") }

// Unfolded is Value as people see it and look for it: each fold, the line end with the
// white space behind it, is one space. Of a line without a colon it is all.
func (f Field) Unfolded() string {
	if f.Name == "" {
		return unfolded(f.Raw)
	}
	return unfolded(f.Raw[bytes.IndexByte(f.Raw, ':')+1:])
}

func unfolded(raw []byte) string {
	b := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		n := lineLen(raw)
		line := bytes.Trim(raw[:n], " \t\r\n")
		if raw = raw[n:]; len(line) == 0 {
			continue
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = append(b, line...)
	}
	if bytes.IndexByte(b, 0) >= 0 {
		b = bytes.ReplaceAll(b, []byte{0}, []byte("\uFFFD"))
	}
	return string(b)
}

// text is Value with the white space at the end.
func (f Field) text() string {
	_, v, _ := bytes.Cut(f.Raw, []byte{':'})
	v = bytes.TrimLeft(v, " \t")
	if line, ok := oneLine(v); ok { // nearly all are
		v = line
	}
	s := strings.TrimLeft(unfold(string(v)), " \t")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}

// oneLine gives v without its line end, if it is one line with no other CR or LF.
func oneLine(v []byte) ([]byte, bool) {
	n, ok := bytes.CutSuffix(v, []byte{'\n'})
	n = bytes.TrimSuffix(n, []byte{'\r'})
	return n, ok && bytes.IndexByte(n, '\n') < 0 && bytes.IndexByte(n, '\r') < 0
}

// unfold removes line ends. A lone CR, which is nothing of the kind, becomes a space.
func unfold(s string) string {
	if strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, '\r') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n':
		case c == '\r' && (i+1 == len(s) || s[i+1] == '\n'):
		case c == '\r':
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// squeeze makes one space of each run of white space and removes it at both ends, as
// display names and subjects have it in ENVELOPE.
func squeeze(s string) string {
	if !strings.ContainsAny(s, "\t\r\n") && !strings.Contains(s, "  ") {
		return strings.Trim(s, " ")
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return r == ' ' || r == '\t' || r == '\r' || r == '\n'
	}), " ")
}
