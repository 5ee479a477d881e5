package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lmtpSocket is a place for a socket that every user of this machine can reach.
func lmtpSocket(t *testing.T) (path, config string) {
	t.Helper()
	dir := tempDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "lmtp.sock")
	return path, fmt.Sprintf("[lmtp]\naddress = [%q, \"127.0.0.1:0\"]\nsocket_mode = \"0666\"", "unix:"+path)
}

// TestPostfixInFront: a Postfix takes the mail and delivers it by LMTP. Of two recipients
// one has no room: the other gets the message once, and the first one when there is room.
func TestPostfixInFront(t *testing.T) {
	t.Parallel()
	needPostfix(t)
	path, config := lmtpSocket(t)
	m := newMailer(t, setup{rest: config})
	m.kurir("", "account", "quota", bob, "1MiB")
	p := newPostfix(t, ownAddress(t), "mx.postfix.test", m.at(smtpPort),
		"transport_maps = inline:{ { local.test = lmtp:unix:"+path+" } }", "lmtp_destination_recipient_limit = 10",
		"relay_domains = local.test", "relay_recipient_maps =")
	p.sendmail(letter(alice, bob, "fills", strings.Repeat("0123456789\r\n", 60000)), "-f", "x@elsewhere.test", bob)
	m.arrived(bob, "Subject: fills")
	p.sendmail(letter(alice, bob, "to both", strings.Repeat("0123456789\r\n", 60000)), "-f", "x@elsewhere.test", alice, bob)
	got := m.arrived(alice, "Subject: to both")
	contains(t, got, "Return-Path: <x@elsewhere.test>", "from mx.postfix.test\r\n\tby mail.local.test with LMTP id ")
	p.logs("[" + path + "] said: 452 4.2.2 mailbox is full")
	m.kurir("", "account", "quota", bob, "none")
	time.Sleep(2 * time.Second) // its queue manager forgets for long what it meets in a delivery agent's hands
	p.postfix("flush")
	m.arrived(bob, "Subject: to both")
	time.Sleep(2 * time.Second) // in which Postfix would try again
	if n := strings.Count(p.log(), "to=<"+alice+">, relay="); n != 1 {
		t.Errorf("%d deliveries to alice", n)
	}
	p.sendmail(letter(alice, "nobody@local.test", "to nobody", "Hello"), "-f", "x@elsewhere.test", "nobody@local.test")
	p.logs("said: 550 5.1.1 no such user here")
}

// TestLMTPPort: the same by TCP on this machine; nothing is relayed.
func TestLMTPPort(t *testing.T) {
	t.Parallel()
	_, config := lmtpSocket(t)
	m := newMailer(t, setup{rest: config})
	_, address, _ := strings.Cut(m.run.out.String(), "lmtp 127.0.0.1:")
	address, _, _ = strings.Cut(address, ",")
	c, err := net.Dial("tcp", "127.0.0.1:"+address)
	ok(t, "dial", err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	replies := talk(t, c, "LHLO filter.local.test", "MAIL FROM:<x@elsewhere.test>", "RCPT TO:<y@elsewhere.test>", "RCPT TO:<"+alice+">", "DATA",
		letter("x@elsewhere.test", alice, "by LMTP", "Hello")+".")
	if len(replies) != 7 || !strings.HasPrefix(replies[3], "550 5.7.1 ") || !strings.HasPrefix(replies[6], "250 2.1.5 ") {
		t.Errorf("%q", replies)
	}
	got := m.arrived(alice, "Subject: by LMTP")
	contains(t, got, "from filter.local.test ([127.0.0.1])\r\n\tby mail.local.test with LMTP id ")
	if strings.Contains(got, "X-Kurir-Reason") {
		t.Errorf("it was judged:\n%s", got)
	}
}
