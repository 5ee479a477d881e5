package certs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/fsx/fsxtest"
)

func newTestStorage(t *testing.T) *storage {
	t.Helper()
	s, err := newStorage(fsx.OS{}, filepath.Join(t.TempDir(), "acme"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStorage(t *testing.T) {
	s, ctx := newTestStorage(t), t.Context()
	for key, value := range map[string]string{"a/b/one": "1", "a/b/two": "22", "a/three": "3"} {
		if err := s.Store(ctx, key, []byte(value)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(ctx, key); string(got) != value || err != nil {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	if err := s.Store(ctx, "a/b/one", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Load(ctx, "a/b/one"); string(got) != "new" {
		t.Errorf("%q", got)
	}
	for _, c := range []struct {
		prefix    string
		recursive bool
		want      string
	}{
		{"", false, "a"}, {"a", false, "a/b a/three"}, {"a", true, "a/b a/b/one a/b/two a/three"}, {"a/b", false, "a/b/one a/b/two"},
	} {
		got, err := s.List(ctx, c.prefix, c.recursive)
		slices.Sort(got)
		if strings.Join(got, " ") != c.want || err != nil {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	if info, err := s.Stat(ctx, "a/b/two"); err != nil || info.Size != 2 || !info.IsTerminal || info.Modified.IsZero() {
		t.Errorf("%+v, %v", info, err)
	}
	if info, err := s.Stat(ctx, "a/b"); err != nil || info.IsTerminal {
		t.Errorf("%+v, %v", info, err)
	}
	if !s.Exists(ctx, "a/b") || s.Exists(ctx, "b") {
		t.Error("Exists")
	}
	for range 2 { // the second time there is nothing any more
		if err := s.Delete(ctx, "a/b"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(ctx, "x/y/z"); err != nil {
		t.Error(err)
	}
	if _, err := s.Load(ctx, "a/b/one"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := s.List(ctx, "a/b", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// No key leads out of the directory, and keys of others' eyes alone are kept.
func TestStorageBounds(t *testing.T) {
	s, ctx := newTestStorage(t), t.Context()
	for _, key := range []string{"", "..", "../x", "a/../../x", "/etc/passwd", "a//b", "a\x00b", `a\b`, "a.kurir-tmp"} {
		if err := s.Store(ctx, key, nil); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", key, err)
		}
		if _, err := s.Load(ctx, key); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", key, err)
		}
		if err := s.Delete(ctx, key); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", key, err)
		}
		if _, err := s.Stat(ctx, key); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if _, err := s.List(ctx, "../x", false); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if err := s.Store(ctx, "large", make([]byte, maxValue+1)); err == nil {
		t.Error("a value without a bound")
	}
	if err := s.Store(ctx, "d/key", []byte("k")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"d": 0o700, "d/key": 0o600} {
		if info, err := os.Stat(filepath.Join(s.dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// What a killed process left half written is cleared away, but not what is being written.
func TestStorageLeftovers(t *testing.T) {
	s := newTestStorage(t)
	if err := s.Store(t.Context(), "a/b", []byte("x")); err != nil {
		t.Fatal(err)
	}
	old, fresh := filepath.Join(s.dir, "a", "b.1-0.kurir-tmp"), filepath.Join(s.dir, "a", "b.2-0.kurir-tmp")
	for _, name := range []string{old, fresh} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * leftover)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	if _, err := newStorage(fsx.OS{}, s.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error(err)
	}
	if all, err := s.List(t.Context(), "a", true); err != nil || len(all) != 1 {
		t.Errorf("%q, %v", all, err)
	}
}

// Whatever call of the system fails, a value is the old one or the new one, and what was
// acknowledged is there.
func TestStorageFaults(t *testing.T) {
	for n := 1; ; n++ {
		dir := t.TempDir()
		faulty := fsxtest.NewFaulty(fsx.OS{})
		s, err := newStorage(faulty, filepath.Join(dir, "acme"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Store(t.Context(), "a/key", []byte("old")); err != nil {
			t.Fatal(err)
		}
		faulty.Fail(n, fsxtest.Changes, fsxtest.Fault{Err: syscall.ENOSPC})
		stored := s.Store(t.Context(), "a/key", []byte("new"))
		failed := faulty.Fired() > 0
		again, err := newStorage(fsx.OS{}, filepath.Join(dir, "acme"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Load(t.Context(), "a/key")
		if err != nil || string(got) != "old" && string(got) != "new" || stored == nil && string(got) != "new" {
			t.Errorf("call %d: %q, %v, after Store said %v", n, got, err, stored)
		}
		if !failed {
			if n < 5 {
				t.Errorf("only %d calls of the system", n)
			}
			return
		}
		if stored == nil {
			t.Errorf("call %d failed, and Store did not", n)
		}
	}
}

func TestStorageLocks(t *testing.T) {
	s, ctx := newTestStorage(t), t.Context()
	var wg sync.WaitGroup
	inside := 0
	for range 20 {
		wg.Go(func() {
			if err := s.Lock(ctx, "x"); err != nil {
				t.Error(err)
				return
			}
			inside++ // the race detector sees two at once
			if err := s.Unlock(ctx, "x"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if inside != 20 || len(s.locks) != 0 {
		t.Errorf("%d, %d left", inside, len(s.locks))
	}
	if err := s.Unlock(ctx, "x"); err == nil {
		t.Error("a lock that nobody holds was given back")
	}
	if err := s.Lock(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	short, done := context.WithTimeout(ctx, 10*time.Millisecond)
	defer done()
	if err := s.Lock(short, "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if err := s.Lock(ctx, "y"); err != nil {
		t.Errorf("another name: %v", err)
	}
}
