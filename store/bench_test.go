package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// openBench opens a store with one account whose INBOX holds n messages.
func openBench(b *testing.B, n int) (*Store, *Account, *Mailbox) {
	b.Helper()
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: b.TempDir(), Hostname: "host.test", NoWatch: os.Getenv("NOWATCH") != ""})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if err := s.CreateAccount(ctx, "a@bench.test"); err != nil {
		b.Fatal(err)
	}
	a, err := s.Account(ctx, "a@bench.test")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(a.Close)
	dir := filepath.Join(a.dir, "cur")
	text := []byte("Subject: x\n\n" + strings.Repeat("a line of text\n", 20))
	for i := range n {
		name := fmt.Sprintf("%d.M%dP1Q%d.bench,S=%d:2,", 1700000000+i, i, i, len(text))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	t := time.Now()
	m, err := a.Mailbox(ctx, "INBOX")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(m.Close)
	if st, err := m.Status(ctx); err != nil || int(st.Messages) != n {
		b.Fatal(st, err)
	}
	if n > 1000 {
		b.Logf("adopting %d messages took %v", n, time.Since(t))
	}
	return s, a, m
}

func BenchmarkDeliver(b *testing.B) {
	msg := []byte("Subject: x\r\n\r\n" + strings.Repeat("a line of text that is about as long as most are, seventy bytes.\r\n", 120))
	for _, c := range []int{1, 10, 50} {
		b.Run(fmt.Sprint(c), func(b *testing.B) {
			s, _, _ := openBench(b, 0)
			ctx := context.Background()
			b.SetParallelism((c + 1) / 2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m, err := s.Stage()
					if err == nil {
						_, err = m.Write(msg)
					}
					if err == nil {
						_, err = s.Deliver(ctx, m, []Target{{Address: "a@bench.test"}})
					}
					if err != nil {
						b.Error(err)
					}
					m.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

func BenchmarkStoreOne(b *testing.B) {
	for _, n := range []int{10, 1000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, _, m := openBench(b, n)
			ctx := context.Background()
			v, err := m.View(ctx)
			if err != nil {
				b.Fatal(err)
			}
			uids := v.UIDs()
			b.ResetTimer()
			for i := range b.N {
				op := AddFlags
				if i/len(uids)%2 == 1 {
					op = RemoveFlags
				}
				if _, _, err := m.Store(ctx, uids[i%len(uids):][:1], op, FlagSet{Flags: Seen}, NoModSeq); err != nil {
					b.Fatal(err)
				}
				if _, err := v.Refresh(ctx, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStoreAll(b *testing.B) {
	const n = 20000
	_, _, m := openBench(b, n)
	ctx := context.Background()
	v, err := m.View(ctx)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for i := range b.N {
		op := AddFlags
		if i%2 == 1 {
			op = RemoveFlags
		}
		if _, _, err := m.Store(ctx, v.UIDs(), op, FlagSet{Flags: Seen}, NoModSeq); err != nil {
			b.Fatal(err)
		}
		if _, err := v.Refresh(ctx, true); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkRename is the bare loop beside BenchmarkStoreAll.
func BenchmarkRename(b *testing.B) {
	const n = 20000
	dir := b.TempDir()
	name := func(i, k int) string {
		return filepath.Join(dir, fmt.Sprintf("%d.M%dP1Q%d.bench,S=312,W=333,U=%d,V=01234567:2,%s", 1700000000+i, i, i, i+1, strings.Repeat("S", k)))
	}
	for i := range n {
		if err := os.WriteFile(name(i, 0), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for k := range b.N {
		for i := range n {
			if err := os.Rename(name(i, k%2), name(i, 1-k%2)); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkCopyMove(b *testing.B) {
	const n = 10000
	_, a, m := openBench(b, n)
	ctx := context.Background()
	to, err := a.Mailbox(ctx, "Archive")
	if err != nil {
		b.Fatal(err)
	}
	defer to.Close()
	var copied, moved, expunged time.Duration
	b.ResetTimer()
	for range b.N {
		v, err := m.View(ctx)
		if err != nil {
			b.Fatal(err)
		}
		t := time.Now()
		r, err := m.Copy(ctx, v.UIDs(), to)
		if err != nil {
			b.Fatal(err)
		}
		copied += time.Since(t)
		t = time.Now()
		r2, err := to.Move(ctx, r.Dest, m)
		if err != nil {
			b.Fatal(err)
		}
		moved += time.Since(t)
		t = time.Now()
		if _, err := m.Remove(ctx, r2.Dest); err != nil {
			b.Fatal(err)
		}
		expunged += time.Since(t)
		v.Close()
	}
	all := float64(b.N) * n
	b.ReportMetric(all/copied.Seconds(), "copies/s")
	b.ReportMetric(all/moved.Seconds(), "moves/s")
	b.ReportMetric(all/expunged.Seconds(), "expunges/s")
}
