package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Full targets are failures as long as another has room, and the message can still be
// kept for them; if all are full, nobody has it.
func TestDeliverFull(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	limits := map[string]int64{"b@local.test": 10, "c@local.test": 10}
	s := openTest(t, dir, func(o *Options) {
		o.Quota = func(_ context.Context, address string) (int64, error) { return limits[address], nil }
	})
	defer s.Close()
	targets := func(names ...string) (ts []Target) {
		for _, n := range names {
			ts = append(ts, Target{Address: n + "@local.test"})
		}
		return ts
	}
	for _, n := range []string{"a", "b", "c", "d"} {
		if err := s.CreateAccount(ctx, n+"@local.test"); err != nil {
			t.Fatal(err)
		}
	}
	messages := func(name string) int64 {
		q, err := s.countUse(filepath.Join(dir, "mail", "local.test", name))
		if err != nil {
			t.Fatal(err)
		}
		return q.Count
	}
	const text = "Subject: x\r\n\r\nsome text\r\n"
	for i, tt := range []struct {
		to     []Target
		failed int
	}{
		{targets("b", "a", "c"), 2},
		{targets("a", "b", "d"), 1},
		{targets("a", "d"), 0},
	} {
		m := stage(t, s, text)
		failed, err := s.Deliver(ctx, m, tt.to)
		if err != nil || len(failed) != tt.failed {
			t.Fatalf("%d: %v, %v", i, failed, err)
		}
		for _, f := range failed {
			if !errors.Is(f.Err, ErrOverQuota) || limits[f.Target.Address] == 0 {
				t.Errorf("%d: %v", i, f)
			}
		}
		if len(failed) > 0 {
			kept := filepath.Join(dir, "kept")
			if err := m.KeepAs(kept); err != nil {
				t.Errorf("%d: %v", i, err)
			}
			if err := s.fs.Remove(kept); err != nil {
				t.Error(err)
			}
		}
		m.Close()
	}
	m := stage(t, s, text)
	defer m.Close()
	if failed, err := s.Deliver(ctx, m, targets("b", "c")); !errors.Is(err, ErrOverQuota) || failed != nil {
		t.Errorf("all full: %v, %v", failed, err)
	}
	for name, want := range map[string]int64{"a": 3, "b": 0, "c": 0, "d": 2} {
		if n := messages(name); n != want {
			t.Errorf("%s has %d messages, want %d", name, n, want)
		}
	}
}

// A mailbox that is broken for good must not hold up the others.
func TestDeliverBrokenTarget(t *testing.T) {
	s, a := testAccount(t, nil)
	if err := s.CreateAccount(t.Context(), "broken@local.test"); err != nil {
		t.Fatal(err)
	}
	dir, err := s.accountDir("broken@local.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "tmp")); err != nil {
		t.Fatal(err)
	}
	to := []Target{{Address: testAddress}, {Address: "broken@local.test"}, {Address: "none@local.test"}}
	m := stage(t, s, "A: b\r\n\r\nx\r\n")
	failed, err := s.Deliver(t.Context(), m, to)
	if err != nil || len(failed) != 2 || !errors.Is(failed[0].Err, ErrNoMailbox) || !errors.Is(failed[1].Err, ErrNoAccount) {
		t.Fatalf("%v %v", failed, err)
	}
	if err := m.KeepAs(filepath.Join(t.TempDir(), "kept")); err != nil {
		t.Errorf("it can't be kept for a later try: %v", err)
	}
	if n := testView(t, testBox(t, a, "INBOX")).Count(); n != 1 {
		t.Errorf("%d messages", n)
	}
	if _, err := s.Deliver(t.Context(), stage(t, s, "A: b\r\n\r\nx\r\n"), to[1:]); !errors.Is(err, ErrNoMailbox) {
		t.Errorf("all broken: %v", err)
	}
}

// A symbolic link is no message, wherever it leads.
func TestSymbolicLinkIsNoMessage(t *testing.T) {
	_, a := testAccount(t, nil)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("A: b\n\nsecret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"new", "cur"} {
		if err := os.Symlink(secret, filepath.Join(a.dir, sub, "1700000000.link.host")); err != nil {
			t.Fatal(err)
		}
	}
	if n := testView(t, testBox(t, a, "INBOX")).Count(); n != 0 {
		t.Errorf("%d messages", n)
	}
}
