package fsx

import (
	"bytes"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkPublish is what a delivery does: create in tmp/, write 8 KiB, sync, rename
// into new/, sync the directory. One operation is one file.
func BenchmarkPublish(b *testing.B) {
	for _, writers := range []int{1, 10, 50} {
		for _, dirs := range []int{1, 50} {
			b.Run(fmt.Sprintf("direct/writers=%d/dirs=%d", writers, dirs), func(b *testing.B) {
				publish(b, writers, dirs, File.Sync, OS{}.SyncDir)
			})
			for _, threshold := range []int{-1, 16} {
				b.Run(fmt.Sprintf("group/threshold=%d/writers=%d/dirs=%d", threshold, writers, dirs), func(b *testing.B) {
					g := NewGroup(OS{}, b.TempDir(), GroupOptions{Threshold: threshold})
					publish(b, writers, dirs, func(f File) error { return g.SyncFile(f) }, g.SyncDir)
				})
			}
		}
	}
}

func publish(b *testing.B, writers, dirs int, syncFile func(File) error, syncDir func(string) error) {
	root := b.TempDir()
	for i := range dirs {
		for _, sub := range []string{"tmp", "new"} {
			if err := MkdirAll(OS{}, filepath.Join(root, fmt.Sprint(i), sub), 0o700); err != nil {
				b.Fatal(err)
			}
		}
	}
	data := bytes.Repeat([]byte("0123456789abcde\n"), 512)
	one := func(n int64) error {
		dir := filepath.Join(root, fmt.Sprint(n%int64(dirs)))
		name := fmt.Sprintf("1700000000.M%06dP1Q%d.host.example", n, n)
		f, err := OS{}.Create(filepath.Join(dir, "tmp", name), 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.Write(data); err != nil {
			return err
		}
		if err := syncFile(f); err != nil {
			return err
		}
		if err := (OS{}).RenameNoReplace(f.Name(), filepath.Join(dir, "new", name)); err != nil {
			return err
		}
		return syncDir(filepath.Join(dir, "new"))
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				if err := one(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "files/s")
}
