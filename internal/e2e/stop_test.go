package e2e

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSecondServer starts another server on data that is in use.
func TestSecondServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	second := &server{t: t, dir: s.dir, offset: freeOffset(t)}
	p := second.begin()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.cmd.Process.Kill()
		t.Fatalf("it still runs:\n%s", p.out)
	}
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("its end: %v", p.err)
	}
	contains(t, p.out.String(), s.dir, "another kurir", strconv.Itoa(s.run.cmd.Process.Pid))
	if n := strings.Count(strings.TrimSpace(p.out.String()), "\n"); n > 1 {
		t.Errorf("it said more than what is wrong:\n%s", p.out)
	}
	if err := deliver(s, alice, letter("carol@elsewhere.test", alice, "still here")); err != nil {
		t.Errorf("the first one no longer works: %v", err)
	}
	s.find(alice, "still here")
}

// TestTakenPort starts a server whose ports another one has.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	second := &server{t: t, dir: tempDir(t), offset: s.offset}
	err := second.launch()
	if err == nil {
		second.kill()
		t.Fatal("it runs")
	}
	contains(t, err.Error(), "port "+s.port(smtpPort), "port "+s.port(pop3sPort), "--port-offset")
}

// stopsWithin is how long a server may take to stop, whatever is open.
const stopsWithin = 5 * time.Second

// TestStop stops a server with a session in IDLE, others that have not logged in and a
// web client that asks nothing.
func TestStop(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	idle := s.watch(alice, "INBOX")
	for _, port := range []int{smtpPort, submissionPort, imapPort, pop3Port, httpPort} {
		c, err := net.Dial("tcp", s.at(port))
		ok(t, "dial", err)
		defer c.Close()
		if port != httpPort {
			c.SetReadDeadline(time.Now().Add(patience))
			_, err = c.Read(make([]byte, 1)) // its greeting has begun
			ok(t, "greeting", err)
		}
	}
	if took := s.stop(); took > stopsWithin {
		t.Errorf("it took %v", took)
	}
	select {
	case <-idle.c.Closed():
	case <-time.After(patience):
		t.Error("the session in IDLE is still open")
	}
	s.start()
	r, err := http.Get("http://" + s.at(httpPort) + "/healthz")
	ok(t, "healthz", err)
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("health after a restart: %s", r.Status)
	}
}

// TestStopHandshake stops a server while clients are at the beginning of TLS, where
// nothing is under way that could be lost: it need not wait for them.
func TestStopHandshake(t *testing.T) {
	t.Parallel()
	for _, port := range []int{submissionsPort, imapsPort, pop3sPort} {
		t.Run(strconv.Itoa(port), func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			c, err := net.Dial("tcp", s.at(port))
			ok(t, "dial", err)
			defer c.Close()
			_, err = c.Write([]byte{22}) // the first byte of a handshake
			ok(t, "write", err)
			later, err := tls.Dial("tcp", s.at(port), s.trust())
			ok(t, "a whole handshake", err) // so the first connection has been accepted too
			later.Close()
			if took := s.stop(); took > stopsWithin {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestCommands uses the program's other commands beside a running server and without it.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	kurir := func(stdin string, args ...string) string {
		t.Helper()
		return newClient(t).must(stdin, binary, append(args, "--data", s.dir)...)
	}
	fill(t, s, alice, three()...)
	for _, state := range []string{"running", "stopped"} {
		contains(t, kurir("", "account", "list"), alice, bob)
		contains(t, kurir("", "mailbox", "list", alice), "INBOX", "3")
		contains(t, kurir("", "mailbox", "fsck", alice), "0 findings")
		kurir("a new secret\n", "account", "add", state+"@local.test", "--password-stdin")
		kurir("", "alias", "add", "to-"+state+"@local.test", alice)
		if state == "running" {
			kurir("", "health")
			s.stop()
		}
	}
	s.start()
	for _, state := range []string{"running", "stopped"} {
		for _, to := range []string{state, "to-" + state} {
			if err := deliver(s, to+"@local.test", letter("carol@elsewhere.test", alice, to)); err != nil {
				t.Errorf("%s: %v", to, err)
			}
		}
		s.find(alice, "to-"+state)
	}
}
