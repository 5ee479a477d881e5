package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rawIMAP is a conversation with an IMAP server in which every value is seen as it came.
// It takes what RFC 9051 section 9 allows, and fails the test for anything else.
type rawIMAP struct {
	t    *testing.T
	name string // of the server, for complaints
	r    *bufio.Reader
	w    io.WriteCloser
	tags int
}

// value is one value of a response.
type value struct {
	kind valueKind
	text string  // of an atom as it is, of a string without its quoting
	list []value // of a list
}

type valueKind byte

const (
	atom     valueKind = iota
	str                // quoted or literal
	literal8           // RFC 9051 section 9, literal8
	list
)

// String shows a value in one form, however it was quoted.
func (v value) String() string {
	switch v.kind {
	case str:
		return strconv.Quote(v.text)
	case literal8:
		return "~" + strconv.Quote(v.text)
	case list:
		var b strings.Builder
		for i, e := range v.list {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(e.String())
		}
		return "(" + b.String() + ")"
	}
	return v.text
}

// reply is what a server says to a command.
type reply struct {
	untagged [][]value // in their order, without "*"; OK, NO, BAD, BYE and PREAUTH have their line as one atom
	status   string    // the tagged line behind its tag
}

// ok reports whether the command succeeded.
func (r reply) ok() bool { return strings.HasPrefix(r.status, "OK") }

// all are the untagged responses of a name, "SEARCH" or "FETCH", without it; of those
// with a number that comes first.
func (r reply) all(name string) (found [][]value) {
	for _, u := range r.untagged {
		switch {
		case len(u) > 0 && strings.EqualFold(u[0].text, name):
			found = append(found, u[1:])
		case len(u) > 1 && strings.EqualFold(u[1].text, name):
			found = append(found, append([]value{u[0]}, u[2:]...))
		}
	}
	return found
}

// try says a command, literals as LITERAL+ has them, and returns the reply. An error is
// one of the connection, or of a response that does not follow the grammar.
func (c *rawIMAP) try(command string) (reply, error) {
	c.tags++
	tag := "t" + strconv.Itoa(c.tags)
	late := time.AfterFunc(patience, func() { c.w.Close() })
	defer late.Stop()
	if _, err := io.WriteString(c.w, tag+" "+command+"\r\n"); err != nil {
		return reply{}, fmt.Errorf("%s, to %s: %w", c.name, clip(command), err)
	}
	r, err := c.reply(tag)
	if err != nil {
		err = fmt.Errorf("%s, behind %d responses to %s: %w", c.name, len(r.untagged), clip(command), err)
	}
	return r, err
}

// do is try for a server that has to answer.
func (c *rawIMAP) do(format string, args ...any) reply {
	c.t.Helper()
	r, err := c.try(fmt.Sprintf(format, args...))
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// must is do for a command that has to succeed.
func (c *rawIMAP) must(format string, args ...any) reply {
	c.t.Helper()
	r := c.do(format, args...)
	if !r.ok() {
		c.t.Fatalf("%s says %s to %s", c.name, r.status, clip(fmt.Sprintf(format, args...)))
	}
	return r
}

// items are the data items of one message in a FETCH response: the values in value's form
// by the names in capitals, without quotes in them.
type items map[string]string

// fetched gives the items of each message, by sequence number, that a reply to FETCH has.
func (r reply) fetched() (map[string]items, error) {
	all := make(map[string]items)
	for _, f := range r.all("FETCH") {
		if len(f) != 2 || f[1].kind != list || len(f[1].list)%2 != 0 {
			return nil, fmt.Errorf("a FETCH response of %d values", len(f))
		}
		m := all[f[0].text]
		if m == nil {
			m = make(items)
			all[f[0].text] = m
		}
		for i := 0; i < len(f[1].list); i += 2 {
			name := strings.ToUpper(strings.ReplaceAll(f[1].list[i].text, `"`, ""))
			m[name] = f[1].list[i+1].String()
		}
	}
	return all, nil
}

// reply reads up to the tagged line.
func (c *rawIMAP) reply(tag string) (r reply, err error) {
	for {
		first, err := c.word()
		if err != nil {
			return r, err
		}
		switch {
		case first == tag:
			r.status, err = c.line()
			return r, err
		case first != "*":
			return r, fmt.Errorf("a line begins %q", first)
		}
		u, err := c.response()
		if err != nil {
			return r, err
		}
		r.untagged = append(r.untagged, u)
	}
}

// word reads up to a space.
func (c *rawIMAP) word() (string, error) {
	s, err := c.r.ReadString(' ')
	return strings.TrimSuffix(s, " "), err
}

// line reads the rest of a line, which ends in CRLF.
func (c *rawIMAP) line() (string, error) {
	s, err := c.r.ReadString('\n')
	if err == nil && !strings.HasSuffix(s, "\r\n") {
		err = fmt.Errorf("a line without CR: %q", s)
	}
	return strings.TrimSuffix(s, "\r\n"), err
}

// response reads an untagged response.
func (c *rawIMAP) response() (all []value, err error) {
	for {
		v, err := c.value()
		if err != nil {
			return all, err
		}
		all = append(all, v)
		if len(all) == 1 {
			switch v.text {
			case "OK", "NO", "BAD", "BYE", "PREAUTH":
				s, err := c.line()
				return append(all, value{text: s}), err
			}
		}
		switch b, err := c.r.ReadByte(); {
		case err != nil:
			return all, err
		case b == '\r':
			if b, err = c.r.ReadByte(); b != '\n' {
				return all, errors.Join(err, errors.New("a CR inside a line"))
			}
			return all, nil
		case b != ' ':
			return all, fmt.Errorf("%q behind %v", b, v)
		}
	}
}

// value reads one value.
func (c *rawIMAP) value() (v value, err error) {
	b, err := c.r.ReadByte()
	if err != nil {
		return v, err
	}
	switch b {
	case '(':
		v.list, err = c.values()
		v.kind = list
	case '"':
		v.text, err = c.quoted()
		v.kind = str
	case '{':
		v.text, err = c.literal()
		v.kind = str
	case '~':
		if b, err = c.r.ReadByte(); b == '{' && err == nil {
			v.text, err = c.literal()
		} else {
			err = errors.Join(err, errors.New("no literal behind ~"))
		}
		v.kind = literal8
	default:
		err = errors.Join(c.r.UnreadByte(), c.atom(&v))
	}
	return v, err
}

// values reads a list behind its parenthesis. The parts of a multipart have no space
// between them (RFC 9051 section 9, body-type-mpart).
func (c *rawIMAP) values() (all []value, err error) {
	for {
		b, err := c.r.ReadByte()
		switch {
		case err != nil:
			return all, err
		case b == ')':
			return all, nil
		case b == ' ' && len(all) > 0:
		case b == '(' && (len(all) == 0 || all[len(all)-1].kind == list), len(all) == 0:
			c.r.UnreadByte()
		default:
			return all, fmt.Errorf("%q in a list", b)
		}
		v, err := c.value()
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
}

// quoted reads a quoted string behind its quote.
func (c *rawIMAP) quoted() (string, error) {
	var s strings.Builder
	for {
		b, err := c.r.ReadByte()
		switch {
		case err != nil:
			return "", err
		case b == '"':
			return s.String(), nil
		case b == '\\':
			if b, err = c.r.ReadByte(); b != '"' && b != '\\' {
				return "", errors.Join(err, fmt.Errorf("\\%c in a quoted string", b))
			}
		case b == '\r', b == '\n', b == 0:
			return "", fmt.Errorf("%q in a quoted string", b)
		}
		s.WriteByte(b)
	}
}

// literal reads a literal behind its brace.
func (c *rawIMAP) literal() (string, error) {
	head, err := c.line()
	if err != nil {
		return "", err
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(head, "}"), 10, 32)
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(c.r, b)
	return string(b), err
}

// atom reads up to a space, a parenthesis or the end of the line. What is in brackets
// belongs to it: BODY[HEADER.FIELDS (From)]<0>.
func (c *rawIMAP) atom(v *value) error {
	var s strings.Builder
	brackets, quoted := 0, false
	for {
		b, err := c.r.ReadByte()
		if err != nil {
			return err
		}
		switch {
		case b == '\r' || b == '\n' || brackets == 0 && strings.IndexByte(" ()", b) >= 0:
			v.text = s.String()
			if v.text == "" || brackets > 0 {
				return fmt.Errorf("%q where an atom was expected", b)
			}
			return c.r.UnreadByte()
		case b == '"' && brackets > 0:
			quoted = !quoted
		case b == '[' && !quoted:
			brackets++
		case b == ']' && !quoted:
			brackets--
		}
		s.WriteByte(b)
	}
}
