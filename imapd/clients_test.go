package imapd

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Apps keep one IDLE for each folder: each is told of its own at once, and nothing before "+".
func TestIdleOnAllFolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.start()
		defer s.stop()
		folders := []string{"INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"}
		all := make([]*client, len(folders))
		for i, f := range folders {
			all[i] = s.login("alice")
			defer all[i].conn.Close()
			all[i].do("1", "EXAMINE "+f)
		}
		for _, f := range folders {
			s.deliver("alice@example.org", f, "Subject: before\r\n\r\nbody\r\n")
		}
		for _, c := range all {
			c.send("2 IDLE\r\n")
		}
		for _, c := range all {
			c.expect("+ idling")
			c.expect("* 1 EXISTS")
		}
		for i, f := range folders {
			start := time.Now()
			s.deliver("alice@example.org", f, "Subject: now\r\n\r\nbody\r\n")
			all[i].expect("* 2 EXISTS")
			if waited := time.Since(start); waited > time.Second {
				t.Errorf("%s: told after %v", f, waited)
			}
		}
		for _, c := range all {
			c.send("DONE\r\n3 NOOP\r\n")
			c.expect("2 OK Done") // and nothing of the other folders
			c.expect("3 OK Done")
		}
	})
}

// An attachment as large as mail apps allow, in one literal of either kind, and what comes
// behind it in the same packet.
func TestLargeAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.start()
		defer s.stop()
		c := s.login("alice")
		defer c.conn.Close()
		line := strings.Repeat("x", 76) + "\r\n"
		message := "Subject: large\r\n\r\n" + strings.Repeat(line, 25<<20/len(line))
		c.send(fmt.Sprintf("1 APPEND Sent (\\Seen) {%d}\r\n", len(message)))
		c.expect("+ OK")
		c.send(message + "\r\n2 NOOP\r\n")
		c.expect("1 OK [APPENDUID … 1] Appended")
		c.expect("2 OK Done")
		c.send(fmt.Sprintf("3 APPEND Sent (\\Seen) {%d+}\r\n%s\r\n4 NOOP\r\n", len(message), message))
		c.expect("3 OK [APPENDUID … 2] Appended")
		c.expect("4 OK Done")
		c.do("5", "EXAMINE Sent")
		got := c.do("6", "FETCH 1:2 (RFC822.SIZE BODY.PEEK[])")
		size := fmt.Sprintf("(RFC822.SIZE %[1]d BODY[] {%[1]d}", len(message))
		lines := strings.Count(message, "\r\n") + 2
		for i := range 2 {
			if first := fmt.Sprintf("* %d FETCH %s", i+1, size); got[i*lines] != first {
				t.Fatalf("got %.80s, not %s", got[i*lines], first)
			}
			if body := strings.Join(got[i*lines+1:(i+1)*lines-1], "\r\n") + "\r\n"; body != message {
				t.Errorf("message %d is not what was sent", i+1)
			}
		}
	})
}
