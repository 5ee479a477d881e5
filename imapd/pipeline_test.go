package imapd

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"kurir/internal/listen"
)

// RFC 9051 section 5.5: the client may send another command without waiting; the server
// answers in order.
func TestPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t).start()
		defer s.stop()
		c := s.login("alice")
		defer c.conn.Close()
		const n = 10000
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "n%d NOOP\r\n", i)
		}
		c.send(b.String())
		for i := range n {
			c.expect(fmt.Sprintf("n%d OK Done", i))
		}
	})
}

func TestPipelineAroundIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t).start()
		defer s.stop()
		c := s.login("alice")
		defer c.conn.Close()
		c.send("a SELECT INBOX\r\nb IDLE\r\nDONE\r\nc APPEND INBOX {4+}\r\nA: b\r\nd IDLE\r\nDONE\r\n" +
			"e FETCH 1 BODY[]\r\nf CREATE {3+}\r\nfoo\r\ng IDLE\r\n")
		for _, want := range []string{
			"* FLAGS …", "* OK [PERMANENTFLAGS …", "* 0 EXISTS", "* 0 RECENT", "* OK [UIDVALIDITY …", "* OK [UIDNEXT …",
			"* OK [HIGHESTMODSEQ …", "a OK …", "+ idling", "b OK Done", "* 1 EXISTS", "c OK [APPENDUID …", "+ idling", "d OK Done",
			"* 1 FETCH (BODY[] {4}", "A: b FLAGS (\\Seen))", "e OK Done", "f OK Done", "+ idling",
		} {
			c.expect(want)
		}
		c.send("DONE\r\nh IDLE\r\nDONE\r\ni LOGOUT\r\n")
		for _, want := range []string{"g OK Done", "+ idling", "h OK Done", "* BYE …", "i OK Done", closedLine} {
			c.expect(want)
		}
	})
}

// Commands that come in single bytes are answered like any other.
func TestOneByteAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t).start()
		defer s.stop()
		c := s.login("alice")
		defer c.conn.Close()
		for _, b := range []byte("a CREATE {3+}\r\nfoo\r\nb APPEND foo {6+}\r\nA: b\r\n\r\nc LOGOUT\r\n") {
			c.send(string(b))
		}
		for _, want := range []string{"a OK Done", "b OK [APPENDUID …", "* BYE …", "c OK Done", closedLine} {
			c.expect(want)
		}
	})
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t).start()
		defer s.stop()
		c := s.login("alice")
		defer c.conn.Close()
		c.send("a NOOP " + strings.Repeat("x", maxLine) + "\r\n")
		c.expect("a BAD Command line too long")
		c.send("b LOGIN {2000000+}\r\n" + strings.Repeat("x", 2000000) + "\r\n")
		c.expect("b BAD …")
		c.send("c SUBSCRIBE {3+}\r\na\x00b\r\n")
		c.expect("c BAD mailbox name has a NUL")
		c.send("d APPEND INBOX {6+}\r\nA: \x00\r\n\r\n")
		c.expect("d BAD A NUL may only be sent in a literal8")
		c.send("e APPEND INBOX ~{6+}\r\nA: \x00\r\n\r\n")
		c.expect("e OK [APPENDUID …")
		c.do("f", "SELECT INBOX")
		c.send("g FETCH 1 (BODY.PEEK[] BINARY.PEEK[])\r\n")
		c.expect("* 1 FETCH (BODY[] {6}")
		c.expect("A: \x80")
		c.expect(" BINARY[] ~{6}")
		c.expect("A: \x00")
		c.expect(")")
		c.expect("g OK Done")
		c.send("h APPEND INBOX {60000000+}\r\n" + strings.Repeat("x", 60000000) + "\r\n")
		c.expect("h NO [TOOBIG] Message too large")
		c.send("i APPEND INBOX {600000000+}\r\n")
		c.expect("* BYE [TOOBIG] Literal too large")
		c.expect(closedLine)
	})
}

// Literals of 0 octets, each with a line before it, do not add up without end, before login
// and after.
func TestEndlessCommand(t *testing.T) {
	for _, script := range []string{"", "a LOGIN alice secret\r\nb SELECT INBOX\r\n"} {
		s := newServer(t)
		c, far := net.Pipe()
		ses := newSession(s.srv, listen.From(wrapped(t, far)), context.Background())
		done := make(chan struct{})
		go func() { // ends with the connection
			defer close(done)
			ses.loop()
			ses.close()
		}()
		go io.Copy(io.Discard, c)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		io.WriteString(c, script+"x SEARCH TEXT ")
		stretch := []byte(strings.Repeat("y", 2000) + " {0+}\r\n")
		for range 10000 {
			if _, err := c.Write(stretch); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
			t.Errorf("%q: %d MiB for one command", script, n>>20)
		}
		c.Close()
		<-done
		s.store.Close()
	}
}

// wrapped makes c a connection of package listen.
func wrapped(t *testing.T, c net.Conn) net.Conn {
	l := newPipeListener()
	ln := listen.New(l, listen.Options{Protocol: "imap"})
	t.Cleanup(func() { ln.Close() })
	go func() { l.conns <- c }()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// An account has a bound on its sessions; one that ends makes room, other accounts are not
// concerned.
func TestMaxPerAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.srv.MaxPerAccount = 2
		s.start()
		defer s.stop()
		c, d, bob := s.login("alice"), s.login("alice"), s.login("bob")
		defer d.conn.Close()
		defer bob.conn.Close()
		e := dial(t, s.l.dial())
		defer e.conn.Close()
		e.expect("* OK …")
		e.send("a LOGIN alice secret\r\n")
		e.expect("a NO [LIMIT] Too many connections of this account …")
		e.send("b AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n")
		e.expect("b NO [LIMIT] …")
		c.conn.Close()
		synctest.Wait()
		e.do("c", "LOGIN alice secret")
	})
}

// A client that errs again and again is sent away.
func TestTooManyErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.srv.MaxBad = 3
		s.start()
		defer s.stop()
		c := s.login("alice")
		defer c.conn.Close()
		c.send("a X\r\nb X\r\nc X\r\nd X\r\n")
		for _, want := range []string{"a BAD …", "b BAD …", "c BAD …", "* BYE Too many errors", closedLine} {
			c.expect(want)
		}
	})
}

// A connection that breaks in the middle of APPEND leaves nothing behind.
func TestBrokenAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t).start()
		defer s.stop()
		c := s.login("alice")
		c.send("a APPEND INBOX {100+}\r\nSubject: x\r\n")
		synctest.Wait()
		c.conn.Close()
		synctest.Wait()
		d := s.login("alice")
		defer d.conn.Close()
		d.send("a STATUS INBOX (MESSAGES)\r\n")
		d.expect(`* STATUS "INBOX" (MESSAGES 0)`)
		d.expect("a OK Done")
	})
}

// An idle connection costs no more than 32 KiB: stacks, buffers and the rest.
func TestIdleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	s := newServer(t)
	s.srv.MaxPerAccount = -1
	s.start()
	defer s.stop()
	s.deliver("alice@example.org", "", "Subject: x\r\n\r\nhello\r\n")
	var conns []*client
	idle := func(n int) {
		for range n {
			conn := s.l.dial()
			buf := make([]byte, 4096)
			script := "a LOGIN alice secret\r\nb SELECT INBOX\r\nc FETCH 1:* (FLAGS BODY[])\r\nd IDLE\r\n"
			go func() { conn.Write([]byte(script)) }()
			for !strings.HasSuffix(string(buf), "+ idling\r\n") {
				k, err := conn.Read(buf[:cap(buf)])
				if err != nil {
					t.Fatal(err)
				}
				buf = buf[:k]
			}
			conns = append(conns, &client{conn: conn})
		}
	}
	memory := func() uint64 {
		var m runtime.MemStats
		for range 3 {
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	idle(50)
	before := memory()
	const n = 1000
	idle(n)
	each := (memory() - before) / n
	t.Logf("%d bytes an idle connection, its client's 4 KiB included", each)
	if each > 32<<10+4096 {
		t.Errorf("an idle connection costs %d bytes", each)
	}
	for _, c := range conns {
		c.conn.Close()
	}
}
