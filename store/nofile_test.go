package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What another program put in the place of a message that is known is not read, if it is no
// file: a link may lead out of the account, and a pipe makes its reader wait for ever.
func TestOpenNoFile(t *testing.T) {
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	large := "Subject: x\r\n\r\n" + strings.Repeat("y", smallBody)
	testAppend(t, m, "a\r\n\r\n", large, "b\r\n\r\n", large, "c\r\n\r\n", large, "d\r\n\r\n")
	v := testView(t, m)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for uid, put := range map[int]func(path string) error{
		1: func(path string) error { return os.Symlink(secret, path) },
		2: func(path string) error { return os.Symlink("/dev/zero", path) },
		3: func(path string) error { return syscall.Mkfifo(path, 0o600) },
		4: func(path string) error { return syscall.Mkfifo(path, 0o600) },
		5: func(path string) error { return os.Mkdir(path, 0o700) },
		6: func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		p, ok := v.locate(UID(uid))
		if err := errors.Join(os.Remove(p.path), put(p.path)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		want := ErrExpunged
		if uid > 4 { // a directory is damage
			want = ErrUnavailable
		}
		if b, err := v.Open(t.Context(), UID(uid)); !errors.Is(err, want) {
			t.Errorf("UID %d: %v %v", uid, b, err)
		}
	}
	found, err := v.Search(t.Context(), AllOf{SeqRanges{{1, 4}}, TextHas("e")})
	if err != nil || len(found) != 0 {
		t.Error(found, err)
	}
	if b, err := v.Open(t.Context(), 7); err != nil || b.Close() != nil {
		t.Error(err)
	}
}
