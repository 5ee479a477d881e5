// Package sig has what the signatures of DKIM and ARC are made of (RFC 6376): lists of
// tags, the canonical forms of a header and of a body, and the records that hold keys.
//
// It asks nobody and keeps nothing. A body is read as a stream in memory of one size; all
// that is done for a header takes a time in proportion to its length, whatever it holds.
package sig

import (
	"errors"
	"fmt"
	"strings"
)

// whitespace is what stands between and within the tags of a folded field.
const whitespace = " \t\r\n"

// Tags is a list of tags (RFC 6376 section 3.2), values without the white space at their
// ends.
type Tags map[string]string

// ParseTags reads a list of tags, folded or not. Names keep their case, in which they
// differ; a list in which one is there twice, or is none, is no list.
func ParseTags(s string) (Tags, error) {
	tags := Tags{}
	for spec := range strings.SplitSeq(s, ";") {
		if spec = strings.Trim(spec, whitespace); spec == "" {
			continue
		}
		name, value, ok := strings.Cut(spec, "=")
		name = strings.TrimRight(name, whitespace)
		if !ok || !isTagName(name) {
			return nil, fmt.Errorf("%q is no tag", Shown(spec))
		}
		if _, twice := tags[name]; twice {
			return nil, fmt.Errorf("the tag %s= is there twice", Shown(name))
		}
		tags[name] = strings.TrimLeft(value, whitespace)
	}
	if len(tags) == 0 {
		return nil, errors.New("there are no tags")
	}
	return tags, nil
}

func isTagName(s string) bool {
	for i, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

// Compact is the value of a tag without any white space.
func (t Tags) Compact(name string) string { return Compact(t[name]) }

// List is the value of a tag as what stands between its colons, without white space; nil
// if the tag is not there.
func (t Tags) List(name string) []string {
	value, ok := t[name]
	if !ok {
		return nil
	}
	return strings.Split(Compact(value), ":")
}

// Compact takes all white space out of s.
func Compact(s string) string {
	if !strings.ContainsAny(s, whitespace) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if strings.IndexByte(whitespace, s[i]) < 0 {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// Shown makes of what a stranger wrote something short and printable, for a reason.
func Shown(s string) string {
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, s)
}
