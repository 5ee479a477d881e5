package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"kurir/internal/smtpclient"
	"kurir/internal/smtpclient/smtptest"
)

// RFC 5321 section 3.3: MAIL, RCPT and DATA, one after the other.
func TestSendByStep(t *testing.T) {
	converse(t, `
		S: 220 mx.example.net ESMTP
		C: EHLO kurir.test
		S: 250-mx.example.net
		S: 250 8BITMIME
		C: MAIL FROM:<alice@local.test>
		S: 250 ok
		C: RCPT TO:<bob@example.net>
		S: 250 ok
		C: RCPT TO:<carol@example.net>
		S: 550 5.1.1 no such user
		C: DATA
		S: 354 go ahead
		C: Subject: x
		C:
		C: ..
		C: .
		S: 250 2.6.0 taken
		C: QUIT
		S: 221 bye
	`, func(ctx context.Context, conn net.Conn) {
		c := hello(t, ctx, conn)
		o, err := c.Send(ctx, transaction("Subject: x\n\n.\n", "bob@example.net", "carol@example.net"))
		if want := []int{250, 250, 550, 354, 250}; err != nil || !slices.Equal(codes(o), want) || !o.Dot {
			t.Errorf("%v %v, dot %v; want %v", codes(o), err, o.Dot, want)
		}
		if o.Rcpt[1].Status != "5.1.1" || o.Rcpt[1].Text() != "no such user" || o.Final.Status != "2.6.0" {
			t.Errorf("%+v", o)
		}
		if err := c.Quit(ctx); err != nil || c.Usable() {
			t.Errorf("quit: %v, usable %v", err, c.Usable())
		}
	})
}

// RFC 2920 section 3.1: MAIL, RCPT and DATA may be sent without waiting. The peers answer
// each at once, or all at the end, and read as little as can be.
func TestSendPipelined(t *testing.T) {
	for _, batch := range []bool{false, true} {
		for _, buf := range []int{1, 16, 4096} {
			p := &smtptest.Peer{Batch: batch, ReadBuffer: buf, Script: smtptest.Script{
				smtptest.Rcpt: smtptest.For("7@", smtptest.Reply("550 5.1.1 no")),
			}}
			greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
				tx := transaction(strings.Repeat("line\n", 30_000))
				for i := range 200 {
					tx.To = append(tx.To, smtpclient.Recipient{Address: fmt.Sprintf("user%d@example.net", i)})
				}
				o, err := c.Send(t.Context(), tx)
				if err != nil || o.Final.Code != 250 {
					t.Fatalf("batch %v, buffer %d: %v, %v", batch, buf, codes(o), err)
				}
				for i, r := range o.Rcpt {
					if refused := i%10 == 7; refused != r.Permanent() {
						t.Errorf("recipient %d: %v", i, &r)
					}
				}
				got := p.Delivered()
				if len(got) != 1 || len(got[0].Data) != 30_000*len("line\r\n") || len(got[0].Rcpt) != 200 {
					t.Errorf("the peer has %d messages", len(got))
				}
			})
		}
	}
}

// countConn counts what goes out, and its writes.
type countConn struct {
	net.Conn
	writes []string
}

func (c *countConn) Write(b []byte) (int, error) {
	c.writes = append(c.writes, string(b))
	return c.Conn.Write(b)
}

// A small message costs two writes, and BeforeDot comes before the second.
func TestSendWrites(t *testing.T) {
	bubble(t, &smtptest.Peer{}, func(t *testing.T, conn net.Conn) {
		cc := &countConn{Conn: conn}
		c := hello(t, t.Context(), cc)
		cc.writes = nil
		tx := transaction("x\n", "bob@example.net")
		tx.BeforeDot = func(context.Context) error {
			if len(cc.writes) != 1 {
				t.Errorf("BeforeDot after %q", cc.writes)
			}
			return nil
		}
		c.Send(t.Context(), tx)
		want := []string{"MAIL FROM:<alice@local.test>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n", "x\r\n.\r\n"}
		if !slices.Equal(cc.writes, want) {
			t.Errorf("%q, want %q", cc.writes, want)
		}
	})
}

// RFC 1870, 6152, 6531, 3461 and 8689: the parameters, where they are offered.
func TestParameters(t *testing.T) {
	ca, err := smtptest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ca.Config("peer.test")
	if err != nil {
		t.Fatal(err)
	}
	all := smtpclient.Transaction{
		From: "ålice@local.test", Size: 1234, Body8Bit: true, UTF8: true, RequireTLS: true, Ret: "HDRS", EnvID: "id+2B1", By: "60;R", Priority: -3,
		To:   []smtpclient.Recipient{{Address: "bøb@example.net", ORCPT: "utf-8;bøb@example.net", Notify: "SUCCESS,DELAY"}},
		Open: text("x\n"),
	}
	for _, tt := range []struct {
		offers     []string
		tx         smtpclient.Transaction
		mail, rcpt string
		err        error
	}{
		{[]string{"SIZE", "8BITMIME", "SMTPUTF8", "DSN", "REQUIRETLS"}, all,
			"MAIL FROM:<ålice@local.test> SIZE=1234 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=HDRS ENVID=id+2B1",
			"RCPT TO:<bøb@example.net> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;bøb@example.net", nil},
		{[]string{"8BITMIME", "SMTPUTF8", "REQUIRETLS", "DELIVERBY 5", "MT-PRIORITY STANAG4406"}, all,
			"MAIL FROM:<ålice@local.test> BODY=8BITMIME SMTPUTF8 REQUIRETLS BY=60;R MT-PRIORITY=-3", "RCPT TO:<bøb@example.net>", nil},
		{[]string{"DELIVERBY", "MT-PRIORITY"}, smtpclient.Transaction{To: []smtpclient.Recipient{{Address: "b@x.test"}}, Open: text("x\n")},
			"MAIL FROM:<>", "RCPT TO:<b@x.test>", nil},
		{[]string{"size 100", "smtputf8", "8bitmime", "requiretls"}, all,
			"MAIL FROM:<ålice@local.test> SIZE=1234 BODY=8BITMIME SMTPUTF8 REQUIRETLS", "RCPT TO:<bøb@example.net>", nil},
		{[]string{"DSN", "8BITMIME"}, smtpclient.Transaction{From: "", To: []smtpclient.Recipient{{Address: "b@x.test"}}, Size: 5, Open: text("x\n")},
			"MAIL FROM:<>", "RCPT TO:<b@x.test>", nil},
		{[]string{"8BITMIME", "REQUIRETLS"}, all, "", "", smtpclient.ErrNotOffered},
		{[]string{"SMTPUTF8", "REQUIRETLS"}, all, "", "", smtpclient.ErrNotOffered},
		{[]string{"SMTPUTF8", "8BITMIME"}, all, "", "", smtpclient.ErrNotOffered},
	} {
		p := &smtptest.Peer{Extensions: tt.offers, TLS: conf}
		greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
			if tt.tx.RequireTLS {
				if err := c.StartTLS(t.Context(), clientTLS(ca, "peer.test")); err != nil {
					t.Fatal(err)
				}
			}
			before := len(p.Commands())
			if _, err := c.Send(t.Context(), &tt.tx); !errors.Is(err, tt.err) || !c.Usable() {
				t.Errorf("%v: %v, want %v", tt.offers, err, tt.err)
			}
			if got := p.Commands()[before:]; tt.err != nil && len(got) > 0 {
				t.Errorf("%v: it said %q", tt.offers, got)
			} else if tt.err == nil && !slices.Equal(got, []string{tt.mail, tt.rcpt, "DATA"}) {
				t.Errorf("%v:\n%q\nwant\n%q", tt.offers, got, []string{tt.mail, tt.rcpt, "DATA"})
			}
		})
	}
}

// RFC 8689 section 4.2.1: REQUIRETLS counts only over TLS.
func TestRequireTLSWithoutTLS(t *testing.T) {
	greeted(t, &smtptest.Peer{Extensions: []string{"REQUIRETLS"}}, func(t *testing.T, c *smtpclient.Conn) {
		tx := transaction("x\n", "bob@example.net")
		tx.RequireTLS = true
		if _, err := c.Send(t.Context(), tx); err != smtpclient.ErrNotOffered {
			t.Error(err)
		}
	})
}

// Nothing that a stranger put into an address becomes a command.
func TestEnvelopeError(t *testing.T) {
	p := &smtptest.Peer{}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		before := len(p.Commands())
		for _, a := range []string{"a@b>\r\nRSET", "a\n@b", "a@b\x00", "a b@c", "a@b> SIZE=1", "<a@b>", `"a@b`, `"a\"@b`, "ü@b", "a\x7f@b", strings.Repeat("a", 1001), ""} {
			tx := transaction("x\n", "ok@x.test", a)
			_, err := c.Send(t.Context(), tx)
			if e, ok := errors.AsType[*smtpclient.EnvelopeError](err); !ok || e.Field != "RCPT" || e.Value != a {
				t.Errorf("recipient %q: %v", a, err)
			}
			if tx = transaction("x\n", "ok@x.test"); a != "" {
				tx.From = a
				if _, err := c.Send(t.Context(), tx); err == nil {
					t.Errorf("sender %q passed", a)
				}
			}
		}
		for _, set := range []func(*smtpclient.Transaction){
			func(tx *smtpclient.Transaction) { tx.To = nil },
			func(tx *smtpclient.Transaction) { tx.EnvID = "a b" },
			func(tx *smtpclient.Transaction) { tx.Ret = "FULL\r\nRSET" },
			func(tx *smtpclient.Transaction) { tx.To[0].ORCPT = "rfc822;ü" },
			func(tx *smtpclient.Transaction) { tx.To[0].Notify = "NEVER SIZE=1" },
		} {
			tx := transaction("x\n", "ok@x.test")
			set(tx)
			if _, err := c.Send(t.Context(), tx); err == nil {
				t.Errorf("%+v passed", tx)
			} else if _, ok := errors.AsType[*smtpclient.EnvelopeError](err); !ok || err.Error() == "" {
				t.Error(err)
			}
		}
		if got := p.Commands()[before:]; len(got) > 0 || !c.Usable() {
			t.Errorf("it said %q", got)
		}
		// RFC 5321 section 4.1.2: a quoted local part may have nearly all.
		tx := transaction("x\n", `"a b>\"<c"@example.net`)
		if o, err := c.Send(t.Context(), tx); err != nil || !o.Final.Positive() {
			t.Errorf("quoted: %v", err)
		}
	})
}

// RFC 2920 section 3.1: with all recipients refused, a server that wants the message
// nonetheless gets none.
func TestAllRefusedButData(t *testing.T) {
	p := &smtptest.Peer{Script: smtptest.Script{
		smtptest.Rcpt: smtptest.Nth(1, 2, smtptest.Reply("550 5.1.1 no")),
		smtptest.Data: smtptest.Reply("354 anyway"),
		smtptest.Dot:  smtptest.Nth(1, 1, smtptest.Reply("554 5.5.0 no recipients")),
	}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		tx := transaction("secret\n", "a@x.test", "b@x.test")
		tx.BeforeDot = func(context.Context) error { t.Error("BeforeDot called"); return nil }
		o, err := c.Send(t.Context(), tx)
		if want := []int{250, 550, 550, 354, 0}; err != nil || !slices.Equal(codes(o), want) || o.Dot {
			t.Errorf("%v %v, dot %v; want %v", codes(o), err, o.Dot, want)
		}
		// The connection goes on, without a RSET: the transaction has ended.
		if o, err := c.Send(t.Context(), transaction("second\n", "c@x.test")); err != nil || !o.Final.Positive() {
			t.Errorf("second message: %v %v", codes(o), err)
		}
		if tx := p.Transactions(); len(tx) != 2 || string(tx[0].Data) != "" || string(tx[1].Data) != "second\r\n" {
			t.Errorf("%+v", tx)
		}
		if slices.Contains(p.Commands(), "RSET") {
			t.Error("a needless RSET")
		}
	})
}

// The usual case: DATA is refused too. The next message begins with RSET.
func TestAllRefused(t *testing.T) {
	for _, ext := range [][]string{nil, {"8BITMIME"}} {
		p := &smtptest.Peer{Extensions: ext, Script: smtptest.Script{smtptest.Rcpt: smtptest.First(1, smtptest.Reply("450 4.2.1 later"))}}
		greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
			o, err := c.Send(t.Context(), transaction("x\n", "a@x.test"))
			if err != nil || o.Rcpt[0].Code != 450 || o.Final.Code != 0 || !c.Usable() {
				t.Errorf("%v %v", codes(o), err)
			}
			if o, err := c.Send(t.Context(), transaction("y\n", "a@x.test")); err != nil || o.Final.Code != 250 {
				t.Errorf("%v %v", codes(o), err)
			}
			if !slices.Contains(p.Commands(), "RSET") {
				t.Errorf("no RSET: %q", p.Commands())
			}
		})
	}
}

func TestMailRefused(t *testing.T) {
	for _, ext := range [][]string{nil, {"8BITMIME"}} {
		p := &smtptest.Peer{Extensions: ext, Script: smtptest.Script{smtptest.Mail: smtptest.First(1, smtptest.Reply("550 5.7.1 not you"))}}
		greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
			o, err := c.Send(t.Context(), transaction("x\n", "a@x.test"))
			if err != nil || o.Mail.Code != 550 || o.Mail.Status != "5.7.1" || o.Rcpt[0].Positive() || !c.Usable() {
				t.Errorf("%v %v", codes(o), err)
			}
			if o, err := c.Send(t.Context(), transaction("y\n", "a@x.test")); err != nil || o.Final.Code != 250 {
				t.Errorf("%v %v", codes(o), err)
			}
		})
	}
}

// RFC 5321 section 4.2.5: the message is refused at its end, for now or for good.
func TestMessageRefused(t *testing.T) {
	p := &smtptest.Peer{Script: smtptest.Script{smtptest.Dot: smtptest.First(1, smtptest.Reply("554 5.7.1 spam"))}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		o, err := c.Send(t.Context(), transaction("x\n", "a@x.test"))
		if err != nil || o.Final.Code != 554 || !o.Dot || !c.Usable() {
			t.Errorf("%v %v", codes(o), err)
		}
		if o, err := c.Send(t.Context(), transaction("y\n", "a@x.test")); err != nil || o.Final.Code != 250 {
			t.Errorf("%v %v", codes(o), err)
		}
	})
}

// What fails on our side never ends a message.
func TestOwnFailures(t *testing.T) {
	stop := errors.New("database is gone")
	for name, tt := range map[string]struct {
		set func(*smtpclient.Transaction)
		is  error
	}{
		"before dot": {func(tx *smtpclient.Transaction) { tx.BeforeDot = func(context.Context) error { return stop } }, stop},
		"read": {func(tx *smtpclient.Transaction) {
			tx.Open = func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(stop))), nil
			}
		}, smtpclient.ErrSource},
		"no progress": {func(tx *smtpclient.Transaction) {
			tx.Open = func() (io.ReadCloser, error) { return io.NopCloser(idle{}), nil }
		}, io.ErrNoProgress},
	} {
		p := &smtptest.Peer{}
		greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
			tx := transaction("x\n", "a@x.test")
			tt.set(tx)
			o, err := c.Send(t.Context(), tx)
			wantBroken(t, err, smtpclient.Body, tt.is)
			p.Close()
			if o.Dot || c.Usable() || len(p.Delivered()) > 0 {
				t.Errorf("%s: dot %v, delivered %d", name, o.Dot, len(p.Delivered()))
			}
		})
	}
	greeted(t, &smtptest.Peer{}, func(t *testing.T, c *smtpclient.Conn) {
		tx := transaction("", "a@x.test")
		tx.Open = func() (io.ReadCloser, error) { return nil, stop }
		if _, err := c.Send(t.Context(), tx); !errors.Is(err, smtpclient.ErrSource) || !errors.Is(err, stop) || !c.Usable() {
			t.Errorf("%v, usable %v", err, c.Usable())
		}
	})
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// The end of a context ends what is under way at once, and the connection.
func TestContext(t *testing.T) {
	for _, step := range []smtptest.Step{smtptest.Mail, smtptest.Rcpt, smtptest.Data, smtptest.Body, smtptest.Dot} {
		p := &smtptest.Peer{Script: smtptest.Script{step: smtptest.Stall()}}
		greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
			defer cancel()
			begin := time.Now()
			_, err := c.Send(ctx, transaction(strings.Repeat("x\n", 100_000), "a@x.test"))
			if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took != 7*time.Second || c.Usable() {
				t.Errorf("step %d: %v after %v", step, err, took)
			}
		})
	}
}

func TestResetNoopClose(t *testing.T) {
	p := &smtptest.Peer{Script: smtptest.Script{smtptest.Rset: smtptest.Nth(2, 2, smtptest.Reply("503 no")), smtptest.Noop: smtptest.Nth(2, 2, smtptest.Reply("450 no"))}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		for i, f := range []func(context.Context) error{c.Reset, c.Noop} {
			if err := f(t.Context()); err != nil {
				t.Errorf("%d: %v", i, err)
			}
			if _, ok := errors.AsType[*smtpclient.Reply](f(t.Context())); !ok || !c.Usable() {
				t.Errorf("%d: no refusal", i)
			}
		}
		c.Close()
		wantBroken(t, c.Noop(t.Context()), smtpclient.Idle, net.ErrClosed)
		_, err := c.Send(t.Context(), transaction("x", "a@x.test"))
		wantBroken(t, err, smtpclient.Mail, net.ErrClosed)
		if err := c.Quit(t.Context()); err != nil || c.Usable() {
			t.Error(err)
		}
	})
}
