package smtpclient

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Stage is how far a connection came.
type Stage int

// Stages, named after what was waited for.
const (
	Greeting Stage = iota // the server's first words
	Hello                 // the reply to EHLO or HELO
	StartTLS              // the reply to STARTTLS, or the TLS handshake
	Auth                  // a reply to AUTH
	Mail                  // the reply to MAIL
	Rcpt                  // the reply to a RCPT
	Data                  // the reply to DATA
	Body                  // the message was being sent
	Final                 // the reply to the final dot: the server may have the message
	Idle                  // the reply to RSET, NOOP or QUIT
)

// String says what was waited for, to stand behind "while waiting for".
func (s Stage) String() string {
	return [...]string{
		"the greeting", "the answer to EHLO", "TLS to start", "the answer to AUTH", "the answer to MAIL",
		"the answer to RCPT", "the answer to DATA", "the message to be taken", "the answer to the end of the message", "an answer",
	}[s]
}

// Broken says that a connection is of no more use: it was lost, took too long, or the
// other side does not speak SMTP. The connection is closed.
type Broken struct {
	Stage Stage
	Err   error // ErrClosed, ErrTimeout, one of the others below, the system's, TLS's or the context's
}

// Error says why and when, in words for people.
func (b *Broken) Error() string {
	return fmt.Sprintf("%v, while waiting for %v", b.Err, b.Stage)
}

// Unwrap gives Err.
func (b *Broken) Unwrap() error { return b.Err }

// What Broken.Err may be, as errors.Is finds it.
var (
	ErrClosed       = errors.New("the other server closed the connection")
	ErrTimeout      = errors.New("the other server took too long")
	ErrNotSMTP      = errors.New("the other server does not speak SMTP")
	ErrReplyTooLong = errors.New("the other server sent a reply without end")
	ErrOutOfStep    = errors.New("the other server answers what it was not asked")
	// ErrInjected: something came in the clear between the reply to STARTTLS and TLS, as
	// when a stranger on the way wants it taken for a reply (RFC 3207 section 6).
	ErrInjected = errors.New("unencrypted data follows the answer to STARTTLS")
	// ErrSource: the message could not be read, which is our own fault.
	ErrSource = errors.New("the message cannot be read")
)

// Errors that leave the connection as it was: nothing was sent.
var (
	ErrNoMechanism = errors.New("the other server offers no way to log in that we know")
	ErrNotOffered  = errors.New("the other server does not offer what the message needs")
)

// EnvelopeError says that an address or parameter cannot be sent: it has octets that
// would end the command, or characters that need SMTPUTF8. Nothing was sent.
type EnvelopeError struct {
	Field string // "MAIL", "RCPT", "ENVID" …
	Value string
}

func (e *EnvelopeError) Error() string {
	return fmt.Sprintf("%s cannot be sent by SMTP: %q", e.Field, e.Value)
}

// plain puts a network error into words, without the addresses around it.
func plain(err error, after time.Duration) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
		return ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w (%v)", ErrTimeout, after)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op != "remote error" && op.Err != nil {
		return op.Err
	}
	return err
}
