package queue

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"kurir/internal/fsx"
)

// opener opens a message as other hosts get it: without a first line Return-Path, and a
// Delivered-To right behind it, which are for mailboxes here (RFC 5321 section 4.4).
func (m *mail) opener(q *Queue) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		f, err := q.o().FS.Open(q.path(m.file))
		if err != nil {
			return nil, err
		}
		n, err := localHeader(f)
		if err == nil {
			_, err = f.Seek(n, io.SeekStart)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
}

// localHeader is how many octets at the beginning are for mailboxes here.
func localHeader(f fsx.File) (int64, error) {
	r := bufio.NewReader(f)
	first, err := fieldLength(r, "return-path:")
	if first == 0 || err != nil {
		return 0, err
	}
	second, err := fieldLength(r, "delivered-to:")
	return first + second, err
}

// fieldLength reads a header field of that name and says how long it was; 0: another
// comes next, and nothing has been read.
func fieldLength(r *bufio.Reader, name string) (n int64, err error) {
	head, err := r.Peek(len(name))
	if err != nil && err != io.EOF {
		return 0, err
	}
	if !strings.EqualFold(string(head), name) {
		return 0, nil
	}
	for {
		line, err := r.ReadSlice('\n')
		n += int64(len(line))
		if err == bufio.ErrBufferFull {
			continue // more of the same line
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		next, err := r.Peek(1)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if next[0] != ' ' && next[0] != '\t' {
			return n, nil
		}
	}
}

// sizeOf is a message's size on the wire.
func (q *Queue) sizeOf(m *mail) (int64, error) {
	q.mu.Lock()
	size := m.size
	q.mu.Unlock()
	if size > 0 {
		return size, nil
	}
	f, err := m.opener(q)()
	if err != nil {
		return 0, err
	}
	var n wireCounter
	_, err = io.Copy(&n, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	q.mu.Lock()
	m.size = n.size
	q.mu.Unlock()
	return n.size, nil
}

// wireCounter counts octets as on the wire: an LF alone is a CRLF there.
type wireCounter struct {
	size int64
	cr   bool // the last octet was CR
}

func (c *wireCounter) Write(p []byte) (int, error) {
	for _, b := range p {
		c.size++
		if b == '\n' && !c.cr {
			c.size++
		}
		c.cr = b == '\r'
	}
	return len(p), nil
}
