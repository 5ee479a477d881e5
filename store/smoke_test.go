package store

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
)

func openTest(t *testing.T, dir string, change func(*Options)) *Store {
	t.Helper()
	o := Options{Dir: dir, Hostname: "host.test", BootID: "boot-1", NoWatch: true}
	if change != nil {
		change(&o)
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func stage(t testing.TB, s *Store, text string) *Staged {
	t.Helper()
	m, err := s.Stage()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if _, err := m.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	s := openTest(t, dir, nil)
	if err := s.CreateAccount(ctx, "alice@local.test"); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		m := stage(t, s, fmt.Sprintf("Subject: hello %d\r\n\r\nbody\r\n", i))
		if err := m.Prepend([]byte("Received: by here\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Deliver(ctx, m, []Target{{Address: "alice@local.test"}}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(s *Store) {
		t.Helper()
		a, err := s.Account(ctx, "alice@local.test")
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		m, err := a.Mailbox(ctx, "inbox")
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		v, err := m.View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		if v.Count() != 5 {
			t.Fatalf("count %d", v.Count())
		}
		b, err := v.Open(ctx, v.UIDs()[3])
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		var buf bytes.Buffer
		if _, err := b.Whole().WriteTo(&buf); err != nil {
			t.Fatal(err)
		}
		if want := "Received: by here\r\nSubject: hello 3\r\n\r\nbody\r\n"; buf.String() != want {
			t.Fatalf("got %q", buf.String())
		}
		st, _ := m.Status(ctx)
		t.Logf("%+v", st)
		l, err := a.Mailboxes(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, i := range l {
			names = append(names, i.Name+":"+i.SpecialUse)
		}
		if got := strings.Join(names, " "); got != "INBOX: Archive:Archive Drafts:Drafts Junk:Junk Sent:Sent Trash:Trash" {
			t.Fatal(got)
		}
	}
	check(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, nil)
	check(s)
	a, _ := s.Account(ctx, "alice@local.test")
	m, _ := a.Mailbox(ctx, "INBOX")
	arch, err := a.Mailbox(ctx, "Archive")
	if err != nil {
		t.Fatal(err)
	}
	v, _ := m.View(ctx)
	if _, _, err := m.Store(ctx, v.UIDs()[:2], AddFlags, FlagSet{Flags: Seen, Keywords: []string{"work"}}, NoModSeq); err != nil {
		t.Fatal(err)
	}
	d, err := v.Refresh(ctx, true)
	if err != nil || len(d.Changed) != 2 || d.Changed[0].Flags != Seen|KeywordFlag(0) {
		t.Fatalf("%+v %v", d, err)
	}
	r, err := m.Move(ctx, v.UIDs()[1:3], arch)
	if err != nil || len(r.Dest) != 2 {
		t.Fatal(r, err)
	}
	r, err = m.Copy(ctx, v.UIDs()[:1], arch)
	if err != nil || len(r.Dest) != 1 || r.Dest[0] != 3 {
		t.Fatal(r, err)
	}
	d, err = v.Refresh(ctx, true)
	if err != nil || fmt.Sprint(d.Expunged, d.Exists, v.Count()) != "[3 2] -1 3" {
		t.Fatalf("%+v %v", d, err)
	}
	av, _ := arch.View(ctx)
	if av.Count() != 3 || av.Infos(1, 3, nil)[0].Flags != Seen|KeywordFlag(0) {
		t.Fatal(av.Infos(1, 3, nil))
	}
	if _, err := arch.Append(ctx, []Appending{{Message: stage(t, s, "A: b\r\n\r\nx\n")}}); err != nil {
		t.Fatal(err)
	}
	d, _ = av.Refresh(ctx, false)
	if d.Exists != 4 {
		t.Fatalf("%+v", d)
	}
}
