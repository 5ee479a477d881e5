package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil/dnstest"
	"kurir/internal/admin"
)

// emptyZone is a domain that is registered, and nothing more.
const emptyZone = `
example.test. SOA ns1.example.test. admin.example.test. 1 3600 600 86400 300
example.test. NS ns1.example.test.
example.test. NS ns2.example.test.
ns1.example.test. A 192.0.2.53
ns2.example.test. A 192.0.2.54
`

// ask runs setup with a person who types lines and secrets, until done.
func (s *setupSite) ask(con *console, lines string, secrets []string, args ...string) <-chan int {
	s.t.Helper()
	con.typing(secrets...)
	con.stdin = strings.NewReader(lines)
	con.pause = time.Millisecond
	all := append([]string{"setup", "example.test", "-c", s.file, "--data", filepath.Join(s.dir, "data"), "--set", "web.http=", "--set", "web.https="}, args...)
	done := make(chan int, 1)
	go func() { done <- run(s.t.Context(), con.env, all) }()
	return done
}

// ends waits for a run's exit code.
func ends(t *testing.T, con *console, done <-chan int) int {
	t.Helper()
	select {
	case code := <-done:
		return code
	case <-time.After(30 * time.Second):
		t.Fatalf("it does not end:\n%s\n%s", con.out.String(), con.err.String())
		return 0
	}
}

const quietButDNS = "ports,rights,disk,clock,memory,ptr,port25-out,port25-in,test"

// The conversation: five questions, a slip at two of them, and the DNS watched until it is right.
func TestSetupConversation(t *testing.T) {
	s := newSetupSite(t)
	srv := dnstest.Start(t, emptyZone)
	con := newConsole(t)
	lines := "192.0.2.1\nmx\nsomebody@other.test\nanna\nperhaps\nno\nanna@example.test\n\n"
	secrets := []string{"short", "long enough one", "another one", "long enough one", "long enough one"}
	done := s.ask(con, lines, secrets, "--ipv4", "192.0.2.25", "--resolver", srv.Addr(), "--skip", quietButDNS)
	con.waitFor(t, "Name of this server [mail.example.test]: ")
	con.waitFor(t, "errors, ")
	list := newConsole(t)
	if code := run(t.Context(), list.env, []string{"dns", "records", "example.test", "-c", s.file, "--zone", "--all"}); code != exitOK {
		t.Fatal(list.err.String())
	}
	zone := emptyZone + list.out.String() + "25.2.0.192.in-addr.arpa. PTR mx.example.test.\n"
	if err := srv.SetZone(zone); err != nil {
		t.Fatal(err)
	}
	if code := ends(t, con, done); code != exitOK {
		t.Errorf("exit %d: %s", code, con.err.String())
	}
	contains(t, con.out.String(),
		`"192.0.2.1" is no host name`, "  somebody@other.test is not", "Your mail address in example.test [admin@example.test]: ", "is not an address in example.test",
		"Password for anna@example.test [one is made for you]: ", "The password has 5 characters, 8 at least are needed.", "The two differ.",
		"Please answer yes or no.", "anna@example.test is in example.test itself",
		"done     Configuration written: ", "done     Account anna@example.test made.", "What mail cannot do without is there.", "ok       The DNS says all that it has to.",
		"User name     anna@example.test", "the one that you have chosen", "todo     The server does not run yet.")
	if strings.Contains(con.out.String(), "long enough") || strings.Contains(con.out.String(), "shown this once") {
		t.Error("the password is shown")
	}
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(text), `hostname = "mx.example.test"`, "enabled = false", `addresses = ["192.0.2.25"]`)
}

// A second time there are two questions only, and what was typed once is the default.
func TestSetupAsksLess(t *testing.T) {
	s := newSetupSite(t)
	if code, _, errs := s.yes("example.test", "--account anna --no-acme --set web.http= --set web.https= --data "+s.dir+"/data"); code != exitOK {
		t.Fatal(errs)
	}
	con := newConsole(t)
	if code := ends(t, con, s.ask(con, "\n\n", nil, "--skip", quietButDNS+",dns,addresses")); code != exitOK {
		t.Errorf("exit %d: %s", code, con.err.String())
	}
	out := con.out.String()
	contains(t, out, "Your mail address in example.test [anna@example.test]: ", "kept     Account anna@example.test as it was", "as before (another one: kurir account passwd anna@example.test)")
	if strings.Contains(out, "Name of this server") || strings.Contains(out, "Password for") || strings.Contains(out, "Let's Encrypt") {
		t.Errorf("asked again:\n%s", out)
	}
}

// The policy of MTA-STS is asked for once its name has a certificate, and is no finding before.
func TestSetupPolicyLater(t *testing.T) {
	s := newSetupSite(t)
	srv := dnstest.Start(t, emptyZone)
	flags := "--data " + s.dir + "/data --ipv4 192.0.2.25 --resolver " + srv.Addr()
	if code, _, errs := s.yes("example.test", flags); code != exitOK {
		t.Fatal(errs)
	}
	list := newConsole(t)
	if code := run(t.Context(), list.env, []string{"dns", "records", "example.test", "-c", s.file, "--zone", "--all", "--ipv4", "192.0.2.25"}); code != exitOK {
		t.Fatal(list.err.String())
	}
	contains(t, list.out.String(), "mta-sts.example.test.")
	if err := srv.SetZone(emptyZone + list.out.String() + "25.2.0.192.in-addr.arpa. PTR mail.example.test.\n"); err != nil {
		t.Fatal(err)
	}
	con := newConsole(t)
	args := append([]string{"setup", "example.test", "--yes", "-c", s.file, "--skip", quietButDNS + ",addresses,start,certificate"}, strings.Fields(flags)...)
	if code := run(t.Context(), con.env, args); code != exitOK {
		t.Errorf("exit %d: %s", code, con.err.String())
	}
	contains(t, con.out.String(), "ok       The DNS says all that it has to.")
}

// Input that ends in the middle of the questions changes nothing.
func TestSetupNobody(t *testing.T) {
	s := newSetupSite(t)
	con := newConsole(t)
	if code := ends(t, con, s.ask(con, "mx\n", nil)); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, con.err.String(), "the input ended in the middle of the questions; nothing was changed")
	if names, err := os.ReadDir(s.dir); err != nil || len(names) > 0 {
		t.Errorf("%v %v", names, err)
	}
}

// Ctrl-C at a question ends it at once, also while a password is typed.
func TestSetupInterrupted(t *testing.T) {
	for _, at := range []string{"Name of this server", "Password for"} {
		s := newSetupSite(t)
		con := newConsole(t)
		silent, _ := io.Pipe()
		con.terminal = func() bool { return true }
		con.stdin = silent
		con.secret = func() (string, error) { select {} }
		if at == "Password for" {
			con.stdin = io.MultiReader(strings.NewReader("\n\n"), silent)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int, 1)
		go func() {
			done <- run(ctx, con.env, []string{"setup", "example.test", "-c", s.file, "--data", s.dir + "/data"})
		}()
		con.waitFor(t, at)
		cancel()
		if code := ends(t, con, done); code != exitFailed {
			t.Errorf("%s: exit %d", at, code)
		}
		contains(t, con.err.String(), "interrupted; what is made stays: run kurir setup example.test again to go on")
		if names, err := os.ReadDir(s.dir); err != nil || len(names) > 0 {
			t.Errorf("%s: %v %v", at, names, err)
		}
	}
}

// systemd is a machine with the server's unit, which start begins when it is enabled.
func (c *console) systemd(s *setupSite, begin func() error) {
	c.systemConfig = s.file
	c.env.systemctl = func(_ context.Context, args ...string) (string, error) {
		if args[0] == "cat" {
			return "[Unit]", nil
		}
		if err := begin(); err != nil {
			return err.Error(), err
		}
		return "", nil
	}
}

// With systemd the server is started, has its certificate looked at, and takes a message.
func TestSetupStarts(t *testing.T) {
	s := newSetupSite(t)
	srv := dnstest.Start(t, emptyZone+`
mail.example.test. A 127.0.0.1
mail.example.test. TXT "v=spf1 ip4:192.0.2.25 -all"
example.test. TXT "v=spf1 ip4:192.0.2.25 -all"
_dmarc.example.test. TXT "v=DMARC1; p=reject"
`)
	flags := "--no-acme --ipv4 192.0.2.25 --skip ports,rights,disk,clock,memory,ptr,port25-out,port25-in --resolver " + srv.Addr() + " --set dns.servers=" + srv.Addr()
	for _, p := range []string{"smtp", "imaps", "submissions"} {
		flags += " --set " + p + ".address=" + freePort(t)
	}
	for _, p := range []string{"imap", "pop3", "pop3s", "submission", "http"} {
		flags += " --set " + p + ".address="
	}
	con := newConsole(t)
	var server *serving
	con.systemd(s, func() error {
		c := newConsole(t)
		c.listen = systemEnv().listen
		server = start(t, c, "serve", "-c", s.file)
		return nil
	})
	args := append([]string{"setup", "example.test", "--yes", "--json", "-c", s.file, "--data", s.dir + "/data", "--set", "web.http=", "--set", "web.https="}, strings.Fields(flags)...)
	code := run(t.Context(), con.env, args)
	var r setupResult
	if err := json.Unmarshal([]byte(con.out.String()), &r); err != nil || code != exitOK {
		t.Fatalf("exit %d: %v %s %s", code, err, con.out.String(), con.err.String())
	}
	if r.outcome("start") != "done" || !strings.Contains(r.words("certificate"), "kurir's own CA") || r.outcome("dns") != "todo" {
		t.Errorf("%+v", r.Steps)
	}
	contains(t, r.words("test"), "came into the mailbox of admin@example.test", "No test message was sent")
	boxes := newConsole(t)
	if code := run(t.Context(), boxes.env, []string{"mailbox", "list", "admin@example.test", "-c", s.file, "--json"}); code != exitOK {
		t.Fatal(boxes.err.String())
	}
	var all []admin.Mailbox
	if err := json.Unmarshal([]byte(boxes.out.String()), &all); err != nil {
		t.Fatal(err)
	}
	for _, b := range all { // not in Junk, whatever the records say of this machine
		if (b.Messages > 0) != (b.Name == "INBOX") {
			t.Errorf("%+v", b)
		}
	}
	again := newConsole(t)
	if code := run(t.Context(), again.env, append(args, "--test-to", "me@nowhere.test")); code != exitOK {
		t.Fatalf("exit %d: %s", code, again.err.String())
	}
	if err := json.Unmarshal([]byte(again.out.String()), &r); err != nil {
		t.Fatal(err)
	}
	contains(t, r.words("start"), "The server runs (pid ")
	contains(t, r.words("test"), "The test message was returned: 5.1.2 nowhere.test does not exist in the DNS")
	server.stop()
}

// A server that systemd cannot start is a problem, and the rest is done without it.
func TestSetupCannotStart(t *testing.T) {
	s := newSetupSite(t)
	con := newConsole(t)
	con.systemd(s, func() error { return errors.New("Job for kurir.service failed") })
	args := "--no-acme --skip ports,rights,disk,clock,memory,addresses,ptr,port25-out,port25-in,dns --set web.http= --set web.https="
	code := run(t.Context(), con.env, append([]string{"setup", "example.test", "--yes", "-c", s.file, "--data", s.dir + "/data"}, strings.Fields(args)...))
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, con.out.String(), "problem  systemd could not start the server: Job for kurir.service failed", "journalctl -u kurir", "NAME ")
	contains(t, con.err.String(), "1 problem: mend it and run kurir setup example.test again")
}

// freePort is an address that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestLocalAddressOf(t *testing.T) {
	for address, want := range map[string]string{
		":25": "127.0.0.1:25", "0.0.0.0:25": "127.0.0.1:25", "[::]:25": "[::1]:25", "192.0.2.1:25": "192.0.2.1:25", "[2001:db8::1]:25": "[2001:db8::1]:25", "odd": "",
	} {
		if got := localAddressOf([]string{address, ":26"}); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	if got := localAddressOf(nil); got != "" {
		t.Error(got)
	}
}
