package smtpd

import (
	"context"
	"io"
	"net"
	"net/smtp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/internal/directory"
	"kurir/store"
)

// A client that never ends its TLS handshake does not hold up the stop.
func TestStopInHandshake(t *testing.T) {
	for _, mode := range []Mode{SubmissionTLS, Inbound} {
		serving(t, mode, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
			c := dial()
			if mode == Inbound {
				c.hear("220")
				c.say("STARTTLS\r\n")
				c.hear("220")
			} else {
				c.say("\x16\x03\x01")
			}
			time.Sleep(time.Second)
			start := time.Now()
			stop()
			c.closed()
			if d := time.Since(start); d > 100*time.Millisecond {
				t.Errorf("mode %v: took %v", mode, d)
			}
		})
	}
}

// RFC 5321 section 4.5.3.1.5: a reply line has 512 octets at most.
func TestReplyLines(t *testing.T) {
	long := strings.Repeat("a", maxLocal) + "@" + strings.Repeat(strings.Repeat("b", 62)+".", 4) + "cc"
	serving(t, Inbound, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		s.Hostname = strings.Repeat("mx.", 80) + "local.test"
		c := dial()
		c.say("EHLO " + strings.Repeat("x", maxDomain) + "\r\nMAIL FROM:<" + long + ">\r\nEHLO \xc3\xa9.example\r\nQUIT\r\n")
		n := 0
		for l := range c.lines {
			n++
			if len(l) > 512 || !strings.HasSuffix(l, "\r\n") || !isASCII(l) {
				t.Errorf("%d octets: %q", len(l), l)
			}
		}
		if n < 12 {
			t.Errorf("%d lines", n)
		}
	})
	if got := fitLine(strings.Repeat("é", 300)+"\r\n", 1); got != strings.Repeat("é", 253)+"...\r\n" {
		t.Errorf("%d octets: %q", len(got), got)
	}
}

// A chunk whose size and what came before it are more than can be counted is too big
// from its first octet on.
func TestHugeChunk(t *testing.T) {
	serving(t, Inbound, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		c := dial()
		c.hear("220")
		c.say("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@local.test>\r\nBDAT 3\r\nabc")
		for range 4 {
			c.hear("250")
		}
		start := time.Now()
		c.say("BDAT " + strconv.FormatInt(1<<63-1, 10) + " LAST\r\nabc")
		c.hear("421")
		c.closed()
		if d := time.Since(start); d != time.Minute {
			t.Errorf("after %v", d)
		}
		if st.left() != 0 {
			t.Error("delivered")
		}
	})
}

// The directory's advice to the administrator is not what a refusal is logged with.
func TestRefusedRecipient(t *testing.T) {
	noRelay := &Reply{550, "5.7.1", replyNoRelay.Text, nil}
	for _, tt := range []struct {
		device *Device
		err    error
		want   string
	}{
		{nil, directory.ErrNoDomain, noRelay.Error() + ": x@y.test"},
		{&Device{Account: "a@b.test"}, directory.ErrNoDomain, noRelay.Error() + "; this network may send only with a sender address of a@b.test: x@y.test"},
		{&Device{Account: "jörg@b.test"}, directory.ErrNoDomain, noRelay.Error() + "; this network may send only with a sender address of its account: x@y.test"},
		{nil, directory.ErrNoAccount, replyNoUser.Error() + ": x@y.test"},
		{nil, replyNoRemote, replyNoRemote.Error() + ": x@y.test"},
		{nil, errBroken, errBroken.Error()},
	} {
		s := &session{wire: &wire{device: tt.device}}
		if got := s.refuseRecipient(Path{"x", "y.test"}, tt.err); got.Error() != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}

// RFC 4954 section 4: a line that is too long ends the exchange with 500.
func TestLongLogin(t *testing.T) {
	serving(t, SubmissionTLS, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		c := dial(overTLS)
		c.hear("220")
		c.say("EHLO x\r\nAUTH PLAIN\r\n")
		c.hear("250")
		c.hear("334")
		c.say(strings.Repeat("A", maxAuthLine) + "\r\nNOOP\r\n")
		c.hear("500 5.5.6")
		c.hear("250")
	})
}

// Of two recipients one has no room, by the few octets of the trace headers: the other
// gets the message once, and it waits for the full one.
func TestRealQuota(t *testing.T) {
	full := func(_ context.Context, address string) (int64, error) {
		if address == "bob@local.test" {
			return 100, nil
		}
		return 0, nil
	}
	w := newWhole(t, Inbound)
	limited, err := store.Open(t.Context(), store.Options{Dir: w.data, Hostname: "mx.local.test", Quota: full, NoWatch: true})
	if err != nil {
		t.Fatal(err)
	}
	defer limited.Close()
	srv := *w.srv
	srv.Store = MailStore{limited}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- srv.Serve(ctx, l, Inbound) }()
	c, err := smtp.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := send(c, "", "Subject: x\r\n\r\nfull\r\n", "alice@local.test", "bob@local.test"); err != nil {
		t.Error(err)
	}
	if err := send(c, "", "Subject: x\r\n\r\nfull\r\n", "bob@local.test"); err == nil || !strings.Contains(err.Error(), "4.2.2") {
		t.Error(err)
	}
	io.WriteString(c.Text.W, "QUIT\r\n")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n, err := w.queue.Waiting(t.Context()); n.Local != 1 || err != nil {
		t.Errorf("%+v wait, %v", n, err)
	}
	if alice, bob := w.inbox(t, "alice@local.test"), w.inbox(t, "bob@local.test"); len(alice) != 1 || len(bob) != 0 {
		t.Errorf("alice has %q, bob %q", alice, bob)
	}
}

// A command that never ends is idleness, however many octets come.
func TestSlowLine(t *testing.T) {
	serving(t, Inbound, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		c := dial()
		c.hear("220")
		start := time.Now()
		var writer sync.WaitGroup
		writer.Go(func() {
			for {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(time.Minute + time.Second)
			}
		})
		c.hear("421 4.4.2")
		c.closed()
		if d := time.Since(start); d != 5*time.Minute {
			t.Errorf("took %v", d)
		}
		writer.Wait()
	})
}

// A message that has come whole is delivered and kept for whom it failed, though the
// connection is cut off meanwhile: to try again would be to deliver twice.
func TestKeepAfterCut(t *testing.T) {
	serving(t, Inbound, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		st.takes = time.Minute
		refused := 0
		s.Observe = func(result string, _ int64, _ time.Duration) {
			if result != "accepted" {
				refused++
			}
		}
		c := dial()
		c.say("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<mixed@local.test>\r\nDATA\r\ntext\r\n.\r\n")
		time.Sleep(time.Second)
		stop()
		time.Sleep(2 * time.Minute)
		if st.left() != 2 || len(st.queue.mail) != 1 || refused != 0 {
			t.Errorf("%d delivered or queued, %q queued, %d refused", st.left(), st.queue.mail, refused)
		}
		c.Close()
	})
}
