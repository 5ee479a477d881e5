package store

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"kurir/internal/maildir"
)

// put makes a file as another program does.
func put(t *testing.T, m *Mailbox, sub, name, content string) {
	t.Helper()
	if err := os.WriteFile(m.path(sub, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func told(t *testing.T, v *View) string {
	t.Helper()
	var b strings.Builder
	for _, uid := range v.UIDs() {
		text, err := readMessage(t.Context(), v, uid)
		if err != nil {
			text = err.Error()
		}
		in, _ := v.Info(v.Seq(uid))
		fmt.Fprintf(&b, "%d%s%s ", uid, strings.TrimSpace(text), maildir.Flags(in.Flags).Letters())
	}
	return strings.TrimSpace(b.String())
}

// New messages get UIDs in the order of their names as numbers, whatever folder they lie in.
func TestAdoptionInOrder(t *testing.T) {
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	for i, n := range []string{"new/1000.2.h", "cur/999.M5P1Q1.h:2,S", "new/1000.M7P9Q12.h", "new/1000.M7P9Q2.h", "new/odd", "cur/1000.10.h:2,FX"} {
		sub, name, _ := strings.Cut(n, "/")
		put(t, m, sub, name, fmt.Sprintf("-%d\n", i))
	}
	put(t, m, "new", ".hidden", "x")
	put(t, m, "cur", "x.kurir-tmp", "x")
	if got := told(t, testView(t, m)); got != "1-1S 2-0 3-5F 4-3 5-2 6-4" {
		t.Error(got)
	}
	if names, _ := m.s.fs.ReadNames(m.path("new")); len(names) != 1 {
		t.Error(names)
	}
}

// A file whose size is not yet what its name says is left alone for a minute.
func TestYoungFiles(t *testing.T) {
	for _, sub := range []string{"new", "cur"} {
		now := time.Now()
		_, a := testAccount(t, func(o *Options) { o.Now = func() time.Time { return now } })
		m := testBox(t, a, "INBOX")
		put(t, m, sub, "1.2.h,S=100:2,", "half\n")
		old := now.Add(-time.Hour)
		if err := os.Chtimes(m.path(sub), old, old); err != nil { // nothing else tells of it later
			t.Fatal(err)
		}
		v := testView(t, m)
		if v.Count() != 0 {
			t.Errorf("%s: a message that is being written is shown", sub)
		}
		now = now.Add(youngForeign + time.Second)
		if d, err := v.Refresh(t.Context(), true); err != nil || d.Exists != 1 {
			t.Errorf("%s: %+v %v", sub, d, err)
		}
	}
}

// Names that another program gave count for nothing but their base and flags.
func TestForeignNames(t *testing.T) {
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	testAppend(t, m, "A\r\n", "B\r\n", "C\r\n")
	v := testView(t, m)
	long := strings.Repeat("l", 200)
	for i, n := range []string{"1.1.h,U=2:2,S", "2.1.h,U=2,V=other:2,", "3.1.h,S=2,W=3,U=900,V=" + m.tag + ":2,", long, "4.1.h,S=2,S=1,W=77,X=y,U=0:1,old"} {
		put(t, m, "cur", n, string(rune('p'+i))+"\n")
	}
	if _, err := v.Refresh(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if got := told(t, v); got != "1A 2B 3C 4pS 5q 6r 7t 8s" {
		t.Error(got)
	}
	for _, uid := range v.UIDs() {
		n := maildir.ParseName(fileOf(t, m, uid)[len(m.path("cur"))+1:])
		if UID(n.UID) != uid || n.Tag != m.tag || len(n.Base) > maildir.MaxForeignBase || len(n.Extra) > 0 || n.Wire != n.Size+1 {
			t.Errorf("%d: %+v", uid, n)
		}
	}
}

// Rule by rule: what a scan finds of files with our UIDs.
func TestScan(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, m *Mailbox, f []string)
		want string
	}{
		{"flags", func(t *testing.T, m *Mailbox, f []string) { move(t, f[0], f[0]+"FT") }, "1AFT 2B 3C"},
		{"letters in no order", func(t *testing.T, m *Mailbox, f []string) { move(t, f[0], f[0]+"TXF") }, "1AFT 2B 3C"},
		{"gone", func(t *testing.T, m *Mailbox, f []string) { os.Remove(f[1]) }, "1A 3C"},
		{"another base", func(t *testing.T, m *Mailbox, f []string) { move(t, f[1], strings.Replace(f[1], ".M", ".M9", 1)) }, "1A 3C 4B"},
		{"another's UID", func(t *testing.T, m *Mailbox, f []string) { move(t, f[1], strings.Replace(f[1], ",U=2,", ",U=3,", 1)) }, "1A 3C 4B"},
		{"a twin", func(t *testing.T, m *Mailbox, f []string) { os.Link(f[0], f[0]+"S") }, "1A 2B 3C"},
		{"a twin that sorts first", func(t *testing.T, m *Mailbox, f []string) {
			move(t, f[0], f[0]+"S")
			if st, err := m.Status(t.Context()); err != nil || st.Unseen != 2 {
				t.Error(st, err)
			}
			os.Link(f[0]+"S", f[0])
		}, "1AS 2B 3C"},
		{"a twin with other bytes", func(t *testing.T, m *Mailbox, f []string) { os.WriteFile(f[0]+"S", []byte("Z\n"), 0o600) }, "1A 2B 3C 4ZS"},
		{"a twin where its name is wanted", func(t *testing.T, m *Mailbox, f []string) {
			move(t, f[0], f[0]+"FFS")
			os.WriteFile(f[0]+"FS", []byte("Z\n"), 0o600)
		}, "?"},
		{"a copy in new/", func(t *testing.T, m *Mailbox, f []string) {
			os.Link(f[0], strings.Replace(f[0], "/cur/", "/new/", 1))
		}, "1A 2B 3C"},
		{"another in new/ with its base", func(t *testing.T, m *Mailbox, f []string) {
			os.WriteFile(strings.Replace(f[0], "/cur/", "/new/", 1), []byte("Y\n"), 0o600)
		}, "1A 2B 3C 4Y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, a := testAccount(t, nil)
			m := testBox(t, a, "INBOX")
			var f []string
			for _, uid := range testAppend(t, m, "A\r\n", "B\r\n", "C\r\n") {
				f = append(f, fileOf(t, m, uid))
			}
			v := testView(t, m)
			c.do(t, m, f)
			for range 3 {
				m.curDirty.Store(true)
				if _, err := v.Refresh(t.Context(), true); err != nil {
					t.Fatal(err)
				}
			}
			got := told(t, v)
			if c.want == "?" { // either may have the UID, but nothing is lost
				if v.Count() != 4 || !strings.Contains(got, "A") || !strings.Contains(got, "Z") {
					t.Error(got)
				}
			} else if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if names, _ := m.s.fs.ReadNames(m.path("cur")); len(names) != v.Count() {
				t.Error(names)
			}
		})
	}
}

// Where nothing tells of changes, one of our own does not hide another program's.
func TestOwnChangeHidesNothing(t *testing.T) {
	now := time.Now()
	_, a := testAccount(t, func(o *Options) { o.Now = func() time.Time { return now } })
	ctx := t.Context()
	m := testBox(t, a, "INBOX")
	testAppend(t, m, "A\r\n", "B\r\n", "C\r\n")
	age := func() {
		t.Helper()
		old := now.Add(-time.Hour)
		if err := os.Chtimes(m.path("cur"), old, old); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Status(ctx); err != nil || m.curTime == 0 {
			t.Fatal(err, m.curTime)
		}
	}
	age()
	v := testView(t, m)
	store := func(f Flags) {
		t.Helper()
		if _, _, err := m.Store(ctx, []UID{1}, AddFlags, FlagSet{Flags: f}, NoModSeq); err != nil {
			t.Fatal(err)
		}
	}
	f := fileOf(t, m, 2)
	move(t, f, f+"S")
	store(Flagged)
	if d, err := v.Refresh(ctx, true); err != nil || len(d.Changed) != 2 {
		t.Errorf("before ours: %+v %v", d, err)
	}
	age()
	store(Seen)
	st, err := os.Stat(m.path("cur"))
	if err != nil {
		t.Fatal(err)
	}
	f = fileOf(t, m, 3)
	move(t, f, f+"S")
	if err := os.Chtimes(m.path("cur"), st.ModTime(), st.ModTime()); err != nil { // in the same tick of the clock
		t.Fatal(err)
	}
	if d, err := v.Refresh(ctx, true); err != nil || len(d.Changed) != 1 {
		t.Errorf("at once: %+v %v", d, err)
	}
	now = now.Add(3 * time.Second)
	if d, err := v.Refresh(ctx, true); err != nil || len(d.Changed) != 1 || d.Changed[0].UID != 3 {
		t.Errorf("when the time has settled: %+v %v", d, err)
	}
}

// A session that waits where the disk refuses neither spins nor gives up.
func TestWaitWhereTheDiskRefuses(t *testing.T) {
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	v := testView(t, m)
	move(t, m.path("cur"), m.path("away"))
	m.curDirty.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got := make(chan error, 1)
	go func() {
		_, err := m.Wait(ctx, v.ModSeq())
		got <- err
	}()
	for !m.stuck.Load() {
		time.Sleep(time.Millisecond)
	}
	move(t, m.path("away"), m.path("cur"))
	put(t, m, "new", "1.2.h", "A\n")
	if err := <-got; err != nil {
		t.Error(err)
	}
}
