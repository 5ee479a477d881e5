package relay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"kurir/dnsutil"
	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// long is a message of several blocks.
func long() *relay.Message { return letter(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 20_000)) }

// # RFC 5321 section 4.5.3.2.6: a connection lost after the final dot may mean that the
// message was taken. Only then an outcome is uncertain.
func TestConnectionLost(t *testing.T) {
	const came = "deferred 4.4.2 The connection to mx.example.net (192.0.2.1) came to no good end: the other server closed the connection, while waiting for "
	for _, c := range []struct {
		name string
		peer *smtptest.Peer
		want string // for a and b; c@ is refused where it can be
		no   string
	}{
		{"after MAIL", script(smtptest.Mail, smtptest.Then(smtptest.Usual(), smtptest.Close())), came + "the answer to RCPT.", came + "the answer to RCPT."},
		{"at the second RCPT", script(smtptest.Rcpt, smtptest.For("b@", smtptest.Close())), came + "the answer to RCPT.", came + "the answer to RCPT."},
		{"at DATA", script(smtptest.Data, smtptest.Close()), came + "the answer to DATA.", "failed 550 5.1.1 who?"},
		{"after the dot", script(smtptest.Dot, smtptest.Close()), came + "the answer to the end of the message. (uncertain)", "failed 550 5.1.1 who?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, theHost)
			if c.peer.Script[smtptest.Rcpt] == nil {
				c.peer.Script[smtptest.Rcpt] = smtptest.For("c@", smtptest.Reply("550 5.1.1 who?"))
			}
			p := g.peer(c.peer, "192.0.2.1")
			res := g.send("a@example.net", "b@example.net", "c@example.net")
			want(t, res, at+c.want, at+c.want, at+c.no)
			if n := p.Connections(); n != 1 || res.Whole {
				t.Errorf("%d connections, whole %v", n, res.Whole)
			}
		})
	}
	t.Run("in the message", func(t *testing.T) {
		bubble(t, oneHost("example.net", "mx.example.net", "192.0.2.1"), func(t *testing.T, g *rig) {
			g.peer(script(smtptest.Body, smtptest.Close()), "192.0.2.1")
			want(t, g.sendMessage(long(), "a@example.net"), at+came+"the message to be taken.")
		})
	})
	t.Run("with too many recipients", func(t *testing.T) { // of whom some were to come later
		g := newRig(t, theHost)
		s := enough(3, "452 4.5.3 too many")
		s[smtptest.Dot] = smtptest.Close()
		g.peer(&smtptest.Peer{Script: s}, "192.0.2.1")
		const w = at + came + "the answer to the end of the message."
		want(t, g.send(many(5, "example.net")...), w+" (uncertain)", w+" (uncertain)", w+" (uncertain)", w, w)
	})
	t.Run("between transactions", func(t *testing.T) { // of whom the first has arrived: not all is lost
		g := newRig(t, theHost)
		g.peer(script(smtptest.Mail, smtptest.Nth(2, 2, smtptest.Close())), "192.0.2.1")
		res := g.sendTo(t.Context(), letter("x"), recipients(many(150, "example.net")...), func(context.Context) error {
			g.fail("192.0.2.1", syscall.ECONNREFUSED)
			return nil
		})
		if n := actions(res); n[relay.Sent] != 100 || n[relay.Deferred] != 50 || res.Whole {
			t.Errorf("%v, whole %v", n, res.Whole)
		}
		want(t, &relay.Result{Outcomes: res.Outcomes[149:]}, at+"deferred 4.4.1 mx.example.net (192.0.2.1) cannot be reached: it refuses connections.")
	})
	// Those whose turn had not come are as certain as can be.
	g := newRig(t, theHost)
	g.peer(script(smtptest.Dot, smtptest.Nth(2, 2, smtptest.Close())), "192.0.2.1")
	res := g.send(many(250, "example.net")...)
	for i, o := range res.Outcomes {
		if sent, uncertain := i < 100, i >= 100 && i < 200; (o.Action == relay.Sent) != sent || o.Uncertain != uncertain {
			t.Fatalf("recipient %d: %v, uncertain %v", i, o.Action, o.Uncertain)
		}
	}
}

// Answers that are late but in time are answers (RFC 5321 section 4.5.3.2); a server that
// says nothing is given up.
func TestSilence(t *testing.T) {
	for _, c := range []struct {
		step      smtptest.Step
		most      time.Duration
		after     string
		uncertain bool
	}{
		{smtptest.Mail, 5 * time.Minute, "the answer to MAIL", false},
		{smtptest.Rcpt, 5 * time.Minute, "the answer to RCPT", false},
		{smtptest.Data, 2 * time.Minute, "the answer to DATA", false},
		{smtptest.Dot, 10 * time.Minute, "the answer to the end of the message", true},
	} {
		t.Run(c.after, func(t *testing.T) {
			bubble(t, oneHost("example.net", "mx.example.net", "192.0.2.1"), func(t *testing.T, g *rig) {
				g.peer(script(c.step, smtptest.First(1, smtptest.Late(c.most-time.Second, smtptest.Usual()))), "192.0.2.1")
				want(t, g.send("bob@example.net"), at+"sent 250 2.0.0 ok, taken")
			})
			bubble(t, oneHost("example.net", "mx.example.net", "192.0.2.1"), func(t *testing.T, g *rig) {
				g.peer(script(c.step, smtptest.Stall()), "192.0.2.1")
				res := g.send("bob@example.net")
				o := res.Outcomes[0]
				if o.Action != relay.Deferred || o.Uncertain != c.uncertain || res.Took != c.most {
					t.Errorf("after %v: %v", res.Took, lines(res))
				}
				if !strings.Contains(o.Reply.Text, "the other server took too long (") || !strings.HasSuffix(o.Reply.Text, "while waiting for "+c.after+".") {
					t.Errorf("said %q", o.Reply.Text)
				}
			})
		})
	}
}

// When its context ends, Send ends at once, wherever it is; that says nothing about hosts.
func TestContextEnds(t *testing.T) {
	const words = "deferred 4.3.2 This server broke the attempt off, because it was stopped. It goes on when the server runs again."
	two := names{"example.net": {hostAt("mx.example.net", "192.0.2.1"), hostAt("mx2.example.net", "192.0.2.2")}}
	for _, c := range []struct {
		name string
		step smtptest.Step
		want string
	}{
		{"connecting", -1, at + words},
		{"greeting", smtptest.Greeting, at + words},
		{"EHLO", smtptest.Hello, at + words},
		{"STARTTLS", smtptest.StartTLS, at + words},
		{"MAIL", smtptest.Mail, at + words},
		{"RCPT", smtptest.Rcpt, at + words},
		{"DATA", smtptest.Data, at + words},
		{"message", smtptest.Body, at + words},
		{"dot", smtptest.Dot, at + words + " (uncertain)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, two, func(t *testing.T, g *rig) {
				p := script(c.step, smtptest.First(1, smtptest.Stall()))
				if c.step == smtptest.StartTLS {
					p.TLS = must(t)(smtptest.SelfSigned("mx.example.net"))
				}
				m := letter("hello")
				if c.step == smtptest.Body {
					p.Script[c.step] = smtptest.First(1, smtptest.Freeze())
					m = long()
				}
				g.peer(p, "192.0.2.1")
				if c.step < 0 {
					g.fail("192.0.2.1", errSilence)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				res := g.sendTo(ctx, m, recipients("a@example.net"), nil)
				want(t, res, c.want)
				if res.Took < 10*time.Second || res.Took > 12*time.Second {
					t.Errorf("took %v", res.Took)
				}
				g.wantDials("192.0.2.1")
				g.fail("192.0.2.1", nil)
				want(t, g.send("a@example.net"), at+"sent 250 2.0.0 ok, taken")
				g.wantDials("192.0.2.1") // it does not count as ailing
			})
		})
	}
	t.Run("DNS", func(t *testing.T) {
		g := newRig(t, theHost)
		g.Resolver.(*dnsutil.Resolver).Timeout = 5 * time.Second
		g.dns.Silent()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		want(t, g.sendTo(ctx, letter("hello"), recipients("a@example.net"), nil), words)
	})
	t.Run("before", func(t *testing.T) {
		g := newRig(t, theHost)
		g.peer(nil, "192.0.2.1")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		res := g.sendTo(ctx, letter("hello"), recipients("a@example.net"), nil)
		if o := res.Outcomes[0]; o.Reply.Status != "4.3.2" || res.Whole {
			t.Errorf("%v", lines(res))
		}
	})
	t.Run("in BeforeDot", func(t *testing.T) {
		g := newRig(t, theHost)
		p := g.peer(nil, "192.0.2.1")
		ctx, cancel := context.WithCancel(t.Context())
		want(t, g.sendTo(ctx, letter("hello"), recipients("a@example.net"), func(ctx context.Context) error {
			cancel()
			return ctx.Err()
		}), at+words)
		if len(p.Delivered()) != 0 {
			t.Error("delivered")
		}
	})
}

// BeforeDot is called when all but the final dot was sent. After its error, nobody has the
// message.
func TestBeforeDot(t *testing.T) {
	g := newRig(t, theHost)
	p := g.peer(script(smtptest.Rcpt, smtptest.For("no@", smtptest.Reply("550 5.1.1 who?"))), "192.0.2.1")
	full := errors.New("no space left on device")
	const words = "deferred 4.3.0 This server could not write down that the message is being sent: no space left on device."
	res := g.sendTo(t.Context(), letter("hello"), recipients("a@example.net", "no@example.net"), func(context.Context) error { return full })
	want(t, res, at+words, at+"failed 550 5.1.1 who?")
	if n := len(p.Delivered()); n != 0 {
		t.Errorf("%d delivered", n)
	}
	calls := 0
	want(t, g.sendTo(t.Context(), letter("hello"), recipients("a@example.net"), func(context.Context) error {
		calls++
		if d := p.Transactions(); d[len(d)-1].Done {
			t.Error("the dot was there already")
		}
		return nil
	}), at+"sent 250 2.0.0 ok, taken")
	if calls != 1 {
		t.Errorf("called %d times", calls)
	}
	calls = 0 // nothing is handed over: no call
	g.sendTo(t.Context(), letter("hello"), recipients("no@example.net"), countDots(&calls))
	if calls != 0 {
		t.Errorf("called %d times for nobody", calls)
	}
	// The error ends the attempt for all.
	res = g.sendTo(t.Context(), letter("hello"), recipients(many(150, "example.net")...), func(context.Context) error { return full })
	if n := actions(res); n[relay.Deferred] != 150 || res.Outcomes[149].Reply.Status != "4.3.0" || res.Whole {
		t.Errorf("%v %v", n, res.Outcomes[149])
	}
}

// A message that cannot be read is our own fault: it is tried again, and never cut short.
func TestUnreadableMessage(t *testing.T) {
	broken := errors.New("input/output error")
	const begins = "deferred 4.3.0 This server cannot read the message: "
	for name, open := range map[string]func() (io.ReadCloser, error){
		"open":  func() (io.ReadCloser, error) { return nil, broken },
		"start": func() (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(broken)), nil },
		"end": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("Subject: x\r\n", 50_000)), iotest.ErrReader(broken))), nil
		},
	} {
		g := newRig(t, theHost)
		p := g.peer(nil, "192.0.2.1")
		m := letter("hello")
		m.Open = open
		want(t, g.sendMessage(m, "a@example.net"), at+begins+"input/output error.")
		if len(p.Delivered()) != 0 {
			t.Errorf("%s: delivered", name)
		}
		want(t, g.send("a@example.net"), at+"sent 250 2.0.0 ok, taken")
	}
	// Only when it is sent, after a first look.
	g := newRig(t, theHost)
	p := g.peer(nil, "192.0.2.1")
	all := "Subject: x\r\n\r\n" + strings.Repeat("0123456789\r\n", 20_000)
	opened := 0
	m := message(all)
	m.Open = func() (io.ReadCloser, error) {
		if opened++; opened > 1 {
			return io.NopCloser(io.MultiReader(strings.NewReader(all[:100_000]), iotest.ErrReader(broken))), nil
		}
		return io.NopCloser(strings.NewReader(all)), nil
	}
	res := g.sendMessage(m, "a@example.net")
	if o := res.Outcomes[0]; o.Action != relay.Deferred || o.Uncertain || !strings.Contains(o.Reply.Text, "input/output error") {
		t.Errorf("%v", lines(res))
	}
	if len(p.Delivered()) != 0 {
		t.Error("a part of the message was delivered")
	}
}

// A host that answers each command at the last moment does not keep its place for hours.
func TestSlowHost(t *testing.T) {
	bubble(t, oneHost("example.net", "mx.example.net", "192.0.2.1"), func(t *testing.T, g *rig) {
		g.peer(script(smtptest.Rcpt, smtptest.Late(4*time.Minute, smtptest.Usual())), "192.0.2.1")
		var to []string
		for i := range 50 {
			to = append(to, fmt.Sprintf("user%d@example.net", i))
		}
		res := g.send(to...)
		if res.Took < 30*time.Minute || res.Took > 31*time.Minute {
			t.Errorf("it took %v", res.Took)
		}
		for _, o := range res.Outcomes {
			if o.Action != relay.Deferred || o.Uncertain || !strings.Contains(o.Reply.Text, "took too long") {
				t.Fatalf("%+v", o)
			}
		}
	})
}
