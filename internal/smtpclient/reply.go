package smtpclient

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds the text of a Reply, in octets.
const maxText = 4 << 10

// Reply is what a server said to one command (RFC 5321 section 4.2).
type Reply struct {
	Code int // 200 to 599; if the lines of a reply differ, the greatest; 0: no reply
	// Status is the enhanced code of RFC 3463, as "5.1.1": out of the text, or made of
	// the code's class, as "5.0.0". "" for codes 3xx and 0.
	Status string
	// Lines are the text without code and status, printable UTF-8, none empty, at most
	// 4 KiB in all.
	Lines []string
}

// Error is the reply in one line: code, status and text.
func (r *Reply) Error() string {
	b := fmt.Append(nil, r.Code)
	for _, s := range append([]string{r.Status}, r.Lines...) {
		if s != "" {
			b = append(append(b, ' '), s...)
		}
	}
	return string(b)
}

// Text is the text with its lines joined by "\n".
func (r *Reply) Text() string { return strings.Join(r.Lines, "\n") }

// Positive tells whether the command was done: a code 2xx.
func (r *Reply) Positive() bool { return r.Code/100 == 2 }

// Continue tells whether the server waits for more: a code 3xx.
func (r *Reply) Continue() bool { return r.Code/100 == 3 }

// Temporary tells whether the command was refused for now: a code 4xx.
func (r *Reply) Temporary() bool { return r.Code/100 == 4 }

// Permanent tells whether the command was refused for good: a code 5xx.
func (r *Reply) Permanent() bool { return r.Code/100 == 5 }

// Refused tells whether the command was refused: a code 4xx or 5xx.
func (r *Reply) Refused() bool { return r.Temporary() || r.Permanent() }

// Closing tells whether the server ends the connection (RFC 5321 section 3.8).
func (r *Reply) Closing() bool { return r.Code == 421 }

// replyReader reads replies of bounded length. Time is bounded by the deadlines of what
// it reads from.
type replyReader struct {
	r         *bufio.Reader
	maxOctets int
	maxLines  int
	long      []byte // a line longer than r's buffer
}

// read reads one reply. Its lines are cleaned, but have their status still. Lines may
// end in LF alone and lack their text. Errors: ErrNotSMTP, ErrReplyTooLong, those of r.
func (rr *replyReader) read() (Reply, error) {
	var reply Reply
	left := rr.maxOctets
	for range rr.maxLines {
		line, err := rr.line(left)
		if err != nil {
			return Reply{}, err
		}
		left -= len(line)
		code, text, more, ok := parseLine(line)
		if !ok {
			return Reply{}, fmt.Errorf("%w: %q", ErrNotSMTP, clean(line[:min(len(line), 100)]))
		}
		reply.Code = max(reply.Code, code)
		if s := clean(text); s != "" {
			reply.Lines = append(reply.Lines, s)
		}
		if !more {
			return reply, nil
		}
	}
	return Reply{}, ErrReplyTooLong
}

// line reads a line of at most max octets, with its line end; it is valid until the next.
func (rr *replyReader) line(max int) ([]byte, error) {
	rr.long = rr.long[:0]
	for {
		part, err := rr.r.ReadSlice('\n')
		switch {
		case len(rr.long)+len(part) > max:
			return nil, ErrReplyTooLong
		case err == nil && len(rr.long) == 0:
			return part, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
		rr.long = append(rr.long, part...)
		if err == nil {
			return rr.long, nil
		}
	}
}

// parseLine takes one line of a reply apart: "250-text" or "250 text" or "250".
func parseLine(line []byte) (code int, text []byte, more, ok bool) {
	line = line[:len(line)-1] // LF
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, nil, false, false
	}
	for _, d := range line[:3] {
		if d < '0' || d > '9' {
			return 0, nil, false, false
		}
		code = 10*code + int(d-'0')
	}
	if len(line) == 3 {
		return code, nil, false, true
	}
	switch line[3] {
	case ' ', '\t':
		return code, line[4:], false, true
	case '-':
		return code, line[4:], true, true
	}
	return 0, nil, false, false
}

// clean makes printable UTF-8 of what a stranger sent: U+FFFD stands for all else, and
// white space at both ends is gone.
func clean(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return utf8.RuneError
		}
		return r
	}, string(b)))
}

// finish moves the status out of the text (RFC 2034 section 4) and bounds the text.
func (r *Reply) finish() {
	class := byte('0' + r.Code/100)
	if class != '3' {
		r.Status = string(class) + ".0.0"
	}
	kept, left := r.Lines[:0], maxText
	for i, line := range r.Lines {
		if n := statusLen(line); n > 0 && fits(line[0], class) {
			if i == 0 {
				r.Status = string(class) + line[1:n]
			}
			line = strings.TrimSpace(line[n:])
		}
		if left <= 0 {
			break
		}
		if len(line) > left {
			line = strings.ToValidUTF8(line[:left], "")
		}
		left -= len(line) + 1
		if line != "" {
			kept = append(kept, line)
		}
	}
	r.Lines = kept
}

// fits tells whether a status of one class may stand behind a code of another: the same,
// or two refusals, of which the code counts.
func fits(status, code byte) bool {
	return status == code || status != '2' && (code == '4' || code == '5')
}

// statusLen is the length of the enhanced status code that begins a text, 0 if none does
// (RFC 2034 section 4: class "." subject "." detail, then a space or the end).
func statusLen(s string) int {
	if len(s) < 5 || s[0] != '2' && s[0] != '4' && s[0] != '5' {
		return 0
	}
	i := 1
	for range 2 {
		if i >= len(s) || s[i] != '.' {
			return 0
		}
		from := i + 1
		for i = from; i < len(s) && i-from < 3 && s[i] >= '0' && s[i] <= '9'; i++ {
		}
		if i == from {
			return 0
		}
	}
	if i < len(s) && s[i] != ' ' {
		return 0
	}
	return i
}
