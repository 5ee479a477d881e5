package imapd

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/auth"
	"kurir/internal/listen"
)

const endedLine = "* BYE The account or its password was changed: log in again"

// Sessions end when their login does, whatever they are at; other accounts' go on.
func TestEndSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t).start()
		defer s.stop()
		waits, idles, selected, bob := s.login("alice"), s.login("alice"), s.login("alice"), s.login("bob")
		defer bob.conn.Close()
		selected.do("a", "SELECT INBOX")
		for _, c := range []*client{idles, selected} {
			c.send("b IDLE\r\n")
			c.expect("+ idling")
		}
		before := time.Now()
		s.srv.EndSessions("alice@example.org")
		for _, c := range []*client{waits, idles, selected} {
			c.expect(endedLine)
			c.expect(closedLine)
		}
		if d := time.Since(before); d > time.Second {
			t.Errorf("that took %v", d)
		}
		bob.do("c", "NOOP")
		again := s.login("alice") // with the new password
		again.do("d", "NOOP")
		again.conn.Close()
	})
}

// A session that is sending a whole mailbox ends behind the message at work, and one whose
// client hardly reads is not waited for.
func TestEndSessionsDuringFetch(t *testing.T) {
	for _, step := range []int{0, 1, 64 << 10} { // octets that the client reads a second
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t).start()
			defer s.stop()
			for range 20 {
				s.deliver("alice@example.org", "INBOX", "Subject: x\r\n\r\n"+strings.Repeat("y", 100<<10))
			}
			c := s.slowReader(t)
			fmt.Fprint(c.conn, "f FETCH 1:* BODY[]\r\n")
			time.Sleep(time.Second)
			s.srv.EndSessions("alice@example.org")
			before, got := time.Now(), []byte{}
			for buf := make([]byte, max(step, 1)); ; {
				if time.Sleep(time.Second); step == 0 && time.Since(before) < time.Minute {
					continue
				}
				n, err := c.conn.Read(buf)
				if got = append(got, buf[:n]...); err != nil {
					break
				}
			}
			if d := time.Since(before); d > time.Minute+time.Second || len(got) > 300<<10 {
				t.Errorf("%d octets a second: it went on for %v, and %d octets", step, d, len(got))
			}
			if step > 1 && !strings.HasSuffix(string(got), ")\r\n"+endedLine+"\r\n") {
				t.Errorf("the end is %q", got[max(0, len(got)-100):])
			}
		})
	}
}

// hookAuth calls its hook after a password was found good.
type hookAuth struct {
	fakeAuth
	hook func()
}

func (a *hookAuth) Authenticate(ctx context.Context, at auth.Attempt) (auth.Login, error) {
	address, err := a.fakeAuth.Authenticate(ctx, at)
	if a.hook != nil {
		a.hook()
	}
	return address, err
}

// What is changed between the check of a password and the login is not missed: the
// password is checked once more.
func TestEndSessionsDuringLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		checked := 0
		hook := &hookAuth{}
		hook.hook = func() {
			if checked++; checked == 1 {
				s.srv.EndSessions("alice@example.org")
			}
		}
		s.srv.Auth = hook
		s.start()
		defer s.stop()
		c := s.login("alice")
		defer c.conn.Close()
		if checked != 2 {
			t.Errorf("the password was checked %d times", checked)
		}
	})
}

// Commands that a client has sent in advance do not keep its session going.
func TestEndSessionsPipelined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		hook := &hookAuth{}
		s.srv.Auth = hook
		s.start()
		defer s.stop()
		c := dial(t, s.l.dial())
		c.expect("* OK …")
		hook.hook = func() {
			hook.hook = nil
			time.AfterFunc(time.Second, func() { s.srv.EndSessions("alice@example.org") })
		}
		c.send("a LOGIN alice secret\r\nb IDLE\r\n")
		c.expect("a OK …")
		c.expect("+ idling")
		time.Sleep(500 * time.Millisecond)
		go fmt.Fprint(c.conn, "DONE\r\nc IDLE\r\n")
		c.expect("b OK …")
		c.expect("+ idling")
		c.expect(endedLine)
		c.expect(closedLine)
	})
}

// fromAddr is a connection of a client at another address.
type fromAddr struct {
	net.Conn
	remote net.Addr
}

func (c fromAddr) RemoteAddr() net.Addr { return c.remote }

// dialFrom connects from an address.
func (s *server) dialFrom(ip string) *client {
	c, server := net.Pipe()
	s.l.conns <- fromAddr{server, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 4000))}
	return dial(s.t, c)
}

// An office behind one address: those who have logged in take no room from those who will,
// and each account has its own bound there.
func TestOffice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.srv.MaxPerAccount = 3
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		ln := listen.New(s.l, listen.Options{Protocol: "imap", MaxPerAddr: 2, Reject: Reject})
		go func() { served <- s.srv.Serve(ctx, ln, false) }()
		defer func() { cancel(); <-served; s.store.Close() }()
		const office = "192.0.2.7"
		for i := range 6 {
			c := s.dialFrom(office)
			defer c.conn.Close()
			c.expect("* OK …")
			c.do("a", "LOGIN "+[]string{"alice", "bob"}[i%2]+" secret")
		}
		c := s.dialFrom(office)
		defer c.conn.Close()
		c.expect("* OK …")
		c.send("a LOGIN alice secret\r\n")
		c.expect("a NO [LIMIT] Too many connections of this account are open: close some, …")
		d := s.dialFrom(office)
		defer d.conn.Close()
		d.expect("* OK …")
		e := s.dialFrom(office) // the third that has not logged in
		e.expect("* BYE [LIMIT] Too many connections, try again later")
		e.expect(closedLine)
		f := s.dialFrom("192.0.2.8")
		defer f.conn.Close()
		f.expect("* OK …")
		f.do("a", "LOGIN alice secret")
	})
}
