package smtpd

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/emersion/go-smtp"
)

// errUpgraded ends the session that asked for STARTTLS.
var errUpgraded = errors.New("smtpd: TLS has begun")

// inner is the connection that one go-smtp session sees.
type inner struct {
	*wire
	over  bool // STARTTLS has ended this session
	after bool // and its follower was begun
}

func (i *inner) Read(p []byte) (int, error) {
	if i.over {
		return 0, io.EOF
	}
	n, err := i.wire.read(p)
	if err == errUpgraded {
		i.over = true
		return 0, io.EOF
	}
	return n, err
}

func (i *inner) Write(p []byte) (int, error) {
	if !i.over {
		i.wire.answer(p)
	}
	return len(p), nil
}

// Close ends the connection, or only this session if TLS has just begun.
func (i *inner) Close() error {
	switch {
	case !i.over:
		i.wire.end()
	case !i.after:
		i.after = true
		i.wire.next(true)
	}
	return nil
}

func (i *inner) LocalAddr() net.Addr              { return i.raw.LocalAddr() }
func (i *inner) RemoteAddr() net.Addr             { return i.raw.RemoteAddr() }
func (i *inner) SetDeadline(time.Time) error      { return nil }
func (i *inner) SetReadDeadline(time.Time) error  { return nil }
func (i *inner) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = (*inner)(nil)

// newSession is go-smtp's Backend.
func (r *run) newSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{wire: c.Conn().(*inner).wire}, nil
}
