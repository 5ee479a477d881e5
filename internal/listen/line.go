package listen

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// ErrLineTooLong says that a line was longer than allowed. All of it has been read, so
// that the session can answer and go on.
var ErrLineTooLong = errors.New("line too long")

// keepLine is the size up to which a LineReader keeps its buffer for the next line.
const keepLine = 4 << 10

// LineReader reads lines of bounded length from R, which its owner may also read from
// directly between two lines, as for a literal of IMAP. Lines that fit into R's buffer
// are not copied.
type LineReader struct {
	R *bufio.Reader

	long []byte // a line longer than R's buffer
}

// NewLineReader returns a LineReader on r.
func NewLineReader(r *bufio.Reader) *LineReader { return &LineReader{R: r} }

// ReadLine returns the next line without its line end, which is CRLF or a lone LF; it
// is valid until the next read. A line of more than max octets, line end not counted,
// is read to its end and gives ErrLineTooLong, together with its beginning, as far as that
// was kept. The end of input is io.EOF before a line and io.ErrUnexpectedEOF within one; after an error other than ErrLineTooLong what came
// of that line is dropped.
func (l *LineReader) ReadLine(max int) ([]byte, error) {
	if cap(l.long) > keepLine {
		l.long = nil
	}
	l.long = l.long[:0]
	tooLong := false
	for {
		part, err := l.R.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			if tooLong = tooLong || len(l.long)+len(part) > max+len("\r\n"); !tooLong {
				l.long = append(l.long, part...)
			}
			continue
		}
		if err != nil {
			if err == io.EOF && (len(l.long)+len(part) > 0 || tooLong) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if tooLong {
			return l.long, ErrLineTooLong
		}
		line := part
		if len(l.long) > 0 {
			l.long = append(l.long, part...)
			line = l.long
		}
		line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		if len(line) > max {
			return line, ErrLineTooLong
		}
		return line, nil
	}
}
