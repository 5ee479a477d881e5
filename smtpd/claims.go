package smtpd

import (
	"bytes"
	"strings"

	"kurir/internal/directory"
	"kurir/internal/message"
)

// renamed is what a header field that pretends to be ours is called behind (RFC 8601
// section 5): who reads the mail must be able to believe what this server says of it.
const renamed = "X-Original-"

const (
	maxClaims = 100  // fields of a header that are renamed
	maxResult = 1000 // octets of a field that are looked at for who wrote it
)

// claims finds the fields of a header that only this server may have written:
// Authentication-Results in its name, and X-Kurir-Reason.
type claims struct {
	hostname string
	found    []int64 // where they begin
	too      bool    // there are more than maxClaims

	pending bool   // an Authentication-Results is being read
	at      int64  // where it begins
	value   []byte // behind its colon, so far
	cut     bool   // there is more of it
}

// line takes the line of the header that begins at octet at; cut says that it is only its
// beginning.
func (c *claims) line(at int64, line []byte, cut bool) {
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
		if c.pending {
			c.add(line, cut)
		}
		return
	}
	c.end()
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok && !cut { // a long line may have its colon behind many blanks
		return
	}
	switch name := strings.ToLower(string(bytes.TrimRight(name, " \t"))); name {
	case "authentication-results":
		c.pending, c.at, c.value, c.cut = true, at, nil, false
		c.add(value, cut)
	default:
		if isOurs(name, nil, false, "") {
			c.take(at)
		}
	}
}

// add takes a line of the value, up to the first one that is cut: what came behind the
// missing part would be taken for the beginning.
func (c *claims) add(value []byte, cut bool) {
	if c.cut {
		return
	}
	n := min(len(value), maxResult-len(c.value))
	c.cut = cut || n < len(value)
	c.value = append(c.value, value[:n]...)
}

// end is called behind the last line of a field.
func (c *claims) end() {
	if c.pending && isOurs("authentication-results", c.value, c.cut, c.hostname) {
		c.take(c.at)
	}
	c.pending, c.value = false, nil
}

func (c *claims) take(at int64) {
	if len(c.found) == maxClaims {
		c.too = true
		return
	}
	c.found = append(c.found, at)
}

// isOurs tells whether a field, by its name in small letters and its value or, if cut,
// the value's beginning, is one that only the server hostname writes. What cannot be told
// is taken for one, and so is a field of another version than 1, which nobody here
// understands (RFC 8601 section 5 wants it gone).
func isOurs(name string, value []byte, cut bool, hostname string) bool {
	switch name {
	case "x-kurir-reason":
		return true
	case "authentication-results":
		id, rest, ok := authservID(string(value), cut)
		return !ok || sameHost(id, hostname) || !isVersion1(rest, cut)
	}
	return false
}

// sameHost compares two names of hosts, however they are written.
func sameHost(a, b string) bool {
	a, b = strings.TrimSuffix(a, "."), strings.TrimSuffix(b, ".")
	if strings.EqualFold(a, b) {
		return true
	}
	a, aerr := directory.ParseDomain(a)
	b, berr := directory.ParseDomain(b)
	return aerr == nil && berr == nil && a == b
}

// authservID is the name at the beginning of Authentication-Results (RFC 8601 section
// 2.2: [CFWS] authserv-id, a token or quoted string), and what follows it. It is not ok if
// there is none, if the value was cut before its end, or if it is written so that some read
// more of it than others.
func authservID(v string, cut bool) (id, rest string, ok bool) {
	if v, ok = skipCFWS(v); !ok {
		return "", "", false
	}
	if strings.HasPrefix(v, `"`) {
		end, ok := message.QuotedEnd(v, 0)
		if !ok {
			return "", "", false
		}
		return unquote(v[1:end]), v[end+1:], idEnds(v[end+1:], cut)
	}
	end := strings.IndexAny(v, " \t\r\n;(\"")
	if end < 0 {
		end = len(v)
	}
	return v[:end], v[end:], end > 0 && !strings.Contains(v[:end], "=?") && idEnds(v[end:], cut)
}

// idEnds tells whether a name is at its end before v: no more of it follows, be it in
// quotes or behind a comment.
func idEnds(v string, cut bool) bool {
	for strings.HasPrefix(v, "(") {
		end, ok := message.CommentEnd(v, 0)
		if !ok {
			return false
		}
		v = v[end+1:]
	}
	if v == "" {
		return !cut
	}
	return strings.IndexByte(" \t\r\n;", v[0]) >= 0
}

// isVersion1 tells whether what follows an authserv-id is of the one version that there is:
// it says 1, or nothing, which is the same.
func isVersion1(rest string, cut bool) bool {
	rest, ok := skipCFWS(rest)
	version := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	return ok && (rest != version || !cut) && (version == "" || strings.TrimLeft(version, "0") == "1")
}

// skipCFWS passes white space and comments. It is not ok if a comment has no end.
func skipCFWS(v string) (rest string, ok bool) {
	i := 0
	for i < len(v) && strings.IndexByte(" \t\r\n(", v[i]) >= 0 {
		if v[i] == '(' {
			if i, ok = message.CommentEnd(v, i); !ok {
				return "", false
			}
		}
		i++
	}
	return v[i:], true
}

// unquote takes the backslashes off the text of a quoted string.
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
