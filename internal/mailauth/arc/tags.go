package arc

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// tagList is a list of tags and values (RFC 6376 section 3.2). Values are without the white
// space around them and otherwise as written.
type tagList map[string]string

// parseTags reads a tag list. Names differ by their capitals, and none comes twice.
func parseTags(text string) (tagList, error) {
	tags := tagList{}
	for spec, rest, more := strings.Cut(text, ";"); ; spec, rest, more = strings.Cut(rest, ";") {
		spec = strings.Trim(spec, " \t\r\n")
		if spec == "" && !more {
			break // one semicolon may end the list
		}
		name, value, ok := strings.Cut(spec, "=")
		name = strings.TrimRight(name, " \t\r\n")
		if !ok || !isTagName(name) {
			return nil, fmt.Errorf("%q is no tag", short(spec))
		}
		if _, twice := tags[name]; twice {
			return nil, fmt.Errorf("the tag %s= stands there twice", short(name))
		}
		value = strings.TrimLeft(value, " \t\r\n")
		if i := strings.IndexFunc(value, notInValue); i >= 0 {
			return nil, fmt.Errorf("the tag %s= holds what no value may", short(name))
		}
		tags[name] = value
		if !more {
			break
		}
	}
	if len(tags) == 0 {
		return nil, errors.New("it holds no tags")
	}
	return tags, nil
}

func isTagName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

// notInValue reports what can't stand in a tag's value; of what is not ASCII RFC 8616 has
// given UTF-8 a place in it.
func notInValue(c rune) bool {
	return c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f || c == '\uFFFD'
}

// noSpace is a value that may be folded anywhere, without the white space in it: base64.
func noSpace(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(" \t\r\n", c) {
			return -1
		}
		return c
	}, s)
}

// list splits a value at its colons; what it gives is without white space around it.
func list(value string) []string {
	parts := strings.Split(value, ":")
	for i, p := range parts {
		parts[i] = strings.Trim(p, " \t\r\n")
	}
	return parts
}

// withoutB is a field without the value of its tag b= and without its last line end, as it
// is signed (RFC 6376 section 3.7).
func withoutB(field []byte) []byte {
	field = withoutEnd(field)
	start := bytes.IndexByte(field, ':') + 1
	for start < len(field) {
		end := len(field)
		if i := bytes.IndexByte(field[start:], ';'); i >= 0 {
			end = start + i
		}
		name, _, ok := bytes.Cut(field[start:end], []byte{'='})
		if ok && string(bytes.Trim(name, " \t\r\n")) == "b" {
			cut := start + len(name) + 1
			return append(field[:cut:cut], field[end:]...)
		}
		start = end + 1
	}
	return field
}

// short keeps what a stranger wrote from filling a reason.
func short(s string) string {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// lower is s with A to Z in lower case and all else as it was: no letter of another script
// becomes one of a name.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
