package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// imap is a conversation with the server, a line and its tagged answer each.
type imap struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func (s *serving) imap(t *testing.T) *imap {
	t.Helper()
	c, err := net.Dial("tcp", s.address("127.0.0.1:40004"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	i := &imap{t, c, bufio.NewReader(c)}
	if _, err := i.r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return i
}

// say sends a line and returns all up to the tagged answer.
func (i *imap) say(line string) string {
	i.t.Helper()
	fmt.Fprintf(i.c, "a %s\r\n", line)
	var all strings.Builder
	for {
		got, err := i.r.ReadString('\n')
		if err != nil {
			i.t.Fatalf("%s: %v after %s", line, err, all.String())
		}
		all.WriteString(got)
		if strings.HasPrefix(got, "a ") || strings.HasPrefix(got, "+ ") {
			return all.String()
		}
	}
}

// smallDisk makes the data directory of a site a file system of its own, of so many MiB.
func (s *testSite) smallDisk(mib int) {
	s.t.Helper()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	err := syscall.Mount("kurir-test", s.dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", mib))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) {
		s.t.Skip("file systems may not be mounted here: ", err)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := syscall.Unmount(s.dir, syscall.MNT_DETACH); err != nil {
			s.t.Error(err)
		}
	})
}

// fill takes room on the disk until so many MiB are left.
func (s *testSite) fill(left int) (free func()) {
	s.t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &st); err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.dir, "ballast")
	if n := int(st.Bavail)*int(st.Bsize) - left<<20; n > 0 {
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			s.t.Error(err)
		}
	}
}

// until waits for something that a server does by itself.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 20 seconds: ", what)
		}
	}
}

// try offers a message of one recipient, and gives the first refusal.
func try(address, size, body string) error {
	c, err := smtp.Dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Hello("mx.other.test"); err != nil {
		return err
	}
	id, err := c.Text.Cmd("MAIL FROM:<bob@other.test>%s", size)
	if err != nil {
		return err
	}
	c.Text.StartResponse(id)
	_, _, err = c.Text.ReadResponse(250)
	c.Text.EndResponse(id)
	if err != nil {
		return err
	}
	if err := c.Rcpt("anna@example.test"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "From: bob@other.test\r\nSubject: x\r\n\r\n%s\r\n", body)
	return w.Close()
}

// code is the code of a refusal.
func code(err error) int {
	var r *textproto.Error
	if errors.As(err, &r) {
		return r.Code
	}
	return 0
}

// TestReserve: on a disk that is nearly full new mail is put off, from whoever it comes;
// all that leads out of it works; and it ends by itself.
func TestReserve(t *testing.T) {
	s := newTestSite(t, "[inbound]", "greylist = false", "[tls]", `plaintext_login_networks = ["127.0.0.0/8"]`, "[store]", `reserve = "16MiB"`)
	s.smallDisk(48)
	s.world("other.test. 60 IN A 192.0.2.7\n")
	s.must("", "domain", "add", "example.test")
	s.must("local-only-1\n", "account", "add", "--password-stdin", "anna@example.test")
	srv := s.serve()
	at := srv.address("127.0.0.1:40001")
	for i := range 3 {
		if err := try(at, "", strings.Repeat(fmt.Sprint(i, " two three four five six seven eight\r\n"), 20000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := try(at, " SIZE=40000000", "x"); code(err) != 452 {
		t.Errorf("more than what is left: %v", err)
	}
	i := srv.imap(t)
	contains(t, i.say("LOGIN anna@example.test local-only-1"), "a OK")
	contains(t, i.say("SELECT INBOX"), "* 3 EXISTS", "a OK")

	free := s.fill(8)
	until(t, "health is red", func() bool { _, out, _ := s.do("", "health"); return strings.Contains(out, "disk: only ") })
	if err := try(at, "", "x"); code(err) != 452 || !strings.Contains(err.Error(), "4.3.1") {
		t.Errorf("from a stranger: %v", err)
	}
	if code, _, errs := s.do("Subject: x\n\nHello\n", "send", "--from", "anna@example.test", "anna@example.test"); code != exitFailed || !strings.Contains(errs, "452") {
		t.Errorf("from a program: exit %d: %s", code, errs)
	}
	contains(t, i.say("APPEND INBOX {1000}"), "a NO [UNAVAILABLE]")
	contains(t, get(t, "http://"+srv.address("127.0.0.1:40008")+"/metrics"), "kurir_disk_short 1\n", "kurir_disk_reserve_bytes 1.6777216e+07", "kurir_notices_total{result=\"ok\"} 1\n")
	contains(t, s.must("", "trace", "bob@other.test"), "put off, the sender's server shall try again: 452 4.3.1")

	// The administrator's mail arrives all the same, and flags, copies and deletions work.
	until(t, "the administrator is told", func() bool { return strings.Contains(i.say("SEARCH SUBJECT \"disk is nearly full\""), "* SEARCH 4") })
	contains(t, i.say("STORE 1 +FLAGS (\\Seen)"), "a OK")
	contains(t, i.say("COPY 2 Trash"), "a OK")
	contains(t, i.say("MOVE 3 Trash"), "a OK")
	contains(t, i.say("STORE 1 +FLAGS (\\Deleted)"), "a OK")
	contains(t, i.say("EXPUNGE"), "* 1 EXPUNGE", "a OK")
	s.must("", "account", "quota", "anna@example.test", "1GiB") // SQL is written
	until(t, "what was expunged is gone", func() bool {
		names, err := filepath.Glob(filepath.Join(s.dir, "mail", "example.test", "anna", "expunged", "*"))
		return err == nil && len(names) == 0
	})

	free()
	until(t, "health is green", func() bool { code, _, _ := s.do("", "health"); return code == exitOK })
	if err := try(at, "", "x"); err != nil {
		t.Error(err)
	}
	contains(t, srv.console.err.String(), "the disk is nearly full", "healthy again")
	if n := strings.Count(srv.console.err.String(), "msg=unhealthy check=disk"); n != 1 {
		t.Errorf("the log says %d times that the disk is unhealthy", n)
	}
	contains(t, s.must("", "trace", "anna@example.test", "--limit", "100"), "delivered to postmaster@example.test")
	if strings.Contains(srv.console.err.String(), "could not be told") {
		t.Error("the administrator could not be told")
	}
}
