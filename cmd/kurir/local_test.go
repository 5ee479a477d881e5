package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// talk says lines to a server and returns what it answers, up to the line that begins
// with until.
func talk(t *testing.T, c net.Conn, r *bufio.Reader, say, until string) string {
	t.Helper()
	if say != "" {
		if _, err := fmt.Fprintf(c, "%s\r\n", say); err != nil {
			t.Fatal(err)
		}
	}
	var all strings.Builder
	for {
		line, err := r.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			t.Fatalf("after %q: %v; so far:\n%s", say, err, all.String())
		}
		if strings.HasPrefix(line, until) {
			return all.String()
		}
	}
}

func send(t *testing.T, address, to, message string) {
	t.Helper()
	if err := trySend(address, to, message); err != nil {
		t.Fatal(err)
	}
}

// trySend delivers a message as another server does that knows no TLS.
func trySend(address, to, message string) error {
	c, err := smtp.Dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := errors.Join(c.Mail("sender@elsewhere.test"), c.Rcpt(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, message)
	return errors.Join(err, w.Close(), c.Quit())
}

// trusting is a TLS configuration for a client that trusts the CA in file alone.
func trusting(t *testing.T, file string) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s holds no certificate", file)
	}
	return &tls.Config{RootCAs: pool, ServerName: localAddress}
}

func dial(t *testing.T, address string, conf *tls.Config) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if conf != nil {
		c = tls.Client(c, conf)
	}
	t.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

// fetchIMAP returns the message with number n in alice's INBOX.
func fetchIMAP(t *testing.T, address string, conf *tls.Config, n int) string {
	t.Helper()
	c, r := dial(t, address, conf)
	talk(t, c, r, "", "* OK")
	contains(t, talk(t, c, r, "a1 LOGIN alice@local.test local-only", "a1 "), "a1 OK")
	contains(t, talk(t, c, r, "a2 SELECT INBOX", "a2 "), "a2 OK")
	text := talk(t, c, r, fmt.Sprintf("a3 FETCH %d BODY.PEEK[]", n), "a3 ")
	contains(t, text, "a3 OK")
	return text
}

// retrievePOP3 returns the message with number n of alice.
func retrievePOP3(t *testing.T, address string, conf *tls.Config, n int) string {
	t.Helper()
	c, r := dial(t, address, conf)
	talk(t, c, r, "", "+OK")
	talk(t, c, r, "USER alice@local.test", "+OK")
	talk(t, c, r, "PASS local-only", "+OK")
	return talk(t, c, r, fmt.Sprintf("RETR %d", n), ".")
}

// TestLocal is the whole way: a message comes in by SMTP, from a stranger and from a
// user, and is read by IMAP and POP3, with TLS and without; a restart keeps it.
func TestLocal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kurir")
	srv := start(t, newConsole(t), "local", "--dir", dir)
	at := func(port int) string { return srv.address(fmt.Sprintf("127.0.0.1:%d", port)) }
	conf := trusting(t, filepath.Join(dir, "tls", "ca.pem"))

	send(t, at(1025), "alice@local.test", "Subject: from a stranger\r\n\r\nHello Alice\r\n")
	if err := trySend(at(1025), "x@elsewhere.test", "\r\n"); err == nil || !strings.Contains(err.Error(), "5.7.1") {
		t.Errorf("mail for another domain: %v", err)
	}
	c, r := dial(t, at(1465), conf)
	talk(t, c, r, "", "220 ")
	talk(t, c, r, "EHLO client.test", "250 ")
	talk(t, c, r, "AUTH PLAIN AGJvYkBsb2NhbC50ZXN0AGxvY2FsLW9ubHk=", "235 ") // bob@local.test
	talk(t, c, r, "MAIL FROM:<bob@local.test>", "250 ")
	talk(t, c, r, "RCPT TO:<alice+tag@local.test>", "250 ")
	talk(t, c, r, "DATA", "354 ")
	talk(t, c, r, "From: bob@local.test\r\nSubject: from bob\r\n\r\nHi\r\n.", "250 ")

	contains(t, fetchIMAP(t, at(1143), nil, 1), "Subject: from a stranger", "Hello Alice")
	contains(t, fetchIMAP(t, at(1993), conf, 2), "Subject: from bob")
	contains(t, retrievePOP3(t, at(1110), nil, 1), "Subject: from a stranger", "Hello Alice")
	contains(t, retrievePOP3(t, at(1995), conf, 2), "Subject: from bob")
	contains(t, get(t, "http://"+at(1080)+"/healthz"), "ok")

	submission, err := smtp.Dial(at(1587))
	if err != nil {
		t.Fatal(err)
	}
	defer submission.Close()
	if err := submission.StartTLS(conf); err != nil {
		t.Errorf("STARTTLS: %v", err)
	}
	srv.stop()

	again := start(t, newConsole(t), "local", "--dir", dir)
	contains(t, fetchIMAP(t, again.address("127.0.0.1:1143"), nil, 1), "Subject: from a stranger")
	contains(t, fetchIMAP(t, again.address("127.0.0.1:1993"), conf, 2), "Subject: from bob") // and the CA is the same
}

// TestLocalPrints: a person finds all that a mail app asks for.
func TestLocalPrints(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with space")
	srv := start(t, newConsole(t), "local", "--dir", dir)
	var out string
	for !strings.Contains(out, "INBOX") {
		time.Sleep(5 * time.Millisecond)
		out = srv.out.String()
	}
	ca := filepath.Join(dir, "tls", "ca.pem")
	contains(t, out, "alice@local.test, bob@local.test", "local-only", dir, ca, "STARTTLS", "TLS",
		"swaks --server "+srv.address("127.0.0.1:1025")+" ", "--cacert '"+ca+"'",
		"'imaps://"+srv.address("127.0.0.1:1993")+"/INBOX;MAILINDEX=1'", "http://"+srv.address("127.0.0.1:1080")+"/")
	for _, port := range []string{"1025", "1587", "1465", "1143", "1993", "1110", "1995"} {
		_, open, _ := net.SplitHostPort(srv.address("127.0.0.1:" + port))
		contains(t, out, open)
	}
}

// TestLocalAccountsComeBack: what an earlier run left changed is mended: local always
// begins with its accounts and their password.
func TestLocalAccountsComeBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kurir")
	start(t, newConsole(t), "local", "--dir", dir).stop()
	for _, line := range []string{"account passwd alice@local.test --generate", "account remove bob@local.test --yes"} {
		con := newConsole(t)
		if code := run(t.Context(), con.env, append([]string{"--data", dir}, strings.Fields(line)...)); code != exitOK {
			t.Fatalf("%s: %s", line, con.err.String())
		}
	}
	srv := start(t, newConsole(t), "local", "--dir", dir)
	for _, who := range localAccounts() {
		c, r := dial(t, srv.address("127.0.0.1:1110"), nil)
		talk(t, c, r, "", "+OK")
		talk(t, c, r, "USER "+who, "+OK")
		talk(t, c, r, "PASS local-only", "+OK")
	}
}

// TestLocalOffset: every port moves; one that does not exist is refused.
func TestLocalOffset(t *testing.T) {
	srv := start(t, newConsole(t), "local", "--dir", filepath.Join(t.TempDir(), "d"), "--port-offset", "10000")
	for _, port := range []int{11025, 11587, 11465, 11143, 11993, 11110, 11995, 11080} {
		if srv.address(fmt.Sprintf("127.0.0.1:%d", port)) == "" {
			t.Errorf("port %d was not opened", port)
		}
	}
	for offset, ok := range map[int]bool{-1000: true, 60000: true, -1025: false, 64000: false} {
		if _, err := localConfig("/d", offset); ok && err != nil || !ok && !isUsage(err) {
			t.Errorf("offset %d: %v", offset, err)
		}
	}
}

func TestLocalPortTaken(t *testing.T) {
	con := newConsole(t)
	con.listen = func(_ context.Context, address string) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	if code := run(t.Context(), con.env, []string{"local", "--dir", filepath.Join(t.TempDir(), "d")}); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, con.err.String(), "port 1143 (IMAP) is taken by another program", "port 1025 (SMTP)", "--port-offset 10000")
}

// TestLocalLoopbackOnly: no address but loopback is ever opened.
func TestLocalLoopbackOnly(t *testing.T) {
	cfg, err := localConfig("/d", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range allPorts(cfg) {
		for _, a := range p.addresses {
			if err := (&site{local: true}).mayBind(a); err != nil {
				t.Errorf("%s: %v", p.protocol, err)
			}
		}
	}
	for _, a := range []string{":1025", "0.0.0.0:1025", "[::]:1025", "192.0.2.1:1025", "localhost:1025", "nonsense"} {
		if err := (&site{local: true}).mayBind(a); err == nil || !strings.Contains(err.Error(), "no loopback address") {
			t.Errorf("%s: %v", a, err)
		}
	}
}

// TestLocalDirs: local and serve never share data, because of the known password.
func TestLocalDirs(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	con := newConsole(t)
	if code := run(t.Context(), con.env, []string{"local", "--dir", s.dir}); code != exitFailed {
		t.Errorf("local on a real server's data: exit %d", code)
	}
	contains(t, con.err.String(), "was not made by \"kurir local\"", "--dir")

	other := newTestSite(t)
	start(t, newConsole(t), "local", "--dir", other.dir).stop()
	code, _, errs := other.do("", "serve")
	if code != exitFailed {
		t.Errorf("serve on local's data: exit %d", code)
	}
	contains(t, errs, "a password that everyone knows")
	code, out, _ := other.do("", "check")
	if code != exitFailed {
		t.Errorf("check on local's data: exit %d", code)
	}
	contains(t, out, "a password that everyone knows")
}

// TestLocalDefaultDir: without --dir the mail goes to the user's data directory.
func TestLocalDefaultDir(t *testing.T) {
	for _, c := range []struct {
		environ []string
		want    string
	}{
		{[]string{"HOME=/home/x"}, "/home/x/.local/share/kurir-local"},
		{[]string{"HOME=/home/x", "XDG_DATA_HOME=/data/x"}, "/data/x/kurir-local"},
		{[]string{"HOME=/home/x", "XDG_DATA_HOME=relative"}, "/home/x/.local/share/kurir-local"},
		{[]string{"HOME="}, ""},
		{nil, ""},
	} {
		got, err := (&env{environ: c.environ}).localDir("")
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v", c.environ, got, err)
		}
	}
}

// TestSecondLocal: a second one says who runs.
func TestSecondLocal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	start(t, newConsole(t), "local", "--dir", dir)
	con := newConsole(t)
	if code := run(t.Context(), con.env, []string{"local", "--dir", dir}); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, con.err.String(), "another kurir works with", fmt.Sprintf("process %d", os.Getpid()))
}

// TestStopWithOpenSessions: clients that sit there do not hold up the stop.
func TestStopWithOpenSessions(t *testing.T) {
	srv := start(t, newConsole(t), "local", "--dir", filepath.Join(t.TempDir(), "d"))
	for _, port := range []int{1025, 1587, 1143, 1110} {
		c, r := dial(t, srv.address(fmt.Sprintf("127.0.0.1:%d", port)), nil)
		if _, err := r.Peek(1); err != nil {
			t.Fatal(err)
		}
		_ = c
	}
	for _, port := range []int{1465, 1993, 1995} { // TLS that never begins
		dial(t, srv.address(fmt.Sprintf("127.0.0.1:%d", port)), nil)
	}
	c, r := dial(t, srv.address("127.0.0.1:1143"), nil)
	talk(t, c, r, "", "* OK")
	talk(t, c, r, "a LOGIN alice@local.test local-only", "a OK")
	talk(t, c, r, "b SELECT INBOX", "b OK")
	talk(t, c, r, "c IDLE", "+")
	srv.stop() // wants it within seconds
	if _, err := r.ReadString('\n'); err != nil {
		t.Errorf("the IDLE session was told nothing: %v", err)
	}
}
