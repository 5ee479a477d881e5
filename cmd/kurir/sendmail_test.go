package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"kurir/internal/admin"
	"kurir/internal/config"
	"kurir/internal/dsn"
	"kurir/internal/fsx"
	"kurir/internal/queue"
	"kurir/internal/smtpclient"
)

func TestSendmailName(t *testing.T) {
	for argv0, want := range map[string]bool{
		"sendmail": true, "/usr/sbin/sendmail": true, "./mailq": true, "/usr/bin/newaliases": true, "kurir": false, "/opt/sendmail/kurir": false, "": false,
	} {
		if _, ok := sendmailName(argv0); ok != want {
			t.Errorf("%q: %v", argv0, ok)
		}
	}
}

func TestParseSendmail(t *testing.T) {
	for line, want := range map[string]sendmailOptions{
		"":                                {},
		"a@b.test c@d.test":               {send: sendOptions{to: []string{"a@b.test", "c@d.test"}}},
		"-t -i":                           {ignoreDot: true, send: sendOptions{fromHeader: true}},
		"-ti":                             {ignoreDot: true, send: sendOptions{fromHeader: true}},
		"-oi -t":                          {ignoreDot: true, send: sendOptions{fromHeader: true}},
		"-i -fa@b.test c@d.test":          {ignoreDot: true, send: sendOptions{from: "a@b.test", fromGiven: true, to: []string{"c@d.test"}}},
		"-f a@b.test c@d.test":            {send: sendOptions{from: "a@b.test", fromGiven: true, to: []string{"c@d.test"}}},
		"-r a@b.test":                     {send: sendOptions{from: "a@b.test", fromGiven: true}},
		"-f <> x":                         {send: sendOptions{from: "<>", fromGiven: true, to: []string{"x"}}},
		"-FRoot x -- -t":                  {send: sendOptions{name: "Root", to: []string{"x", "-t"}}},
		"-N delay,failure -Rhdrs -V id x": {send: sendOptions{notify: "delay,failure", ret: "hdrs", envid: "id", to: []string{"x"}}},
		"-bp":                             {mode: "p"},
		"-bm -odb -oem -em -B8BITMIME -v -G -U -n -m -L tag -O DeliveryMode=b -h 5 -d8.99 x": {mode: "m", send: sendOptions{to: []string{"x"}}},
		"-q30m":    {flush: true},
		"-bd -q1h": {mode: "d", flush: true},
		"-":        {send: sendOptions{to: []string{"-"}}},
		"-I":       {mode: "i"},
	} {
		got, err := parseSendmail(strings.Fields(line))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for line, want := range map[string]string{"-f": "-f: its value is missing", "-tZ": "no option -Z", "--help": "no option --"} {
		if _, err := parseSendmail(strings.Fields(line)); !isUsage(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestSendmail(t *testing.T) {
	s := newTestSite(t)
	f := &fakeServer{rows: waitingRows()}
	s.fake(f)
	do := func(name, line, stdin string) (int, *console) {
		t.Helper()
		f.envelopes, f.messages = nil, nil
		c := newConsole(t)
		c.environ = append(c.environ, "KURIR_CONFIG="+s.config, "LOGNAME=root")
		c.stdin = strings.NewReader(stdin)
		return sendmailMain(t.Context(), c.env, name, strings.Fields(line)), c
	}
	const cron = "From: root (Cron Daemon)\nTo: root\nSubject: Cron\n\nhello\n.\nworld\n"
	for _, tt := range []struct {
		line string
		want admin.Outgoing
		body string
	}{
		{"-FCronDaemon -i -odi -oem -t", admin.Outgoing{From: "root@mail.example.test", To: []string{"root"}}, "hello\n.\nworld\n"},
		{"-t", admin.Outgoing{From: "root@mail.example.test", To: []string{"root"}}, "hello\n"},
		{"-i -f www@site.test -- bob@example.net", admin.Outgoing{From: "www@site.test", To: []string{"bob@example.net"}}, "hello\n.\nworld\n"},
		{"-i -f <> -N never bob@example.net", admin.Outgoing{To: []string{"bob@example.net"}, Notify: "NEVER"}, "hello\n.\nworld\n"},
	} {
		code, c := do("sendmail", tt.line, cron)
		if code != exitOK || c.out.String() != "" || !reflect.DeepEqual(f.envelopes, []admin.Outgoing{tt.want}) || !strings.HasSuffix(f.messages[0], "\n\n"+tt.body) {
			t.Errorf("sendmail %s: exit %d %q %q: %+v %q", tt.line, code, c.out.String(), c.err.String(), f.envelopes, f.messages)
		}
	}
	contains(t, f.messages[0], `"Cron Daemon" <root@mail.example.test>`)
	for _, tt := range []struct {
		name, line, want string
		code             int
	}{
		{"mailq", "", "4x7k2m", 0},
		{"sendmail", "-bp", "2 messages, 3 recipients; 1 held", 0},
		{"newaliases", "", "kurir alias list", 0},
		{"sendmail", "-bi", "kurir alias list", 0},
		{"sendmail", "-q", "", 0},
		{"sendmail", "-bs", "SMTP on standard input is not spoken here", exUsage},
		{"sendmail", "-bd", "kurir serve", exUsage},
		{"sendmail", "-bv x", "-bv: this mode does not exist", exUsage},
		{"sendmail", "", "sendmail: to whom?", exUsage},
		{"sendmail", "-Z", "no option -Z", exUsage},
	} {
		code, c := do(tt.name, tt.line, "")
		if code != tt.code || !strings.Contains(c.out.String()+c.err.String(), tt.want) || len(f.messages) > 0 {
			t.Errorf("%s %s: exit %d %q %q", tt.name, tt.line, code, c.out.String(), c.err.String())
		}
	}
	f.send = func(admin.Outgoing) (admin.Sent, error) {
		return admin.Sent{}, &admin.NotSent{Refused: []admin.Refused{{Recipient: "a@b.test", Code: 550, Status: "5.1.1", Text: "no such user"}}}
	}
	if code, c := do("sendmail", "a@b.test", "x\n"); code != exNoUser || !strings.Contains(c.err.String(), "sendmail: a@b.test: 550 5.1.1 no such user") {
		t.Errorf("exit %d %q", code, c.err.String())
	}
	if code, _ := do("sendmail", "-t", "Subject: nobody\n\n"); code != exDataErr {
		t.Errorf("no recipients: exit %d", code)
	}
}

// The exit codes of sysexits(3), by which programs decide whether to try again.
func TestSysexit(t *testing.T) {
	refused := func(recipient string, code int, status string) error {
		return &admin.NotSent{Refused: []admin.Refused{{Recipient: recipient, Code: code, Status: status}}}
	}
	for _, tt := range []struct {
		err  error
		want int
	}{
		{usagef("x"), exUsage},
		{&dataError{io.EOF}, exDataErr},
		{&smtpclient.EnvelopeError{Field: "RCPT"}, exDataErr},
		{errBigHead, exDataErr},
		{smtpclient.ErrNotOffered, exDataErr},
		{refused("a", 550, "5.1.1"), exNoUser},
		{refused("a", 550, ""), exNoUser},
		{refused("a", 450, "4.2.1"), exTempFail},
		{refused("", 553, "5.7.1"), exNoPerm},
		{refused("a", 550, "5.7.1"), exNoPerm},
		{refused("", 552, "5.3.4"), exUnavailable},
		{&smtpError{server: "h:25", err: refused("", 421, "")}, exTempFail},
		{&partError{[]admin.Refused{{Recipient: "a", Code: 452}}}, exUnavailable},
		{&partError{[]admin.Refused{{Recipient: "a", Code: 550, Status: "5.1.2"}}}, exNoUser},
		{&inputError{io.ErrClosedPipe}, exIOErr},
		{config.Mistake{}, exConfig},
		{fmt.Errorf("x: %w", admin.ErrNoServer), exTempFail},
		{queue.ErrFull, exTempFail},
		{fsx.ErrLocked, exTempFail},
		{&ownerError{"x"}, exTempFail},
		{&smtpclient.Broken{Err: smtpclient.ErrClosed}, exTempFail},
		{&smtpclient.Broken{Err: smtpclient.ErrTimeout}, exTempFail},
		{context.Canceled, exTempFail},
		{fmt.Errorf("x: %w", fs.ErrPermission), exNoPerm},
		{errors.New("x"), exSoftware},
	} {
		if got := sysexit(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestXtext(t *testing.T) {
	for text, want := range map[string]string{"": "", "abc-1": "abc-1", "a+b=c d\x7f": "a+2Bb+3Dc+20d+7F"} {
		if got := string(dsn.AppendXtext(nil, text)); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// A message that stops in the middle is never sent as far as it came.
func TestSendmailHalf(t *testing.T) {
	s := newTestSite(t)
	f := &fakeServer{}
	s.fake(f)
	c := newConsole(t)
	c.environ = append(c.environ, "KURIR_CONFIG="+s.config)
	c.stdin = iotest.TimeoutReader(strings.NewReader("Subject: x\n\n" + strings.Repeat("half\n", 100_000)))
	if code := sendmailMain(t.Context(), c.env, "sendmail", []string{"-i", "a@b.test"}); code != exIOErr {
		t.Errorf("exit %d %q", code, c.err.String())
	}
}
