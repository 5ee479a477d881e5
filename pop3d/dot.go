package pop3d

import (
	"bufio"
	"bytes"
	"io"
	"sync"
)

// dotWriter writes the body of a multi-line reply (RFC 1939 section 3): a dot at the
// beginning of a line is doubled, and end adds the last line. A line begins behind each LF,
// also one without CR, so that no client can take a dot of the message for the end.
type dotWriter struct {
	w        *bufio.Writer
	b1, last byte // the last two bytes
}

func newDotWriter(w *bufio.Writer) *dotWriter { return &dotWriter{w, '\r', '\n'} }

func (d *dotWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := len(p)
	if d.last == '\n' && p[0] == '.' {
		d.w.WriteByte('.')
	}
	if n > 1 {
		d.b1 = p[n-2]
	} else {
		d.b1 = d.last
	}
	d.last = p[n-1]
	for {
		i := bytes.Index(p, []byte("\n."))
		if i < 0 {
			break
		}
		d.w.Write(p[:i+1])
		d.w.WriteByte('.')
		p = p[i+1:]
	}
	_, err := d.w.Write(p) // the writer remembers its first error
	return n, err
}

// end completes the last line, if need be, and writes the dot.
func (d *dotWriter) end() error {
	if d.b1 != '\r' || d.last != '\n' {
		d.w.WriteString("\r\n")
	}
	_, err := d.w.WriteString(".\r\n")
	return err
}

var topBuffers = sync.Pool{New: func() any { b := make([]byte, 4<<10); return &b }}

// copyTop copies the header, the blank line and at most max lines of the body.
func copyTop(w io.Writer, r io.Reader, max int) error {
	buf := topBuffers.Get().(*[]byte)
	defer topBuffers.Put(buf)
	t := topCounter{left: max}
	for {
		n, err := r.Read(*buf)
		if n > 0 {
			k, done := t.take((*buf)[:n])
			if _, err := w.Write((*buf)[:k]); err != nil || done {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// topCounter finds where TOP ends.
type topCounter struct {
	body bool // the blank line has been seen
	left int  // lines of the body
	cr   bool // the current line is a CR so far
	text bool // the current line is more than that
}

// take says how many bytes of p belong to the reply, and whether it ends there.
func (t *topCounter) take(p []byte) (n int, done bool) {
	for n < len(p) {
		i := bytes.IndexByte(p[n:], '\n')
		if i < 0 {
			t.see(p[n:])
			return len(p), false
		}
		t.see(p[n : n+i])
		n += i + 1
		switch {
		case t.body:
			t.left--
		case !t.text:
			t.body = true
		}
		t.cr, t.text = false, false
		if t.body && t.left <= 0 {
			return n, true
		}
	}
	return n, false
}

// see takes in a part of a line, its LF aside.
func (t *topCounter) see(p []byte) {
	if len(p) == 0 || t.text {
		return
	}
	t.text = t.cr || len(p) > 1 || p[0] != '\r'
	t.cr = true
}
