package sig

import (
	"bytes"
	"io"
	"strings"

	"kurir/internal/message"
)

// Canon is a canonical form (RFC 6376 section 3.4).
type Canon int

// The forms.
const (
	Simple Canon = iota
	Relaxed
)

// ParseCanon reads c=: the forms of header and body. What is not said is simple.
func ParseCanon(value string) (header, body Canon, ok bool) {
	forms := map[string]Canon{"simple": Simple, "relaxed": Relaxed}
	if value == "" {
		return Simple, Simple, true
	}
	h, b, both := strings.Cut(value, "/")
	header, ok = forms[h]
	if both && ok {
		body, ok = forms[b]
	}
	return header, body, ok
}

// Header is a header whose fields can be picked as a signature names them.
type Header struct {
	fields map[string][]message.Field // by name in lower case, in their order
}

// NewHeader takes a raw header apart. The fields share its memory.
func NewHeader(raw []byte) *Header {
	h := &Header{fields: map[string][]message.Field{}}
	for f := range message.Fields(raw) {
		key := lower(f.Name)
		h.fields[key] = append(h.fields[key], f)
	}
	return h
}

// Named are the fields of a name, in any case, from top to bottom. They are not to be
// changed.
func (h *Header) Named(name string) []message.Field { return h.fields[lower(name)] }

// Write writes the canonical form of the fields that names pick, from the bottom to the
// top where one is named several times (RFC 6376 section 5.4.2). A name too many picks
// nothing. The signature field itself, in the memory that self shares, is never picked: it
// was not there when it was made.
func (h *Header) Write(w io.Writer, c Canon, names []string, self []byte) {
	next := make(map[string]int, len(names)) // one more than the index of the field to pick
	var b []byte
	for _, name := range names {
		key := lower(name)
		all := h.fields[key]
		n, begun := next[key]
		if !begun {
			n = len(all)
		}
		if n > 0 && len(self) > 0 && &all[n-1].Raw[0] == &self[0] {
			n--
		}
		next[key] = n - 1
		if n <= 0 || key == "" {
			next[key] = 0
			continue
		}
		b = append(c.Field(b[:0], all[n-1].Raw), '\r', '\n')
		w.Write(b)
	}
}

// Field appends the canonical form of a raw field, without the line end behind it.
func (c Canon) Field(b, raw []byte) []byte {
	raw = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte{'\n'}), []byte{'\r'})
	if c == Simple {
		return appendLines(b, raw)
	}
	name, value, _ := bytes.Cut(raw, []byte{':'})
	b = append(b, lower(string(bytes.TrimRight(name, " \t")))...)
	b = append(b, ':')
	gap, empty := false, true
	for i := 0; i < len(value); i++ {
		switch ch := value[i]; {
		case ch == ' ' || ch == '\t':
			gap = true
		case ch == '\n' || ch == '\r' && i+1 < len(value) && value[i+1] == '\n':
		default:
			if gap && !empty {
				b = append(b, ' ')
			}
			gap, empty = false, false
			b = append(b, ch)
		}
	}
	return b
}

// lower is a name with A to Z in lower case and all else as it was: no letter of another
// script becomes one of a name.
func lower(name string) string {
	for i := 0; i < len(name); i++ {
		if 'A' <= name[i] && name[i] <= 'Z' {
			b := []byte(name)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return name
}

// appendLines appends raw with CRLF for each of its line ends.
func appendLines(b, raw []byte) []byte {
	for {
		i := bytes.IndexByte(raw, '\n')
		if i < 0 {
			return append(b, raw...)
		}
		b = append(b, bytes.TrimSuffix(raw[:i], []byte{'\r'})...)
		b = append(b, '\r', '\n')
		raw = raw[i+1:]
	}
}

// WithoutB is a raw signature field without the value of its b= tag (RFC 6376 section
// 3.5), in memory of its own.
func WithoutB(raw []byte) []byte {
	start := bytes.IndexByte(raw, ':') + 1
	out := append(make([]byte, 0, len(raw)), raw[:start]...)
	for rest := raw[start:]; ; {
		spec, more, found := bytes.Cut(rest, []byte{';'})
		name, _, isTag := bytes.Cut(spec, []byte{'='})
		if isTag && string(bytes.Trim(name, whitespace)) == "b" {
			out = append(append(out, name...), '=')
		} else {
			out = append(out, spec...)
		}
		if !found {
			return out
		}
		out = append(out, ';')
		rest = more
	}
}
