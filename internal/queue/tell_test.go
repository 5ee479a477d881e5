package queue

import (
	"fmt"
	"strings"
	"testing"
)

// TestPost: a letter of the server's own reaches its person, here and elsewhere.
func TestPost(t *testing.T) {
	r := newRig(t)
	l := Letter{To: "ops@local.test", Subject: "Platte fast voll: größer", Text: "One line.\n\nAnother.\n\n", About: "a notice"}
	id, err := r.q.Post(r.ctx, l)
	if err != nil || id == "" {
		t.Fatalf("%q, %v", id, err)
	}
	l.To = "ops@remote.example"
	if _, err := r.q.Post(r.ctx, l); err != nil {
		t.Fatal(err)
	}
	r.reopen() // it is durable
	r.run()
	got := r.box("ops@local.test")
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	for _, want := range []string{"Return-Path: <>\nFrom: Mail Delivery System <MAILER-DAEMON@mx.local.test>\nTo: <ops@local.test>\n",
		"\nSubject: =?utf-8?q?Platte_fast_voll:_gr=C3=B6=C3=9Fer?=\n", "\nAuto-Submitted: auto-generated\n", "\n\nOne line.\n\nAnother.\n"} {
		if !strings.Contains(got[0], want) {
			t.Errorf("no %q in %s", want, got[0])
		}
	}
	if got := fmt.Sprint(r.got()); got != "[ops@remote.example]" || strings.HasPrefix(r.sent[0].text, "Return-Path") {
		t.Error(got, r.sent)
	}
	if files := r.files(); len(files) != 0 {
		t.Error(files)
	}
}

// TestPostToNobody: who asks is told, and nothing is left.
func TestPostToNobody(t *testing.T) {
	r := newRig(t)
	if _, err := r.q.Post(r.ctx, Letter{To: "nobody@local.test"}); err == nil || !strings.Contains(err.Error(), "nobody here") {
		t.Error(err)
	}
	r.refuse(EventAccepted)
	if _, err := r.q.Post(r.ctx, Letter{To: "ops@local.test"}); err == nil {
		t.Error("taken")
	}
	if got := r.files(); len(got) != 0 || r.waiting() != nothing {
		t.Errorf("%v, %s", got, r.waiting())
	}
}
