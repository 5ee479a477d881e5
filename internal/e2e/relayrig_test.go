package e2e

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil/dnstest"
)

// A mailer is "kurir serve": a server whose mail leaves. Its ports, its domain and its
// accounts are those of the command local, so that all that works with a server works
// with it; its own address is 127.0.0.1 alone.
type mailer struct {
	*server
	config string // path of the configuration
	env    []string
	dns    *dnstest.Server
}

// setup says how a mailer differs from the default.
type setup struct {
	zone  string   // what its DNS answers; the name of the server has no part in it
	dns   string   // host:port of another name server in its place
	relay []string // lines of [relay]
	rest  string   // further tables
	env   []string // over the environment, "KEY=value"
}

// soon are times of the queue that a test can wait for.
var soon = []string{`retry_first = "1s"`, `retry_most = "1s"`}

// newMailer starts a server with two accounts, alice and bob.
func newMailer(t *testing.T, o setup) *mailer {
	t.Helper()
	dns := dnstest.Start(t, o.zone)
	if o.dns == "" {
		o.dns = dns.Addr()
	}
	for try := 1; ; try++ {
		dir := tempDir(t)
		m := &mailer{server: &server{t: t, dir: filepath.Join(dir, "kurir"), offset: freeOffset(t)}, env: o.env, dns: dns}
		m.config = filepath.Join(dir, "kurir.toml")
		if err := os.WriteFile(m.config, []byte(m.configuration(o)), 0o600); err != nil {
			t.Fatal(err)
		}
		m.kurir("", "domain", "add", "local.test")
		for _, a := range []string{alice, bob} {
			m.kurir(password+"\n", "account", "add", a, "--password-stdin")
		}
		err := m.launch()
		if err == nil {
			t.Cleanup(m.end)
			return m
		}
		if try == 5 || !strings.Contains(err.Error(), "is taken by another program") {
			t.Fatal(err)
		}
	}
}

// within has failures of a subtest be its own.
func (m *mailer) within(t *testing.T) {
	outer := m.t
	m.t = t
	t.Cleanup(func() { m.t = outer })
}

// end stops the server at the end of the test; it has to go without a complaint.
func (m *mailer) end() {
	switch {
	case m.run == nil:
	case m.t.Failed():
		m.t.Logf("the server said:\n%s", clip(m.run.out.String()))
		m.kill()
	default:
		m.stop()
	}
}

func (m *mailer) configuration(o setup) string {
	var b strings.Builder
	fmt.Fprintf(&b, "hostname = \"mail.local.test\"\ndata = %q\n", m.dir)
	for _, l := range []struct {
		table string
		port  int
	}{
		{"smtp", smtpPort}, {"submission", submissionPort}, {"submissions", submissionsPort}, {"imap", imapPort},
		{"imaps", imapsPort}, {"pop3", pop3Port}, {"pop3s", pop3sPort}, {"http", httpPort},
	} {
		fmt.Fprintf(&b, "[%s]\naddress = [%q]\n", l.table, m.at(l.port))
	}
	fmt.Fprintf(&b, "[tls]\nplaintext_login_networks = [\"127.0.0.0/8\"]\n[dns]\nservers = [%q]\n[relay]\n", o.dns)
	fmt.Fprintf(&b, "%s\n%s\n", strings.Join(o.relay, "\n"), o.rest)
	return b.String()
}

// kurir runs a command with the server's configuration, which has to succeed.
func (m *mailer) kurir(stdin string, args ...string) string {
	m.t.Helper()
	return newClient(m.t).must(stdin, binary, append(args, "-c", m.config)...)
}

// launch starts the server and waits until it serves.
func (m *mailer) launch() error {
	p := m.begin()
	m.run = p
	err := eventually(patience, func() error {
		select {
		case <-p.exited:
			return nil
		default:
		}
		if !strings.Contains(p.out.String(), "kurir serves") {
			return errors.New("the server is not ready")
		}
		return nil
	})
	select {
	case <-p.exited:
		m.run = nil
		return fmt.Errorf("the server ended: %w\n%s", p.err, p.out)
	default:
	}
	return err
}

// begin runs the server and does not wait for anything.
func (m *mailer) begin() *process {
	p := &process{out: &output{}, exited: make(chan struct{})}
	p.cmd = exec.Command(binary, "serve", "-c", m.config)
	p.cmd.Env = append(os.Environ(), m.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p
}

// start starts a server that was stopped or killed.
func (m *mailer) start() {
	m.t.Helper()
	if err := m.launch(); err != nil {
		m.t.Fatal(err)
	}
}

// says waits until the log has a text.
func (m *mailer) says(text string) {
	m.t.Helper()
	err := eventually(patience, func() error {
		if !strings.Contains(m.run.out.String(), text) {
			return fmt.Errorf("the log has no %q:\n%s", text, clip(m.run.out.String()))
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// queue is what "kurir queue list" says.
func (m *mailer) queue(args ...string) string {
	m.t.Helper()
	return m.kurir("", append([]string{"queue", "list"}, args...)...)
}

// empty waits until nothing is in the queue.
func (m *mailer) empty(within time.Duration) {
	m.t.Helper()
	last := ""
	err := eventually(within, func() error {
		if last = m.queue("--json"); strings.TrimSpace(last) != "[]" {
			time.Sleep(100 * time.Millisecond)
			return errors.New("the queue is not empty")
		}
		return nil
	})
	if err != nil {
		m.t.Fatalf("%v:\n%s\n%s", err, clip(last), clip(m.run.out.String()))
	}
}

// arrived waits until an account's INBOX has a message with each of the parts, and
// returns it. Of several it is the last.
func (m *mailer) arrived(account string, parts ...string) string {
	m.t.Helper()
	var found string
	err := eventually(2*patience, func() error {
		for _, f := range m.mailboxOf(account, "INBOX").messages {
			body, has := string(f.body), true
			for _, p := range parts {
				has = has && strings.Contains(body, p)
			}
			if has {
				found = body
			}
		}
		if found == "" {
			time.Sleep(50 * time.Millisecond)
			return fmt.Errorf("%s has no message with %q", account, parts)
		}
		return nil
	})
	if err != nil {
		for _, f := range m.mailboxOf(account, "INBOX").messages {
			m.t.Logf("there is:\n%s", clip(string(f.body)))
		}
		m.t.Fatalf("%v; the server said:\n%s", err, clip(m.run.out.String()))
	}
	return found
}

// A submission is a mail app's connection, logged in.
type submission struct{ *textproto.Conn }

// login connects to the submission port.
func (m *mailer) login(account string) (submission, error) {
	t, err := textproto.Dial("tcp", m.at(submissionPort))
	if err != nil {
		return submission{}, err
	}
	return newSubmission(t, account)
}

// newSubmission logs in on a connection, which it closes if that fails.
func newSubmission(t *textproto.Conn, account string) (submission, error) {
	_, _, err := t.ReadResponse(220)
	if err == nil {
		err = say(t, 250, "EHLO client.test")
	}
	if err == nil {
		err = say(t, 235, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+account+"\x00"+password)))
	}
	if err != nil {
		t.Close()
	}
	return submission{t}, err
}

// queuedAs finds the message's id in the reply to its content.
var queuedAs = regexp.MustCompile(`queued as ([\w-]+)`)

// submit hands over a message. MAIL and RCPT come with their parameters, as in
// "<alice@local.test> RET=HDRS". It returns the id under which the message is queued, ""
// if the server has named none.
func (c submission) submit(from string, to []string, text string) (id string, err error) {
	if err := say(c.Conn, 250, "MAIL FROM:"+from); err != nil {
		return "", err
	}
	for _, r := range to {
		if err := say(c.Conn, 250, "RCPT TO:"+r); err != nil {
			return "", errors.Join(err, say(c.Conn, 250, "RSET"))
		}
	}
	if err := say(c.Conn, 354, "DATA"); err != nil {
		return "", err
	}
	d := c.DotWriter()
	_, werr := d.Write([]byte(text))
	werr = errors.Join(werr, d.Close())
	_, said, err := c.ReadResponse(250)
	if err != nil {
		return "", errors.Join(err, werr)
	}
	if f := queuedAs.FindStringSubmatch(said); f != nil {
		id = f[1]
	}
	return id, nil
}

// sends has an account send one message, and returns its id in the queue.
func (m *mailer) sends(account, text string, to ...string) (id string) {
	m.t.Helper()
	var rcpt []string
	for _, a := range to {
		rcpt = append(rcpt, "<"+a+">")
	}
	return m.sendsWith("<"+account+">", rcpt, text)
}

// sendsWith is sends with parameters.
func (m *mailer) sendsWith(from string, to []string, text string) (id string) {
	m.t.Helper()
	account, _, _ := strings.Cut(strings.TrimPrefix(from, "<"), ">")
	c, err := m.login(account)
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close()
	if id, err = c.submit(from, to, text); err != nil {
		m.t.Fatalf("submission by %s: %v\n%s", account, err, clip(m.run.out.String()))
	}
	if err := say(c.Conn, 221, "QUIT"); err != nil {
		m.t.Error(err)
	}
	return id
}

// ownAddress gives this machine one more address for the time of the test, where others
// can't reach it: neither loopback nor that of the server under test, so that a mail
// server can be there on port 25. Only root may do that.
func ownAddress(t *testing.T) string {
	t.Helper()
	need(t, "ip")
	var out []byte
	var err error
	for range 20 {
		a := fmt.Sprintf("198.51.100.%d", 20+rand.IntN(230)) // TEST-NET-2 (RFC 5737)
		out, err = exec.Command("ip", "address", "add", a+"/32", "dev", "lo").CombinedOutput()
		if err == nil {
			t.Cleanup(func() {
				if out, err := exec.Command("ip", "address", "del", a+"/32", "dev", "lo").CombinedOutput(); err != nil {
					t.Errorf("removing %s: %v: %s", a, err, out)
				}
			})
			return a
		}
		if !strings.Contains(string(out), "exists") && !strings.Contains(string(out), "already assigned") {
			break
		}
	}
	if os.Getenv("KURIR_REAL_CLIENTS") == "require" {
		t.Fatalf("an address for a mail server on port 25 can't be added, and KURIR_REAL_CLIENTS=require: %v: %s", err, out)
	}
	t.Skipf("an address for a mail server on port 25 can't be added: %v: %s", err, out)
	return ""
}
