//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// As root, setup opens its configuration to the server's user, and nothing that a link
// in its place leads to.
func TestReadableBy(t *testing.T) {
	if !isRoot() {
		t.Skip("needs to be root")
	}
	dir := t.TempDir()
	file, secret, link := filepath.Join(dir, "kurir.toml"), filepath.Join(dir, "secret"), filepath.Join(dir, "link.toml")
	for _, path := range []string{file, secret} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if err := readableBy(path, "nobody"); err != nil {
			t.Error(err)
		}
	}
	for path, want := range map[string]os.FileMode{file: 0o640, secret: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, want)
		}
	}
	if err := readableBy(filepath.Join(dir, "nothing"), "nobody"); err == nil {
		t.Error("no error for nothing")
	}
}
