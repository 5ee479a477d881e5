package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/internal/smtpclient"
	"kurir/internal/smtpclient/smtptest"
)

// steps are the places where a server may go wrong, and how long each may take.
var steps = []struct {
	step  smtptest.Step
	stage smtpclient.Stage
	most  time.Duration
}{
	{smtptest.Greeting, smtpclient.Greeting, 5 * time.Minute},
	{smtptest.Hello, smtpclient.Hello, 5 * time.Minute},
	{smtptest.StartTLS, smtpclient.StartTLS, 5 * time.Minute},
	{smtptest.Auth, smtpclient.Auth, 5 * time.Minute},
	{smtptest.Mail, smtpclient.Mail, 5 * time.Minute},
	{smtptest.Rcpt, smtpclient.Rcpt, 5 * time.Minute},
	{smtptest.Data, smtpclient.Data, 2 * time.Minute},
	{smtptest.Dot, smtpclient.Final, 10 * time.Minute},
	{smtptest.Noop, smtpclient.Idle, 5 * time.Minute},
}

// attempt goes through all steps with a peer that does something bad at one of them,
// and returns the first error.
func attempt(t *testing.T, ca *smtptest.CA, conn net.Conn) (c *smtpclient.Conn, o *smtpclient.Outcome, err error) {
	ctx := t.Context()
	if c, err = smtpclient.New(ctx, conn, smtpclient.Options{Hostname: "kurir.test"}); err != nil {
		return nil, nil, err
	}
	t.Cleanup(func() { c.Close() })
	if err = c.StartTLS(ctx, clientTLS(ca, "peer.test")); err != nil {
		return c, nil, err
	}
	if err = c.Auth(ctx, "u", "p"); err != nil {
		return c, nil, err
	}
	if o, err = c.Send(ctx, transaction("x\n", "a@x.test", "b@x.test")); err != nil || !c.Usable() || !o.Final.Positive() {
		return c, o, err
	}
	return c, o, c.Noop(ctx)
}

// everyStep runs do for each step at which the peer does a, with and without PIPELINING.
func everyStep(t *testing.T, a smtptest.Action, do func(t *testing.T, i int, conn net.Conn, ca *smtptest.CA)) {
	ca, err := smtptest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ca.Config("peer.test")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range steps {
		for _, ext := range []string{"PIPELINING", "8BITMIME"} {
			t.Run(fmt.Sprint(s.stage, " ", ext), func(t *testing.T) {
				p := &smtptest.Peer{TLS: conf, Users: map[string]string{"u": "p"}, Extensions: []string{ext}, Script: smtptest.Script{s.step: a}}
				bubble(t, p, func(t *testing.T, conn net.Conn) { do(t, i, conn, ca) })
			})
		}
	}
}

// RFC 5321 section 4.5.3.2: each step has its time-out.
func TestStall(t *testing.T) {
	everyStep(t, smtptest.Stall(), func(t *testing.T, i int, conn net.Conn, ca *smtptest.CA) {
		begin := time.Now()
		c, o, err := attempt(t, ca, conn)
		wantBroken(t, err, steps[i].stage, smtpclient.ErrTimeout)
		if took := time.Since(begin); took != steps[i].most {
			t.Errorf("it took %v, want %v", took, steps[i].most)
		}
		if o != nil && o.Dot != (steps[i].stage >= smtpclient.Final) || c != nil && c.Usable() {
			t.Errorf("dot %v", o.Dot)
		}
	})
}

// The time is that of the whole reply, however many octets come meanwhile.
func TestDribble(t *testing.T) {
	everyStep(t, smtptest.Endless("250", 20*time.Second), func(t *testing.T, i int, conn net.Conn, ca *smtptest.CA) {
		begin := time.Now()
		_, _, err := attempt(t, ca, conn)
		wantBroken(t, err, steps[i].stage, smtpclient.ErrTimeout)
		if took := time.Since(begin); took != steps[i].most {
			t.Errorf("it took %v, want %v", took, steps[i].most)
		}
	})
}

func TestClosed(t *testing.T) {
	for _, a := range []smtptest.Action{smtptest.Close(), smtptest.Then(smtptest.Write("250-half a rep"), smtptest.Close())} {
		everyStep(t, a, func(t *testing.T, i int, conn net.Conn, ca *smtptest.CA) {
			begin := time.Now()
			_, o, err := attempt(t, ca, conn)
			wantBroken(t, err, steps[i].stage, smtpclient.ErrClosed)
			if took := time.Since(begin); took > 0 {
				t.Errorf("it took %v", took)
			}
			if o != nil && o.Dot != (steps[i].stage >= smtpclient.Final) {
				t.Errorf("dot %v", o.Dot)
			}
		})
	}
}

func TestGarbage(t *testing.T) {
	everyStep(t, smtptest.Garbage(), func(t *testing.T, i int, conn net.Conn, ca *smtptest.CA) {
		_, _, err := attempt(t, ca, conn)
		wantBroken(t, err, steps[i].stage, smtpclient.ErrNotSMTP)
	})
}

func TestWrongClass(t *testing.T) {
	for _, reply := range []string{"354 go on", "250 done"} {
		everyStep(t, smtptest.Reply(reply), func(t *testing.T, i int, conn net.Conn, ca *smtptest.CA) {
			data := steps[i].stage == smtpclient.Data
			if auth := steps[i].stage == smtpclient.Auth || steps[i].stage == smtpclient.StartTLS; auth || data == (reply[0] == '3') {
				return
			}
			_, _, err := attempt(t, ca, conn)
			wantBroken(t, err, steps[i].stage, smtpclient.ErrNotSMTP)
			if r, ok := errors.AsType[*smtpclient.Reply](err); !ok || r.Error()[:3] != reply[:3] {
				t.Errorf("the reply is not in %v", err)
			}
		})
	}
}

func TestTenMegabytes(t *testing.T) {
	for _, a := range []smtptest.Action{smtptest.Huge("250 ok", 10<<20), smtptest.Write(strings.Repeat("250 x", 2<<20))} {
		everyStep(t, a, func(t *testing.T, i int, conn net.Conn, ca *smtptest.CA) {
			begin := time.Now()
			_, _, err := attempt(t, ca, conn)
			wantBroken(t, err, steps[i].stage, smtpclient.ErrReplyTooLong)
			if took := time.Since(begin); took > 0 {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// Octets may come one by one, as long as the reply is in time.
func TestSplitOctets(t *testing.T) {
	for _, s := range steps {
		reply := "250-2.0.0 in\n250 2.0.0 pieces"
		switch s.step {
		case smtptest.Data:
			reply = "354 in pieces"
		case smtptest.StartTLS, smtptest.Auth:
			continue
		}
		p := &smtptest.Peer{Script: smtptest.Script{s.step: smtptest.Slow(reply, time.Second)}}
		greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
			o, err := c.Send(t.Context(), transaction("x\n", "a@x.test", "b@x.test"))
			if err = errors.Join(err, c.Noop(t.Context())); err != nil || !o.Final.Positive() || len(p.Delivered()) != 1 {
				t.Errorf("%v: %v %v", s.stage, codes(o), err)
			}
		})
	}
}

// RFC 5321 section 3.8: 421 may be the answer to anything, and ends the connection. All
// that was not answered is answered by it.
func TestClosing(t *testing.T) {
	everyStep(t, smtptest.Reply("421 4.3.2 shutting down"), func(t *testing.T, i int, conn net.Conn, ca *smtptest.CA) {
		c, o, err := attempt(t, ca, conn)
		if s := steps[i].stage; s < smtpclient.Mail || s == smtpclient.Idle {
			if r, ok := errors.AsType[*smtpclient.Reply](err); !ok || r.Code != 421 || r.Status != "4.3.2" {
				t.Errorf("error %v", err)
			}
		} else if err != nil || o.Final.Positive() {
			t.Errorf("error %v", err)
		} else if want := map[smtpclient.Stage][]int{
			smtpclient.Mail: {421, 421, 421, 421, 0}, smtpclient.Rcpt: {250, 421, 421, 421, 0},
			smtpclient.Data: {250, 250, 250, 421, 0}, smtpclient.Final: {250, 250, 250, 354, 421},
		}[s]; !slices.Equal(codes(o), want) {
			t.Errorf("%v, want %v", codes(o), want)
		}
		if c != nil && c.Usable() {
			t.Error("still usable")
		}
	})
}

// An answer after the time for it is none: the server may have the message.
func TestLateAnswer(t *testing.T) {
	p := &smtptest.Peer{Script: smtptest.Script{smtptest.Dot: smtptest.Late(11*time.Minute, smtptest.Reply("250 2.0.0 at last"))}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		o, err := c.Send(t.Context(), transaction("x\n", "a@x.test"))
		wantBroken(t, err, smtpclient.Final, smtpclient.ErrTimeout)
		if !o.Dot || o.Final.Code != 0 || c.Usable() {
			t.Errorf("%v, dot %v", codes(o), o.Dot)
		}
	})
	p = &smtptest.Peer{Script: smtptest.Script{smtptest.Dot: smtptest.Late(9*time.Minute, smtptest.Usual())}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		if o, err := c.Send(t.Context(), transaction("x\n", "a@x.test")); err != nil || o.Final.Code != 250 {
			t.Errorf("within the time: %v", err)
		}
	})
}

// A server that says one error for all of a pipeline, and then waits, has refused MAIL
// and thereby all.
func TestOneErrorForAll(t *testing.T) {
	for _, code := range []string{"503 5.5.1 one at a time", "450 4.7.0 not now"} {
		p := &smtptest.Peer{Script: smtptest.Script{smtptest.Mail: smtptest.Then(smtptest.Reply(code), smtptest.Stall())}}
		greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
			begin := time.Now()
			o, err := c.Send(t.Context(), transaction("x\n", "a@x.test"))
			if err != nil || o.Mail.Error() != code || o.Rcpt[0].Error() != code || o.Data.Error() != code || c.Usable() {
				t.Errorf("%v %v", codes(o), err)
			}
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A server that stops to read while a message is on its way.
func TestFrozen(t *testing.T) {
	p := &smtptest.Peer{Script: smtptest.Script{smtptest.Body: smtptest.Freeze()}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		begin := time.Now()
		o, err := c.Send(t.Context(), transaction(strings.Repeat("x\n", 200_000), "a@x.test"))
		wantBroken(t, err, smtpclient.Body, smtpclient.ErrTimeout)
		if took := time.Since(begin); o.Dot || took < 3*time.Minute || took > 4*time.Minute {
			t.Errorf("dot %v after %v", o.Dot, took)
		}
	})
	// The end of the message was handed over, but not taken: nobody has it.
	greeted(t, &smtptest.Peer{ReadBuffer: 16, Script: smtptest.Script{smtptest.Body: smtptest.Freeze()}}, func(t *testing.T, c *smtpclient.Conn) {
		o, err := c.Send(t.Context(), transaction("first\n"+strings.Repeat("x\n", 100), "a@x.test"))
		wantBroken(t, err, smtpclient.Body, smtpclient.ErrTimeout)
		if o.Dot {
			t.Error("dot")
		}
	})
	// It does not read commands.
	greeted(t, &smtptest.Peer{Script: smtptest.Script{smtptest.Hello: smtptest.Then(smtptest.Usual(), smtptest.Freeze())}}, func(t *testing.T, c *smtpclient.Conn) {
		begin := time.Now()
		_, err := c.Send(t.Context(), transaction("x\n", "a@x.test"))
		wantBroken(t, err, smtpclient.Mail, smtpclient.ErrTimeout)
		if took := time.Since(begin); took > 6*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// A server that refuses a message before its end is believed, for it may not listen any
// more. One that takes it before its end is not.
func TestEarlyAnswer(t *testing.T) {
	long := strings.Repeat("x\n", 500_000)
	for _, reply := range []string{"552 5.3.4 too much", "421 4.3.0 no more", "451 4.3.0 later"} {
		for k, then := range []smtptest.Action{smtptest.Usual(), smtptest.Close(), smtptest.Stall()} {
			p := &smtptest.Peer{Script: smtptest.Script{smtptest.Body: smtptest.Then(smtptest.Reply(reply), then)}}
			greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
				begin := time.Now()
				o, err := c.Send(t.Context(), transaction(long, "a@x.test"))
				if err != nil || o.Final.Error() != reply || o.Dot || c.Usable() || time.Since(begin) > time.Minute {
					t.Errorf("%q %d: %v %v, dot %v, usable %v, took %v", reply, k, codes(o), err, o.Dot, c.Usable(), time.Since(begin))
				}
			})
		}
	}
	for _, reply := range []string{"250 2.0.0 queued", "354 more"} {
		p := &smtptest.Peer{Script: smtptest.Script{smtptest.Body: smtptest.Reply(reply)}}
		greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
			o, err := c.Send(t.Context(), transaction(long, "a@x.test"))
			wantBroken(t, err, smtpclient.Body, smtpclient.ErrOutOfStep)
			if o.Dot || o.Final.Code != 0 {
				t.Errorf("%q: %v, dot %v", reply, codes(o), o.Dot)
			}
		})
	}
	p := &smtptest.Peer{Script: smtptest.Script{smtptest.Body: smtptest.Close()}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		o, err := c.Send(t.Context(), transaction(long, "a@x.test"))
		wantBroken(t, err, smtpclient.Body, smtpclient.ErrClosed)
		if o.Dot {
			t.Error("dot")
		}
	})
}

// An answer that comes while BeforeDot works is seen before the dot goes out.
func TestAnswerBeforeDot(t *testing.T) {
	for reply, final := range map[string]int{"250 2.0.0 queued": 0, "552 5.3.4 no": 552} {
		p := &smtptest.Peer{Script: smtptest.Script{smtptest.Data: smtptest.Then(smtptest.Reply("354 go on"), smtptest.Write(reply+"\r\n"))}}
		greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
			tx := transaction("x\n", "a@x.test")
			tx.BeforeDot = func(context.Context) error { time.Sleep(time.Second); return nil }
			o, err := c.Send(t.Context(), tx)
			if o.Dot || o.Final.Code != final || (err == nil) != (final != 0) || c.Usable() {
				t.Errorf("%q: %v %v, dot %v", reply, codes(o), err, o.Dot)
			}
		})
	}
}

// Over TCP a server that refuses and closes while we still send resets the connection.
// Its reply counts.
func TestEarlyAnswerTCP(t *testing.T) {
	addr := smtptest.Start(t, &smtptest.Peer{Script: smtptest.Script{smtptest.Body: smtptest.Then(smtptest.Reply("552 5.3.4 too much"), smtptest.Close())}})
	for range 20 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c := hello(t, t.Context(), conn)
		o, err := c.Send(t.Context(), transaction(strings.Repeat("x\n", 5<<20), "a@x.test"))
		if err != nil || o.Final.Code != 552 || o.Dot {
			t.Errorf("%v %v", codes(o), err)
		}
		c.Close()
	}
}

// One reply too many would have each command take the one before it for its own.
func TestOutOfStep(t *testing.T) {
	p := &smtptest.Peer{Script: smtptest.Script{smtptest.Dot: smtptest.Reply("250 2.0.0 ok\n250 2.0.0 queued")}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		if o, err := c.Send(t.Context(), transaction("x\n", "a@x.test")); err != nil || o.Final.Code != 250 {
			t.Fatal(err)
		}
		_, err := c.Send(t.Context(), transaction("y\n", "a@x.test"))
		wantBroken(t, err, smtpclient.Mail, smtpclient.ErrOutOfStep)
		if len(p.Delivered()) != 1 || c.Usable() {
			t.Error("the second message was sent")
		}
	})
	// RFC 5321 section 3.8: 421 may come at any time.
	p = &smtptest.Peer{Script: smtptest.Script{smtptest.Dot: smtptest.Reply("250 2.0.0 ok\n421 4.4.2 idle too long")}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		c.Send(t.Context(), transaction("x\n", "a@x.test"))
		o, err := c.Send(t.Context(), transaction("y\n", "a@x.test"))
		if err != nil || o.Mail.Code != 421 || c.Usable() {
			t.Errorf("%v %v", codes(o), err)
		}
	})
}

// RSET fails before the second message: it stands for MAIL.
func TestResetBeforeMail(t *testing.T) {
	for reply, usable := range map[string]bool{"421 4.3.2 bye": false, "500 5.5.2 what?": false} {
		p := &smtptest.Peer{Script: smtptest.Script{smtptest.Rcpt: smtptest.Reply("550 5.1.1 no"), smtptest.Rset: smtptest.Reply(reply)}}
		greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
			c.Send(t.Context(), transaction("x\n", "a@x.test"))
			o, err := c.Send(t.Context(), transaction("y\n", "a@x.test"))
			if err != nil || o.Mail.Error() != reply || o.Rcpt[0].Error() != reply || c.Usable() != usable {
				t.Errorf("%v %v", codes(o), err)
			}
		})
	}
	p := &smtptest.Peer{Script: smtptest.Script{smtptest.Rcpt: smtptest.Reply("550 5.1.1 no"), smtptest.Rset: smtptest.Close()}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		c.Send(t.Context(), transaction("x\n", "a@x.test"))
		_, err := c.Send(t.Context(), transaction("y\n", "a@x.test"))
		wantBroken(t, err, smtpclient.Mail, smtpclient.ErrClosed)
	})
}

// A TLS handshake that never ends.
func TestHandshakeStalls(t *testing.T) {
	ca, _ := smtptest.NewCA()
	conf, _ := ca.Config("peer.test")
	p := &smtptest.Peer{TLS: conf, Script: smtptest.Script{smtptest.StartTLS: smtptest.Then(smtptest.Reply("220 go"), smtptest.Stall())}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		begin := time.Now()
		wantBroken(t, c.StartTLS(t.Context(), clientTLS(ca, "peer.test")), smtpclient.StartTLS, smtpclient.ErrTimeout)
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// The server's QUIT is not waited for long.
func TestQuitStalls(t *testing.T) {
	greeted(t, &smtptest.Peer{Script: smtptest.Script{smtptest.Quit: smtptest.Stall()}}, func(t *testing.T, c *smtpclient.Conn) {
		begin := time.Now()
		c.Quit(t.Context())
		if took := time.Since(begin); took != 2*time.Second || c.Usable() {
			t.Errorf("it took %v", took)
		}
	})
}

// A server that refuses early and reads no more does not keep us for long.
func TestEarlyAnswerFrozen(t *testing.T) {
	p := &smtptest.Peer{Script: smtptest.Script{smtptest.Body: smtptest.Then(smtptest.Reply("552 5.3.4 too much"), smtptest.Freeze())}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		begin := time.Now()
		o, err := c.Send(t.Context(), transaction(strings.Repeat("x\n", 500_000), "a@x.test"))
		if took := time.Since(begin); err != nil || o.Final.Code != 552 || o.Dot || took > 5*time.Second {
			t.Errorf("%v %v, dot %v after %v", codes(o), err, o.Dot, took)
		}
	})
}
