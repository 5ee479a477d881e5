// Package sevenbit makes a message of octets below 128 in lines of at most 998 out of one
// that is not, for a server that does not offer 8BITMIME (RFC 6152 section 3).
//
// Parts that need it become quoted-printable if they are text, and base64 if not (RFC 2045
// sections 6.7 and 6.8); their Content-Transfer-Encoding is changed, and that of all other
// parts in 8bit or binary is 7bit then. All else stays as it is, octet for octet. What may
// not be changed, as signed parts, and what cannot be, as a header in UTF-8, is ErrCannot.
//
// The structure comes from internal/message. A message is streamed; what is held of it is
// a buffer and a few octets for each part.
package sevenbit

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"kurir/internal/message"
)

// ErrCannot says that a message cannot be made 7-bit without a change of what it says.
var ErrCannot = errors.New("the message cannot be converted to 7 bits")

// MaxLine is how many octets a line may have, its end not counted (RFC 5322 section 2.1.1).
const MaxLine = 998

const bufferSize = 32 << 10

// Needed reads a message once and says what it asks of those that transport it: octets
// above 127 anywhere, such octets in its header (that of the message itself: RFC 6532),
// and how long its longest line is, in octets, without its end. Errors are those of r.
func Needed(r io.Reader) (eightBit, utf8Header bool, longestLine int, err error) {
	br := bufio.NewReaderSize(r, bufferSize)
	header, line := true, 0
	for {
		piece, err := br.ReadSlice('\n')
		if line == 0 && len(piece) == lineEnd(piece) {
			header = false
		}
		if has8bit(piece) {
			eightBit = true
			utf8Header = utf8Header || header
		}
		line += len(piece)
		switch {
		case err == nil:
			longestLine = max(longestLine, line-lineEnd(piece))
			line = 0
		case !errors.Is(err, bufio.ErrBufferFull):
			if err == io.EOF {
				err = nil
			}
			return eightBit, utf8Header, max(longestLine, line), err
		}
	}
}

func has8bit(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}

// lineEnd is the length of the line end of a line: CRLF, LF or none.
func lineEnd(line []byte) int {
	n := len(line)
	switch {
	case n == 0 || line[n-1] != '\n':
		return 0
	case n > 1 && line[n-2] == '\r':
		return 2
	}
	return 1
}

// Convert writes the message that open opens, whose structure is p, to w, with 7 bits.
// It opens the message twice. Line ends that it adds are CRLF. Errors: ErrCannot, before
// anything was written; those of open, of reading and of w; io.ErrUnexpectedEOF if the
// message is shorter than p says.
func Convert(w io.Writer, open func() (io.ReadCloser, error), p *message.Part) error {
	plan, err := newPlan(open, p)
	if err != nil {
		return err
	}
	return plan.write(w, open)
}

// Open looks at the message that open opens and returns a function that opens it with 7
// bits, and its size in octets with lines that end in CRLF. Errors: ErrCannot, those of
// open and of reading. The message is read three times here, and once each time it is opened.
func Open(open func() (io.ReadCloser, error)) (converted func() (io.ReadCloser, error), size int64, err error) {
	p, err := parse(open)
	if err != nil {
		return nil, 0, err
	}
	plan, err := newPlan(open, p)
	if err != nil {
		return nil, 0, err
	}
	var n counter
	if err := plan.write(&n, open); err != nil {
		return nil, 0, err
	}
	return func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(plan.write(w, open)) }() // ends with the message, or when r is closed
		return r, nil
	}, n.size(), nil
}

func parse(open func() (io.ReadCloser, error)) (*message.Part, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return message.Parse(r, message.Limits{})
}

// counter counts the octets written to it, as they are when every line ends in CRLF.
type counter struct {
	n    int64
	last byte
}

func (c *counter) Write(b []byte) (int, error) {
	for _, o := range b {
		if o == '\n' && c.last != '\r' {
			c.n++
		}
		c.last = o
	}
	c.n += int64(len(b))
	return len(b), nil
}

// size is that of the whole, whose last line gets its end.
func (c *counter) size() int64 {
	if c.n > 0 && c.last != '\n' {
		return c.n + 2
	}
	return c.n
}

// cannot says why a message stays as it is.
func cannot(why string) error { return fmt.Errorf("%w: %s", ErrCannot, why) }
