package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/fsx"
)

// drop puts n files of another program into cur/ of a mailbox, of sizes and line ends that
// differ, and returns what a message with UID i+1 should be served as.
func drop(t testing.TB, dir string, n int) []string {
	t.Helper()
	served := make([]string, n)
	for i := range n {
		text := fmt.Sprintf("Subject: %d\n\n%s\n", i, strings.Repeat("line\n", i%50))
		served[i] = strings.ReplaceAll(text, "\n", "\r\n")
		if i%3 == 0 {
			text = served[i]
		}
		if err := os.WriteFile(filepath.Join(dir, "cur", fmt.Sprintf("%d.M%dP1.other:2,S", 1_600_000_000+i, i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return served
}

// Many unknown files, more than one batch, get their UIDs in the order of their names and
// are served byte for byte, watched and not, and also where the file system offers nothing
// but the least.
func TestAdoptMany(t *testing.T) {
	const n = syncBatch + 300
	for _, c := range []struct {
		name  string
		watch bool
		fs    fsx.FS
	}{{"watched", true, fsx.OS{}}, {"not watched", false, fsx.OS{}}, {"plain", false, struct{ fsx.FS }{fsx.OS{}}}} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			_, a := testAccount(t, func(o *Options) {
				o.NoWatch, o.FS, o.Log = !c.watch, c.fs, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
			})
			m := adoptBox(t, a)
			want := drop(t, m.dir, n)
			for i, name := range []string{"1.pipe", "2.link", "3.dir"} { // no messages
				path := filepath.Join(m.dir, "cur", name)
				if err := []func() error{
					func() error { return os.WriteFile(path, nil, 0o600) }, // it is one: empty
					func() error { return os.Symlink("/etc/passwd", path) },
					func() error { return os.Mkdir(path, 0o700) },
				}[i](); err != nil {
					t.Fatal(err)
				}
			}
			want = append([]string{""}, want...)
			m.curDirty.Store(true)
			v, err := m.View(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if v.Count() != len(want) {
				t.Fatalf("%d messages, want %d", v.Count(), len(want))
			}
			for i, uid := range v.UIDs() {
				b, err := v.Open(t.Context(), uid)
				if err != nil {
					t.Fatal(err)
				}
				var got bytes.Buffer
				if _, err := b.Whole().WriteTo(&got); err != nil || got.String() != want[i] {
					t.Fatalf("UID %d: %v, %.60q, want %.60q", uid, err, got.String(), want[i])
				}
				b.Close()
			}
			if log.Len() > 0 {
				t.Error(log.String())
			}
		})
	}
}

// A client that leaves in the middle leaves what has been taken in, and no goroutine.
func TestAdoptCancelled(t *testing.T) {
	_, a := testAccount(t, func(o *Options) { o.NoWatch = true })
	m := adoptBox(t, a)
	drop(t, m.dir, 3*syncBatch/2)
	m.curDirty.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v, err := m.View(ctx)
	if err == nil {
		if v.Count() != 0 {
			t.Errorf("%d messages", v.Count())
		}
		v.Close()
	}
	v, err = m.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.Count() != 3*syncBatch/2 {
		t.Errorf("%d messages", v.Count())
	}
}

func adoptBox(t *testing.T, a *Account) *Mailbox {
	t.Helper()
	m, err := a.Mailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}
