package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kurir/internal/admin"
	"kurir/internal/config"
	"kurir/internal/listen"
)

// dialGreeted connects and reads the greeting.
func dialGreeted(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	if line, err := r.ReadString('\n'); err != nil {
		t.Fatalf("greeting %q: %v", line, err)
	}
	return c, r
}

// says sends a line and returns the answer, of SMTP all its lines.
func says(t *testing.T, c net.Conn, r *bufio.Reader, line string) (answer string) {
	t.Helper()
	if _, err := c.Write([]byte(line + "\r\n")); err != nil {
		t.Fatal(err)
	}
	for {
		got, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %q: %v", line, got, err)
		}
		if answer += got; len(got) < 4 || got[3] != '-' {
			return answer
		}
	}
}

// rewrite changes the configuration's file.
func (s *testSite) rewrite(pairs ...string) {
	s.t.Helper()
	text, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	changed := strings.NewReplacer(pairs...).Replace(string(text))
	if changed == string(text) {
		s.t.Fatal("nothing was replaced")
	}
	if err := os.WriteFile(s.config, []byte(changed), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testSite) reload() (done admin.Reloaded) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.must("", "reload", "--json")), &done); err != nil {
		s.t.Fatal(err)
	}
	return done
}

// TestReload: new connections meet the new configuration at once, on the same ports; those
// that are open go on with the one that they began with.
func TestReload(t *testing.T) {
	s := newTestSite(t, "[limits]", "message_size = \"1MiB\"", "[store]", "expunged_keep = \"1h\"")
	srv := s.serve()
	old, oldR := dialGreeted(t, srv.address("127.0.0.1:40001"))
	s.rewrite("1MiB", "2MiB", `"1h"`, `"2h"`, "127.0.0.1:40006", "127.0.0.1:40016")
	pop3 := srv.address("127.0.0.1:40006")
	kept, keptR := dialGreeted(t, pop3)
	done := s.reload()
	if !slices.Equal(done.Changed, []string{"pop3.address", "limits.message_size"}) || !slices.Equal(done.Restart, []string{"store.expunged_keep"}) {
		t.Errorf("%+v", done)
	}
	fresh, freshR := dialGreeted(t, srv.address("127.0.0.1:40001"))
	contains(t, says(t, fresh, freshR, "EHLO x.test"), "SIZE 2097152")
	contains(t, says(t, old, oldR, "EHLO x.test"), "SIZE 1048576")
	if _, err := net.Dial("tcp", pop3); err == nil {
		t.Error("the port that was taken out is open")
	}
	dialGreeted(t, srv.address("127.0.0.1:40016"))
	contains(t, says(t, kept, keptR, "CAPA"), "+OK")
	contains(t, srv.err.String(), `msg="configuration in force"`, "needs a restart", "store.expunged_keep")
	contains(t, s.must("", "reload"), "nothing has changed", "after a restart: store.expunged_keep")
	srv.stop()
}

// TestReloadMistakes: a configuration with mistakes changes nothing and tells all of them,
// to the command and in the log.
func TestReloadMistakes(t *testing.T) {
	s := newTestSite(t, "[limits]", "message_size = \"1MiB\"", "recipients = 100")
	srv := s.serve()
	s.rewrite("1MiB", "2XiB", "recipients = 100", "recipients = -1")
	code, _, errs := s.do("", "reload")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, errs, "limits.message_size", "limits.recipients", "kurir.toml:", "nothing was changed")
	srv.hangups <- syscall.SIGHUP
	for strings.Count(srv.err.String(), "the configuration is not taken") < 2 {
		time.Sleep(5 * time.Millisecond)
	}
	contains(t, srv.err.String(), "limits.message_size", "limits.recipients")
	fresh, freshR := dialGreeted(t, srv.address("127.0.0.1:40001"))
	contains(t, says(t, fresh, freshR, "EHLO x.test"), "SIZE 1048576")

	s.rewrite("2XiB", "3MiB", "recipients = -1", "recipients = 5", `"127.0.0.1:40005"`, `":40005"`)
	code, _, errs = s.do("", "reload")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, errs, ":40005", "127.0.0.1:40005", "restart the server")

	s.rewrite(`":40005"`, `"127.0.0.1:40005"`)
	srv.hangups <- syscall.SIGHUP
	for !strings.Contains(srv.err.String(), "configuration in force") {
		time.Sleep(5 * time.Millisecond)
	}
	fresh, freshR = dialGreeted(t, srv.address("127.0.0.1:40001"))
	contains(t, says(t, fresh, freshR, "EHLO x.test"), "SIZE 3145728")
	srv.stop()
}

func TestReloadWithoutServer(t *testing.T) {
	s := newTestSite(t)
	if code, _, errs := s.do("", "reload"); code != exitFailed || !strings.Contains(errs, "kurir serve") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// TestReloadLocal: the server of the command local reads no configuration that lies around.
func TestReloadLocal(t *testing.T) {
	c, dir := newConsole(t), t.TempDir()
	srv := start(t, c, "local", "--dir", dir)
	con := newConsole(t)
	if code := run(t.Context(), con.env, []string{"--data", dir, "reload"}); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, con.err.String(), "reads no configuration")
	srv.stop()
}

func TestOverlaps(t *testing.T) {
	for _, tt := range []struct{ address, open, want string }{
		{":25", ":25", ""},
		{":26", ":25", ""},
		{":25", "192.0.2.1:25", "192.0.2.1:25"},
		{"192.0.2.1:25", ":25", ":25"},
		{"192.0.2.1:25", "[::]:25", "[::]:25"},
		{"192.0.2.1:25", "192.0.2.2:25", ""},
		{"unix:/run/x", ":25", ""},
		{"127.0.0.1:0", ":0", ""},
	} {
		if got := overlaps(tt.address, []string{tt.open}); got != tt.want {
			t.Errorf("%s beside %s: %q", tt.address, tt.open, got)
		}
	}
}

// Sockets go by their addresses, whatever is spoken there; where the system chooses the
// port, each is one of its own.
func TestSocketNames(t *testing.T) {
	c := config.Default()
	c.SMTP.Address = []string{":25", "127.0.0.1:0", "127.0.0.1:0"}
	p := allPorts(c)[0]
	if a, b, c := p.socket(0), p.socket(1), p.socket(2); a != ":25" || b == c || b == "127.0.0.1:0" {
		t.Errorf("%q %q %q", a, b, c)
	}
}

// Front-ends of an earlier configuration end when their last conversation has, and not
// before; those of HTTP soon, for a client may leave its connection open.
func TestDrain(t *testing.T) {
	in, out := net.Pipe()
	defer out.Close()
	l := listen.New(newOneConn(in), listen.Options{})
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	mail, http := &front{port: &port{protocol: "imap"}, l: l}, &front{port: &port{protocol: "webs"}, l: l}
	if mail.done(24*time.Hour) || http.done(drainHTTP-1) || !http.done(drainHTTP) {
		t.Error("in the middle of a conversation")
	}
	c.Close()
	if mail.done(drainLeast-1) || !mail.done(drainLeast) || http.done(drainLeast-1) || !http.done(drainLeast) {
		t.Error("after the conversation")
	}
}

// What is swept is what nobody needs, and only that.
func TestSweep(t *testing.T) {
	var stopped []string
	f := &fronts{running: map[*front]struct{}{}}
	now := time.Now()
	for name, left := range map[string]time.Time{"now": {}, "just left": now, "left long ago": now.Add(-time.Hour)} {
		f.running[&front{port: &port{protocol: "http"}, left: left, stop: func() { stopped = append(stopped, name) }}] = struct{}{}
	}
	if f.sweep(now); !slices.Equal(stopped, []string{"left long ago"}) {
		t.Errorf("swept: %q", stopped)
	}
	f.ctx = t.Context()
	f.waitAll()
	if err := f.start(&site{}); !errors.Is(err, errStopping) {
		t.Errorf("after the stop: %v", err)
	}
}

// The CAs whose clients may log in are those that the file holds when it is read again,
// under the same name too.
func TestReloadClientCAs(t *testing.T) {
	day := 24 * time.Hour
	file := certificate(t, "first.test", time.Now().Add(-day), time.Now().Add(day))
	s := newTestSite(t, "[tls]", `client_ca = "`+file+`"`)
	srv := s.serve()
	defer srv.stop()
	asked := func() (names string) {
		t.Helper()
		c, err := tls.Dial("tcp", srv.address("127.0.0.1:40005"), &tls.Config{
			InsecureSkipVerify: true, // it is about what the server asks for
			GetClientCertificate: func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				names = string(bytes.Join(i.AcceptableCAs, nil))
				return &tls.Certificate{}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		return names
	}
	contains(t, asked(), "first.test")
	if done := s.reload(); len(done.Changed) != 0 {
		t.Errorf("%+v", done)
	}
	second, err := os.ReadFile(certificate(t, "second.test", time.Now().Add(-day), time.Now().Add(day)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, second, 0o600); err != nil {
		t.Fatal(err)
	}
	if done := s.reload(); !slices.Equal(done.Changed, []string{"tls.client_ca"}) {
		t.Errorf("%+v", done)
	}
	if names := asked(); !strings.Contains(names, "second.test") || strings.Contains(names, "first.test") {
		t.Errorf("%q", names)
	}
}
