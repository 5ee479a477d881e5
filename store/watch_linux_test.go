package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/internal/fsx"
)

// What another program does shows in a session that waits, within a second.
func TestWatchTells(t *testing.T) {
	s, a := testAccount(t, func(o *Options) { o.NoWatch = false })
	m := testBox(t, a, "INBOX")
	if !m.watched.Load() {
		t.Skip("inotify does not work here")
	}
	v := testView(t, m)
	limit := time.Second
	see := func(what string, do func()) Delta {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		told := make(chan error, 1)
		go func() {
			_, err := m.Wait(ctx, v.ModSeq())
			told <- err
		}()
		time.Sleep(2 * time.Millisecond)
		do()
		if err := <-told; err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		d, err := v.Refresh(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	write := func(sub, name string) {
		tmp := m.path("tmp", name)
		if err := os.WriteFile(tmp, []byte("A: b\n\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		move(t, tmp, m.path(sub, name))
	}
	for i, sub := range []string{"new", "cur", "new"} {
		if d := see("a message in "+sub, func() { write(sub, string(rune('a'+i))) }); d.Exists != i+1 {
			t.Errorf("%+v", d)
		}
	}
	if d := see("a flag", func() { f := fileOf(t, m, 2); move(t, f, f+"F") }); len(d.Changed) != 1 || d.Changed[0].Flags != Flagged {
		t.Errorf("%+v", d)
	}
	if d := see("a removal", func() { os.Remove(fileOf(t, m, 1)) }); len(d.Expunged) != 1 {
		t.Errorf("%+v", d)
	}
	if d := see("a delivery", func() {
		if _, err := s.Deliver(t.Context(), stage(t, s, "A: b\r\n\r\n"), []Target{{Address: testAddress}}); err != nil {
			t.Error(err)
		}
	}); d.Exists != 3 {
		t.Errorf("%+v", d)
	}
	// RENAME takes the watch along.
	if err := a.Create(t.Context(), "X", ""); err != nil {
		t.Fatal(err)
	}
	m = testBox(t, a, "X")
	v = testView(t, m)
	if err := a.Rename(t.Context(), "X", "Y"); err != nil {
		t.Fatal(err)
	}
	if d := see("a message after RENAME", func() { write("new", "z") }); d.Exists != 1 {
		t.Errorf("%+v", d)
	}
	// A folder that is removed and made again is looked at by times.
	limit = 5 * time.Second
	if d := see("a folder made anew", func() {
		os.RemoveAll(m.path("cur"))
		os.Mkdir(m.path("cur"), 0o700)
	}); len(d.Expunged) != 1 {
		t.Errorf("%+v", d)
	}
	for end := time.Now().Add(limit); m.watched.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the folder is gone and still counts as watched")
		}
	}
	if d := see("a message there", func() { write("cur", "y") }); d.Exists != 1 {
		t.Errorf("%+v", d)
	}
}

// Our own changes are no news: they cause no scan.
func TestWatchKnowsOwnChanges(t *testing.T) {
	_, a := testAccount(t, func(o *Options) { o.NoWatch = false })
	m, junk := testBox(t, a, "INBOX"), testBox(t, a, "Junk")
	testView(t, junk)
	uids := testAppend(t, m, "1", "2", "3")
	v := testView(t, m)
	ctx := t.Context()
	if _, _, err := m.Store(ctx, uids, AddFlags, FlagSet{Flags: Deleted}, NoModSeq); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Copy(ctx, uids, junk); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Move(ctx, uids[:1], junk); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Expunge(ctx, nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(30 * time.Millisecond)
	if m.curDirty.Load() || junk.curDirty.Load() {
		t.Error("own changes are taken for another program's")
	}
	if d, err := v.Refresh(ctx, true); err != nil || len(d.Expunged) != 3 {
		t.Errorf("%+v %v", d, err)
	}
}

func TestWatchOverflow(t *testing.T) {
	s, a := testAccount(t, func(o *Options) { o.NoWatch = false })
	m := testBox(t, a, "INBOX")
	if s.watch == nil || !m.watched.Load() {
		t.Skip("inotify does not work here")
	}
	m.curDirty.Store(false)
	news := map[*Mailbox]struct{}{}
	event := make([]byte, 16)
	copy(event[:4], "\xff\xff\xff\xff")
	event[5] = 0x40 // IN_Q_OVERFLOW
	s.watch.take(event, news)
	if _, ok := news[m]; !ok || !m.curDirty.Load() || !m.newDirty.Load() {
		t.Error("events were lost, and nobody looks")
	}
	s.watch.take(event[:7], news) // cut off: nothing to do
	if _, err := os.Stat(filepath.Join(m.dir, "cur")); err != nil {
		t.Error(err)
	}
}

// droppingFS has another program put a file into the directory in the middle of many
// renames.
type droppingFS struct {
	fsx.OS
	at   int
	text string
}

func (f *droppingFS) OpenDir(dir string) (fsx.Dir, error) {
	d, err := f.OS.OpenDir(dir)
	return &droppingDir{d, f, dir}, err
}

type droppingDir struct {
	fsx.Dir
	fs  *droppingFS
	dir string
}

func (d *droppingDir) Rename(oldname, newname string) error {
	if d.fs.at--; d.fs.at == 0 {
		if err := os.WriteFile(filepath.Join(d.dir, "1700000000.foreign.host"), []byte(d.fs.text), 0o600); err != nil {
			return err
		}
	}
	return d.Dir.Rename(oldname, newname)
}

// A change of most of a large mailbox is made unwatched; what another program does in the
// middle of it is seen all the same.
func TestForeignDuringQuietChange(t *testing.T) {
	fsys := &droppingFS{text: "A: b\n\nfrom outside\n"}
	s, a := testAccount(t, func(o *Options) { o.NoWatch, o.FS = false, fsys })
	if s.watch == nil {
		t.Skip("inotify does not work here")
	}
	const n = quietAt + 200
	for i := range n {
		name := fmt.Sprintf("%d.M%dP1Q%d.other", 1700000000+i, i, i)
		if err := os.WriteFile(filepath.Join(a.dir, "cur", name), []byte("A: b\n\nx\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := testBox(t, a, "INBOX")
	v := testView(t, m)
	if v.Count() != n {
		t.Fatalf("%d messages", v.Count())
	}
	fsys.at = n / 2
	if _, _, err := m.Store(t.Context(), v.UIDs(), AddFlags, FlagSet{Flags: Seen}, NoModSeq); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Refresh(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if !m.watched.Load() {
		t.Error("not watched any more")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for v.Count() != n+1 {
		if _, err := m.Wait(ctx, v.ModSeq()); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Refresh(ctx, true); err != nil {
			t.Fatal(err)
		}
	}
	// The watch is back: what comes now is seen without a look.
	if err := os.WriteFile(filepath.Join(a.dir, "cur", "1700000001.later.host"), []byte("A: c\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for v.Count() != n+2 {
		if _, err := m.Wait(ctx, v.ModSeq()); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Refresh(ctx, true); err != nil {
			t.Fatal(err)
		}
	}
}

// A copy of a message whose file was renamed a moment ago is known for a copy, whether or
// not the renaming has been noticed.
func TestCopyOfRenamed(t *testing.T) {
	_, a := testAccount(t, func(o *Options) { o.NoWatch = false })
	m := testBox(t, a, "INBOX")
	testAppend(t, m, "A: b\r\n\r\nx\r\n")
	v := testView(t, m)
	rename := func() error {
		m.mu.Lock() // nobody notices
		defer m.mu.Unlock()
		f := fileOf(t, m, 1)
		renamed, seen := strings.CutSuffix(f, "S")
		if !seen {
			renamed = f + "S"
		}
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		return errors.Join(os.Rename(f, renamed), os.WriteFile(filepath.Join(m.dir, "new", filepath.Base(renamed)), text, 0o600))
	}
	for i := range 50 {
		if err := rename(); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Refresh(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if v.Count() != 1 {
			t.Fatalf("round %d: %d messages", i, v.Count())
		}
	}
}
