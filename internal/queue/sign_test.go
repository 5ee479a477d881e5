package queue

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"kurir/internal/relay"
)

// A report to somebody elsewhere is signed as this host's, as it goes out; one to a
// mailbox here is not. Nothing goes out unsigned because of a fault.
func TestReportsAreSigned(t *testing.T) {
	var as, what []string
	var fault error
	r := newRig(t, func(o *Options) {
		o.Sign = func(_ context.Context, domain string, m io.Reader) ([]byte, error) {
			b, err := io.ReadAll(m)
			as, what = append(as, domain), append(what, string(b))
			return []byte("DKIM-Signature: a\r\n\tb\r\nDKIM-Signature: c\r\n"), errors.Join(err, fault)
		}
	})
	r.hosts = func(c *call) *relay.Result {
		if strings.HasPrefix(c.to[0].Address, "gone@") {
			return c.all(failed(550, "5.1.1", "no such user"))
		}
		return r.take(c)
	}
	r.submit("alice@local.test", "gone@far.test")
	r.run()
	if got := r.box("alice@local.test"); len(got) != 1 || strings.Contains(got[0], "DKIM") || len(as) != 0 {
		t.Errorf("to a mailbox here: %q, signed as %v", got, as)
	}
	r.submit("carol@elsewhere.test", "gone@far.test")
	r.run()
	if len(as) != 1 || as[0] != "mx.local.test" || len(r.sent) != 1 {
		t.Fatalf("signed as %v, sent %v", as, r.sent)
	}
	text := r.sent[0].text
	if want := "DKIM-Signature: a\n\tb\nDKIM-Signature: c\n" + what[0]; text != want || !strings.HasPrefix(what[0], "From: Mail Delivery System") {
		t.Errorf("sent is\n%.200s\nsigned was\n%.200s", text, what[0])
	}
	// One for a mailbox here and for somebody elsewhere: each gets what is meant for it.
	r.submit("both@local.test", "gone@far.test")
	r.run()
	here := r.box("a@local.test")
	if len(here) != 1 || !strings.HasPrefix(here[0], "Return-Path: <>\nDKIM-Signature: a\n") || len(r.sent) != 2 ||
		!strings.HasPrefix(r.sent[1].text, "DKIM-Signature: a\n") || !strings.HasSuffix(r.sent[1].text, what[1]) {
		t.Fatalf("here: %.100q, elsewhere: %v", here, r.sent[1:])
	}
	fault = errors.New("disk")
	id := r.submit("carol@elsewhere.test", "gone@far.test")
	r.run()
	if len(r.sent) != 2 || !strings.Contains(r.logged.String(), "signing a notice: disk") {
		t.Errorf("%v\n%s", r.sent, r.logged.String())
	}
	fault = nil
	r.expire()
	if len(r.sent) != 3 || !strings.Contains(r.sent[2].text, id) {
		t.Errorf("nobody heard of it afterwards: %d", len(r.sent))
	}
}

// A notice for mailboxes here and addresses elsewhere has the line for the former on top,
// which the latter don't get.
func TestLocalLine(t *testing.T) {
	for _, tt := range []struct{ in, first, rest string }{
		{"Return-Path: <>\nFrom: x\n", "Return-Path: <>\n", "From: x\n"},
		{"From: x\nReturn-Path: <>\n", "", "From: x\nReturn-Path: <>\n"},
		{"", "", ""},
	} {
		if first, rest := localLine([]byte(tt.in)); string(first) != tt.first || string(rest) != tt.rest {
			t.Errorf("%q: %q %q", tt.in, first, rest)
		}
	}
}
