package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
)

// watch closes the connection when ctx ends, until stop is called.
func (c *Conn) watch(ctx context.Context) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })
}

// fail closes the connection for good. The first cause counts, and is returned.
func (c *Conn) fail(cause error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.cause = cause
		c.raw.Close()
	}
	return c.cause
}

// broken closes the connection and says where and why.
func (c *Conn) broken(at Stage, err error) *Broken {
	return &Broken{Stage: at, Err: c.fail(err)}
}

// part closes a connection that New gives up. A server that refused us by a reply hears
// QUIT, without waiting (RFC 5321 section 3.1).
func (c *Conn) part(err error) {
	if _, refused := errors.AsType[*Reply](err); refused && c.Usable() {
		c.conn.SetWriteDeadline(time.Now().Add(farewell))
		c.conn.Write([]byte("QUIT\r\n"))
	}
	c.fail(net.ErrClosed)
}

// always is the stage of an exchange of one command.
func always(s Stage) func(int) Stage { return func(int) Stage { return s } }

// command sends one command and reads its reply. The error is a *Broken.
func (c *Conn) command(at Stage, line string) (reply Reply, err error) {
	c.out = append(append(c.out[:0], line...), "\r\n"...)
	c.logCommands(c.out)
	err = c.exchange(c.out, always(at), 1, func(_ int, r Reply) bool { reply = r; return true })
	return reply, err
}

// exchange writes commands and reads n replies to them, both at the same time: neither
// side waits for the other to read, however small the buffers between them are (RFC 2920
// section 3.1). Each reply is for the stage that stage says and goes to got, which returns
// false to have no more of them. The error is a *Broken; got has had what came before.
func (c *Conn) exchange(out []byte, stage func(int) Stage, n int, got func(int, Reply) bool) error {
	if err := c.inStep(len(out) > 0); err != nil {
		return c.broken(stage(0), err)
	}
	done := make(chan error, 1)
	go func() { done <- c.replies(stage, n, got) }() // ends with the replies, a deadline or fail
	var werr error
	if len(out) > 0 {
		c.conn.SetWriteDeadline(time.Now().Add(c.o.Timeouts.Command))
		_, werr = c.conn.Write(out)
	}
	if werr != nil { // replies on their way, as a 421, may say why
		werr = plain(werr, c.o.Timeouts.Command)
		defer time.AfterFunc(farewell, func() { c.fail(werr) }).Stop()
	}
	err := <-done
	if werr != nil {
		c.fail(werr)
	}
	return err
}

// inStep makes sure that no reply is there before its command is sent, lest one command
// take the reply to another for its own. A server may say 421 at any time.
func (c *Conn) inStep(asking bool) error {
	if n := c.in.r.Buffered(); n > 0 && asking {
		if b, _ := c.in.r.Peek(min(n, 3)); !bytes.Equal(b, []byte("421")) {
			return ErrOutOfStep
		}
	}
	return nil
}

// replies reads the replies of an exchange.
func (c *Conn) replies(stage func(int) Stage, n int, got func(int, Reply) bool) error {
	for i := range n {
		at := stage(i)
		after := c.timeout(at)
		c.conn.SetReadDeadline(time.Now().Add(after))
		r, err := c.reply(at)
		if err != nil {
			return c.broken(at, plain(err, after))
		}
		more := got(i, r)
		if r.Closing() {
			c.fail(fmt.Errorf("%w: %w", ErrClosed, &r))
		}
		if !expected(at, r.Code) {
			return c.broken(at, fmt.Errorf("%w: it answered %w", ErrNotSMTP, &r))
		}
		if !more || r.Closing() {
			return nil
		}
	}
	return nil
}

// reply reads a reply within the deadline that is set.
func (c *Conn) reply(at Stage) (Reply, error) {
	r, err := c.in.read()
	if err != nil {
		c.o.Log.Debug("smtp: no reply", "waiting_for", at.String(), "error", err)
		return r, err
	}
	if c.o.Log.Enabled(context.Background(), slog.LevelDebug) {
		c.o.Log.Debug("smtp", "server", fmt.Sprint(r.Code, " ", strings.Join(r.Lines, "\n")))
	}
	if at != Hello || !r.Positive() {
		r.finish()
	}
	return r, nil
}

// timeout is how long the reply of a stage may take.
func (c *Conn) timeout(at Stage) time.Duration {
	switch at {
	case Greeting:
		return c.o.Timeouts.Greeting
	case Data:
		return c.o.Timeouts.Data
	case Final:
		return c.o.Timeouts.Final
	}
	return c.o.Timeouts.Command
}

// expected tells whether a code is an answer at a stage (RFC 5321 section 4.3.2): refused
// may be anything, done is 2xx, but DATA goes on with 3xx, and AUTH may.
func expected(at Stage, code int) bool {
	switch class := code / 100; at {
	case Data:
		return class != 2
	case Auth:
		return true
	default:
		return class != 3
	}
}

// logCommands writes commands to the log.
func (c *Conn) logCommands(out []byte) {
	if !c.o.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	for line := range bytes.Lines(out) {
		c.o.Log.Debug("smtp", "client", string(bytes.TrimRight(line, "\r\n")))
	}
}
