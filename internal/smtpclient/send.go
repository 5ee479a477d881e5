package smtpclient

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Send sends one message: MAIL, RCPT for each recipient and DATA, all in one go where the
// server offers PIPELINING (RFC 2920), and the message itself if at least one recipient
// was accepted.
//
// The Outcome is never nil and holds the replies as far as there are any. Refusals are no
// errors. After a reply 421, wherever it came, the commands behind it count as answered
// by it; the same holds for MAIL refused by a server that then stops to answer. Where the
// server refuses the message while it is still being sent, that is the Final reply, with
// Dot false. In these cases the connection is no longer Usable.
//
// Errors: ErrNotOffered, *EnvelopeError and ErrSource from Open, before anything was sent;
// else a *Broken at Mail, Rcpt, Data, Body or Final, in which the error of BeforeDot, that
// of the message's reader (ErrSource) and the cause of the end of ctx are found. A Broken
// at Final has Dot true: the server may have the message.
func (c *Conn) Send(ctx context.Context, t *Transaction) (*Outcome, error) {
	o := &Outcome{Rcpt: make([]Reply, len(t.To))}
	if err := c.check(t); err != nil {
		return o, err
	}
	message, err := t.Open()
	if err != nil {
		return o, fmt.Errorf("%w: %w", ErrSource, err)
	}
	defer message.Close()
	defer c.watch(ctx)()
	if c.open {
		if err := c.reset(Mail); err != nil {
			return o, c.notReset(o, err)
		}
	}
	_, pipelining := c.ext["PIPELINING"]
	if pipelining {
		err = c.envelope(t, o)
	} else {
		err = c.envelopeByStep(t, o)
	}
	switch {
	case err != nil:
		return o, err
	case !o.Data.Continue() || !c.Usable():
		return o, nil
	case !o.accepted():
		c.emptyMessage()
		return o, nil
	}
	return o, c.message(ctx, t, message, o)
}

// notReset says what it means that a RSET before a transaction failed: a refusal stands
// for MAIL's.
func (c *Conn) notReset(o *Outcome, err error) error {
	r, ok := err.(*Reply)
	if !ok {
		return err
	}
	o.Mail = *r
	o.rest(*r)
	c.fail(ErrOutOfStep)
	return nil
}

// envelope sends MAIL, all RCPT and DATA at once and reads their replies meanwhile.
func (c *Conn) envelope(t *Transaction, o *Outcome) error {
	b := c.appendMail(c.out[:0], t)
	for i := range t.To {
		b = c.appendRcpt(b, &t.To[i])
	}
	c.out = append(b, "DATA\r\n"...)
	c.logCommands(c.out)
	stage := func(i int) Stage {
		switch {
		case i == 0:
			return Mail
		case i <= len(t.To):
			return Rcpt
		}
		return Data
	}
	c.open = true
	var late *time.Timer
	err := c.exchange(c.out, stage, len(t.To)+2, func(i int, r Reply) bool {
		switch stage(i) {
		case Mail:
			if o.Mail = r; r.Refused() { // some servers then answer nothing else
				late = time.AfterFunc(settle, func() { c.fail(ErrOutOfStep) })
			}
		case Rcpt:
			o.Rcpt[i-1] = r
		case Data:
			o.Data = r
		}
		if r.Closing() {
			o.rest(r)
		}
		return true
	})
	if late != nil {
		late.Stop()
		if err != nil {
			o.rest(o.Mail)
			return nil
		}
	}
	return err
}

// envelopeByStep sends one command at a time, and none whose outcome is clear.
func (c *Conn) envelopeByStep(t *Transaction, o *Outcome) error {
	step := func(at Stage, b []byte, to *Reply) error {
		c.out = b
		c.logCommands(b)
		return c.exchange(b, always(at), 1, func(_ int, r Reply) bool { *to = r; return true })
	}
	if err := step(Mail, c.appendMail(c.out[:0], t), &o.Mail); err != nil {
		return err
	}
	if o.Mail.Refused() {
		if o.Mail.Closing() {
			o.rest(o.Mail)
		}
		return nil
	}
	c.open = true
	for i := range t.To {
		if err := step(Rcpt, c.appendRcpt(c.out[:0], &t.To[i]), &o.Rcpt[i]); err != nil {
			return err
		}
		if o.Rcpt[i].Closing() {
			o.rest(o.Rcpt[i])
			return nil
		}
	}
	if !o.accepted() {
		return nil
	}
	return step(Data, append(c.out[:0], "DATA\r\n"...), &o.Data)
}

// emptyMessage ends the message of a server that wants it although it has refused all
// recipients (RFC 2920 section 3.1). Its reply means nothing, and is not waited for long.
func (c *Conn) emptyMessage() {
	defer time.AfterFunc(settle, func() { c.fail(ErrTimeout) }).Stop()
	c.out = append(c.out[:0], ".\r\n"...)
	c.logCommands(c.out)
	err := c.exchange(c.out, always(Idle), 1, func(int, Reply) bool { return true })
	c.open = err != nil
}

// message sends the message and its end, and reads the reply.
func (c *Conn) message(ctx context.Context, t *Transaction, source io.Reader, o *Outcome) error {
	tr := c.startTransfer()
	err := tr.send(ctx, t, source)
	at, after := Body, farewell
	if o.Dot = tr.dot; o.Dot {
		at = Final
	}
	switch {
	case tr.own:
		defer tr.wait(0)
		return c.broken(at, err)
	case err == nil:
		after = c.o.Timeouts.Final
	default:
		err = plain(err, c.o.Timeouts.Block)
	}
	switch a := tr.wait(after); {
	case a.err == nil && a.reply.Refused():
		o.Final = a.reply
		if err != nil || a.reply.Closing() {
			c.fail(fmt.Errorf("%w: %w", ErrClosed, &a.reply))
		}
	case a.err != nil && (err == nil || err == errAnswered):
		return c.broken(at, plain(a.err, after))
	case err != nil:
		return c.broken(at, err)
	case !a.reply.Positive():
		return c.broken(at, fmt.Errorf("%w: it answered %w", ErrNotSMTP, &a.reply))
	default:
		o.Final = a.reply
	}
	c.open = false
	return nil
}
