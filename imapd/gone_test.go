package imapd

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
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

// A FETCH that fails on its way has set \Seen already: what its responses did not say is
// told before the tagged reply.
func TestSeenIsToldAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t).start()
		defer s.stop()
		for range 3 {
			s.deliver("alice@example.org", "", testMessage)
		}
		c := s.login("alice")
		defer c.conn.Close()
		c.do("s", "SELECT INBOX")
		files, err := filepath.Glob(filepath.Join(s.dir, "*", "*", "*", "cur", "*,U=2,*"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		if err := errors.Join(os.Remove(files[0]), os.Mkdir(files[0], 0o700)); err != nil { // it can't be read
			t.Fatal(err)
		}
		c.send("f FETCH 1:3 (BODY[TEXT])\r\n")
		answer := strings.Join(c.until("f "), "\n")
		for _, want := range []string{"* 1 FETCH (BODY[TEXT] ", "* 2 FETCH (FLAGS (\\Seen))", "* 3 FETCH (FLAGS (\\Seen))", "f NO "} {
			if !strings.Contains(answer, want) {
				t.Errorf("%s is missing in\n%s", want, answer)
			}
		}
	})
}
