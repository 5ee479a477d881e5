package fsxtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"kurir/internal/fsx"
)

// use makes each call of FS and File once and returns their errors by kind.
func use(fsys fsx.FS, dir string) map[Kind]error {
	at := func(name string) string { return filepath.Join(dir, name) }
	errs := map[Kind]error{}
	file := func(k Kind, f fsx.File, err error) fsx.File {
		errs[k] = err
		if err != nil { // go on with one that does not fail
			f, _ = fsx.OS{}.OpenAppend(at("spare"), 0o600)
		}
		return f
	}
	f, err := fsys.Create(at("f"), 0o600)
	f = file(Create, f, err)
	_, errs[Write] = f.Write([]byte("1234"))
	_, errs[FileStat] = f.Stat()
	errs[SetModTime] = f.SetModTime(time.Unix(1, 0))
	errs[Sync] = f.Sync()
	_, errs[Read] = f.ReadAt(nil, 0)
	errs[Close] = f.Close()
	g, err := fsys.OpenAppend(at("g"), 0o600)
	defer file(OpenAppend, g, err).Close()
	h, err := fsys.Open(at("seed"))
	defer file(Open, h, err).Close()
	errs[Link] = fsys.Link(at("seed"), at("l"))
	errs[Rename] = fsys.Rename(at("r1"), at("r2"))
	errs[RenameNoReplace] = fsys.RenameNoReplace(at("n1"), at("n2"))
	errs[Mkdir] = fsys.Mkdir(at("d"), 0o700)
	errs[Remove] = fsys.Remove(at("gone"))
	errs[SyncDir] = fsys.SyncDir(dir)
	errs[SyncFS] = fsys.SyncFS(dir)
	_, errs[Stat] = fsys.Stat(dir)
	_, errs[ReadNames] = fsys.ReadNames(dir)
	return errs
}

// seeded is a directory in which use succeeds.
func seeded(t *testing.T) string {
	dir := t.TempDir()
	for _, name := range []string{"seed", "r1", "n1", "gone"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("seed"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEachKindFails(t *testing.T) {
	faulty := NewFaulty(fsx.OS{})
	for k, err := range use(faulty, seeded(t)) {
		if err != nil || faulty.Count(k) != 1 && k != Close {
			t.Errorf("%s without a fault: %v, counted %d", k, err, faulty.Count(k))
		}
	}
	kinds := map[Kind]bool{}
	for _, c := range faulty.Calls() {
		kinds[c.Kind] = true
	}
	if len(kinds) != 18 {
		t.Errorf("%d kinds", len(kinds))
	}
	for kind := range kinds {
		faulty := NewFaulty(fsx.OS{})
		faulty.Fail(1, Kinds(kind), Fault{Err: syscall.EIO})
		for k, err := range use(faulty, seeded(t)) {
			if k == kind && !errors.Is(err, syscall.EIO) || k != kind && err != nil {
				t.Errorf("%s fails: %s gives %v", kind, k, err)
			}
			var path *fs.PathError
			var link *os.LinkError
			if k == kind && !errors.As(err, &path) && !errors.As(err, &link) {
				t.Errorf("%s: %T", k, err)
			}
		}
		if faulty.Fired() != 1 {
			t.Errorf("%s: fired %d times", kind, faulty.Fired())
		}
	}
}

func TestEachCallInTurn(t *testing.T) {
	n := 1
	for ; ; n++ {
		faulty := NewFaulty(fsx.OS{})
		faulty.Fail(n, Changes, Fault{Err: syscall.ENOSPC})
		failed := 0
		for _, err := range use(faulty, seeded(t)) {
			if errors.Is(err, syscall.ENOSPC) {
				failed++
			}
		}
		if failed != faulty.Fired() {
			t.Errorf("%d: %d failed, %d fired", n, failed, faulty.Fired())
		}
		if faulty.Fired() == 0 {
			break
		}
	}
	if n != 12+1 {
		t.Errorf("%d calls change something, want 12", n-1)
	}
}

func TestForever(t *testing.T) {
	faulty := NewFaulty(fsx.OS{})
	dir := t.TempDir()
	faulty.Fail(2, Kinds(Mkdir), Fault{Err: syscall.ENOSPC, Forever: true})
	for i, want := range []error{nil, syscall.ENOSPC, syscall.ENOSPC, syscall.ENOSPC} {
		if err := faulty.Mkdir(filepath.Join(dir, string(rune('a'+i))), 0o700); !errors.Is(err, want) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if faulty.Fired() != 3 {
		t.Error(faulty.Fired())
	}
	faulty.Reset()
	if err := faulty.Mkdir(filepath.Join(dir, "x"), 0o700); err != nil || len(faulty.Calls()) != 1 {
		t.Errorf("after Reset: %v, %v", err, faulty.Calls())
	}
}

func TestDoneAndPartial(t *testing.T) {
	faulty := NewFaulty(fsx.OS{})
	dir := t.TempDir()
	faulty.Fail(1, Kinds(Mkdir), Fault{Err: syscall.EIO, Done: true})
	if err := faulty.Mkdir(filepath.Join(dir, "d"), 0o700); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "d")); err != nil {
		t.Error("the call was not made")
	}
	for _, c := range []struct {
		fault Fault
		want  string
	}{
		{Fault{Err: syscall.ENOSPC}, ""},
		{Fault{Err: syscall.ENOSPC, Partial: true}, "ab"},
		{Fault{Err: syscall.EIO, Done: true}, "abcd"},
	} {
		name := filepath.Join(dir, "f"+c.want)
		f, err := faulty.Create(name, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		faulty.Fail(1, Kinds(Write), c.fault)
		if n, err := f.Write([]byte("abcd")); n != len(c.want) || !errors.Is(err, c.fault.Err) {
			t.Errorf("%d, %v", n, err)
		}
		f.Close()
		if b, _ := os.ReadFile(name); string(b) != c.want {
			t.Errorf("holds %q, want %q", b, c.want)
		}
	}
	faulty.Fail(1, Kinds(Open), Fault{Err: syscall.EMFILE, Done: true})
	if f, err := faulty.Open(dir); f != nil || !errors.Is(err, syscall.EMFILE) {
		t.Error(f, err)
	}
}

func TestResyncIsCaught(t *testing.T) {
	faulty := NewFaulty(fsx.OS{})
	name := filepath.Join(t.TempDir(), "f")
	f, err := faulty.Create(name, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	faulty.Fail(1, Kinds(Sync), Fault{Err: syscall.EIO})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) || len(faulty.Resynced()) != 0 {
		t.Error(err)
	}
	if err := f.Sync(); err != nil { // as the kernel does
		t.Error(err)
	}
	if got := faulty.Resynced(); len(got) != 1 || got[0] != name {
		t.Errorf("resynced %q", got)
	}
}

// A sync that Faulty fails never reaches a Recorder below it: its bytes are lost.
func TestFailedSyncIsNoSync(t *testing.T) {
	d := newDisk(t)
	faulty := NewFaulty(d.Recorder)
	f, err := faulty.Create(d.at("a/f"), 0o600)
	d.ok(err)
	_, err = f.Write([]byte("x"))
	d.ok(err)
	faulty.Fail(1, Kinds(Sync), Fault{Err: syscall.EIO})
	if err := f.Sync(); err == nil {
		t.Error("no error")
	}
	d.ok(f.Close())
	d.sync("a")
	d.want("a/f", "")
}
