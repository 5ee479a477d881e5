package directory

import (
	"fmt"
	"sync"
	"testing"
)

// A change that has returned is seen by every later question, however many ask beside it.
func TestChangesAreSeenAtOnce(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	stop := make(chan struct{})
	var askers sync.WaitGroup
	for range 2 {
		askers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					d.Login(ctx, "bob@example.com")
					d.Resolve(ctx, "sales@example.com")
				}
			}
		})
	}
	for i := range 20 {
		v := fmt.Sprint("v", i)
		if err := d.SetPassword(ctx, "bob@example.com", v); err != nil {
			t.Fatal(err)
		}
		if _, creds, err := d.Login(ctx, "bob@example.com"); err != nil || creds[0].Verifier != v {
			t.Fatalf("after SetPassword %s: %+v, %v", v, creds, err)
		}
		addAliases(t, d, aliasSpec{"sales@example.com", "bob@example.com", false})
		if got := resolved(t, d, "sales@example.com"); got != "bob@example.com" {
			t.Fatalf("after AddAlias: %s", got)
		}
		if err := d.RemoveAlias(ctx, "sales@example.com"); err != nil {
			t.Fatal(err)
		}
		if got := resolved(t, d, "sales@example.com"); got != "! no such account" {
			t.Fatalf("after RemoveAlias: %s", got)
		}
	}
	close(stop)
	askers.Wait()
}

// Guessing names fills a bounded map, and not the one with the names that are real.
func TestCacheIsBounded(t *testing.T) {
	m := map[int]int{}
	for i := range maxCached + 100 {
		put(m, i, i)
	}
	if len(m) != maxCached {
		t.Errorf("%d entries, want %d", len(m), maxCached)
	}
	d := newDirectory(t)
	for i := range 100 {
		resolved(t, d, fmt.Sprintf("guess%d@example.com", i))
	}
	c := d.cache.Load()
	if len(c.strangers) < 100 || len(c.names) > 2 {
		t.Errorf("%d strangers, %d names", len(c.strangers), len(c.names))
	}
}

func BenchmarkResolve(b *testing.B) {
	d := newDirectory(b)
	addAliases(b, d, aliasSpec{"team@example.com", "alice@example.com bob@example.com", false})
	for _, address := range []string{"alice@example.com", "Alice+tag@example.org", "team@example.com", "nobody@example.com"} {
		b.Run(address, func(b *testing.B) {
			for b.Loop() {
				d.Resolve(b.Context(), address)
			}
		})
	}
	b.Run("uncached", func(b *testing.B) {
		for b.Loop() {
			d.cache.Store(newCache())
			d.Resolve(b.Context(), "alice@example.com")
		}
	})
}
