package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
)

// said is the server's answer to a line, as "550 5.7.2 …".
func said(t *testing.T, c *textproto.Conn, line string) string {
	t.Helper()
	if err := c.PrintfLine("%s", line); err != nil {
		t.Fatal(err)
	}
	code, text, err := c.ReadResponse(0)
	if err != nil && code == 0 {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", code, text)
}

// wants fails unless each line has the answer that follows it, or begins with it.
func wants(t *testing.T, c *textproto.Conn, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := said(t, c, pairs[i]); !strings.HasPrefix(got, pairs[i+1]) {
			t.Errorf("%s: %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

// TestDisabled: who is disabled hears why, senders are put off with the same text, and
// what was taken for others behind the same address comes when it is over.
func TestDisabled(t *testing.T) {
	t.Parallel()
	m := newMailer(t, setup{relay: soon})
	m.kurir("", "alias", "add", "staff@local.test", alice, bob)
	open := m.dialIMAP(bob, nil)
	sending, err := m.login(bob)
	ok(t, "login", err)
	defer sending.Close()
	m.kurir("", "account", "disable", bob, "--mail", "defer", "--message", "Zurück im März, ask the help desk")
	if err := eventually(patience, func() error {
		if open.Noop().Wait() == nil {
			return fmt.Errorf("bob's session goes on")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	wants(t, sending.Conn, "MAIL FROM:<"+bob+">", "525 5.7.13 this account can't send any more: Zuruck im Marz")
	c, err := imapclient.DialInsecure(m.at(imapPort), nil)
	ok(t, "dial", err)
	defer c.Close()
	if err := c.Login(bob, password).Wait(); err == nil || !strings.Contains(err.Error(), "[CONTACTADMIN] Account is disabled: Zuruck im Marz, ask the help desk") {
		t.Errorf("LOGIN: %v", err)
	}
	if _, err := m.login(bob); err == nil || !strings.Contains(err.Error(), "5.7.13 this account is disabled: Zuruck") {
		t.Errorf("AUTH: %v", err)
	}
	s := m.stranger(t)
	wants(t, s.Conn, "MAIL FROM:<x@there.test>", "250", "RCPT TO:<"+bob+">", "450 4.2.1 this mailbox takes no mail at the moment: Zuruck im Marz", "RSET", "250")
	_, err = s.submit("<x@there.test>", []string{"<staff@local.test>"}, letter("x@there.test", "staff@local.test", "for both"))
	ok(t, "to both", err)
	m.arrived(alice, "Subject: for both")
	contains(t, m.queue(), "staff@local.test", "takes no mail at the moment")
	m.kurir("", "account", "enable", bob)
	m.arrived(bob, "Subject: for both")

	m.kurir("", "domain", "disable", "local.test", "--message", "unpaid")
	wants(t, s.Conn, "MAIL FROM:<x@there.test>", "250", "RCPT TO:<staff@local.test>", "450 4.2.1 this mailbox takes no mail at the moment: unpaid", "RSET", "250")
	if _, err := m.login(alice); err == nil || !strings.Contains(err.Error(), "this account is disabled: unpaid") {
		t.Errorf("AUTH in a closed domain: %v", err)
	}
	m.kurir("", "domain", "enable", "local.test")
	wants(t, s.Conn, "MAIL FROM:<x@there.test>", "250", "RCPT TO:<staff@local.test>", "250")
}

// TestGroups: members write to their group, by account or by what SPF proves; others do not.
func TestGroups(t *testing.T) {
	t.Parallel()
	m := newMailer(t, setup{zone: "member.test. 60 IN TXT \"v=spf1 ip4:192.0.2.7 -all\"\n", relay: soon,
		rest: "[proxy]\nnetworks = [\"127.0.0.2/32\"]"})
	m.kurir("", "group", "add", "team@local.test", alice, "--to", "dave@member.test")
	m.kurir("", "alias", "add", "both@local.test", alice, bob, "--may-send")
	contains(t, m.kurir("", "group", "list"), "team@local.test", "members")
	member, err := m.login(alice)
	ok(t, "login", err)
	defer member.Close()
	_, err = member.submit("<both@local.test>", []string{"<team@local.test>"}, letter("both@local.test", "team@local.test", "by a member"))
	ok(t, "a member", err)
	m.arrived(alice, "Subject: by a member")
	other, err := m.login(bob)
	ok(t, "login", err)
	defer other.Close()
	wants(t, other.Conn, "MAIL FROM:<both@local.test>", "250", "RCPT TO:<team@local.test>", "550 5.7.2 only members of this group may write to it")
	s := m.stranger(t)
	wants(t, s.Conn, "MAIL FROM:<"+alice+">", "250", "RCPT TO:<team@local.test>", "550 5.7.2")

	for _, c := range []struct{ ip, want string }{{"192.0.2.8", "5.7.2 only members of this group may write to it, and neither SPF"}, {"192.0.2.7", ""}} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		conn, err := d.Dial("tcp", m.at(smtpPort))
		ok(t, "dial", err)
		defer conn.Close()
		fmt.Fprintf(conn, "PROXY TCP4 %s 203.0.113.200 4321 25\r\n", c.ip)
		far := submission{textproto.NewConn(conn)}
		_, _, err = far.ReadResponse(220)
		ok(t, "greeting", err)
		wants(t, far.Conn, "EHLO mx.member.test", "250")
		_, err = far.submit("<dave@member.test>", []string{"<team@local.test>"}, letter("Dave <Dave@member.test>", "team@local.test", "from "+c.ip))
		if c.want == "" {
			ok(t, "a member elsewhere", err)
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.ip, err)
		}
	}
	m.arrived(alice, "Subject: from 192.0.2.7")
}

// TestPlusFolder: mail to alice+news goes into her folder, also when it had to wait.
func TestPlusFolder(t *testing.T) {
	t.Parallel()
	m := newMailer(t, setup{relay: soon})
	c := m.dialIMAP(alice, nil)
	ok(t, "CREATE", c.Create("News", nil).Wait())
	s := m.stranger(t)
	_, err := s.submit("<x@there.test>", []string{"<alice+news@local.test>"}, letter("x@there.test", alice, "at once"))
	ok(t, "plus", err)
	_, err = s.submit("<x@there.test>", []string{"<alice+sent@local.test>"}, letter("x@there.test", alice, "to none"))
	ok(t, "plus", err)
	m.arrived(alice, "Subject: to none")
	m.kurir("", "alias", "add", "late@local.test", bob, "alice+News@local.test")
	m.kurir("", "account", "disable", alice, "--mail", "defer")
	_, err = s.submit("<x@there.test>", []string{"<late@local.test>"}, letter("x@there.test", alice, "had to wait"))
	ok(t, "late", err)
	m.kurir("", "account", "enable", alice)
	if err := eventually(patience, func() error {
		news := m.mailboxOf(alice, "News").messages
		all := ""
		for _, f := range news {
			all += string(f.body)
		}
		if !strings.Contains(all, "Subject: at once") || !strings.Contains(all, "Subject: had to wait") {
			return fmt.Errorf("%d messages in News:\n%s", len(news), all)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestApply: what is exported is what is there, with the server running and stopped; a
// server that is killed in the middle of a file gets the rest of it when that is repeated.
func TestApply(t *testing.T) {
	t.Parallel()
	m := newMailer(t, setup{relay: soon})
	m.kurir("", "domain", "alias", "add", "example.net", "local.test")
	m.kurir("", "group", "add", "team@local.test", "alice+Team@local.test", "--to", "Dave@there.test", "--post", "domain")
	m.kurir("", "account", "disable", bob, "--mail", "defer", "--message", "„away“")
	dir := tempDir(t)
	file := filepath.Join(dir, "accounts.toml")
	exported := m.kurir("", "export", "--hashes")
	ok(t, "write", os.WriteFile(file, []byte(exported), 0o600))
	contains(t, m.kurir("", "apply", "--dry-run", "--prune", file), "Nothing to change")
	many := exported
	for i := range 520 {
		many += fmt.Sprintf("\n[[account]]\naddress = \"u%d@local.test\"\n", i)
	}
	ok(t, "write", os.WriteFile(file, []byte(many), 0o600))
	if out, code := m.tryKurir("", "apply", "--dry-run", "--json", file); code != 3 || !json.Valid([]byte(out)) {
		t.Errorf("dry run: exit %d", code)
	}
	begun := exec.Command(binary, "apply", "--yes", file, "-c", m.config)
	ok(t, "apply", begun.Start())
	if err := eventually(patience, func() error {
		if !strings.Contains(m.kurir("", "account", "list"), "u1@local.test") {
			return fmt.Errorf("no account yet")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	m.kill()
	_ = begun.Wait() // it may have been done, or have lost its server
	if out := m.kurir("", "apply", "--yes", file); !strings.Contains(out, "done.") && !strings.Contains(out, "Nothing to change") {
		t.Errorf("again: %s", out)
	}
	m.start()
	contains(t, m.kurir("", "apply", "--dry-run", "--prune", file), "Nothing to change")
}
