package smtpclient_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"kurir/internal/smtpclient"
	"kurir/internal/smtpclient/smtptest"
)

// transaction is a message to recipients.
func transaction(body string, to ...string) *smtpclient.Transaction {
	t := &smtpclient.Transaction{From: "alice@local.test", Open: text(body)}
	for _, a := range to {
		t.To = append(t.To, smtpclient.Recipient{Address: a})
	}
	return t
}

func text(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

// bubble runs do in a bubble, with a connection over net.Pipe to p.
func bubble(t *testing.T, p *smtptest.Peer, do func(t *testing.T, conn net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { do(t, smtptest.Pipe(t, p)) })
}

// greeted is bubble with a connection that was greeted.
func greeted(t *testing.T, p *smtptest.Peer, do func(t *testing.T, c *smtpclient.Conn)) {
	t.Helper()
	bubble(t, p, func(t *testing.T, conn net.Conn) {
		c, err := smtpclient.New(t.Context(), conn, smtpclient.Options{Hostname: "kurir.test"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		do(t, c)
	})
}

// converse plays the server's lines of a conversation, "S: …", and checks the client's,
// "C: …", over a net.Pipe. Lines "#" are comments.
func converse(t *testing.T, conversation string, do func(ctx context.Context, conn net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer server.Close()
			r := bufio.NewReader(server)
			for line := range strings.Lines(conversation) {
				line = strings.TrimSpace(line)
				if say, ok := strings.CutPrefix(line, "S: "); ok {
					if _, err := io.WriteString(server, say+"\r\n"); err != nil {
						t.Errorf("%q could not be said: %v", say, err)
						return
					}
				} else if want, ok := strings.CutPrefix(line, "C:"); ok {
					want = strings.TrimPrefix(want, " ")
					if got, err := r.ReadString('\n'); got != want+"\r\n" {
						t.Errorf("client said %q (%v), want %q", got, err, want)
						return
					}
				}
			}
			if rest, _ := io.ReadAll(r); len(rest) > 0 {
				t.Errorf("client said %q too", rest)
			}
		}()
		do(t.Context(), client)
		client.Close()
		<-done
	})
}

// hello begins a connection in a conversation.
func hello(t *testing.T, ctx context.Context, conn net.Conn) *smtpclient.Conn {
	t.Helper()
	c, err := smtpclient.New(ctx, conn, smtpclient.Options{Hostname: "kurir.test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantBroken checks the stage and cause of an error.
func wantBroken(t *testing.T, err error, at smtpclient.Stage, is error) {
	t.Helper()
	b, ok := errors.AsType[*smtpclient.Broken](err)
	if !ok || b.Stage != at || !errors.Is(err, is) {
		t.Errorf("error %v, want %v while waiting for %v", err, is, at)
	}
}

// codes are those of an outcome: MAIL, RCPTs, DATA, end.
func codes(o *smtpclient.Outcome) (all []int) {
	all = append(all, o.Mail.Code)
	for _, r := range o.Rcpt {
		all = append(all, r.Code)
	}
	return append(all, o.Data.Code, o.Final.Code)
}
