package smtpd

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/internal/trace"
)

// noted collects what a server notes.
type noted struct {
	mu  sync.Mutex
	all []trace.Record
}

func (n *noted) note(r trace.Record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, r)
}

// lines are the records as text.
func (n *noted) lines() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var b strings.Builder
	for _, r := range n.all {
		fmt.Fprintf(&b, "%t <%s> %v %s %s\n", r.ID != "", r.Sender, r.To, r.Account, r.MessageID)
		for _, s := range r.Steps {
			fmt.Fprintf(&b, "  %s|%s|%s|%s|%s\n", s.Kind, s.Recipient, s.Account, s.Mailbox, s.Text)
		}
	}
	return b.String()
}

// TestTraceHeader: the Message-ID is found, folded or not, and cut.
func TestTraceHeader(t *testing.T) {
	for head, want := range map[string]string{
		"Subject: x\r\nMessage-ID: <a@b>\r\nMessage-ID: <c@d>\r\n\r\n": "<a@b>",
		"message-id:\r\n <a@b>\r\nSubject: <c@d>\r\n\r\n":              "<a@b>",
		"Subject: x\r\n\r\nMessage-ID: <a@b>\r\n":                      "",
		"Message-ID: " + strings.Repeat("x", 600) + "\r\n\r\n":         strings.Repeat("x", maxMessageID-1),
	} {
		h := &scanner{}
		h.scan([]byte(head))
		if h.messageID != want {
			t.Errorf("%q: %q", head, h.messageID)
		}
	}
}

// TestNoted: what is taken, passed to the queue, refused and broken off, as the trace has it.
func TestNoted(t *testing.T) {
	var n noted
	w := newWholeWith(t, func(s *Server) { s.Trace = n.note }, Inbound, Trusted)
	say := func(m Mode, lines ...string) {
		t.Helper()
		c, err := net.Dial("tcp", w.addr[m])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for _, l := range append([]string{""}, lines...) {
			if l != "" {
				fmt.Fprintf(c, "%s\r\n", l)
			}
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					t.Fatalf("%s: %v", l, err)
				}
				if len(line) > 3 && line[3] != '-' {
					break
				}
			}
			if l == "DATA" && lines[len(lines)-1] == l { // break off within it
				return
			}
		}
	}
	say(Inbound, "EHLO mx.example.net", "MAIL FROM:<bob@example.net>", "RCPT TO:<eve@example.com>", "RCPT TO:<alice@local.test>", "RCPT TO:<bob@local.test>",
		"DATA", "Message-ID: <x@y>\r\n\r\nHello\r\n.", "QUIT")
	say(Inbound, "EHLO mx.example.net", "MAIL FROM:<bob@example.net> SIZE=99999999999", "QUIT")
	say(Trusted, "EHLO mx.example.net", "MAIL FROM:<alice@local.test>", "RCPT TO:<carl@example.com>", "DATA", "Message-ID: <z@y>\r\n\r\nHello\r\n.", "QUIT")
	say(Inbound, "EHLO mx.example.net", "MAIL FROM:<bob@example.net>", "RCPT TO:<alice@local.test>", "DATA")
	deadline := time.Now().Add(5 * time.Second)
	for !strings.Contains(n.lines(), "lost|") && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	got := regexp.MustCompile(`[a-z0-9]{10,12}-1`).ReplaceAllString(n.lines(), "ID")
	for _, want := range []string{
		"true <bob@example.net> []  \n  refused|eve@example.com|||550 5.7.1 ",
		"true <bob@example.net> [alice@local.test bob@local.test]  <x@y>\n  received||||from mx.example.net ([127.0.0.1]) by ESMTP\n" +
			"  delivered|alice@local.test|alice@local.test|INBOX|\n  delivered|bob@local.test|bob@local.test|INBOX|\n",
		"[carl@example.com] alice@local.test <z@y>\n  received||||from a program of this machine\n  queued|carl@example.com|||ID\n",
		"true <bob@example.net> []  \n  refused||||552 5.3.4 ",
		"[alice@local.test]  \n  lost||||from mx.example.net ([127.0.0.1]) by ESMTP, who broke off: ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no\n%s\nin\n%s", want, got)
		}
	}
}

// TestRoom: without room for it a message is put off at MAIL, by its SIZE, or at its end.
func TestRoom(t *testing.T) {
	short := false
	w := newWholeWith(t, func(s *Server) {
		s.Room = func(size int64) error {
			if short || size > 100 {
				return errors.New("little is left")
			}
			return nil
		}
	}, Inbound)
	c, err := textproto.Dial("tcp", w.addr[Inbound])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func(line string, want int) {
		t.Helper()
		if line != "" {
			if err := c.PrintfLine("%s", line); err != nil {
				t.Fatal(err)
			}
		}
		if code, text, _ := c.ReadResponse(0); code != want {
			t.Errorf("%s: %d %s", line, code, text)
		}
	}
	say("", 220)
	say("EHLO mx.example.net", 250)
	say("MAIL FROM:<bob@example.net> SIZE=101", 452)
	say("MAIL FROM:<bob@example.net> SIZE=100", 250)
	say("RCPT TO:<alice@local.test>", 250)
	say("DATA", 354)
	short = true
	say("Subject: x\r\n\r\nHello\r\n.", 452)
	say("MAIL FROM:<bob@example.net>", 452)
	short = false
	say("MAIL FROM:<bob@example.net>", 250)
	say("RCPT TO:<alice@local.test>", 250)
	say("DATA", 354)
	say("Subject: x\r\n\r\nHello\r\n.", 250)
}
