package queue

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/relay"
)

// BenchmarkQueue accepts messages from 20 clients at a time and hands them to hosts that
// take them at once. An operation is 10,000 messages of one recipient. The messages' files
// are links of one, without a sync: those are the store's part, and are shared there.
func BenchmarkQueue(b *testing.B) {
	const messages, clients = 10_000, 20
	for _, domains := range []int{1, 10, 500} {
		b.Run(fmt.Sprintf("%d destinations", domains), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				var taken atomic.Int64
				all := make(chan struct{})
				r := newRig(b, func(o *Options) { o.Now = time.Now })
				one := linked(filepath.Join(r.dir, "one"))
				if err := os.WriteFile(string(one), []byte(testMessage), 0o600); err != nil {
					b.Fatal(err)
				}
				r.hosts = func(c *call) *relay.Result {
					if err := c.before(c.ctx); err != nil {
						b.Error(err)
					}
					if taken.Add(1) == messages {
						close(all)
					}
					return c.all(relay.Outcome{Action: relay.Sent, Reply: relay.Reply{Code: 250, Status: "2.0.0", Text: "taken"}})
				}
				ctx, cancel := context.WithCancel(context.Background())
				ended := make(chan struct{})
				go func() { r.q.Run(ctx); close(ended) }()
				b.StartTimer()
				began := time.Now()
				var submitters sync.WaitGroup
				for client := range clients {
					submitters.Go(func() {
						for n := client; n < messages; n += clients {
							k, err := r.q.Keep(one)
							if err == nil {
								_, err = k.Commit(ctx, Envelope{Sender: "alice@local.test", Account: "alice@local.test", Size: 4000,
									Recipients: []Recipient{{Address: fmt.Sprintf("bob@d%d.test", n%domains)}}})
							}
							if err != nil {
								b.Error(err)
							}
						}
					})
				}
				submitters.Wait()
				accepted := time.Since(began)
				<-all
				b.ReportMetric(messages/time.Since(began).Seconds(), "messages/s")
				b.ReportMetric(messages/accepted.Seconds(), "accepted/s")
				b.StopTimer()
				cancel()
				<-ended
				r.db.Close()
				b.StartTimer()
			}
		})
	}
}

// linked is the path of a file.
type linked string

func (l linked) KeepAs(path string) error { return os.Link(string(l), path) }

// BenchmarkOpen reads 100,000 recipients that wait.
func BenchmarkOpen(b *testing.B) {
	r := newRig(b, func(o *Options) { o.Log = nil })
	r.fs = fsx.OS{}
	for range 100 {
		e := Envelope{Sender: "alice@local.test"}
		for n := range 1000 {
			e.Recipients = append(e.Recipients, Recipient{Address: fmt.Sprintf("u%d@d%d.test", n, n%500)})
		}
		r.mustAccept(e)
	}
	for b.Loop() {
		r.reopen()
	}
}
