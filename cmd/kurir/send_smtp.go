package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"kurir/internal/admin"
	"kurir/internal/dsn"
	"kurir/internal/smtpclient"
)

// dialTimeout is how long the server may take to answer a connection.
const dialTimeout = 30 * time.Second

// sendBySMTP sends a message to a server by SMTP. why is what stands against the control
// socket; nil: the caller wanted it so.
func (e *env) sendBySMTP(ctx context.Context, o admin.Outgoing, in io.Reader, server string, why error) (admin.Sent, error) {
	if _, _, err := net.SplitHostPort(server); err != nil {
		return admin.Sent{}, usagef("%q is not host:port, such as %q", server, defaultServer)
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", server)
	if err != nil {
		return admin.Sent{}, &smtpError{server: server, why: why, err: err}
	}
	short := false
	for i, to := range o.To {
		if !strings.Contains(to, "@") && !strings.EqualFold(to, "postmaster") {
			o.To[i], short = to+"@"+e.hostname(), true
		}
	}
	sent, err := submitSMTP(ctx, conn, e.hostname(), o, in)
	if err != nil {
		err = &smtpError{server, why, short, err}
	}
	return sent, err
}

// smtpError is a message that could not be sent by SMTP, with what can be done.
type smtpError struct {
	server string
	why    error // against the control socket
	short  bool  // some recipient was named without a domain
	err    error
}

func (s *smtpError) Error() string {
	var not *admin.NotSent
	refused := errors.As(s.err, &not)
	text := s.err.Error()
	if !refused {
		text = fmt.Sprintf("the message could not be sent to %s: %v", s.server, s.err)
	}
	switch {
	case s.why != nil && refused:
		text += fmt.Sprintf("\nIt went by SMTP to %s, because: %v", s.server, s.why)
		if s.short {
			text += "\nUsers who may not use the control socket have to write a recipient's whole address (in a crontab: MAILTO=alice@example.org)."
		}
		if slices.ContainsFunc(not.Refused, func(r admin.Refused) bool { return r.Status != "5.1.1" }) { // RFC 3463: no such address
			text += "\nFrom a program without a login that server takes mail to other domains only where the configuration" +
				"\nhas its network with an account, and from addresses of that account alone (--from or, in sendmail, -f; and From in the header):" +
				"\n  [[device]]\n  networks = [\"127.0.0.0/8\", \"::1/128\"]\n  account = \"alice@example.org\""
		}
	case s.why != nil:
		text += fmt.Sprintf("\nThe control socket was not used, because: %v", s.why) +
			"\nName another server with --server HOST:PORT or $" + sendServerVariable
	}
	return text
}

func (s *smtpError) Unwrap() error { return s.err }

// submitSMTP hands a message to the server at the other end of conn, as hostname, and
// closes conn. Outside of this machine TLS is used where it is offered. Errors: a
// *admin.NotSent if nobody gets the message, those of package smtpclient.
func submitSMTP(ctx context.Context, conn net.Conn, hostname string, o admin.Outgoing, in io.Reader) (admin.Sent, error) {
	c, err := smtpclient.New(ctx, conn, smtpclient.Options{Hostname: hostname})
	if err != nil {
		return admin.Sent{}, refusal(err)
	}
	defer c.Close()
	if _, offered := c.Extension("STARTTLS"); offered && !isLoopback(conn.RemoteAddr()) {
		// No name is known that the certificate had to be valid for: it is better than nothing.
		if err := c.StartTLS(ctx, &tls.Config{InsecureSkipVerify: true}); err != nil {
			return admin.Sent{}, refusal(err)
		}
	}
	_, eightBit := c.Extension("8BITMIME")
	t := &smtpclient.Transaction{
		From: o.From, Body8Bit: eightBit, UTF8: o.UTF8, Ret: o.Ret, EnvID: string(dsn.AppendXtext(nil, o.EnvID)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(in), nil },
	}
	if _, offered := c.Extension("SMTPUTF8"); !offered && isASCII(o.From+strings.Join(o.To, "")) {
		t.UTF8 = false // only the header has such characters, which most servers let pass
	}
	for _, to := range o.To {
		t.To = append(t.To, smtpclient.Recipient{Address: to, Notify: o.Notify})
	}
	got, err := c.Send(ctx, t)
	if err != nil {
		return admin.Sent{}, err
	}
	sent, err := outcome(o, got)
	_ = c.Quit(ctx)
	return sent, err
}

// outcome is what the replies of a transaction mean.
func outcome(o admin.Outgoing, got *smtpclient.Outcome) (admin.Sent, error) {
	if !got.Mail.Positive() {
		return admin.Sent{}, &admin.NotSent{Refused: []admin.Refused{refusedBy("", &got.Mail)}}
	}
	var sent admin.Sent
	for i := range got.Rcpt {
		if !got.Rcpt[i].Positive() {
			sent.Refused = append(sent.Refused, refusedBy(o.To[i], &got.Rcpt[i]))
		}
	}
	if len(sent.Refused) == len(o.To) {
		return admin.Sent{}, &admin.NotSent{Refused: sent.Refused}
	}
	for _, r := range []*smtpclient.Reply{&got.Data, &got.Final} {
		if r.Refused() {
			return admin.Sent{}, &admin.NotSent{Refused: []admin.Refused{refusedBy("", r)}}
		}
	}
	sent.ID = idOf(got.Final.Text())
	_, sent.Held, _ = strings.Cut(got.Final.Text(), ", held for the administrator: ")
	return sent, nil
}

// idOf is the id in what a server says when it has taken a message: "queued as …" with
// most of them, "delivered as …" with ours.
func idOf(text string) string {
	_, id, _ := strings.Cut(text, " as ")
	if end := strings.IndexAny(id, ", \n"); end >= 0 {
		id = id[:end]
	}
	return id
}

func refusedBy(recipient string, r *smtpclient.Reply) admin.Refused {
	return admin.Refused{Recipient: recipient, Code: r.Code, Status: r.Status, Text: r.Text()}
}

// refusal makes a NotSent of a server's reply, and leaves other errors.
func refusal(err error) error {
	if r, ok := errors.AsType[*smtpclient.Reply](err); ok {
		return &admin.NotSent{Refused: []admin.Refused{refusedBy("", r)}}
	}
	return err
}

// isLoopback tells whether an address is of this machine, or no network is between.
func isLoopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err != nil || ap.Addr().Unmap().IsLoopback()
}
