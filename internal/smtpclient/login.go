package smtpclient

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// StartTLS turns the connection into TLS (RFC 3207). What the server offered before is
// forgotten, and EHLO said again (section 4.2). conf needs its ServerName, unless the
// certificate is not verified.
//
// Errors: ErrNotOffered (nothing was sent), a *Reply if the server refuses (the connection
// goes on without TLS), a *Broken at StartTLS, whose Err is ErrInjected or the handshake's,
// and those of EHLO.
func (c *Conn) StartTLS(ctx context.Context, conf *tls.Config) error {
	if _, ok := c.ext["STARTTLS"]; !ok || c.tls != nil {
		return ErrNotOffered
	}
	defer c.watch(ctx)()
	r, err := c.command(StartTLS, "STARTTLS")
	if err != nil {
		return err
	}
	if !r.Positive() {
		return &r
	}
	if c.in.r.Buffered() > 0 {
		return c.broken(StartTLS, ErrInjected)
	}
	t := tls.Client(c.conn, conf)
	c.conn.SetDeadline(time.Now().Add(c.o.Timeouts.Handshake))
	if err := t.Handshake(); err != nil {
		return c.broken(StartTLS, plain(err, c.o.Timeouts.Handshake))
	}
	c.conn.SetDeadline(time.Time{})
	state := t.ConnectionState()
	c.conn, c.tls = t, &state
	c.in.r.Reset(t)
	return c.hello()
}

// Auth logs in (RFC 4954) with PLAIN, or LOGIN where that is all the server offers. The
// password goes over the wire as it is: whether that may be, without TLS, is for the
// caller to say.
//
// Errors: ErrNoMechanism and *EnvelopeError (nothing was sent), a *Reply if the server
// refuses, a *Broken at Auth.
func (c *Conn) Auth(ctx context.Context, user, password string) error {
	if strings.ContainsRune(user, 0) || strings.ContainsRune(password, 0) {
		return &EnvelopeError{Field: "AUTH", Value: user}
	}
	offered := strings.Fields(strings.ToUpper(c.ext["AUTH"]))
	defer c.watch(ctx)()
	var last error = ErrNoMechanism
	for _, m := range []struct {
		name      string
		initial   string
		responses []string
	}{
		{"PLAIN", "\x00" + user + "\x00" + password, nil}, // RFC 4616 section 2
		{"LOGIN", "", []string{user, password}},
	} {
		if !slices.Contains(offered, m.name) {
			continue
		}
		r, err := c.authenticate(m.name, m.initial, m.responses)
		switch {
		case err != nil:
			return err
		case r.Positive():
			return nil
		case r.Code != 504 || r.Closing(): // RFC 4954 section 4: the mechanism is unknown
			return r
		}
		last = r
	}
	return last
}

// authenticate goes through one mechanism. A server that does not take the initial
// response with the command asks for it, and one that asks for more than there is hears
// "*" (RFC 4954 section 4).
func (c *Conn) authenticate(mechanism, initial string, responses []string) (*Reply, error) {
	line := "AUTH " + mechanism
	if initial != "" {
		line += " " + base64.StdEncoding.EncodeToString([]byte(initial))
		responses = []string{initial}
	}
	c.o.Log.Debug("smtp", "client", "AUTH "+mechanism+" (and a secret)")
	r, err := c.secret(line)
	for err == nil && r.Continue() && len(responses) > 0 {
		r, err = c.secret(base64.StdEncoding.EncodeToString([]byte(responses[0])))
		responses = responses[1:]
	}
	if err == nil && r.Continue() {
		r, err = c.secret("*")
	}
	if err == nil && r.Continue() {
		err = c.broken(Auth, ErrNotSMTP)
	}
	return &r, err
}

// secret is command without a log.
func (c *Conn) secret(line string) (reply Reply, err error) {
	out := []byte(line + "\r\n")
	defer clear(out)
	err = c.exchange(out, always(Auth), 1, func(_ int, r Reply) bool { reply = r; return true })
	return reply, err
}
