package imapd

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"time"

	"kurir/internal/listen"
)

// idle is IDLE (RFC 9051 section 6.3.13). While this goroutine waits for DONE, another
// one waits for the mailbox and owns the view and the writer; this one takes them back
// when that has ended.
func (s *session) idle(c *command) error {
	if err := c.args.end(); err != nil {
		return err
	}
	s.out.line("+ idling")
	if s.view == nil || s.hasLine() { // a pipelining client has sent the end already
		return s.readDone()
	}
	if err := s.out.flush(); err != nil {
		return connError{err}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	watched := make(chan error, 1)
	s.watching = true // the writer is not this goroutine's now
	go func() {       // ends with ctx, at the latest
		err := s.guardedWatch(ctx)
		if err != nil {
			s.wake() // readDone
		}
		watched <- err
	}()
	err := s.readDone()
	cancel()
	watchErr := <-watched
	s.watching = false
	return errors.Join(watchErr, err)
}

// readDone waits for the end of IDLE.
func (s *session) readDone() error {
	line, err := s.readLine(maxEarlyLine)
	switch {
	case errors.Is(err, listen.ErrLineTooLong):
	case err != nil:
		return connError{err}
	case strings.EqualFold(string(line), "DONE"):
		return nil
	}
	return badf("DONE is wanted at the end of IDLE")
}

// guardedWatch is watch. A panic in it, which only its own goroutine can catch, costs this
// client its session, not everybody's.
func (s *session) guardedWatch(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("session failed", "panic", p, "command", "IDLE", "stack", string(debug.Stack()))
			err = errGoodbye
		}
	}()
	return s.watch(ctx)
}

// watch tells the client what happens in the mailbox, until ctx ends. It returns an
// error that ends the session.
func (s *session) watch(ctx context.Context) error {
	keepAlive := orDefault(s.srv.KeepAlive, DefaultKeepAlive)
	for {
		if err := s.update(true, false); err != nil {
			return s.lost(err)
		}
		if err := s.out.flush(); err != nil {
			return connError{err}
		}
		err := s.waitFor(ctx, keepAlive)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			s.out.line("* OK Still here")
		case err != nil:
			return s.lost(err)
		}
	}
}

// lost says goodbye in IDLE, where no tagged reply can say what is wrong.
func (s *session) lost(err error) error {
	if !s.gone(err) {
		r := replyTo(err)
		s.logReply(&command{name: "IDLE"}, r)
		s.out.line("* BYE [", string(r.Code), "] ", r.Text)
	}
	return errors.Join(errGoodbye, err, s.out.flush())
}

// waitFor waits until the mailbox has moved past what the client was told.
func (s *session) waitFor(ctx context.Context, keepAlive time.Duration) error {
	if keepAlive > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, keepAlive)
		defer cancel()
	}
	_, err := s.mailbox.Wait(ctx, s.view.ModSeq())
	return err
}
