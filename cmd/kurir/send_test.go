package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"kurir/internal/admin"
	"kurir/internal/smtpclient/smtptest"
)

// TestSend: what the command makes of a message and its arguments.
func TestSend(t *testing.T) {
	s := newTestSite(t)
	f := &fakeServer{}
	s.fake(f)
	const letter = "From: Alice <alice@example.test>\nTo: bob@example.net\nBcc: carol@example.net\nSubject: x\n\nhello\n.\nworld\n"
	file := filepath.Join(s.dir, "letter")
	write(t, file, letter)
	for _, tt := range []struct {
		args, stdin string
		want        admin.Outgoing
		head        string
	}{
		{"dave@example.net", letter, admin.Outgoing{From: "alice@example.test", To: []string{"dave@example.net"}}, ""},
		{"-t", letter, admin.Outgoing{From: "alice@example.test", To: []string{"bob@example.net", "carol@example.net"}}, ""},
		{"-t bob@example.net --to root", letter, admin.Outgoing{From: "alice@example.test", To: []string{"root", "bob@example.net", "carol@example.net"}}, ""},
		{"--file " + file + " -t", "", admin.Outgoing{From: "alice@example.test", To: []string{"bob@example.net", "carol@example.net"}}, ""},
		{"--from x@y.test --notify success,delay --ret hdrs --envid a+b a@b.test", letter,
			admin.Outgoing{From: "x@y.test", To: []string{"a@b.test"}, Notify: "SUCCESS,DELAY", Ret: "HDRS", EnvID: "a+b"}, ""},
		{"--from= a@b.test", letter, admin.Outgoing{To: []string{"a@b.test"}}, ""},
		{"--from cron a@b.test", letter, admin.Outgoing{From: "cron@mail.example.test", To: []string{"a@b.test"}}, ""},
		{"a@b.test", "just text\n", admin.Outgoing{From: "me@mail.example.test", To: []string{"a@b.test"}}, "From: me@mail.example.test\n\njust text\n"},
		{"jürgen@b.test", letter, admin.Outgoing{From: "alice@example.test", To: []string{"jürgen@b.test"}, UTF8: true}, ""},
		{"a@b.test", "From: a@b.test\nSubject: ü\n\n", admin.Outgoing{From: "a@b.test", To: []string{"a@b.test"}, UTF8: true}, ""},
		{"--from a@b.test --to c@d.test --subject Größe", "text\n", admin.Outgoing{From: "a@b.test", To: []string{"c@d.test"}}, "To: c@d.test\nSubject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\n"},
	} {
		f.envelopes, f.messages = nil, nil
		c := newConsole(t)
		c.environ = append(c.environ, "LOGNAME=me")
		c.stdin = strings.NewReader(tt.stdin)
		code := run(t.Context(), c.env, append([]string{"-c", s.config, "send"}, strings.Fields(tt.args)...))
		if code != exitOK || c.out.String() != "m1\n" || !reflect.DeepEqual(f.envelopes, []admin.Outgoing{tt.want}) {
			t.Errorf("send %s: exit %d, %q %q, %+v", tt.args, code, c.out.String(), c.err.String(), f.envelopes)
			continue
		}
		if tt.head == "" {
			tt.head = letter
			if strings.HasPrefix(tt.stdin, "From: a@b") {
				tt.head = tt.stdin
			}
		}
		contains(t, f.messages[0], tt.head)
	}
	if out := s.must(letter, "send", "-t", "--json"); !json.Valid([]byte(out)) {
		t.Errorf("--json: %s", out)
	}
}

func TestSendUsage(t *testing.T) {
	for line, want := range map[string]string{
		"send":                                                   "to whom?",
		"send a@b@c":                                             "is not an address",
		"send --notify often a@b.test":                           "it has to be never",
		"send --notify never,delay a@b.test":                     "it has to be never",
		"send --ret most a@b.test":                               "full or hdrs",
		"send --envid \x01 a@b.test":                             "only printable ASCII",
		"send --from x@y@z a@b.test":                             `the sender "x@y@z"`,
		"send --subject x -t a@b.test":                           "leave out one of them",
		"send --server localhost a@b.test":                       "is not host:port",
		"send --envid " + strings.Repeat("x", 101) + " a@b.test": "longer than 100",
	} {
		c := newConsole(t)
		if code := run(t.Context(), c.env, strings.Split(line, " ")); code != exitUsage {
			t.Errorf("kurir %s: exit %d: %s", line, code, c.err.String())
		}
		contains(t, c.err.String(), want)
	}
}

func TestSendFails(t *testing.T) {
	s := newTestSite(t)
	f := &fakeServer{}
	s.fake(f)
	code, _, errs := s.do("Subject: x\n\n", "send", "-t")
	if code != exitFailed || !strings.Contains(errs, "has no recipients") {
		t.Errorf("no recipient: %d %q", code, errs)
	}
	code, _, errs = s.do("", "send", "--file", filepath.Join(s.dir, "none"), "a@b.test")
	if code != exitFailed || !strings.Contains(errs, "no such file") {
		t.Errorf("no file: %d %q", code, errs)
	}
	f.send = func(o admin.Outgoing) (admin.Sent, error) {
		return admin.Sent{ID: "m7", Refused: []admin.Refused{{Recipient: o.To[0], Code: 550, Status: "5.1.1", Text: "no such\nuser"}}}, nil
	}
	code, out, errs := s.do("x\n", "send", "a@b.test", "c@d.test")
	if code != exitFailed || out != "m7\n" || !strings.Contains(errs, "but not to:\nkurir: a@b.test: 550 5.1.1 no such user\n") {
		t.Errorf("in part: %d %q %q", code, out, errs)
	}
	f.send = func(o admin.Outgoing) (admin.Sent, error) {
		return admin.Sent{}, &admin.NotSent{Refused: []admin.Refused{{Code: 552, Text: "too big"}}}
	}
	code, out, errs = s.do("x\n", "send", "a@b.test")
	if code != exitFailed || out != "" || !strings.Contains(errs, "the message was not sent\nkurir: 552 too big") {
		t.Errorf("refused: %d %q %q", code, out, errs)
	}
	f.send = nil
	c := newConsole(t)
	c.stdin = iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("x\n")))
	code = run(t.Context(), c.env, []string{"-c", s.config, "send", "a@b.test"})
	if code != exitFailed || !strings.Contains(c.err.String(), "reading the message: timeout") {
		t.Errorf("a message that cannot be read: %d %q", code, c.err.String())
	}
}

// TestSendStopped: without a server a message is delivered here, and for elsewhere put
// into the queue.
func TestSendStopped(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	s.must("", "account", "add", "alice@example.test", "--generate")
	id := strings.TrimSpace(s.must("x\n", "send", "a@b.test", "alice@example.test"))
	contains(t, s.must("", "queue", "list"), id, "a@b.test")
	got := strings.Join(strings.Fields(s.must("", "mailbox", "list", "alice@example.test")), " ")
	contains(t, got, "INBOX 1")
	held := newTestSite(t, "[limits]", "account_messages_hour = 1")
	held.must("", "domain", "add", "example.test")
	held.must("", "account", "add", "bob@example.test", "--generate")
	held.must("x\n", "send", "--from", "bob@example.test", "a@b.test")
	code, out, errs := held.do("x\n", "send", "--from", "bob@example.test", "a@b.test")
	id = strings.TrimSpace(out)
	if code != exitOK || id == "" || !strings.Contains(errs, "more than 1 message an hour): kurir queue release "+id+"\n") {
		t.Errorf("held: %d %q %q", code, out, errs)
	}
	if here := strings.TrimSpace(s.must("y\n", "send", "alice@example.test")); here == "" || here == id {
		t.Errorf("the id of a message delivered here: %q", here)
	}
	code, _, errs = s.do("x\n", "send", "nobody@example.test")
	if code != exitFailed || !strings.Contains(errs, "550 5.1.1") {
		t.Errorf("%d %q", code, errs)
	}
}

func TestIDOf(t *testing.T) {
	for text, want := range map[string]string{
		"OK queued as abc-1": "abc-1",
		"OK queued as abc-1, held for the administrator: why": "abc-1",
		"OK delivered as abc-2":                               "abc-2",
		"Ok: queued as 4XyZ\nmore":                            "4XyZ",
		"OK":                                                  "",
	} {
		if got := idOf(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// sent is the only message that a peer got.
func sent(t *testing.T, p *smtptest.Peer) *smtptest.Transaction {
	t.Helper()
	all := p.Transactions()
	if len(all) != 1 {
		t.Fatalf("%d transactions", len(all))
	}
	return &all[0]
}

// TestSendBySMTP: with --server or the variable no configuration is needed.
func TestSendBySMTP(t *testing.T) {
	p := &smtptest.Peer{Script: smtptest.Script{smtptest.Dot: smtptest.Reply("250 2.0.0 OK queued as abc-1")}}
	addr := smtptest.Start(t, p)
	c := newConsole(t)
	c.environ = append(c.environ, sendServerVariable+"="+addr)
	c.stdin = strings.NewReader("From: a@b.test\nSubject: ü\n\n.hello\n")
	if code := run(t.Context(), c.env, strings.Fields("send --notify never --envid a+b=c c@d.test e@f.test")); code != exitOK || c.out.String() != "abc-1\n" {
		t.Fatalf("exit %d: %s", code, c.err.String())
	}
	got := sent(t, p)
	contains(t, got.Mail, "FROM:<a@b.test>", " BODY=8BITMIME", " SMTPUTF8", " ENVID=a+2Bb+3Dc")
	contains(t, got.Rcpt[1].Line, "TO:<e@f.test>", " NOTIFY=NEVER")
	contains(t, string(got.Data), "From: a@b.test\r\nSubject: ü\r\n\r\n.hello\r\n")
}

// TestSendRefusedBySMTP: refusals are told in the server's words.
func TestSendRefusedBySMTP(t *testing.T) {
	for _, tt := range []struct {
		step smtptest.Step
		code int
		want string
	}{
		{smtptest.Greeting, exitFailed, "554 5.7.1 go away"},
		{smtptest.Mail, exitFailed, "554 5.7.1 go away"},
		{smtptest.Rcpt, exitFailed, "c@d.test: 554 5.7.1 go away"},
		{smtptest.Data, exitFailed, "554 5.7.1 go away"},
		{smtptest.Dot, exitFailed, "554 5.7.1 go away"},
	} {
		p := &smtptest.Peer{Script: smtptest.Script{tt.step: smtptest.Reply("554 5.7.1 go away")}}
		c := newConsole(t)
		c.stdin = strings.NewReader("x\n")
		code := run(t.Context(), c.env, []string{"send", "--server", smtptest.Start(t, p), "c@d.test"})
		if code != tt.code || !strings.Contains(c.err.String(), tt.want) || !strings.Contains(c.err.String(), "was not sent") {
			t.Errorf("step %d: exit %d: %q", tt.step, code, c.err.String())
		}
	}
	p := &smtptest.Peer{Script: smtptest.Script{smtptest.Dot: smtptest.Close()}}
	c := newConsole(t)
	c.stdin = strings.NewReader("x\n")
	if code := run(t.Context(), c.env, []string{"send", "--server", smtptest.Start(t, p), "c@d.test"}); code != exitFailed || !strings.Contains(c.err.String(), "end of the message") {
		t.Errorf("a server that goes away: %q", c.err.String())
	}
}

// A message that cannot be read to its end is sent to nobody.
func TestSendHalfBySMTP(t *testing.T) {
	p := &smtptest.Peer{}
	c := newConsole(t)
	c.stdin = iotest.TimeoutReader(strings.NewReader("Subject: x\n\n" + strings.Repeat("half a message\n", 10_000)))
	code := run(t.Context(), c.env, []string{"send", "--server", smtptest.Start(t, p), "c@d.test"})
	if code != exitFailed || !strings.Contains(c.err.String(), "reading the message: timeout") {
		t.Errorf("exit %d: %q", code, c.err.String())
	}
	p.Close()
	for _, tr := range p.Transactions() {
		if tr.Done {
			t.Error("half a message was ended with a dot")
		}
	}
}

// TestSendFallback: a user who may not use the data goes to 127.0.0.1:25, and hears what
// is missing there.
func TestSendFallback(t *testing.T) {
	why := fmt.Errorf("the control socket may not be used: %w", fs.ErrPermission)
	p := &smtptest.Peer{Script: smtptest.Script{smtptest.Rcpt: smtptest.Reply("550 5.7.1 relaying denied")}}
	c := newConsole(t)
	_, err := c.sendBySMTP(t.Context(), admin.Outgoing{From: "a@b.test", To: []string{"c@d.test"}}, strings.NewReader("x\n"), smtptest.Start(t, p), why)
	var not *admin.NotSent
	if !errors.As(err, &not) {
		t.Fatalf("%v", err)
	}
	contains(t, err.Error(), "c@d.test: 550 5.7.1 relaying denied", "[[device]]", "may not be used")

	p = &smtptest.Peer{Script: smtptest.Script{smtptest.Rcpt: smtptest.Reply("550 5.1.1 no such user here")}}
	_, err = c.sendBySMTP(t.Context(), admin.Outgoing{From: "a@b.test", To: []string{"root"}}, strings.NewReader("x\n"), smtptest.Start(t, p), why)
	contains(t, err.Error(), "no such user here", "whole address", "MAILTO=")
	if strings.Contains(err.Error(), "[[device]]") {
		t.Errorf("a device does not help: %v", err)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = c.sendBySMTP(t.Context(), admin.Outgoing{To: []string{"c@d.test"}}, strings.NewReader("x\n"), l.Addr().String(), why)
	contains(t, err.Error(), "could not be sent to "+l.Addr().String(), "--server", sendServerVariable)
	if sysexit(err) != exTempFail {
		t.Errorf("exit code %d of sendmail", sysexit(err))
	}
}

// A name without a domain gets this host's, but for postmaster, whom every server knows.
func TestSendBySMTPCompletes(t *testing.T) {
	p := &smtptest.Peer{}
	c := newConsole(t)
	c.environ = append(c.environ, "KURIR_HOSTNAME=mail.example.test", "KURIR_DATA="+t.TempDir())
	_, err := c.sendBySMTP(t.Context(), admin.Outgoing{To: []string{"root", "Postmaster"}}, strings.NewReader("x\n"), smtptest.Start(t, p), nil)
	if got := sent(t, p); err != nil || got.Rcpt[0].Address != "root@mail.example.test" || got.Rcpt[1].Address != "Postmaster" {
		t.Errorf("%+v, %v", got.Rcpt, err)
	}
}

// TestUnconfigured: without any configuration, and with one that may not be read, mail
// goes by SMTP; one that is wrong is told.
func TestUnconfigured(t *testing.T) {
	c := newConsole(t)
	c.systemConfig = filepath.Join(t.TempDir(), "none")
	t.Chdir(t.TempDir())
	if !c.unconfigured() {
		t.Error("there is no configuration")
	}
	write(t, "kurir.toml", "hostname = 7")
	if c.unconfigured() {
		t.Error("there is a configuration")
	}
	c.stdin = strings.NewReader("x\n")
	if code := run(t.Context(), c.env, []string{"send", "a@b.test"}); code != exitFailed || !strings.Contains(c.err.String(), "hostname: must be text") {
		t.Errorf("a mistake: %d %q", code, c.err.String())
	}
	if os.Geteuid() == 0 {
		return // may read everything
	}
	if err := os.Chmod("kurir.toml", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.settings(); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}
