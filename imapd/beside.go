package imapd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

// overlapping are the commands that are run beside a long one (RFC 9051 section 5.5): neither
// needs the selected mailbox's view, nor does the outcome of one change that of the other.
// They tell nothing of the selected mailbox, which comes after the long command, since during
// it sequence numbers must stay.
var overlapping = map[string]bool{
	"CAPABILITY": true, "ID": true, "NAMESPACE": true,
	"CREATE": true, "SUBSCRIBE": true, "UNSUBSCRIBE": true, "LIST": true, "LSUB": true, "STATUS": true, "APPEND": true,
	"GETQUOTA": true, "GETQUOTAROOT": true, "SETQUOTA": true,
}

// patience is how long a command may take before others are served beside it: less is not worth
// the while.
const patience = 20 * time.Millisecond

var errLoggedOut = no("", "Ended by LOGOUT")

// long is a command at work beside which others are served.
type long struct {
	*session
	cancel context.CancelFunc
	done   chan error // gets the outcome

	mu       sync.Mutex
	waiting  bool // the session waits for its client
	finished bool // done has the outcome
}

// beside does the work of a command that may take long, on another goroutine, and meanwhile
// serves overlapping commands. Until it returns, the view belongs to work. A client that goes
// away, LOGOUT, the end of the login and that of the server cancel work's context; it returns
// work's error, or why the session is over.
func (s *session) beside(c *command, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	l := &long{session: s, cancel: cancel, done: make(chan error, 1)}
	s.breakOff.Store(&cancel)
	defer s.breakOff.Store(nil)
	if s.over() { // it may have come before breakOff
		cancel()
	}
	go func() { // ends with work, which ends with ctx
		l.finish(guarded(ctx, work))
	}()
	inAdvance := s.hasLine()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var err error
	select {
	case err = <-l.done:
	case <-timer.C:
		s.overlaps = true
		err = l.serve(inAdvance)
		s.overlaps = false
		s.running = c.name
	}
	if err != nil && s.over() {
		return connError{os.ErrDeadlineExceeded}
	}
	return err
}

// over reports whether the session was asked to end.
func (s *session) over() bool { return s.stopping.Load() || s.ended.Load() }

// guarded is work, where a panic, which only its own goroutine can catch, is an error.
func guarded(ctx context.Context, work func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return work(ctx)
}

// finish hands over the outcome, and wakes the session if it waits for its client.
func (l *long) finish(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done <- err
	l.finished = true
	if l.waiting {
		l.wake()
	}
}

// serve runs overlapping commands until the work is done. inAdvance says that the client did
// not wait for the answer to send its next commands: then a LOGOUT among them waits.
func (l *long) serve(inAdvance bool) error {
	for {
		select {
		case err := <-l.done:
			return err
		default:
		}
		name := l.nextName()
		var err error
		switch {
		case overlapping[name]:
			if err = l.next(); err != nil {
				err = connError{err} // it ends the session, whatever it is
			}
		case name == "LOGOUT" && !inAdvance:
			l.abandon()
			return errLoggedOut
		default:
			if err = l.wait(); errors.Is(err, os.ErrDeadlineExceeded) {
				return <-l.done // it has come, is about to, or nobody has spoken for very long
			}
		}
		if err != nil {
			l.abandon()
			return err
		}
	}
}

// abandon ends the work, of which nobody wants to hear.
func (l *long) abandon() {
	l.cancel()
	<-l.done
}

// wait waits until more has come from the client than is buffered, or the work is done. If nothing
// more can be buffered, it waits for the latter only.
func (l *long) wait() error {
	if l.in.Buffered() == l.in.Size() {
		if err := l.out.flush(); err != nil {
			return connError{err}
		}
		return os.ErrDeadlineExceeded
	}
	l.mu.Lock()
	l.waiting = !l.finished
	l.mu.Unlock()
	if !l.waiting {
		return nil
	}
	_, err := l.in.Peek(l.in.Buffered() + 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = false
	if l.finished {
		l.sleepAgain()
	}
	if err != nil {
		return connError{err}
	}
	return nil
}

// hasLine reports whether a whole line has come already.
func (s *session) hasLine() bool {
	b, err := s.in.Peek(s.in.Buffered())
	return err == nil && bytes.IndexByte(b, '\n') >= 0
}

// nextName is the name of the command that has come already, and stays unread; "" if none
// has come whole, as far as its first line.
func (l *long) nextName() string {
	b, err := l.in.Peek(l.in.Buffered())
	end := bytes.IndexByte(b, '\n')
	if err != nil || end < 0 {
		return ""
	}
	cmd, _ := parseCommand(bytes.TrimSuffix(b[:end], []byte("\r")))
	if cmd.err != nil {
		return ""
	}
	return cmd.name
}
