package relay_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// benchmark sends messages of a size over connections that are kept, as a queue does that
// has many for one destination.
func benchmark(b *testing.B, size int) {
	g := newRig(b, theHost)
	g.peer(&smtptest.Peer{Discard: true, Forget: true, Batch: true}, "192.0.2.1")
	m := letter(strings.Repeat(strings.Repeat("x", 70)+"\r\n", size/72))
	to := recipients("bob@example.net")
	b.SetBytes(m.Size)
	b.ReportAllocs()
	for b.Loop() {
		if o := g.Send(b.Context(), "example.net", m, to, nil).Outcomes[0]; o.Action != relay.Sent {
			b.Fatal(o.Reply)
		}
	}
}

func BenchmarkSendSmall(b *testing.B) { benchmark(b, 2<<10) }
func BenchmarkSendLarge(b *testing.B) { benchmark(b, 1<<20) }

// BenchmarkSendAtOnce has as many senders as there are processors, and a connection each.
func BenchmarkSendAtOnce(b *testing.B) {
	g := newRig(b, theHost)
	g.peer(&smtptest.Peer{Discard: true, Forget: true, Batch: true}, "192.0.2.1")
	var failed atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		m, to := letter("hello"), recipients("bob@example.net")
		for pb.Next() {
			if g.Send(b.Context(), "example.net", m, to, nil).Outcomes[0].Action != relay.Sent {
				failed.Add(1)
			}
		}
	})
	if n := failed.Load(); n > 0 {
		b.Errorf("%d were not sent", n)
	}
}
