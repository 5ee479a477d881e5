package smtpd

import (
	"context"
	"io"
	"net"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPathsThroughTheLibrary: what our parser takes reaches the message as it is, though
// go-smtp reads it once more on its way.
func TestPathsThroughTheLibrary(t *testing.T) {
	serving(t, Inbound, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		s.MaxRefused, s.TarpitAfter, s.MaxBad = 1000, 1000, 1000
		c := dial()
		c.say("HELO x\r\n")
		c.hear("220")
		c.hear("250")
		for _, tt := range pathTests {
			path := strings.TrimSuffix(tt.in, tt.rest)
			if strings.ContainsAny(path, "\r\n\x00") {
				continue
			}
			c.say("MAIL FROM:" + path + " SMTPUTF8\r\n")
			if tt.want == "-" {
				c.hear("501")
				continue
			}
			c.hear("250")
			c.say("RCPT TO:<alice@local.test>\r\nDATA\r\n.\r\n")
			c.hear("250")
			c.hear("354")
			c.hear("250")
			m, _ := st.take("alice@local.test")
			if got, _, _ := strings.Cut(m, "\r\n"); got != "Return-Path: <"+tt.want+">" {
				t.Errorf("%q arrived as %q", tt.in, got)
			}
		}
		c.Close()
	})
}

var replyLine = regexp.MustCompile(`^[2-5][0-9][0-9][ -][^\r\n]*\r\n$`)

// FuzzServer: whatever a client sends, each line of the server is a reply, nothing hangs
// and nothing is left open.
func FuzzServer(f *testing.F) {
	for _, s := range []string{
		"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@local.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n",
		"HELO x\r\nMAIL FROM:<a@b> SIZE=1\r\nRCPT TO:<postmaster>\r\nBDAT 3\r\nabcBDAT 0 LAST\r\n",
		"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@local.test>\r\nBDAT 3\r\nabcRSET\r\nBDAT 1 LAST\r\nx",
		"STARTTLS\r\nHELO x\r\n", "AUTH PLAIN\r\n", "HELO x\r\nAUTH LOGIN\r\nYQ==\r\n*\r\n", "NOOP\n", "\r\n", "BDAT 99999999999999\r\n",
		"HELO x\r\nAUTH PLAIN AGFsaWNlQGxvY2FsLnRlc3QAbG9jYWwtb25seQ==\r\nMAIL FROM:<alice@local.test>\r\nRCPT TO:<bob@local.test>\r\nDATA\r\nFrom: alice@local.test\r\n\r\n.\r\n",
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, inbound bool) {
		synctest.Test(t, func(t *testing.T) {
			s, st := testServer(t)
			mode := Submission
			if inbound {
				mode = Inbound
			}
			l := newPipeListener()
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			s.AllowPlaintext = allowAll
			go func() { done <- s.Serve(ctx, l, mode) }()
			c := newClient(t, l.dial())
			c.Conn.Write(in)
			time.Sleep(10 * time.Minute)
			c.Close()
			tls := false
			for line := range c.lines {
				if tls = tls || strings.HasPrefix(line, "220 2.0.0"); !tls && !replyLine.MatchString(line) {
					t.Errorf("server said %q", line)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if st.open != 0 {
				t.Errorf("%d staged messages were not closed", st.open)
			}
		})
	})
}

// TestIdleConnectionIsCheap measures what a client that has said EHLO and waits costs.
func TestIdleConnectionIsCheap(t *testing.T) {
	s, _ := testServer(t)
	l := newPipeListener()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, Inbound) }()
	const n = 200
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = l.dial()
		b := make([]byte, 1000)
		if k, err := conns[i].Read(b); err != nil || !strings.HasPrefix(string(b[:k]), "220") {
			t.Fatal(string(b[:k]), err)
		}
		io.WriteString(conns[i], "EHLO x\r\n")
		conns[i].Read(b)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := int64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse) / n
	t.Logf("%d octets a connection", each)
	if each > 48<<10 {
		t.Errorf("an idle connection costs %d octets", each)
	}
	for _, c := range conns {
		c.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCorrect(t *testing.T) {
	for in, want := range map[string]string{
		"502 5.5.1 Please introduce yourself first.\r\n":             "503 5.5.1 Please introduce yourself first.\r\n",
		"502 5.5.1 Missing RCPT TO command.\r\n":                     "503 5.5.1 Missing RCPT TO command.\r\n",
		"502 5.5.1 MAIL not allowed during message transfer\r\n":     "503 5.5.1 MAIL not allowed during message transfer\r\n",
		"502 5.5.1 STARTTLS is not available\r\n":                    "502 5.5.1 STARTTLS is not available\r\n",
		"454 4.7.0 Invalid base64 data\r\n":                          "501 5.5.2 Invalid base64 data\r\n",
		"454 4.7.0 too many failed logins, try again later\r\n":      "454 4.7.0 too many failed logins, try again later\r\n",
		"250 2.0.0 Roger, accepting mail from <Missing @b.test>\r\n": "250 2.0.0 Roger, accepting mail from <Missing @b.test>\r\n",
	} {
		code := int(in[0]-'0')*100 + int(in[1]-'0')*10 + int(in[2]-'0')
		if got, _ := correct(in, code); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}

// Replies may come from go-smtp in any pieces.
func TestReplyLength(t *testing.T) {
	for in, want := range map[string]int{
		"": 0, "250": 0, "250 OK\r": 0, "250 OK\r\n": 8, "250-a\r\n": 0, "250-a\r\n250 b\r\n": 14,
		"250 a\r\n250 b\r\n": 7, "250-a\r\n250": 0, "\r\n": 2,
	} {
		if got := replyLength([]byte(in)); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

// The buffer for input grows for a line, not without bound, and loses nothing when it
// changes size.
func TestInput(t *testing.T) {
	r := newRun(new(Server), Inbound)
	in := input{pool: &r.buffers}
	src := strings.NewReader(strings.Repeat("0123456789", 20_000))
	var got strings.Builder
	for n := 0; ; n++ {
		switch n % 4 {
		case 0:
			in.large()
		case 2:
			in.small()
		}
		k := min(len(in.bytes()), 700)
		got.Write(in.bytes()[:k])
		in.skip(k)
		if len(in.bytes()) > maxAuthLine {
			continue
		}
		if err := in.fill(src); err != nil && len(in.bytes()) == 0 {
			break
		}
	}
	if got.Len() != 200_000 || got.String() != strings.Repeat("0123456789", 20_000) {
		t.Errorf("%d octets", got.Len())
	}
	if in.large(); len(in.buf) != dataBuffer {
		t.Errorf("large is %d", len(in.buf))
	}
	in.release()
}
