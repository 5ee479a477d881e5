package smtptest_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/smtp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/smtpclient/smtptest"
)

// A client that is not ours finds a good server.
func TestForeignClient(t *testing.T) {
	ca, err := smtptest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ca.Config("peer.test", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	p := &smtptest.Peer{TLS: conf, Users: map[string]string{"u": "p"}, Greylist: 1}
	c, err := smtp.Dial(smtptest.Start(t, p))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for what, err := range map[string]error{
		"hello": c.Hello("client.test"), "starttls": c.StartTLS(&tls.Config{ServerName: "127.0.0.1", RootCAs: ca.Pool()}),
	} {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	if err := c.Auth(smtp.PlainAuth("", "u", "p", "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("a@x.test"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("b@x.test"); err == nil || !strings.HasPrefix(err.Error(), "450") {
		t.Errorf("greylisting: %v", err)
	}
	if err := c.Rcpt("b@x.test"); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "Subject: x\r\n\r\n.dot\r\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	got := p.Delivered()
	if len(got) != 1 || p.Connections() != 1 {
		t.Fatalf("%d messages, %d connections", len(got), p.Connections())
	}
	m := got[0]
	if string(m.Data) != "Subject: x\r\n\r\n.dot\r\n" || m.Size != int64(len(m.Data)) || !m.TLS || m.User != "u" || m.From != "a@x.test" || m.Hello != "EHLO client.test" {
		t.Errorf("%+v", m)
	}
	want := []smtptest.Recipient{{Line: "RCPT TO:<b@x.test>", Address: "b@x.test"}, {Line: "RCPT TO:<b@x.test>", Address: "b@x.test", Accepted: true}}
	if !slices.Equal(m.Rcpt, want) {
		t.Errorf("%+v", m.Rcpt)
	}
	if cmds := p.Commands(); !slices.Contains(cmds, "DATA") || cmds[len(cmds)-1] != "QUIT" {
		t.Errorf("%q", cmds)
	}
}

// talk sends each line in turn and returns all that was answered until the end.
func talk(t *testing.T, p *smtptest.Peer, lines ...string) (all string, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		conn := smtptest.Pipe(t, p)
		go func() {
			for _, l := range lines {
				if _, err := io.WriteString(conn, l+"\r\n"); err != nil {
					return
				}
			}
		}()
		conn.SetReadDeadline(begin.Add(time.Hour))
		b, _ := io.ReadAll(bufio.NewReader(conn))
		all, took = string(b), time.Since(begin)
	})
	return all, took
}

func TestScript(t *testing.T) {
	end := smtptest.Script{smtptest.Quit: smtptest.Close()}
	with := func(step smtptest.Step, a smtptest.Action) smtptest.Script {
		s := smtptest.Script{step: a}
		for k, v := range end {
			s[k] = v
		}
		return s
	}
	for _, tt := range []struct {
		name   string
		script smtptest.Script
		want   string
		took   time.Duration
	}{
		{"reply", with(smtptest.Noop, smtptest.Reply("250-a\n250 b")), "250-a\r\n250 b\r\n250-a\r\n250 b\r\n", 0},
		{"write", with(smtptest.Noop, smtptest.Write("x")), "xx", 0},
		{"first", with(smtptest.Noop, smtptest.First(1, smtptest.Reply("450 x"))), "450 x\r\n250 2.0.0 ok\r\n", 0},
		{"nth", with(smtptest.Noop, smtptest.Nth(2, 2, smtptest.Reply("450 x"))), "250 2.0.0 ok\r\n450 x\r\n", 0},
		{"for", with(smtptest.Noop, smtptest.For("two", smtptest.Reply("450 x"))), "250 2.0.0 ok\r\n450 x\r\n", 0},
		{"each", with(smtptest.Noop, smtptest.Each(map[string]smtptest.Action{"one": smtptest.Reply("1"), "two": smtptest.Usual()})), "1\r\n250 2.0.0 ok\r\n", 0},
		{"then", with(smtptest.Noop, smtptest.Then(smtptest.Usual(), smtptest.Close(), smtptest.Usual())), "250 2.0.0 ok\r\n", 0},
		{"close", with(smtptest.Noop, smtptest.Close()), "", 0},
		{"late", with(smtptest.Noop, smtptest.Late(time.Minute, smtptest.Usual())), "250 2.0.0 ok\r\n250 2.0.0 ok\r\n", 2 * time.Minute},
		{"slow", with(smtptest.Noop, smtptest.First(1, smtptest.Slow("250 ok", time.Second))), "250 ok\r\n250 2.0.0 ok\r\n", 8 * time.Second},
		{"stall", with(smtptest.Noop, smtptest.Stall()), "", time.Hour},
		{"freeze", with(smtptest.Noop, smtptest.Freeze()), "", time.Hour},
	} {
		got, took := talk(t, &smtptest.Peer{Script: tt.script}, "NOOP one", "NOOP two", "QUIT")
		if want := "220 peer.test ESMTP\r\n" + tt.want; got != want || took != tt.took {
			t.Errorf("%s: %q after %v, want %q after %v", tt.name, got, took, want, tt.took)
		}
	}
}

func TestLongReplies(t *testing.T) {
	got, _ := talk(t, &smtptest.Peer{Script: smtptest.Script{smtptest.Noop: smtptest.Huge("250 end", 10<<20)}}, "NOOP", "QUIT")
	if len(got) < 10<<20-100 || !strings.HasSuffix(got, "\r\n250 end\r\n221 2.0.0 bye\r\n") {
		t.Errorf("%d octets", len(got))
	}
	got, _ = talk(t, &smtptest.Peer{Script: smtptest.Script{smtptest.Noop: smtptest.Endless("250", time.Minute)}}, "NOOP")
	if !strings.Contains(got, "250-x\r\n250-x\r\n") {
		t.Errorf("%q", got)
	}
	if got, _ = talk(t, &smtptest.Peer{Script: smtptest.Script{smtptest.Noop: smtptest.Garbage()}}, "NOOP", "QUIT"); !strings.Contains(got, "nonsense") {
		t.Errorf("%q", got)
	}
}

// The peer keeps to the order of commands by itself.
func TestOrder(t *testing.T) {
	got, _ := talk(t, &smtptest.Peer{Batch: true, Extensions: []string{}},
		"HELO x", "RCPT TO:<a@x>", "DATA", "MAIL FROM:<>", "MAIL FROM:<>", "DATA", "RSET", "STARTTLS", "AUTH PLAIN", "BOGUS", "QUIT")
	want := "220 peer.test ESMTP\n250 peer.test\n503 \n554 \n250 \n503 \n554 \n250 \n502 \n"
	for _, w := range strings.Split(want, "\n") {
		line, rest, _ := strings.Cut(got, "\r\n")
		if !strings.HasPrefix(line, w) {
			t.Errorf("%q, want %q", line, w)
		}
		got = rest
	}
}

// Close ends everything, and what comes after it at once.
func TestClose(t *testing.T) {
	p := &smtptest.Peer{Script: smtptest.Script{smtptest.Noop: smtptest.Freeze()}}
	addr := smtptest.Start(t, p)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "NOOP\r\n")
	p.Close()
	if _, err := io.ReadAll(conn); err != nil {
		t.Log(err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("it still listens")
	}
	client, server := net.Pipe()
	p.Go(server)
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("served after Close: %v", err)
	}
}
