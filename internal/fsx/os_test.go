package fsx

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func put(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, path, data string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || string(b) != data {
		t.Errorf("%s holds %q, %v; want %q", filepath.Base(path), b, err, data)
	}
}

func TestOSFiles(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a")
	f, err := OS{}.Create(a, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	then := time.Unix(1000000000, 500)
	_, err = f.Write([]byte("hello"))
	if err := errors.Join(err, f.SetModTime(then), f.Sync()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(1, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(f); string(b) != "ello" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	f.Close()
	if fi, err := (OS{}).Stat(a); err != nil || !fi.ModTime().Equal(then) || fi.Size() != 5 {
		t.Errorf("stat: %v, %v", fi, err)
	}
	if _, err := (OS{}).Create(a, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v", err)
	}
	f, err = OS{}.OpenAppend(a, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write([]byte("!"))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	want(t, a, "hello!")
	if _, err := (OS{}).Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: %v", err)
	}
}

func TestOSNames(t *testing.T) {
	dir := t.TempDir()
	o, a, b, sub := OS{}, filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "sub")
	put(t, a, "a")
	put(t, b, "b")
	var link *os.LinkError
	if err := o.RenameNoReplace(a, b); !errors.Is(err, fs.ErrExist) || !errors.As(err, &link) {
		t.Errorf("RenameNoReplace over a file: %v", err)
	}
	if err := o.Link(a, b); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Link: %v", err)
	}
	if err := o.Rename(a, b); err != nil {
		t.Error(err)
	}
	want(t, b, "a")
	if err := o.Rename(a, b); !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &link) {
		t.Errorf("Rename of nothing: %v", err)
	}
	if err := errors.Join(o.Mkdir(sub, 0o700), o.SyncDir(sub), o.SyncDir(dir), o.RenameNoReplace(b, a)); err != nil {
		t.Error(err)
	}
	names, err := o.ReadNames(dir)
	slices.Sort(names)
	if !slices.Equal(names, []string{"a", "sub"}) || err != nil {
		t.Errorf("names %v, %v", names, err)
	}
	if err := errors.Join(o.Remove(a), o.Remove(sub)); err != nil {
		t.Error(err)
	}
	if err := o.SyncFS(dir); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if err := o.SyncDir(sub); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SyncDir of nothing: %v", err)
	}
}

func TestLinkUnlink(t *testing.T) {
	dir := t.TempDir()
	a, b, sub, sub2 := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "sub"), filepath.Join(dir, "sub2")
	put(t, a, "a")
	put(t, b, "b")
	for _, d := range []string{sub, sub2} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := linkUnlink(a, b); !errors.Is(err, fs.ErrExist) {
		t.Errorf("file over file: %v", err)
	}
	if err := linkUnlink(sub, sub2); !errors.Is(err, fs.ErrExist) {
		t.Errorf("directory over directory: %v", err)
	}
	if err := linkUnlink(a, filepath.Join(dir, "c")); err != nil {
		t.Error(err)
	}
	want(t, filepath.Join(dir, "c"), "a")
	if err := linkUnlink(sub, filepath.Join(dir, "sub3")); err != nil {
		t.Error(err)
	}
	if err := linkUnlink(a, b); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}

func TestFailedSyncIsRemembered(t *testing.T) {
	f, err := OS{}.Create(filepath.Join(t.TempDir(), "a"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.(giver).GiveUp(syscall.EIO)
	f.(giver).GiveUp(syscall.ENOSPC)
	if err := f.Sync(); err != syscall.EIO {
		t.Errorf("Sync: %v, want the first error", err)
	}
	if e, ok := f.(erring); ok {
		if err := e.WriteError(); err != syscall.EIO {
			t.Errorf("WriteError: %v, want the first error", err)
		}
	}
}

func TestWriteErrorOfAHealthyFile(t *testing.T) {
	f, err := OS{}.Create(filepath.Join(t.TempDir(), "a"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := f.(starter); ok {
		if err := s.StartSync(); err != nil {
			t.Error(err)
		}
	}
	e, ok := f.(erring)
	if !ok {
		t.Skip("not on this system")
	}
	if err := e.WriteError(); err != nil {
		t.Error(err)
	}
	f.Close()
	if err := e.WriteError(); err == nil {
		t.Error("no error for a closed file")
	}
}

func TestBootIDAndFreeBytes(t *testing.T) {
	if _, err := os.Stat("/proc/sys/kernel/random/boot_id"); err == nil {
		if first, second := BootID(), BootID(); first != second || strings.HasPrefix(first, "unknown") {
			t.Error("boot id changes: ", first, second)
		}
	}
	if BootID() == "" {
		t.Error("empty boot id")
	}
	n, err := FreeBytes(t.TempDir())
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if n == 0 || err != nil {
		t.Errorf("%d bytes free, %v", n, err)
	}
	if _, err := FreeBytes(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if os.Getenv("FSX_LOCK") != "" { // the child of the test below
		_, err := Lock(os.Getenv("FSX_LOCK"))
		if !errors.Is(err, ErrLocked) {
			t.Fatal(err)
		}
		t.Log(err)
		return
	}
	l, err := Lock(path)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), " by process ") {
		t.Errorf("second lock: %v", err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestLock$", "-test.v")
	child.Env = append(os.Environ(), "FSX_LOCK="+path)
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("another process: %v\n%s", err, out)
	}
	if err := l.Unlock(); err != nil {
		t.Error(err)
	}
	put(t, path, strings.Repeat("9", 100)) // what is no process id is not shown
	l, err = Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); !errors.Is(err, ErrLocked) || strings.Contains(err.Error(), "process") {
		t.Errorf("lock without an id: %v", err)
	}
	l.Unlock()
}
