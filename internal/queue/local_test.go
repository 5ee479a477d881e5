package queue

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/store"
)

func TestLocalRetrySucceeds(t *testing.T) {
	r := newRig(t)
	if err := r.keep("who@remote.example", "a@local.test", "b@local.test"); err != nil {
		t.Fatal(err)
	}
	if next := r.run(); !next.Equal(r.now.Add(time.Minute)) || len(r.box("a@local.test")) > 0 {
		t.Fatalf("tried before a minute had passed; next %v", next)
	}
	r.fail["b@local.test"] = store.ErrOverQuota
	r.now = r.now.Add(time.Minute)
	if next := r.run(); !next.Equal(r.now.Add(2 * time.Minute)) {
		t.Errorf("next is in %v, want 2m", next.Sub(r.now))
	}
	if got := r.box("a@local.test"); len(got) != 1 || got[0] != testMessage {
		t.Errorf("a got %q", got)
	}
	if got := r.waiting(); got != "1 local, 0 remote, 0 held" {
		t.Error(got)
	}
	delete(r.fail, "b@local.test")
	r.reopen() // a restart goes on where it stopped
	r.now = r.now.Add(2 * time.Minute)
	if next := r.run(); !next.IsZero() {
		t.Errorf("next %v", next)
	}
	if got := r.box("b@local.test"); len(got) != 1 || got[0] != testMessage {
		t.Errorf("b got %q", got)
	}
	if got := r.files(); len(got) != 0 {
		t.Errorf("files left: %v", got)
	}
}

func TestBackoff(t *testing.T) {
	var got []time.Duration
	for n := range 10 {
		got = append(got, backoff(5*time.Minute, 4*time.Hour, n))
	}
	m := time.Minute
	if want := []time.Duration{5 * m, 5 * m, 10 * m, 20 * m, 40 * m, 80 * m, 160 * m, 240 * m, 240 * m, 240 * m}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := backoff(time.Hour, time.Minute, 1); got != time.Minute {
		t.Errorf("the first wait is longer than the longest: %v", got)
	}
}

// A mailbox here that stays full is given up after five days, as one elsewhere; the notice
// does not tell what only the administrator may know.
func TestLocalGivenUp(t *testing.T) {
	r := newRig(t)
	r.fail["a@local.test"] = fmt.Errorf("%w: in /var/lib/kurir", store.ErrOverQuota)
	start := r.now
	if err := r.keep("who@local.test", "a@local.test"); err != nil {
		t.Fatal(err)
	}
	rounds := r.expire()
	if d := r.now.Sub(start); d != 5*24*time.Hour || rounds < 100 {
		t.Errorf("given up after %v and %d rounds", d, rounds)
	}
	got := r.box("who@local.test")
	if len(got) != 2 || len(r.files()) != 0 {
		t.Fatalf("notices %q, files %v", got, r.files())
	}
	for i, want := range []string{"\nAction: delayed\nStatus: 4.2.2\n", "\nAction: failed\nStatus: 5.2.2\n"} {
		if !strings.HasPrefix(got[i], "Return-Path: <>\n") || !strings.Contains(got[i], want) ||
			!strings.Contains(got[i], "Final-Recipient: rfc822; team@local.test") || !strings.Contains(got[i], "Subject: hello") {
			t.Errorf("notice %d: %s", i, got[i])
		}
		if strings.Contains(got[i], "/var/lib") || strings.Contains(got[i], "a@local.test") {
			t.Errorf("the notice tells too much: %s", got[i])
		}
	}
}

func TestNoticeElsewhereIsRelayed(t *testing.T) {
	r := newRig(t)
	r.fail["a@local.test"] = ErrNoRecipient // for good: no need to wait five days
	if err := r.keep("who@remote.example", "a@local.test"); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Minute)
	if next := r.run(); !next.IsZero() || r.waiting() != nothing {
		t.Errorf("next %v, %s", next, r.waiting())
	}
	if len(r.sent) != 1 || r.sent[0].recipient != "who@remote.example" || strings.HasPrefix(r.sent[0].text, "Return-Path") ||
		!strings.Contains(r.sent[0].text, "Status: 5.1.1") {
		t.Errorf("%+v", r.sent)
	}
}

// A message whose file is gone, by whatever hand, is owned up to.
func TestLostFile(t *testing.T) {
	r := newRig(t)
	if err := r.keep("who@local.test", "a@local.test"); err != nil {
		t.Fatal(err)
	}
	r.submit("who@local.test", "bob@example.net")
	for _, f := range r.files() {
		os.Remove(f)
	}
	r.expire()
	if got := r.box("who@local.test"); len(got) != 4 || r.waiting() != nothing {
		t.Errorf("notices %q, %s", got, r.waiting())
	}
}

func TestNoNoticeOfANotice(t *testing.T) {
	for _, sender := range []string{"", "nobody@local.test"} {
		r := newRig(t)
		r.fail["a@local.test"] = ErrNoRecipient
		if err := r.keep(sender, "a@local.test"); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(time.Minute)
		r.run()
		if r.waiting() != nothing || len(r.files()) != 0 {
			t.Errorf("sender %q: %s, %v", sender, r.waiting(), r.files())
		}
	}
}

// While the directory can't say who the sender is, the recipient stays, and is given up
// when it can.
func TestDirectoryTrouble(t *testing.T) {
	r := newRig(t)
	r.fail["a@local.test"] = ErrNoRecipient
	if err := r.keep("broken@local.test", "a@local.test"); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Minute)
	if next := r.run(); !next.Equal(r.now.Add(time.Hour)) || r.waiting() != "1 local, 0 remote, 0 held" {
		t.Errorf("next in %v, %s", next.Sub(r.now), r.waiting())
	}
	// Even past the deadline it does not turn in circles.
	r.now = r.now.Add(6 * 24 * time.Hour)
	if next := r.run(); !next.Equal(r.now.Add(time.Hour)) {
		t.Errorf("next in %v", next.Sub(r.now))
	}
}

func TestRunSleepsUntilDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.db.Close()
		r.clock = time.Now
		stop := r.start()
		time.Sleep(time.Hour / 2)
		start := time.Now()
		if err := r.keep("who@remote.example", "a@local.test"); err != nil {
			t.Fatal(err)
		}
		for len(r.box("a@local.test")) == 0 && time.Since(start) < time.Hour {
			time.Sleep(time.Second)
		}
		if d := time.Since(start); d < time.Minute || d > 2*time.Minute {
			t.Errorf("delivered after %v", d)
		}
		stop()
	})
}

// start begins Run, and returns what ends it.
func (r *rig) start() (stop func()) {
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan struct{})
	go func() { r.q.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

// A file without a row is nobody's, and goes at once or at the next start.
func TestKeepFails(t *testing.T) {
	r := newRig(t)
	r.db.Close()
	if err := r.keep("who@local.test", "a@local.test"); err == nil {
		t.Fatal("no error without a database")
	}
	other := filepath.Join(r.dir, "queue", "of-another-kind")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "queue", filePrefix+"leftover"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if len(r.files()) != 2 {
		t.Errorf("before: %v", r.files())
	}
	r.reopen()
	if got := r.files(); len(got) != 1 || got[0] != other {
		t.Errorf("files %v", got)
	}
}

// TestManyLeftovers: a start does not wait until all that an earlier run left is removed.
func TestManyLeftovers(t *testing.T) {
	r := newRig(t)
	for i := range maxSwept + 50 {
		if err := os.WriteFile(filepath.Join(r.dir, "queue", fmt.Sprint(filePrefix, i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.reopen()
	names, err := os.ReadDir(filepath.Join(r.dir, "queue"))
	if err != nil || len(names) != 50 {
		t.Errorf("%d files left, %v", len(names), err)
	}
	if n := len(r.files()); n != 0 {
		t.Errorf("%d files at last", n)
	}
}
