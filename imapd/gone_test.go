package imapd

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// A client that leaves in the middle of an answer is nothing that the server is to blame for.
func TestClientLeavesInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		var errors atomic.Int32
		s.srv.Log = slog.New(errorCount{n: &errors})
		s.start()
		defer s.stop()
		s.deliver("alice@example.org", "", testMessage)
		conn := s.l.dial()
		if _, err := conn.Read(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"a1 LOGIN alice secret", "a2 SELECT INBOX", "a3 FETCH 1 (FLAGS" + strings.Repeat(" ENVELOPE", 2000) + ")"} {
			if _, err := conn.Write([]byte(line + "\r\n")); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 2<<10)); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close()
		synctest.Wait()
		if n := errors.Load(); n > 0 {
			t.Errorf("%d errors in the log", n)
		}
	})
}

// errorCount counts the records of level Error.
type errorCount struct {
	slog.Handler
	n *atomic.Int32
}

func (h errorCount) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError
}
func (h errorCount) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h errorCount) Handle(context.Context, slog.Record) error { h.n.Add(1); return nil }
