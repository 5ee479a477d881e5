package smtpd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/policy"
)

// echoPolicy does what the subject of a message says, and repeats what it was told.
type echoPolicy struct {
	takes time.Duration
	ended chan struct{} // closed when the context of Begin has ended; nil: nobody asks
}

func (p echoPolicy) Begin(ctx context.Context, a policy.Arrival) func(context.Context, policy.Open) policy.Verdict {
	if p.ended != nil {
		context.AfterFunc(ctx, func() { close(p.ended) })
	}
	return func(ctx context.Context, open policy.Open) (v policy.Verdict) {
		select {
		case <-time.After(p.takes):
		case <-ctx.Done():
		}
		r, err := open()
		if err != nil {
			panic(err)
		}
		defer r.Close()
		b, _ := io.ReadAll(r)
		switch {
		case strings.Contains(string(b), "Subject: refuse"):
			v = policy.Verdict{Decision: policy.Refuse, Status: "5.7.26"}
		case strings.Contains(string(b), "Subject: later"):
			v = policy.Verdict{Decision: policy.Later, Status: "4.4.3"}
		case strings.Contains(string(b), "Subject: junk"):
			v = policy.Verdict{Decision: policy.Junk}
		case strings.Contains(string(b), "Subject: proven by "):
			_, v.Author, _ = strings.Cut(string(b), "Subject: proven by ")
			v.Author, _, _ = strings.Cut(v.Author, "\r\n")
		}
		v.Reason = fmt.Sprintf("%s: %s [%s] %s to %s, %d octets", v.Decision, a.Helo, a.IP, a.Sender, strings.Join(a.Recipients, " "), len(b))
		v.Header = fmt.Appendf(nil, "Authentication-Results: mx.local.test; none\r\nX-Kurir-Reason: %s\r\n", v.Reason)
		v.Details = []slog.Attr{slog.String("verdict", v.Decision.String()), slog.String("reason", v.Reason)}
		return v
	}
}

// judgeOne sends a message to a server with a policy, and gives what the server said last.
func judgeOne(t *testing.T, srv *Server, then func(net.Conn)) {
	l := newPipeListener()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l, Inbound) }()
	c := l.dial()
	go io.Copy(io.Discard, c)
	io.WriteString(c, "HELO x\r\nMAIL FROM:<who@remote.example>\r\nRCPT TO:<alice@local.test>\r\nDATA\r\n")
	then(c)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Each judgment is one event in the log, with the id of the message.
func TestJudgmentIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, _ := testServer(t)
		var log strings.Builder
		srv.Policy, srv.Log = echoPolicy{}, slog.New(slog.NewTextHandler(&log, nil))
		judgeOne(t, srv, func(c net.Conn) {
			io.WriteString(c, "Subject: refuse\r\n\r\n.\r\nQUIT\r\n")
			synctest.Wait()
		})
		if s := log.String(); strings.Count(s, `msg="message judged"`) != 1 || !strings.Contains(s, "verdict=refuse") || !strings.Contains(s, "-1 ") || !strings.Contains(s, `msg="message refused"`) {
			t.Error(s)
		}
	})
}

// A client that gives up leaves no judgment running.
func TestJudgmentEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, _ := testServer(t)
		ended := make(chan struct{})
		srv.Policy = echoPolicy{ended: ended}
		judgeOne(t, srv, func(c net.Conn) {
			synctest.Wait()
			select {
			case <-ended:
				t.Error("the judgment ended before the message came")
			default:
			}
			c.Close()
			synctest.Wait()
			select {
			case <-ended:
			default:
				t.Error("the judgment goes on")
			}
		})
	})
}

// At the end of the server a judgment is not waited for beyond Grace, and its message is
// nobody's: the client will send it again.
func TestJudgmentAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, st := testServer(t)
		srv.Policy = echoPolicy{takes: time.Hour}
		began := time.Now()
		judgeOne(t, srv, func(c net.Conn) {
			io.WriteString(c, "Subject: hello\r\n\r\n.\r\n")
			synctest.Wait()
		})
		if took := time.Since(began); took > 2*srv.withDefaults().Grace {
			t.Errorf("took %s", took)
		}
		if n := st.left(); n != 0 {
			t.Errorf("%d messages were delivered", n)
		}
	})
}

// Junk that could not be delivered at once is junk when the queue delivers it.
func TestRealRetryOfJunk(t *testing.T) {
	w := newWholeWith(t, func(s *Server) { s.Policy = echoPolicy{} }, Inbound)
	broken := filepath.Join(w.data, "mail", "local.test", "bob", ".Junk", "new")
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	c, err := smtp.Dial(w.addr[Inbound])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := send(c, "", "Subject: junk\r\n\r\n", "alice@local.test", "bob@local.test"); err != nil {
		t.Fatal(err)
	}
	if n, err := w.queue.Waiting(t.Context()); n.Local != 1 || err != nil {
		t.Fatalf("%+v wait, %v", n, err)
	}
	if err := os.Mkdir(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	w.runQueue(t, func() bool { return len(w.mailbox(t, "bob@local.test", "Junk")) > 0 })
	for _, a := range []string{"alice@local.test", "bob@local.test"} {
		if in, junk := w.inbox(t, a), w.mailbox(t, a, "Junk"); len(in) != 0 || len(junk) != 1 {
			t.Errorf("%s has %d messages in INBOX and %d in Junk", a, len(in), len(junk))
		}
	}
}

// A message longer than what waits in memory is judged, and its claims renamed, as any.
func TestRealJudgment(t *testing.T) {
	w := newWholeWith(t, func(s *Server) { s.Policy = echoPolicy{} }, Inbound)
	c, err := smtp.Dial(w.addr[Inbound])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, lines := range []int{1, 200_000} {
		head, body := "Subject: x\r\n", "To: y\r\n\r\n"+strings.Repeat("0123456789\r\n", lines)
		if err := send(c, "", head+"X-Kurir-Reason: believe me\r\n"+body, "alice@local.test"); err != nil {
			t.Fatal(err)
		}
		got := w.inbox(t, "alice@local.test")
		last := got[len(got)-1]
		if !strings.Contains(last, fmt.Sprintf("%d octets\r\nReceived: ", len(head+body)+28)) || !strings.HasSuffix(last, head+"X-Original-X-Kurir-Reason: believe me\r\n"+body) {
			t.Errorf("%.600q", last)
		}
	}
}
