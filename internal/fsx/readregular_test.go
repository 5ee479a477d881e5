package fsx_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/fsx/fsxtest"
)

func TestReadRegular(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	content := bytes.Repeat([]byte("0123456789"), 3000)
	when := time.Unix(1_700_000_000, 123_000)
	for name, data := range map[string][]byte{"full": content, "empty": nil} {
		if err := errors.Join(os.WriteFile(at(name), data, 0o600), os.Chtimes(at(name), when, when)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("full", at("link")), os.Mkdir(at("dir"), 0o700), syscall.Mkfifo(at("pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for what, fsys := range map[string]fsx.FS{"OS": fsx.OS{}, "by Open": fsxtest.NewFaulty(fsx.OS{})} {
		for _, room := range []int{1000, 30_000, 64 << 10} {
			var got []byte
			changed, err := fsx.ReadRegular(fsys, at("full"), make([]byte, room), func(p []byte) { got = append(got, p...) })
			if err != nil || !changed.Equal(when) || !bytes.Equal(got, content) {
				t.Errorf("%s, %d: %d bytes, %v %v", what, room, len(got), changed, err)
			}
		}
		if _, err := fsx.ReadRegular(fsys, at("empty"), make([]byte, 10), func(p []byte) {
			if len(p) > 0 {
				t.Errorf("%s: %q in an empty file", what, p)
			}
		}); err != nil {
			t.Errorf("%s: an empty file: %v", what, err)
		}
		for _, name := range []string{"link", "dir", "pipe"} {
			if _, err := fsx.ReadRegular(fsys, at(name), make([]byte, 10), func([]byte) { t.Error("read") }); !errors.Is(err, fsx.ErrNotRegular) {
				t.Errorf("%s: %s: %v", what, name, err)
			}
			if _, _, err := fsx.OpenRegular(fsys, at(name)); !errors.Is(err, fsx.ErrNotRegular) {
				t.Errorf("%s: open %s: %v", what, name, err)
			}
			if n, err := fsx.ReadInto(fsys, at(name), make([]byte, 10)); n > 0 || name == "link" && !errors.Is(err, fsx.ErrNotRegular) {
				t.Errorf("%s: read %s: %d %v", what, name, n, err)
			}
		}
		if f, st, err := fsx.OpenRegular(fsys, at("full")); err != nil || st.Size() != int64(len(content)) || f.Close() != nil {
			t.Errorf("%s: open: %v", what, err)
		}
		if _, err := fsx.ReadRegular(fsys, at("none"), nil, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: no file: %v", what, err)
		}
	}
}
