package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"kurir/internal/admin"
	"kurir/smtpd"
)

const (
	// submitTimeout is how long a program of this machine may be silent in the middle of
	// its message: what it pipes in may take long to make.
	submitTimeout = time.Hour
	// submitRecipients is how many recipients its message may have.
	submitRecipients = 5000
)

// submitter is the SMTP server for programs of this machine: what they send takes the
// same way as all mail that is submitted.
type submitter struct {
	server *smtpd.Server
}

func newSubmitter(d *data, o dataOptions) *submitter {
	return &submitter{&smtpd.Server{
		Trace: d.trace.Note, Room: d.disk.Room,
		Hostname: o.cfg.Hostname, Directory: d.directory, Log: o.log,
		Store:   meteredStore{smtpd.MailStore{Store: d.store}, o.metrics},
		Queue:   smtpd.MailQueue{Queue: d.queue},
		Forward: d.forward,
		Signer:  d.signer(o.cfg), Suppressed: d.suppressed,
		MaxSize: int64(o.cfg.Limits.MessageSize), MaxRecipients: submitRecipients,
		IdleTimeout: submitTimeout, MessageTimeout: submitTimeout,
		Observe: func(result string, _ int64, _ time.Duration) { countMessage(o.metrics, smtpd.Trusted.String(), result) },
	}}
}

// submit hands a message in. Errors are those of submitSMTP.
func (s *submitter) submit(ctx context.Context, o admin.Outgoing, message io.Reader) (admin.Sent, error) {
	ctx, cancel := context.WithCancel(ctx)
	client, served := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(ctx, newOneConn(served), smtpd.Trusted) }() // ends with ctx
	sent, err := submitSMTP(ctx, client, s.server.Hostname, o, message)
	cancel()
	if serr := <-done; serr != nil && err == nil {
		err = fmt.Errorf("SMTP for programs of this machine: %w", serr)
	}
	return sent, err
}

// oneConn is a listener to which one client comes.
type oneConn struct {
	conn   chan net.Conn // holds it until it is accepted
	closed chan struct{}
	once   sync.Once
}

func newOneConn(c net.Conn) *oneConn {
	l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- c
	return l
}

// Accept returns the connection and, after it, waits for the end.
func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is of no meaning here; net.Listener wants one.
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "submit", Net: "unix"} }
