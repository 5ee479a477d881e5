package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kurir/internal/fsx"
)

// get returns the body of a page.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSecondServer: it names the process that has the data, and leaves it alone.
func TestSecondServer(t *testing.T) {
	s := newTestSite(t)
	s.serve()
	code, _, errs := s.do("", "serve")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, errs, "another kurir works with the data directory", s.dir, fmt.Sprintf("process %d", os.Getpid()))
	s.must("", "health")
}

// TestServerAfterCommand: a server that is started while a command works in the data waits
// for it, and does not fail.
func TestServerAfterCommand(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	lock, err := fsx.Lock(filepath.Join(s.dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	released := make(chan error, 1)
	time.AfterFunc(3*connectRetry, func() { released <- lock.Unlock() })
	s.serve()
	if err := <-released; err != nil {
		t.Fatal(err)
	}
	s.must("", "health")
}

// TestStaleSocket: a server that died leaves a socket, which is no hindrance.
func TestStaleSocket(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	dead, err := net.Listen("unix", filepath.Join(s.dir, controlName))
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	contains(t, s.must("", "domain", "list"), "example.test") // stopped, in spite of the socket
	s.serve()
	s.must("", "health")
}

// TestPortsTaken: all ports that cannot be opened are named, and nothing stays open.
func TestPortsTaken(t *testing.T) {
	s := newTestSite(t)
	con := newConsole(t)
	free := con.listen
	var opened []net.Listener
	con.listen = func(ctx context.Context, address string) (net.Listener, error) {
		switch address {
		case "127.0.0.1:40001":
			return nil, &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
		case "127.0.0.1:40004":
			return nil, &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}
		case "127.0.0.1:40006":
			return nil, &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)}
		case "127.0.0.1:40007":
			return nil, errors.New("out of luck")
		}
		l, err := free(ctx, address)
		opened = append(opened, l)
		return l, err
	}
	if code := run(t.Context(), con.env, []string{"serve", "-c", s.config}); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, con.err.String(),
		"port 40001 (SMTP) on 127.0.0.1 is taken by another program", "ss -ltnp",
		"port 40004 (IMAP) may not be opened by this user", "CAP_NET_BIND_SERVICE",
		"127.0.0.1:40006 (POP3): this machine has no address",
		"out of luck")
	if len(opened) != 4 {
		t.Errorf("%d ports were tried with success, want 4", len(opened))
	}
	for _, l := range opened {
		if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
			t.Errorf("%s is still open", l.Addr())
		}
	}
	s.must("", "domain", "add", "example.test") // and the data is free again
}

func TestServeRefusals(t *testing.T) {
	home := t.TempDir()
	t.Chdir(home)
	for _, c := range []struct {
		environ []string
		args    string
		want    []string
	}{
		{args: "serve", want: []string{"no configuration found", "-c FILE", "--data DIR"}},
		{args: "serve --data d", want: []string{"host name", "KURIR_HOSTNAME"}},
		{args: "check --data d", want: []string{"1 error, "}},
		{args: "serve -c missing.toml", want: []string{"missing.toml", "cannot be read"}},
		{args: "account list", environ: []string{"KURIR_CONFIG=other.toml"}, want: []string{"other.toml"}},
		{args: "serve", environ: []string{"KURIR_HOSTNAME=not a name"}, want: []string{"KURIR_HOSTNAME"}},
	} {
		con := newConsole(t)
		con.environ = append(con.environ, c.environ...)
		if code := run(t.Context(), con.env, strings.Fields(c.args)); code != exitFailed {
			t.Errorf("kurir %s: exit %d", c.args, code)
		}
		contains(t, con.err.String(), c.want...)
	}
}

// TestConfigFound: the first of --config, $KURIR_CONFIG, ./kurir.toml counts, and --data over it.
func TestConfigFound(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	for _, c := range []struct {
		name    string
		dir     string
		environ []string
		args    string
	}{
		{"flag", t.TempDir(), nil, "-c " + s.config + " domain list"},
		{"variable", t.TempDir(), []string{"KURIR_CONFIG=" + s.config}, "domain list"},
		{"working directory", filepath.Dir(s.config), nil, "domain list"},
		{"data alone", t.TempDir(), nil, "--data " + s.dir + " domain list"},
		{"data by variable", t.TempDir(), []string{"KURIR_DATA=" + s.dir}, "domain list"},
		{"variables", t.TempDir(), []string{"KURIR_DATA=" + s.dir, "KURIR_HOSTNAME=mail.example.test"}, "domain list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(c.dir)
			con := newConsole(t)
			con.environ = append(con.environ, c.environ...)
			if code := run(t.Context(), con.env, strings.Fields(c.args)); code != exitOK {
				t.Errorf("exit %d: %s", code, con.err.String())
			}
			contains(t, con.out.String(), "example.test")
		})
	}
	con := newConsole(t)
	other := t.TempDir()
	if code := run(t.Context(), con.env, []string{"-c", s.config, "--data", other, "domain", "list"}); code != exitFailed {
		t.Errorf("--data did not replace the configuration's directory: exit %d: %s", code, con.out.String())
	}
	contains(t, con.err.String(), other)
	own := newTestSite(t)
	text, err := os.ReadFile(own.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, own.config, "control = \"other.sock\"\n"+string(text))
	code, _, errs := own.do("", "--data", own.dir, "domain", "list")
	if code != exitUsage {
		t.Errorf("exit %d", code)
	}
	contains(t, errs, `sets "control"`)
}

// TestServeLog: the log is JSON if wanted, and a certificate of our own is remarked on.
func TestServeLog(t *testing.T) {
	s := newTestSite(t, "[log]", `format = "json"`, `level = "warn"`)
	con := newConsole(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() { done <- run(ctx, con.env, []string{"serve", "-c", s.config}) }()
	for !strings.Contains(con.err.String(), "made itself") {
		time.Sleep(time.Millisecond)
	}
	for {
		if code, _, _ := s.do("", "health"); code == exitOK {
			break
		}
	}
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit %d", code)
	}
	contains(t, con.err.String(), `{"time":`, `"level":"WARN"`)
	if strings.Contains(con.err.String(), "kurir serves") {
		t.Error("level warn shows info")
	}
}

// TestMetrics: what happens is counted.
func TestMetrics(t *testing.T) {
	s := newTestSite(t)
	srv := s.serve()
	s.must("", "domain", "add", "example.test")
	s.must("", "account", "add", "alice@example.test", "--generate")
	send(t, srv.address("127.0.0.1:40001"), "alice@example.test", "Subject: counted\r\n\r\nx\r\n")
	page := get(t, "http://"+srv.address("127.0.0.1:40008")+"/metrics")
	contains(t, page,
		`kurir_messages_accepted_total{protocol="smtp"} 1`,
		`kurir_messages_delivered_total{result="ok"} 1`,
		`kurir_connections_total{protocol="smtp"} 1`,
		"kurir_fsync_seconds", `kurir_health_ok{check="storage"} 1`)
	contains(t, get(t, "http://"+srv.address("127.0.0.1:40008")+"/"), "mail.example.test")
}

// TestOpenSessionsEnd: who was disabled, or has another password, is logged out everywhere.
func TestOpenSessionsEnd(t *testing.T) {
	s := newTestSite(t, "[tls]", `plaintext_login_networks = ["127.0.0.0/8"]`)
	srv := s.serve()
	s.must("", "domain", "add", "example.test")
	password := strings.TrimSpace(s.must("", "account", "add", "alice@example.test", "--generate"))
	for _, change := range [][]string{
		{"account", "passwd", "alice@example.test", "--generate"},
		{"account", "disable", "alice@example.test"},
		{"account", "remove", "alice@example.test", "--yes"},
	} {
		imap, imapIn := dial(t, srv.address("127.0.0.1:40004"), nil)
		talk(t, imap, imapIn, "", "* OK")
		talk(t, imap, imapIn, "a LOGIN alice@example.test "+password, "a OK")
		talk(t, imap, imapIn, "b SELECT INBOX", "b OK")
		talk(t, imap, imapIn, "c IDLE", "+")
		pop, popIn := dial(t, srv.address("127.0.0.1:40006"), nil)
		talk(t, pop, popIn, "", "+OK")
		talk(t, pop, popIn, "USER alice@example.test", "+OK")
		talk(t, pop, popIn, "PASS "+password, "+OK")
		said := strings.TrimSpace(s.must("", change...))
		want := "was changed: log in again"
		if change[1] == "remove" { // its mail is gone before its login is
			want = ""
		}
		for c, r := range map[net.Conn]io.Reader{imap: imapIn, pop: popIn} {
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			b, err := io.ReadAll(r)
			if err != nil || !strings.Contains(string(b), want) {
				t.Errorf("after %s: %q, %v", change[1], b, err)
			}
		}
		switch change[1] {
		case "passwd":
			password = said
		case "disable":
			s.must("", "account", "enable", "alice@example.test")
		}
	}
}
