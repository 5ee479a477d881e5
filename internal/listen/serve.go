package listen

import (
	"context"
	"net"
	"sync"
	"time"
)

// Serve accepts connections until ctx ends, runs session for each of them on a goroutine
// of its own, and returns nil once all have ended; after grace those that are left are cut
// off. What sessions work under outlives ctx: work ends when the last chance is over. The
// other outcome is an error of Accept, after which sessions are ended in the same way. It
// closes the listener.
func (l *Listener) Serve(ctx context.Context, grace time.Duration, session func(work context.Context, c net.Conn)) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { l.Close() })() // Accept reports the outcome
	var sessions sync.WaitGroup
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				err = nil
			}
			stop, done := context.WithTimeout(work, grace)
			defer done()
			l.Shutdown(stop) // its error is that of the clients that were too slow
			cancel()
			sessions.Wait()
			return err
		}
		sessions.Go(func() { session(work, c) })
	}
}
