package fsx_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kurir/internal/fsx"
	"kurir/internal/fsx/fsxtest"
)

var everyMode = []fsxtest.Mode{fsxtest.Strict, fsxtest.Torn, fsxtest.Ordered, fsxtest.Journal, fsxtest.All}

func record(t *testing.T) (*fsxtest.Recorder, string) {
	t.Helper()
	dir := t.TempDir()
	rec, err := fsxtest.NewRecorder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return rec, dir
}

func TestWriteFileIsWholeAfterAnyCrash(t *testing.T) {
	rec, dir := record(t)
	contents := []string{"", strings.Repeat("1", 2000), strings.Repeat("2", 1000), "3"}
	for _, data := range contents[1:] {
		if err := fsx.WriteFile(rec, filepath.Join(dir, "f"), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		rec.Mark(data)
	}
	rec.Every(t, everyMode, 5, func(t testing.TB, c *fsxtest.Crash, dir string) {
		b, err := os.ReadFile(filepath.Join(dir, "f"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		n := len(c.Marks())
		if old := string(b) == contents[n]; !old && (n+1 >= len(contents) || string(b) != contents[n+1]) {
			t.Errorf("%d bytes, want the %d written last or those being written", len(b), len(contents[n]))
		}
	})
}

func TestWriteFileWhenACallFails(t *testing.T) {
	for _, errno := range []error{syscall.ENOSPC, syscall.EIO} {
		for n := 1; ; n++ {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			faulty := fsxtest.NewFaulty(fsx.OS{})
			faulty.Fail(n, nil, fsxtest.Fault{Err: errno, Partial: true})
			err := fsx.WriteFile(faulty, path, []byte("new!"), 0o600)
			if faulty.Fired() == 0 {
				if err != nil || n < 6 {
					t.Errorf("%d calls, %v", n-1, err)
				}
				break
			}
			if !errors.Is(err, errno) {
				t.Errorf("call %d: %v", n, err)
			}
			want := "old"
			if calls := faulty.Calls(); calls[len(calls)-1].Kind == fsxtest.SyncDir {
				want = "new!"
			}
			if b, err := os.ReadFile(path); string(b) != want || err != nil {
				t.Errorf("call %d: holds %q, %v", n, b, err)
			}
			if names, _ := os.ReadDir(dir); len(names) != 1 {
				t.Errorf("call %d: left %v", n, names)
			}
		}
	}
}

func TestWriteFileNames(t *testing.T) {
	dir := t.TempDir()
	faulty := fsxtest.NewFaulty(fsx.OS{})
	faulty.Fail(1, fsxtest.Kinds(fsxtest.Create), fsxtest.Fault{Err: syscall.EEXIST})
	if err := fsx.WriteFile(faulty, filepath.Join(dir, "f"), nil, 0o640); err != nil {
		t.Errorf("a name that is taken is not tried again: %v", err)
	}
	for _, c := range faulty.Calls() {
		if c.Kind == fsxtest.Create && (!fsx.IsTemp(c.Name) || filepath.Dir(c.Name) != dir) {
			t.Errorf("wrote under %s", c.Name)
		}
	}
	if fsx.IsTemp("f") {
		t.Error("f is no temporary name")
	}
	faulty.Fail(1, fsxtest.Kinds(fsxtest.Create), fsxtest.Fault{Err: syscall.EEXIST, Forever: true})
	if err := fsx.WriteFile(faulty, filepath.Join(dir, "f"), nil, 0o640); !errors.Is(err, fs.ErrExist) {
		t.Errorf("tried for ever, or %v", err)
	}
}

func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := fsx.ReadFile(fsx.OS{}, path, 5); string(b) != "12345" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := fsx.ReadFile(fsx.OS{}, path, 4); b != nil || !errors.Is(err, syscall.EFBIG) {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := fsx.ReadFile(fsx.OS{}, path+"x", 4); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// After MkdirAll a file may be made durable with no thought of the directories, and
// if the process dies midway, the next MkdirAll makes up for it.
func TestMkdirAllIsDurable(t *testing.T) {
	for n := 1; ; n++ {
		rec, dir := record(t)
		path := filepath.Join(dir, "x", "y", "z")
		faulty := fsxtest.NewFaulty(rec)
		faulty.Fail(n, nil, fsxtest.Fault{Err: syscall.EIO})
		first := fsx.MkdirAll(faulty, path, 0o700)
		if err := fsx.MkdirAll(rec, path, 0o700); err != nil {
			t.Fatal(err)
		}
		crash := rec.Crash(t, rec.Len(), fsxtest.Strict, 0)
		if fi, err := os.Stat(filepath.Join(crash, "x", "y", "z")); err != nil || !fi.IsDir() {
			t.Errorf("call %d failed: %v", n, err)
		}
		if faulty.Fired() == 0 {
			if first != nil {
				t.Error(first)
			}
			break
		}
		if !errors.Is(first, syscall.EIO) {
			t.Errorf("call %d failed: %v", n, first)
		}
	}
}

func TestMkdirAllMeets(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(at("file"), nil, 0o600), os.Mkdir(at("real"), 0o700),
		os.Symlink("real", at("link")), os.Symlink("file", at("bad"))); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"file": syscall.ENOTDIR, "file/x": syscall.ENOTDIR, "bad": syscall.ENOTDIR, "bad/x": syscall.ENOTDIR,
		"real": nil, "link": nil, "link/x/y": nil, "real//z/": nil,
	} {
		if err := fsx.MkdirAll(fsx.OS{}, at(name), 0o700); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if fi, err := os.Stat(at("real/x/y")); err != nil || !fi.IsDir() {
		t.Error(err)
	}
	faulty := fsxtest.NewFaulty(fsx.OS{})
	faulty.Fail(1, fsxtest.Kinds(fsxtest.SyncDir), fsxtest.Fault{Err: syscall.EACCES})
	if err := fsx.MkdirAll(faulty, at("real"), 0o700); err != nil {
		t.Errorf("the parent of what is there may be closed to us: %v", err)
	}
}

func TestRemoveAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	fill := func() {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Join(path, "y/z"), 0o700),
			os.WriteFile(filepath.Join(path, "f"), nil, 0o600),
			os.WriteFile(filepath.Join(path, "y/z/f"), nil, 0o600),
			os.Symlink("..", filepath.Join(path, "up"))); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	for range 2 { // the second finds nothing
		if err := fsx.RemoveAll(fsx.OS{}, path); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Error("it is still there")
		}
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error("a symbolic link was followed")
	}
	fill()
	faulty := fsxtest.NewFaulty(fsx.OS{})
	name := filepath.Join(path, "f")
	faulty.Fail(1, func(c fsxtest.Call) bool { return c.Kind == fsxtest.Remove && c.Name == name }, fsxtest.Fault{Err: syscall.EIO, Forever: true})
	if err := fsx.RemoveAll(faulty, path); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(path); len(left) != 1 {
		t.Errorf("left %v, want what cannot be removed", left)
	}
}

// What the group says is durable survives a power cut, with single fsyncs and with
// syncfs, and however the calls fall into batches.
func TestGroupSurvivesPowerCuts(t *testing.T) {
	for _, threshold := range []int{-1, 2} {
		rec, dir := record(t)
		rec.SyncTime = 100_000 // nanoseconds
		for _, sub := range []string{"tmp", "new"} {
			if err := fsx.MkdirAll(rec, filepath.Join(dir, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		group := fsx.NewGroup(rec, dir, fsx.GroupOptions{Threshold: threshold})
		errs := make(chan error)
		for _, name := range strings.Split("abcdefghijkl", "") {
			go func() {
				f, err := rec.Create(filepath.Join(dir, "tmp", name), 0o600)
				if err != nil {
					errs <- err
					return
				}
				_, err = f.Write([]byte(name))
				err = errors.Join(err, group.SyncFile(f), f.Close(),
					rec.RenameNoReplace(f.Name(), filepath.Join(dir, "new", name)),
					group.SyncDir(filepath.Join(dir, "new")))
				rec.Mark(name)
				errs <- err
			}()
		}
		for range 12 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		rec.Every(t, everyMode, 3, func(t testing.TB, c *fsxtest.Crash, dir string) {
			for _, name := range c.Marks() {
				if b, err := os.ReadFile(filepath.Join(dir, "new", name)); string(b) != name || err != nil {
					t.Errorf("%s: %q, %v", name, b, err)
				}
			}
		})
	}
}
