package fsx

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// plain hides what an OS can do beyond FS.
type plain struct{ FS }

func TestOpenDir(t *testing.T) {
	for name, fsys := range map[string]FS{"open": OS{}, "by path": plain{OS{}}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := OpenDir(fsys, dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Rename("a", "b"); err != nil {
				t.Fatal(err)
			}
			if err := d.Rename("a", "b"); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("renaming what is gone: %v", err)
			}
			if err := os.WriteFile(filepath.Join(dir, "c"), []byte("y"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := d.RenameNoReplace("c", "b"); !errors.Is(err, fs.ErrExist) {
				t.Fatalf("replacing: %v", err)
			}
			if err := d.RenameNoReplace("c", "d"); err != nil {
				t.Fatal(err)
			}
			if err := d.RenameNoReplace("c", "e"); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("renaming what is gone: %v", err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "b")); err != nil || string(b) != "x" {
				t.Fatalf("%q, %v", b, err)
			}
		})
	}
	if _, err := OpenDir(OS{}, filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("no directory: %v", err)
	}
}
