package smtpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/smtp"
	"slices"
	"strings"
	"sync"
	"testing"

	"kurir/internal/relay"
)

// outbox is a queue.Transport that takes everything.
type outbox struct {
	mu   sync.Mutex
	mail []sentMail
}

type sentMail struct {
	from string
	to   []string
	size int64 // as the queue says
	text string
}

func (o *outbox) Destination(_, recipient string) string {
	return recipient[strings.LastIndexByte(recipient, '@')+1:]
}

func (o *outbox) Send(ctx context.Context, destination string, m *relay.Message, to []relay.Recipient, before relay.BeforeDot) *relay.Result {
	r := &relay.Result{Outcomes: make([]relay.Outcome, len(to))}
	text, err := readAll(m)
	if err == nil {
		err = before(ctx)
	}
	if err != nil {
		for i := range r.Outcomes {
			r.Outcomes[i].Reply = relay.Reply{Status: "4.3.0", Text: err.Error()}
		}
		return r
	}
	s := sentMail{from: m.Sender, size: m.Size, text: text}
	for i, t := range to {
		s.to = append(s.to, t.Address)
		r.Outcomes[i] = relay.Outcome{Action: relay.Sent, Reply: relay.Reply{Code: 250, Status: "2.0.0", Text: "OK"}, Relayed: true}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mail = append(o.mail, s)
	return r
}

func (o *outbox) sent() []sentMail {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.mail)
}

// readAll reads a message as on the wire.
func readAll(m *relay.Message) (string, error) {
	f, err := m.Open()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(f)
	text := strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n", "\r\n")
	return text, errors.Join(err, f.Close())
}

// A message for here and for elsewhere is the same in both places, but for what the last
// server adds, and its size is known to the octet.
func TestRealRemote(t *testing.T) {
	w := newWhole(t, SubmissionTLS)
	c := w.login(t, true)
	defer c.Close()
	if err := send(c, "alice@local.test", "From: alice@local.test\r\n\r\nmixed\r\n", "x@elsewhere.example", "bob@local.test", "y@under_score.example"); err != nil {
		t.Fatal(err)
	}
	if err := send(c, "alice@local.test", "From: alice@local.test\r\n\r\nlone\n"+strings.Repeat("long\r\n", 300_000), "x@[192.0.2.7]"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"x@intranet", "x@localhost", "x@mx.local.test", "x@[127.0.0.1]", "nobody@local.test"} {
		var te *textError
		if err := send(c, "alice@local.test", "", bad); !asTextError(err, &te) || te.Code != 550 {
			t.Errorf("%s: %v", bad, err)
		}
		if err := c.Reset(); err != nil {
			t.Fatal(err)
		}
	}
	w.runQueue(t, func() bool { return len(w.sent.sent()) == 3 })
	bob := w.inbox(t, "bob@local.test")
	if len(bob) != 1 {
		t.Fatalf("bob has %q", bob)
	}
	mixed, ok := strings.CutPrefix(bob[0], "Return-Path: <alice@local.test>\r\n")
	if !ok || strings.Contains(mixed, "x@elsewhere") || strings.Contains(mixed, "Delivered-To") {
		t.Errorf("bob has %q", bob)
	}
	var to []string
	for _, m := range w.sent.sent() {
		to = append(to, m.to...)
		if m.from != "alice@local.test" || int(m.size) != len(m.text) {
			t.Errorf("to %v from %q: %d octets, said to be %d", m.to, m.from, len(m.text), m.size)
		}
		if m.to[0] == "x@[192.0.2.7]" {
			if !strings.HasPrefix(m.text, "Received: ") || !strings.Contains(m.text, "for <x@[192.0.2.7]>") || strings.Contains(m.text, "Return-Path") {
				t.Errorf("%.500q", m.text)
			}
		} else if m.text != mixed {
			t.Errorf("to %v: %q, bob has %q", m.to, m.text, mixed)
		}
	}
	if slices.Sort(to); fmt.Sprint(to) != "[x@[192.0.2.7] x@elsewhere.example y@under_score.example]" {
		t.Errorf("sent to %v", to)
	}
}

// What an account sends over its limit is taken, and held. A device's network has the
// limits of its account, whatever spelling of it the configuration has.
func TestRealDevice(t *testing.T) {
	w := newWhole(t)
	srv := *w.srv
	srv.Devices = []Device{{[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "Bob@Local.Test"}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- srv.Serve(ctx, l, Inbound) }()
	c, err := smtp.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, to := range [][]string{{"a@elsewhere.example", "b@elsewhere.example"}, {"c@elsewhere.example", "d@elsewhere.example", "e@elsewhere.example"}} {
		if err := send(c, "bob+scan@local.test", "Subject: scan\r\n\r\npage\r\n", to...); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(c, "alice@local.test", "", "a@elsewhere.example"); err == nil || !strings.Contains(err.Error(), "Bob@Local.Test") {
		t.Error(err)
	}
	c.Quit()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n, err := w.queue.Waiting(t.Context()); n.Remote != 2 || n.Held != 3 || err != nil {
		t.Errorf("%+v, %v", n, err)
	}
}

// RFC 3461 section 5.2.3: who asked for it hears of a delivery here.
func TestRealReport(t *testing.T) {
	w := newWhole(t, SubmissionTLS)
	c := w.login(t, true)
	defer c.Close()
	for _, l := range []struct {
		line string
		code int
	}{
		{"EHLO x", 250}, {"MAIL FROM:<alice@local.test> ENVID=my+2Bid RET=HDRS", 250},
		{"RCPT TO:<bob@local.test> NOTIFY=SUCCESS ORCPT=rfc822;Bob@local.test", 250}, {"DATA", 354},
		{"Subject: did it come?\r\n\r\ntext\r\n.", 250},
	} {
		if err := c.Text.PrintfLine("%s", l.line); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Text.ReadResponse(l.code); err != nil {
			t.Fatal(l.line, err)
		}
	}
	w.runQueue(t, func() bool { return len(w.inbox(t, "alice@local.test")) > 0 })
	report, bob := w.inbox(t, "alice@local.test"), w.inbox(t, "bob@local.test")
	if len(report) != 1 || len(bob) != 1 {
		t.Fatalf("%d reports, %d delivered", len(report), len(bob))
	}
	for _, want := range []string{"Return-Path: <>\r\n", "Action: delivered\r\n", "Original-Envelope-Id: my+id\r\n", "Original-Recipient: rfc822;", "did it come?"} {
		if !strings.Contains(report[0], want) {
			t.Errorf("no %q in %s", want, report[0])
		}
	}
}
