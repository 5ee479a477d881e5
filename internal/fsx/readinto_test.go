package fsx_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"kurir/internal/fsx"
	"kurir/internal/fsx/fsxtest"
)

func TestReadInto(t *testing.T) {
	dir := t.TempDir()
	content := bytes.Repeat([]byte("0123456789"), 3000)
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, fsys := range map[string]fsx.FS{"OS": fsx.OS{}, "by Open": fsxtest.NewFaulty(fsx.OS{})} {
		for _, room := range []int{0, 1, 4096, len(content) - 1, len(content), len(content) + 1, 2 * len(content)} {
			buf := make([]byte, room)
			n, err := fsx.ReadInto(fsys, path, buf)
			if want := min(room, len(content)); err != nil || n != want || !bytes.Equal(buf[:n], content[:want]) {
				t.Errorf("%s: %d bytes of room: %d %v", what, room, n, err)
			}
		}
		if _, err := fsx.ReadInto(fsys, filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: no file: %v", what, err)
		}
		if _, err := fsx.ReadInto(fsys, dir, make([]byte, 10)); !errors.Is(err, syscall.EISDIR) {
			t.Errorf("%s: a directory: %v", what, err)
		}
	}
}

// A file that can't be read is an error, and no descriptor stays open.
func TestReadIntoFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	faulty := fsxtest.NewFaulty(fsx.OS{})
	faulty.Fail(1, fsxtest.Kinds(fsxtest.Read), fsxtest.Fault{Err: syscall.EIO})
	if n, err := fsx.ReadInto(faulty, path, make([]byte, 4)); n != 0 || !errors.Is(err, syscall.EIO) {
		t.Errorf("%d %v", n, err)
	}
	open := func() int {
		e, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc")
		}
		return len(e)
	}
	before := open()
	for range 50 {
		fsx.ReadInto(fsx.OS{}, path, make([]byte, 4))
		fsx.ReadInto(fsx.OS{}, filepath.Dir(path), make([]byte, 4))
	}
	if after := open(); after > before+5 {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}
