package smtpclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"kurir/internal/smtpclient"
	"kurir/internal/smtpclient/smtptest"
)

func TestExtensions(t *testing.T) {
	p := &smtptest.Peer{Hostname: "PIPELINING", Extensions: []string{"size 1000", "AUTH PLAIN", "AUTH=LOGIN", "", "LIMITS RCPTMAX=20 MAILMAX=5", "X"}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		for name, want := range map[string]string{"SIZE": "1000", "auth": "PLAIN LOGIN", "LIMITS": "RCPTMAX=20 MAILMAX=5", "x": ""} {
			if got, ok := c.Extension(name); !ok || got != want {
				t.Errorf("%s: %q %v, want %q", name, got, ok, want)
			}
		}
		// RFC 5321 section 4.1.1.1: the first line is the server's name.
		if _, ok := c.Extension("PIPELINING"); ok || c.MaxSize() != 1000 || c.TLS() != nil {
			t.Errorf("max size %d, TLS %v", c.MaxSize(), c.TLS())
		}
	})
	for params, want := range map[string]int64{"": 0, " 0": 0, " -5": 0, " x": 0, " 99999999999999999999": 0, " 7": 7} {
		greeted(t, &smtptest.Peer{Extensions: []string{"SIZE" + params}}, func(t *testing.T, c *smtpclient.Conn) {
			if c.MaxSize() != want {
				t.Errorf("SIZE%s: %d, want %d", params, c.MaxSize(), want)
			}
		})
	}
}

// RFC 5321 section 3.2: a server that does not know EHLO hears HELO, and is believed to
// offer nothing.
func TestHelo(t *testing.T) {
	for _, code := range []int{500, 502, 504} {
		converse(t, fmt.Sprintf(`
			S: 220-old.example.net
			S: 220 is ready
			C: EHLO kurir.test
			S: %d what?
			C: HELO kurir.test
			S: 250-hi
			S: 250 PIPELINING
			C: RSET
			S: 250 ok
		`, code), func(ctx context.Context, conn net.Conn) {
			c := hello(t, ctx, conn)
			if _, ok := c.Extension("PIPELINING"); ok {
				t.Error("an extension in the reply to HELO")
			}
			if err := c.Reset(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// RFC 5321 section 3.1: a server that greets with a refusal hears QUIT and nothing else.
func TestRefusedAtOnce(t *testing.T) {
	for _, conversation := range []string{
		"S: 554 5.7.1 not you\nC: QUIT\n",
		"S: 450 4.3.2 later\nC: QUIT\n",
		"S: 220 hi\nC: EHLO kurir.test\nS: 550 5.7.1 bad name\nC: QUIT\n",
		"S: 220 hi\nC: EHLO kurir.test\nS: 450 4.7.1 later\nC: QUIT\n",
		"S: 220 hi\nC: EHLO kurir.test\nS: 502 no\nC: HELO kurir.test\nS: 550 no\nC: QUIT\n",
		"S: 421 4.3.2 too many connections\n",
		"S: 220 hi\nC: EHLO kurir.test\nS: 421 4.7.0 too many connections\n",
	} {
		converse(t, conversation, func(ctx context.Context, conn net.Conn) {
			_, err := smtpclient.New(ctx, conn, smtpclient.Options{Hostname: "kurir.test"})
			if r, ok := errors.AsType[*smtpclient.Reply](err); !ok || !r.Refused() || r.Status == "" || len(r.Lines) != 1 {
				t.Errorf("%s%v", conversation, err)
			}
		})
	}
}

func clientTLS(ca *smtptest.CA, name string) *tls.Config {
	return &tls.Config{ServerName: name, RootCAs: ca.Pool()}
}

// RFC 3207 section 4.2: after TLS has begun, EHLO is said again, and what was offered
// before counts no more.
func TestStartTLS(t *testing.T) {
	ca, _ := smtptest.NewCA()
	conf, _ := ca.Config("peer.test")
	p := &smtptest.Peer{TLS: conf, Script: smtptest.Script{smtptest.Hello: smtptest.First(1, smtptest.Reply("250-x\n250-STARTTLS\n250 LURE"))}}
	greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
		if err := c.StartTLS(t.Context(), clientTLS(ca, "peer.test")); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Extension("LURE"); ok || c.TLS() == nil || len(c.TLS().VerifiedChains) == 0 {
			t.Errorf("lure %v, TLS %v", ok, c.TLS())
		}
		if err := c.StartTLS(t.Context(), clientTLS(ca, "peer.test")); err != smtpclient.ErrNotOffered {
			t.Errorf("TLS in TLS: %v", err)
		}
		o, err := c.Send(t.Context(), transaction(strings.Repeat("line\n", 50_000), "a@x.test"))
		if got := p.Delivered(); err != nil || o.Final.Code != 250 || len(got) != 1 || !got[0].TLS || got[0].Size != 300_000 {
			t.Errorf("%v %v", codes(o), err)
		}
		if err := c.Quit(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestImplicitTLS(t *testing.T) {
	ca, _ := smtptest.NewCA()
	conf, _ := ca.Config("peer.test")
	addr := smtptest.Start(t, &smtptest.Peer{TLS: conf, Implicit: true})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := smtpclient.New(t.Context(), tls.Client(conn, clientTLS(ca, "peer.test")), smtpclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if o, err := c.Send(t.Context(), transaction("x\n", "a@x.test")); err != nil || o.Final.Code != 250 || c.TLS() == nil || c.TLS().Version != tls.VersionTLS13 {
		t.Errorf("%v, TLS %v", err, c.TLS())
	}
}

func TestStartTLSRefused(t *testing.T) {
	converse(t, `
		S: 220 hi
		C: EHLO kurir.test
		S: 250-hi
		S: 250 starttls
		C: STARTTLS
		S: 454 4.7.0 not now
		C: NOOP
		S: 250 ok
	`, func(ctx context.Context, conn net.Conn) {
		c := hello(t, ctx, conn)
		if r, ok := errors.AsType[*smtpclient.Reply](c.StartTLS(ctx, &tls.Config{ServerName: "x"})); !ok || r.Code != 454 {
			t.Errorf("%v", r)
		}
		if err := c.Noop(ctx); err != nil {
			t.Error(err)
		}
	})
	greeted(t, &smtptest.Peer{}, func(t *testing.T, c *smtpclient.Conn) {
		if err := c.StartTLS(t.Context(), &tls.Config{ServerName: "x"}); err != smtpclient.ErrNotOffered || !c.Usable() {
			t.Error(err)
		}
	})
}

// RFC 3207 section 6: what a stranger put behind the 220 in the clear is no reply to
// anything.
func TestStartTLSInjected(t *testing.T) {
	ca, _ := smtptest.NewCA()
	conf, _ := ca.Config("peer.test")
	for _, injected := range []string{"220 go\r\n250 injected\r\n", "220 go\r\n2", "220 go\r\n\r\n"} {
		p := &smtptest.Peer{TLS: conf, Script: smtptest.Script{smtptest.StartTLS: smtptest.Then(smtptest.Write(injected), smtptest.Stall())}}
		greeted(t, p, func(t *testing.T, c *smtpclient.Conn) {
			wantBroken(t, c.StartTLS(t.Context(), clientTLS(ca, "peer.test")), smtpclient.StartTLS, smtpclient.ErrInjected)
			if c.Usable() {
				t.Error("still usable")
			}
		})
	}
}

func TestBadTLS(t *testing.T) {
	ca, _ := smtptest.NewCA()
	good, _ := ca.Config("peer.test")
	expired, _ := ca.Expired("peer.test")
	self, _ := smtptest.SelfSigned("peer.test")
	other, _ := ca.Config("other.test")
	invalid, unknown, name := new(x509.CertificateInvalidError), new(x509.UnknownAuthorityError), new(x509.HostnameError)
	for what, tt := range map[string]struct {
		conf *tls.Config
		as   any
	}{
		"expired": {expired, invalid}, "self-signed": {self, unknown}, "another name": {other, name}, "old": {smtptest.Old(good), nil},
	} {
		addr := smtptest.Start(t, &smtptest.Peer{TLS: tt.conf})
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c := hello(t, t.Context(), conn)
		err = c.StartTLS(t.Context(), clientTLS(ca, "peer.test"))
		if b, ok := errors.AsType[*smtpclient.Broken](err); !ok || b.Stage != smtpclient.StartTLS || tt.as != nil && !errors.As(err, tt.as) {
			t.Errorf("%s: %v", what, err)
		}
		if c.Usable() || c.TLS() != nil {
			t.Errorf("%s: still usable", what)
		}
	}
}

// RFC 4954 and RFC 4616: the initial response with the command, or after an empty challenge.
func TestAuth(t *testing.T) {
	for _, tt := range []struct{ offered, conversation string }{
		{"LOGIN PLAIN", "C: AUTH PLAIN AHUAcA==\nS: 235 2.7.0 welcome"},
		{"plain", "C: AUTH PLAIN AHUAcA==\nS: 334 \nC: AHUAcA==\nS: 235 welcome"},
		{"LOGIN", "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dQ==\nS: 334 UGFzc3dvcmQ6\nC: cA==\nS: 235 welcome"},
		{"PLAIN LOGIN", "C: AUTH PLAIN AHUAcA==\nS: 504 5.5.4 unknown\nC: AUTH LOGIN\nS: 334 eA==\nC: dQ==\nS: 334\nC: cA==\nS: 235 welcome"},
	} {
		converse(t, "S: 220 hi\nC: EHLO kurir.test\nS: 250-hi\nS: 250 AUTH "+tt.offered+"\n"+tt.conversation, func(ctx context.Context, conn net.Conn) {
			if err := hello(t, ctx, conn).Auth(ctx, "u", "p"); err != nil {
				t.Errorf("%s: %v", tt.offered, err)
			}
		})
	}
}

func TestAuthRefused(t *testing.T) {
	for _, tt := range []struct {
		offered, conversation string
		code                  int
	}{
		// One wrong password counts once.
		{"PLAIN LOGIN", "C: AUTH PLAIN AHUAcA==\nS: 535 5.7.8 wrong", 535},
		{"PLAIN LOGIN", "C: AUTH PLAIN AHUAcA==\nS: 454 4.7.0 later", 454},
		{"LOGIN", "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dQ==\nS: 535 5.7.8 no", 535},
		// A server that asks for more than there is.
		{"PLAIN", "C: AUTH PLAIN AHUAcA==\nS: 334 x\nC: AHUAcA==\nS: 334 y\nC: *\nS: 501 cancelled", 501},
		{"PLAIN", "C: AUTH PLAIN AHUAcA==\nS: 421 4.7.0 bye", 421},
	} {
		converse(t, "S: 220 hi\nC: EHLO kurir.test\nS: 250-hi\nS: 250 AUTH "+tt.offered+"\n"+tt.conversation, func(ctx context.Context, conn net.Conn) {
			c := hello(t, ctx, conn)
			if r, ok := errors.AsType[*smtpclient.Reply](c.Auth(ctx, "u", "p")); !ok || r.Code != tt.code || c.Usable() != (tt.code != 421) {
				t.Errorf("%s: %v", tt.conversation, r)
			}
		})
	}
	greeted(t, &smtptest.Peer{Extensions: []string{"AUTH SCRAM-SHA-256 XPLAIN"}}, func(t *testing.T, c *smtpclient.Conn) {
		if err := c.Auth(t.Context(), "u", "p"); err != smtpclient.ErrNoMechanism {
			t.Error(err)
		}
		if _, ok := errors.AsType[*smtpclient.EnvelopeError](c.Auth(t.Context(), "u", "p\x00q")); !ok {
			t.Error("NUL in a password")
		}
	})
	wrong := &smtptest.Peer{Users: map[string]string{"u": "right"}}
	greeted(t, wrong, func(t *testing.T, c *smtpclient.Conn) {
		if err := c.Auth(t.Context(), "u", "wrong"); err == nil {
			t.Error("a wrong password passed")
		}
		if err := c.Auth(t.Context(), "u", "right"); err != nil {
			t.Error(err)
		}
	})
}

// The log has the conversation, but neither the password nor the message.
func TestLog(t *testing.T) {
	var log bytes.Buffer
	bubble(t, &smtptest.Peer{Users: map[string]string{"u": "pass-word"}}, func(t *testing.T, conn net.Conn) {
		c, err := smtpclient.New(t.Context(), conn, smtpclient.Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Auth(t.Context(), "u", "pass-word"); err != nil {
			t.Error(err)
		}
		c.Send(t.Context(), transaction("top secret\n", "bob@example.net"))
		c.Quit(t.Context())
	})
	for _, want := range []string{"EHLO localhost", "250 ", "AUTH PLAIN", "MAIL FROM:<alice@local.test>", "RCPT TO:<bob@example.net>", "DATA", "QUIT"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log", want)
		}
	}
	for _, not := range []string{"pass-word", "AHUAcGFzcy13b3Jk", "secret)x", "top secret"} {
		if strings.Contains(log.String(), not) {
			t.Errorf("%q in the log", not)
		}
	}
}

// Every stage has words of its own.
func TestStages(t *testing.T) {
	var all []string
	for s := smtpclient.Greeting; s <= smtpclient.Idle; s++ {
		all = append(all, s.String())
	}
	if slices.Sort(all); len(slices.Compact(all)) != int(smtpclient.Idle)+1 {
		t.Error(all)
	}
}
