package smtpd

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/auth"
	"kurir/internal/listen"
	"kurir/store"
)

// client is a plain dialogue in a test. What the server says is read at once, as the
// ends of a pipe wait for each other.
type client struct {
	t *testing.T
	net.Conn
	lines chan string
}

func newClient(t *testing.T, c net.Conn) *client {
	k := &client{t, c, make(chan string, 10000)}
	go func() {
		defer close(k.lines)
		r := bufio.NewReader(c)
		for {
			l, err := r.ReadString('\n')
			if l != "" {
				k.lines <- l
			}
			if err != nil {
				return
			}
		}
	}()
	return k
}

func (c *client) say(lines string) {
	if _, err := io.WriteString(c, lines); err != nil {
		c.t.Errorf("%q: %v", lines, err)
	}
}

// hear reads one reply and checks how it begins.
func (c *client) hear(want string) {
	c.t.Helper()
	for l := range c.lines {
		if len(l) < 4 || l[3] != '-' {
			if !strings.HasPrefix(l, want) {
				c.t.Fatalf("server said %q, want %q", l, want)
			}
			return
		}
	}
	c.t.Fatalf("server closed, want %q", want)
}

// closed checks that the server has nothing more to say.
func (c *client) closed() {
	c.t.Helper()
	for l := range c.lines {
		c.t.Errorf("server said %q", l)
	}
}

// dialer makes connections, with something around the client's end.
type dialer func(around ...func(net.Conn) net.Conn) *client

func overTLS(c net.Conn) net.Conn { return tls.Client(c, &tls.Config{InsecureSkipVerify: true}) }

// serving runs f beside a server in a bubble. The server starts with the first dial.
func serving(t *testing.T, mode Mode, f func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func())) {
	synctest.Test(t, func(t *testing.T) {
		s, st := testServer(t)
		l := newPipeListener()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		started := false
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve: %v", err)
			}
		}()
		f(t, s, st, func(around ...func(net.Conn) net.Conn) *client {
			if !started {
				started = true
				go func() { done <- s.Serve(ctx, l, mode) }()
			}
			c := l.dial()
			for _, f := range around {
				c = f(c)
			}
			return newClient(t, c)
		}, cancel)
	})
}

// RFC 5321 section 3.8: a server that goes down says 421 to who waits, and finishes what
// is under way.
func TestStop(t *testing.T) {
	serving(t, Inbound, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		idle, busy, slow := dial(), dial(), dial()
		idle.hear("220")
		for _, c := range []*client{busy, slow} {
			c.hear("220")
			c.say("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@local.test>\r\nDATA\r\n")
			for _, want := range []string{"250", "250", "250", "354"} {
				c.hear(want)
			}
		}
		start := time.Now()
		stop()
		idle.hear("421 4.3.2")
		idle.closed()
		busy.say("text\r\n.\r\n")
		busy.hear("250")
		busy.hear("421 4.3.2")
		busy.closed()
		slow.closed()
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("the slow one was cut off after %v", d)
		}
		if n := st.left(); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

// writes counts Write calls.
type writes struct {
	net.Conn
	n atomic.Int32
}

func (w *writes) Write(p []byte) (int, error) { w.n.Add(1); return w.Conn.Write(p) }

// RFC 2920 section 3.2: replies to a group go out together.
func TestRepliesAreGrouped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := testServer(t)
		l := newPipeListener()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, l, Inbound) }()
		a, b := net.Pipe()
		w := &writes{Conn: b}
		l.ch <- w
		c := newClient(t, a)
		c.hear("220")
		c.say("EHLO x\r\n")
		c.hear("250")
		c.say("MAIL FROM:<>\r\nRCPT TO:<alice@local.test>\r\nDATA\r\n")
		for _, want := range []string{"250", "250", "354"} {
			c.hear(want)
		}
		c.say("text\r\n.\r\nQUIT\r\n")
		c.hear("250")
		c.hear("221")
		c.closed()
		if n := w.n.Load(); n != 4 { // banner, EHLO, the group, the end
			t.Errorf("%d writes", n)
		}
		cancel()
		<-done
	})
}

func TestKeptForRetry(t *testing.T) {
	serving(t, Inbound, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		st.failing = map[string]error{"bob@local.test": io.ErrUnexpectedEOF}
		var seen []string
		s.Observe = func(result string, size int64, _ time.Duration) {
			seen = append(seen, fmt.Sprint(result, size))
		}
		c := dial()
		c.say("HELO x\r\nMAIL FROM:<who@remote.example>\r\nRCPT TO:<staff+x@local.test>\r\nDATA\r\ntext\r\n.\r\n")
		for _, want := range []string{"220", "250", "250", "250", "354", "250"} {
			c.hear(want)
		}
		if q := st.queue.mail; len(q) != 1 || !matches("<who@remote.example> , smtp from [192.0.2.1]\r\nto <staff+x@local.test> account=bob@local.test: unexpected EOF\r\n\r\nReturn-Path: <who@remote.example>…text\r\n", q[0]) {
			t.Errorf("queue has %q", q)
		}
		if fmt.Sprint(seen) != "[accepted6]" {
			t.Errorf("observed %v", seen)
		}
		c.Close()
	})
}

func TestOverlongLines(t *testing.T) {
	serving(t, Submission, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		c := dial()
		c.hear("220")
		long := strings.Repeat("x", maxLine)
		c.say("NOOP " + long[:maxLine-7] + "\r\n")
		c.hear("250")
		c.say("NOOP " + long[:maxLine-6] + "\r\nNOOP\r\n")
		c.hear("500 5.5.2")
		c.hear("250")
		c.say("NOOP " + strings.Repeat(long, 20) + "\r\nNOOP\r\n")
		c.hear("500 5.5.2")
		c.hear("250")
		c.say("HELO x\r\nAUTH PLAIN " + strings.Repeat("A", 8000) + "\r\n")
		c.hear("250")
		c.hear("538")
		// A line without an end.
		go func() {
			for {
				if _, err := c.Write([]byte(long)); err != nil {
					return
				}
			}
		}()
		c.closed()
	})
}

// RFC 4954 section 4: a response that is too long ends the exchange.
func TestOverlongResponse(t *testing.T) {
	serving(t, SubmissionTLS, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		c := dial(overTLS)
		c.hear("220")
		c.say("HELO x\r\nAUTH LOGIN\r\n")
		c.hear("250")
		c.hear("334")
		c.say(strings.Repeat("A", maxAuthLine) + "\r\nNOOP\r\nAUTH LOGIN\r\n")
		c.hear("500")
		c.hear("250")
		c.hear("334")
		c.say("*\r\nQUIT\r\n")
		c.hear("501")
		c.hear("221")
		c.closed()
	})
}

func TestHandshakeTimeout(t *testing.T) {
	for _, mode := range []Mode{Inbound, SubmissionTLS} {
		serving(t, mode, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
			c := dial()
			if mode == Inbound {
				c.hear("220")
				c.say("STARTTLS\r\n")
				c.hear("220")
			}
			start := time.Now()
			c.closed()
			if d := time.Since(start); d != 30*time.Second {
				t.Errorf("%v: closed after %v", mode, d)
			}
		})
	}
}

// What comes in place of a handshake is not run.
func TestNoHandshake(t *testing.T) {
	serving(t, Inbound, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		c := dial()
		c.hear("220")
		c.say("STARTTLS\r\n")
		c.hear("220")
		c.say("HELO x\r\nMAIL FROM:<>\r\n")
		for l := range c.lines { // TLS alerts at most
			if strings.Contains(l, "250") {
				t.Errorf("server said %q", l)
			}
		}
	})
}

// A message over the limit is read on, but not for ever.
func TestDrainEnds(t *testing.T) {
	serving(t, Inbound, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		s.MaxSize = 1000
		c := dial()
		c.say("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@local.test>\r\nDATA\r\n")
		for _, want := range []string{"220", "250", "250", "250", "354"} {
			c.hear(want)
		}
		start := time.Now()
		go func() {
			for {
				if _, err := c.Write(make([]byte, 500)); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		c.hear("421")
		c.closed()
		if d := time.Since(start); d < time.Minute || d > 2*time.Minute {
			t.Errorf("closed after %v", d)
		}
		time.Sleep(5 * time.Minute) // until the writer has noticed
	})
}

// A message that drips is given up after MessageTimeout.
func TestDripEnds(t *testing.T) {
	serving(t, Inbound, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		c := dial()
		c.say("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@local.test>\r\nDATA\r\n")
		for _, want := range []string{"220", "250", "250", "250", "354"} {
			c.hear(want)
		}
		start := time.Now()
		go func() {
			for {
				if _, err := c.Write([]byte("x\r\n")); err != nil {
					return
				}
				time.Sleep(4 * time.Minute)
			}
		}()
		c.hear("421")
		c.closed()
		if d := time.Since(start); d != time.Hour {
			t.Errorf("closed after %v", d)
		}
		time.Sleep(5 * time.Minute) // until the writer has noticed
	})
}

// The layer below gives a connection its name and its deadlines, and finds out who talks
// before the banner (RFC 5321 section 3.1).
func TestEarlyTalker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := testServer(t)
		l := newPipeListener()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		below := listen.New(l, listen.Options{EarlyTalk: time.Second, Protocol: "smtp", Log: s.Log})
		go func() { done <- s.Serve(ctx, below, Inbound) }()
		for early, want := range map[bool]string{true: "550 5.5.1", false: "250"} {
			c := newClient(t, l.dial())
			if early {
				c.say("HELO x\r\nMAIL FROM:<>\r\n")
			}
			c.hear("220")
			if !early {
				c.say("HELO x\r\nMAIL FROM:<>\r\n")
			}
			c.hear("250")
			c.hear(want)
			time.Sleep(5*time.Minute - time.Second)
			c.say("NOOP\r\n")
			c.hear("250")
			time.Sleep(5 * time.Minute)
			c.hear("421 4.4.2")
			c.closed()
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The answers to refusals grow slow, one by one, and a good message forgives.
func TestTarpit(t *testing.T) {
	serving(t, Inbound, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		c := dial()
		c.say("HELO x\r\nMAIL FROM:<>\r\n")
		for _, want := range []string{"220", "250", "250"} {
			c.hear(want)
		}
		var waits []time.Duration
		for range 20 {
			start := time.Now()
			c.say("RCPT TO:<nobody@local.test>\r\n")
			c.hear("550 5.1.1")
			waits = append(waits, time.Since(start)/time.Second)
		}
		if got := fmt.Sprint(waits); !strings.HasPrefix(got, "[0s 0s 0s 1ns 2ns 3ns 4ns 5ns 6ns 7ns 8ns 9ns 10ns 10ns") {
			t.Error("waits", got)
		}
		start := time.Now()
		c.say("RCPT TO:<alice@local.test>\r\nDATA\r\nx\r\n.\r\nFOO\r\n")
		for _, want := range []string{"250", "354", "250", "500"} {
			c.hear(want)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("waited %v", d)
		}
		c.Close()
	})
}

func TestReplyTo(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want *Reply
	}{
		{fmt.Errorf("x: %w", store.ErrOverQuota), replyOverQuota},
		{store.ErrDiskFull, replyDiskFull},
		{store.ErrUnavailable, replyUnavailable},
		{&auth.ThrottledError{RetryAfter: time.Second}, replyAuthThrottled},
		{errors.New("open /var/lib/kurir: no such file"), replyUnavailable},
		{fmt.Errorf("x: %w", replyLoop), replyLoop},
	} {
		r := replyTo(tt.err)
		if r.Code != tt.want.Code || r.Status != tt.want.Status || r.Text != tt.want.Text {
			t.Errorf("%v: %v, want %v", tt.err, r, tt.want)
		}
		if e := r.smtp(); strings.Contains(e.Message, "/var") || e.Code != tt.want.Code {
			t.Errorf("%v: the client is told %v", tt.err, e)
		}
	}
}

// No reply has a second line or a status of another class.
func TestRepliesAreWellFormed(t *testing.T) {
	for _, m := range replies() {
		r := m.reply
		if r.Status[0]-'0' != byte(r.Code/100) || strings.ContainsAny(r.Text, "\r\n") || len(r.append(nil)) > 512 {
			t.Errorf("%v", r)
		}
		if e := r.smtp(); fmt.Sprintf("%d.%d.%d", e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2]) != r.Status {
			t.Errorf("%v has status %v", r, e.EnhancedCode)
		}
	}
}

func TestServeNeedsCertificate(t *testing.T) {
	if err := new(Server).Serve(context.Background(), newPipeListener(), SubmissionTLS); err == nil {
		t.Error("no error")
	}
}

// An Accept that fails ends Serve with its error.
func TestAcceptFails(t *testing.T) {
	s, _ := testServer(t)
	l := newPipeListener()
	l.Close()
	if err := s.Serve(context.Background(), l, Inbound); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
