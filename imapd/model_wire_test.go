package imapd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// A wireResponse is one response of the server, taken apart by the grammar of RFC 9051
// section 9.
type wireResponse struct {
	raw  string
	tag  string // "*", "+" or a command's
	num  uint32 // of EXISTS, EXPUNGE and FETCH
	name string // in capitals: "FETCH", "OK", "SEARCH"
	code string // of OK, NO, BAD and BYE: what stands in brackets
	args []wireValue
}

// A wireValue is an atom, a string or a list.
type wireValue struct {
	text   string
	quoted bool // a string, not an atom
	isList bool
	list   []wireValue
}

// readResponse reads one response with its literals.
func readResponse(r *bufio.Reader) (string, error) {
	var all strings.Builder
	for {
		line, err := r.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			return all.String(), err
		}
		text := strings.TrimSuffix(line, "\r\n")
		open := strings.LastIndexByte(text, '{')
		if open < 0 || !strings.HasSuffix(text, "}") {
			return all.String(), nil
		}
		n, err := strconv.Atoi(text[open+1 : len(text)-1])
		if err != nil {
			return all.String(), nil // text that looks like one
		}
		if _, err := io.CopyN(&all, r, int64(n)); err != nil {
			return all.String(), err
		}
	}
}

// responses reads what the server says, at once, so that it never waits for the client.
func responses(conn net.Conn) <-chan string {
	c := make(chan string, 1<<18)
	go func() { // ends with the connection
		defer close(c)
		r := bufio.NewReaderSize(conn, 16<<10)
		for {
			s, err := readResponse(r)
			if s != "" {
				c <- s
			}
			if err != nil {
				return
			}
		}
	}()
	return c
}

// parseResponse takes a response apart.
func parseResponse(raw string) (*wireResponse, error) {
	line, ok := strings.CutSuffix(raw, "\r\n")
	if !ok {
		return nil, fmt.Errorf("no CRLF at the end of %.200q", raw)
	}
	w := &wireResponse{raw: line}
	w.tag, line, _ = strings.Cut(line, " ")
	if w.tag == "+" {
		return w, nil
	}
	word, rest, more := strings.Cut(line, " ")
	if n, err := strconv.ParseUint(word, 10, 32); err == nil {
		w.num = uint32(n)
		word, rest, more = strings.Cut(rest, " ")
	}
	w.name = strings.ToUpper(word)
	switch w.name {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		if strings.HasPrefix(rest, "[") {
			end := strings.IndexByte(rest, ']')
			if end < 0 || len(rest) < end+3 {
				return nil, fmt.Errorf("a response code without an end, or without text: %.200q", raw)
			}
			w.code = rest[1:end]
		} else if rest == "" {
			return nil, fmt.Errorf("no text in %.200q", raw)
		}
		return w, nil
	}
	if !more {
		return w, nil
	}
	p := &wireParser{s: rest}
	w.args = p.values()
	if p.err == nil && p.s != "" {
		p.err = fmt.Errorf("%.40q is left", p.s)
	}
	if p.err != nil {
		return nil, fmt.Errorf("%w of %.200q", p.err, raw)
	}
	return w, nil
}

type wireParser struct {
	s   string
	err error
}

// values reads values with one space between them, up to a bracket or the end.
func (p *wireParser) values() (out []wireValue) {
	for p.err == nil && p.s != "" && p.s[0] != ')' {
		if len(out) > 0 {
			switch {
			case p.s[0] == ' ':
				p.s = p.s[1:]
			case p.s[0] != '(': // lists may touch: envelopes, bodies, threads
				p.err = fmt.Errorf("no space before %.40q", p.s)
			}
		}
		out = append(out, p.value())
	}
	return out
}

func (p *wireParser) value() (v wireValue) {
	switch {
	case p.s == "":
		p.err = fmt.Errorf("a value is missing")
	case p.s[0] == '(':
		p.s = p.s[1:]
		v = wireValue{isList: true, list: p.values()}
		if p.err == nil && p.s == "" {
			p.err = fmt.Errorf("a list has no end")
		} else if p.err == nil {
			p.s = p.s[1:]
		}
	case p.s[0] == '"':
		v = wireValue{quoted: true, text: p.quotedString()}
	case p.s[0] == '{' || strings.HasPrefix(p.s, "~{"):
		v = wireValue{quoted: true, text: p.literal()}
	default:
		v.text = p.atom()
	}
	return v
}

func (p *wireParser) quotedString() string {
	var b strings.Builder
	for i := 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.s = p.s[i+1:]
			return b.String()
		case c == '\\' && i+1 < len(p.s):
			i++
			b.WriteByte(p.s[i])
		case c == '\r' || c == '\n' || c == 0:
			p.err = fmt.Errorf("%q in a quoted string", c)
			return ""
		default:
			b.WriteByte(c)
		}
	}
	p.err = fmt.Errorf("a string has no end")
	return ""
}

func (p *wireParser) literal() string {
	head, rest, ok := strings.Cut(p.s, "}\r\n")
	n, err := strconv.Atoi(strings.TrimPrefix(strings.TrimPrefix(head, "~"), "{"))
	if !ok || err != nil || n > len(rest) {
		p.err = fmt.Errorf("not a literal: %.40q", p.s)
		return ""
	}
	p.s = rest[n:]
	return rest[:n]
}

// atom reads an atom; brackets in it hold anything: BODY[HEADER.FIELDS (A B)]<0>.
func (p *wireParser) atom() string {
	depth, i := 0, 0
	for ; i < len(p.s); i++ {
		c := p.s[i]
		if c == '[' {
			depth++
		} else if c == ']' && depth > 0 {
			depth--
		} else if depth == 0 && (c == ' ' || c == '(' || c == ')' || c == '"') {
			break
		}
	}
	if i == 0 {
		p.err = fmt.Errorf("a value is missing at %.40q", p.s)
	}
	s := p.s[:i]
	p.s = p.s[i:]
	return s
}

// pairs reads a list as names and values: those of FETCH, STATUS and the like.
func pairs(list []wireValue) (map[string]wireValue, error) {
	out := map[string]wireValue{}
	for i := 0; i < len(list); i += 2 {
		if i+1 == len(list) || list[i].quoted || list[i].isList {
			return nil, fmt.Errorf("%q has no value, or is no name", list[i].text)
		}
		name := strings.ToUpper(list[i].text)
		if _, ok := out[name]; ok {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		out[name] = list[i+1]
	}
	return out, nil
}

// number reads a number; false if it is none, or begins with a needless 0.
func (v wireValue) number() (uint64, bool) {
	n, err := strconv.ParseUint(v.text, 10, 63)
	return n, err == nil && !v.quoted && !v.isList && strconv.FormatUint(n, 10) == v.text
}

// parseNumbers reads a set without "*": 1,3:5. The order is kept.
func parseNumbers(s string) (out []uint32, err error) {
	for part := range strings.SplitSeq(s, ",") {
		a, b, isRange := strings.Cut(part, ":")
		if !isRange {
			b = a
		}
		from, err1 := strconv.ParseUint(a, 10, 32)
		to, err2 := strconv.ParseUint(b, 10, 32)
		if err1 != nil || err2 != nil || from == 0 || from > to || to-from > 1<<20 {
			return nil, fmt.Errorf("not a set: %.100q", s)
		}
		for n := from; n <= to; n++ {
			out = append(out, uint32(n))
		}
	}
	return out, nil
}

// numberSet writes ascending numbers as a set.
func numberSet(nums []uint32) string { return string(appendUIDList(nil, nums)) }
