package imapd

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// longCommand is the command XLONG, which takes until it is told to end.
type longCommand struct {
	begun  chan struct{}
	end    chan error
	ctx    context.Context
	called int
}

// withLong adds XLONG to the commands for the time of a test.
func withLong(t *testing.T) *longCommand {
	l := &longCommand{begun: make(chan struct{}, 10), end: make(chan error, 10)}
	commands["XLONG"] = spec{selected, tellFlags, func(s *session, c *command) error {
		return s.beside(c, func(ctx context.Context) error {
			l.ctx = ctx
			l.called++
			l.begun <- struct{}{}
			select {
			case err := <-l.end:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}}
	t.Cleanup(func() { delete(commands, "XLONG") })
	return l
}

// playLong runs a test in a bubble with a client that has XLONG running.
func playLong(t *testing.T, f func(t *testing.T, s *server, c *client, l *longCommand)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := withLong(t)
		s := newServer(t).start()
		defer s.stop()
		s.deliver("alice@example.org", "INBOX", testMessage)
		c := s.login("alice")
		defer c.conn.Close()
		c.do("e", "ENABLE QRESYNC")
		c.do("s", "SELECT INBOX")
		c.send("x XLONG\r\n")
		<-l.begun
		f(t, s, c, l)
	})
}

// RFC 9051 section 5.5: the server may begin another command before it has ended this one,
// unless one would change the outcome of the other. What can't overlap waits, in order.
func TestOverlap(t *testing.T) {
	playLong(t, func(t *testing.T, s *server, c *client, l *longCommand) {
		time.Sleep(time.Second)
		c.do("a1", "CAPABILITY")
		c.do("a2", "LIST \"\" %")
		c.do("a3", "CREATE New")
		c.do("a4", "STATUS INBOX (MESSAGES)")
		c.send("a5 SUBSCRIBE {3}\r\n")
		c.expect("+ OK")
		c.send("New\r\n")
		c.expect("a5 OK …")
		c.send(fmt.Sprintf("a6 APPEND INBOX {%d+}\r\n%s\r\n", len(testMessage), testMessage))
		c.expect("a6 OK [APPENDUID …") // and no EXISTS
		c.send("a7 CREATE New\r\n")
		c.expect("a7 NO [ALREADYEXISTS] …")
		c.send("a8 NOOP\r\na9 CAPABILITY\r\n")
		synctest.Wait()
		if len(c.lines) != 0 {
			t.Fatalf("NOOP did not wait: %s", c.line())
		}
		l.end <- nil
		c.expect("* 2 EXISTS")
		c.expect("x OK Done")
		c.expect("a8 OK Done")
		c.expect("* CAPABILITY …")
		c.expect("a9 OK Done")
		time.Sleep(20 * time.Minute) // the wait for the client is as before
		c.do("b1", "NOOP")
		c.send("b2 XLONG\r\n")
		l.end <- no("", "Not this time")
		c.expect("b2 NO Not this time")
		time.Sleep(20 * time.Minute)
		c.do("b3", "NOOP")
	})
}

// A command that is in the middle of being sent when the long one ends is not disturbed.
func TestOverlapEndsDuringCommand(t *testing.T) {
	playLong(t, func(t *testing.T, s *server, c *client, l *longCommand) {
		time.Sleep(time.Second)
		c.send("a1 CAPA")
		synctest.Wait()
		l.end <- nil
		c.expect("x OK Done")
		c.send("BILITY\r\n")
		c.expect("* CAPABILITY …")
		c.expect("a1 OK Done")

		c.send("y XLONG\r\n")
		<-l.begun
		time.Sleep(time.Second)
		c.send(fmt.Sprintf("a2 APPEND INBOX {%d}\r\n", len(testMessage)))
		c.expect("+ OK")
		c.send(testMessage[:10])
		synctest.Wait()
		l.end <- nil
		time.Sleep(time.Second)
		c.send(testMessage[10:] + "\r\n")
		c.expect("a2 OK …")
		c.expect("* 2 EXISTS")
		c.expect("y OK Done")
	})
}

// A client that waits for nothing sends more than is buffered: all of it is served, in order.
func TestOverlapManyPipelined(t *testing.T) {
	playLong(t, func(t *testing.T, s *server, c *client, l *longCommand) {
		time.Sleep(time.Second)
		var all strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&all, "n%d NOOP\r\n", i)
		}
		go c.conn.Write([]byte(all.String()))
		time.Sleep(time.Second)
		if len(c.lines) != 0 {
			t.Fatal("NOOP did not wait")
		}
		l.end <- nil
		c.expect("x OK Done")
		for i := range 1000 {
			c.expect(fmt.Sprintf("n%d OK Done", i))
		}
	})
}

// Nobody works for a client that has gone, said LOGOUT, or has to go.
func TestOverlapEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(s *server, c *client)
		said []string
	}{
		{"gone", func(_ *server, c *client) { c.conn.Close() }, []string{closedLine}},
		{"LOGOUT", func(_ *server, c *client) { c.send("a LOGOUT\r\n") },
			[]string{"x NO Ended by LOGOUT", "* BYE …", "a OK Done", closedLine}},
		{"disabled", func(s *server, _ *client) { s.srv.EndSessions("alice@example.org") },
			[]string{endedLine, closedLine}},
		{"stop", func(s *server, _ *client) { go s.stop() },
			[]string{"* BYE [UNAVAILABLE] Server is stopping", closedLine}},
		{"disabled, with commands waiting", func(s *server, c *client) {
			go c.conn.Write([]byte(strings.Repeat("a NOOP\r\n", 1000)))
			time.Sleep(time.Second)
			s.srv.EndSessions("alice@example.org")
		}, []string{endedLine, closedLine}},
		{"errors", func(s *server, c *client) {
			s.srv.MaxBad = 1
			c.send("a LIST\r\n")
		}, []string{"a BAD …", "* BYE Too many errors", closedLine}},
	} {
		for _, wait := range []time.Duration{0, time.Second} { // before and after patience has ended
			if wait == 0 && tt.name != "stop" && tt.name != "disabled" {
				continue
			}
			t.Run(fmt.Sprint(tt.name, wait), func(t *testing.T) {
				playLong(t, func(t *testing.T, s *server, c *client, l *longCommand) {
					time.Sleep(wait)
					before := time.Now()
					tt.end(s, c)
					for _, line := range tt.said {
						c.expect(line)
					}
					<-l.ctx.Done()
					if d := time.Since(before); d > 2*time.Second {
						t.Errorf("it went on for %v", d)
					}
				})
			})
		}
	}
}

// A script that sends all it has at once gets all its answers: LOGOUT waits there.
func TestOverlapLogoutInAdvance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := withLong(t)
		s := newServer(t).start()
		defer s.stop()
		c := s.login("alice")
		c.do("s", "SELECT INBOX")
		c.send("x XLONG\r\na LOGOUT\r\n")
		<-l.begun
		time.Sleep(time.Second)
		l.end <- nil
		c.expect("x OK Done")
		c.expect("* BYE …")
		c.expect("a OK Done")
		c.expect(closedLine)
	})
}

// A panic in the work costs the client its command, not everybody the server.
func TestOverlapPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		commands["XPANIC"] = spec{selected, tellFlags, func(s *session, c *command) error {
			return s.beside(c, func(context.Context) error { panic("a bug") })
		}}
		defer delete(commands, "XPANIC")
		s := newServer(t).start()
		defer s.stop()
		c := s.login("alice")
		defer c.conn.Close()
		c.do("s", "SELECT INBOX")
		c.send("x XPANIC\r\n")
		c.expect("x NO [SERVERBUG] Internal error")
		c.do("a", "NOOP")
	})
}

// A SEARCH that reads contents is such a command.
func TestSearchOverlaps(t *testing.T) {
	s := newServer(t).start()
	defer s.stop()
	s.deliver("alice@example.org", "INBOX", "Subject: large\r\n\r\n"+strings.Repeat("0123456789 abcdefghij klmnopqrst uvwxyz\r\n", 400000))
	c := s.login("alice")
	defer c.conn.Close()
	c.do("s1", "SELECT INBOX")
	for i := range 7 { // 128 of them, in one file
		c.do(fmt.Sprint("s2", i), "COPY 1:* INBOX")
	}
	c.send("x SEARCH BODY nowhere\r\n")
	time.Sleep(2 * patience)
	before := time.Now()
	c.do("a", "STATUS INBOX (MESSAGES)")
	t.Logf("STATUS took %v", time.Since(before))
	c.send("b LOGOUT\r\n")
	if got := c.line(); got != "x NO Ended by LOGOUT" {
		t.Fatalf("%s after %v: was the search too fast for this test?", got, time.Since(before))
	}
	c.until(closedLine)
	if d := time.Since(before); d > 2*time.Second {
		t.Errorf("the search went on for %v", d)
	}
}
