package smtpclient

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

const (
	blockSize = 32 << 10 // octets of a message that go out at once
	endSize   = len("\r\n.\r\n")
)

// errAnswered: the server answered before the end of the message.
var errAnswered = fmt.Errorf("%w: before the end of the message", ErrOutOfStep)

// transfer is a message on its way. Meanwhile a goroutine waits for the reply, so that one
// that comes too early is seen before the message is ended, and a server that writes
// while it should read holds up nothing.
type transfer struct {
	c   *Conn
	enc encoder
	got chan answer
	has *answer // taken out of got

	dot bool // the end of the message began to be written
	own bool // what failed is on our side
}

type answer struct {
	reply Reply
	err   error
}

// startTransfer begins to wait for the reply to the message. The caller calls wait.
func (c *Conn) startTransfer() *transfer {
	if cap(c.out) < blockSize+endSize {
		c.out = make([]byte, 0, blockSize+endSize)
	}
	if c.source == nil {
		c.source = make([]byte, blockSize)
	}
	t := &transfer{c: c, got: make(chan answer, 1)}
	t.enc = encoder{out: c.out[:0], atStart: true, flush: t.flush}
	c.conn.SetReadDeadline(time.Time{})
	go func() { // ends with the reply, or the deadline that wait sets, or fail
		r, err := c.reply(Final)
		t.got <- answer{r, err}
		c.conn.SetWriteDeadline(time.Now().Add(farewell)) // a write that hangs meanwhile hangs for nothing
	}()
	return t
}

// wait returns the reply, which it waits for so long at most.
func (t *transfer) wait(most time.Duration) answer {
	if t.has == nil {
		t.c.conn.SetReadDeadline(time.Now().Add(most))
		a := <-t.got
		t.has = &a
	}
	return *t.has
}

// early is errAnswered if the reply, or the end of the connection, is there already.
func (t *transfer) early() error {
	if t.has == nil {
		select {
		case a := <-t.got:
			t.has = &a
		default:
			return nil
		}
	}
	return errAnswered
}

// send sends the message, calls BeforeDot, and sends the end of the message together with
// what waited in the buffer: a small message is one write.
func (t *transfer) send(ctx context.Context, tx *Transaction, source io.Reader) error {
	if err := t.copy(source); err != nil {
		return err
	}
	t.enc.end()
	if tx.BeforeDot != nil {
		if err := tx.BeforeDot(ctx); err != nil {
			t.own = true
			return err
		}
	}
	b := append(t.enc.out, ".\r\n"...)
	n, err := t.write(b)
	// What the system took of b may have arrived. Only then the end of the message may.
	t.dot = err == nil || n > len(b)-len(".\r\n")
	return err
}

// copy sends the message but for its last block.
func (t *transfer) copy(source io.Reader) error {
	for empty := 0; ; {
		n, err := source.Read(t.c.source)
		if n > 0 {
			empty = 0
			if err := t.enc.write(t.c.source[:n]); err != nil {
				return err
			}
		} else if empty++; empty == 100 && err == nil {
			err = io.ErrNoProgress
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			t.own = true
			return fmt.Errorf("%w: %w", ErrSource, err)
		}
	}
}

// flush sends a block.
func (t *transfer) flush(b []byte) error {
	_, err := t.write(b)
	return err
}

// write writes to the server, unless that has answered. An answer that comes later than
// this looks for it finds the deadline set, and shortens it.
func (t *transfer) write(b []byte) (int, error) {
	t.c.conn.SetWriteDeadline(time.Now().Add(t.c.o.Timeouts.Block))
	if err := t.early(); err != nil {
		return 0, err
	}
	return t.c.conn.Write(b)
}

// encoder gives a message the form it has on the wire: every line ends in CRLF (a lone LF
// becomes one, a CR without LF a space: RFC 5321 section 2.3.8), and has another dot
// before its first if that is one (section 4.5.2).
type encoder struct {
	out     []byte // at most blockSize octets, room for endSize more
	atStart bool   // of a line
	cr      bool   // a CR was read, and what it means depends on what follows
	flush   func([]byte) error
}

// write encodes a piece of the message.
func (e *encoder) write(p []byte) error {
	for len(p) > 0 {
		if e.cr && p[0] != '\n' {
			if err := e.put(" "); err != nil {
				return err
			}
			e.atStart = false
		}
		e.cr = false
		line, rest, whole := bytes.Cut(p, []byte{'\n'})
		p = rest
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
			e.cr = !whole
		}
		if err := e.line(line, whole); err != nil {
			return err
		}
	}
	return nil
}

// line encodes a line, or a piece of one if not whole, without its line end.
func (e *encoder) line(line []byte, whole bool) error {
	if e.atStart && len(line) > 0 && line[0] == '.' {
		if err := e.put("."); err != nil {
			return err
		}
	}
	for len(line) > 0 {
		text, rest, stray := bytes.Cut(line, []byte{'\r'})
		if err := e.text(text); err != nil {
			return err
		}
		if stray {
			if err := e.put(" "); err != nil {
				return err
			}
		}
		line = rest
		e.atStart = false
	}
	if !whole {
		return nil
	}
	e.atStart = true
	return e.put("\r\n")
}

// put appends a few octets.
func (e *encoder) put(s string) error {
	e.out = append(e.out, s...)
	return e.sendFull()
}

// text appends octets that are as they should be.
func (e *encoder) text(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), max(blockSize-len(e.out), 0))
		e.out = append(e.out, b[:n]...)
		b = b[n:]
		if err := e.sendFull(); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) sendFull() error {
	if len(e.out) < blockSize {
		return nil
	}
	err := e.flush(e.out)
	e.out = e.out[:0]
	return err
}

// end ends the last line, within the buffer.
func (e *encoder) end() {
	if e.cr {
		e.out = append(e.out, ' ')
		e.atStart, e.cr = false, false
	}
	if !e.atStart {
		e.out = append(e.out, "\r\n"...)
		e.atStart = true
	}
}
