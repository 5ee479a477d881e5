package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	header1 = "PROXY TCP4 192.0.2.77 198.51.100.5 50000 25\r\n"
	// header2 is version 2 for 2001:db8::77, with a TLV behind its addresses.
	header2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x28" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x77" + "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05" +
		"\xc3\x50\x00\x19" + "\x04\x00\x01x"
	headerLocal = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

// through connects to a port as a proxy does, which sends header first.
func through(t *testing.T, m *mailer, port int, header string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", m.at(port))
	ok(t, "dial", err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(c, header)
	ok(t, "header", err)
	return c
}

// talk says lines, each after the reply to the one before, and returns the last line of
// each reply, the greeting being the first.
func talk(t *testing.T, c net.Conn, lines ...string) []string {
	t.Helper()
	r := textproto.NewReader(bufio.NewReader(c))
	var replies []string
	for i := 0; ; i++ {
		line, err := r.ReadLine()
		if err != nil {
			return append(replies, err.Error())
		}
		if len(line) > 3 && line[3] == '-' {
			i--
			continue
		}
		replies = append(replies, line)
		if i == len(lines) {
			return replies
		}
		if _, err := io.WriteString(c, lines[i]+"\r\n"); err != nil {
			t.Fatal(err)
		}
	}
}

// message are the lines that send one with a subject.
func message(helo, from, to, subject string) []string {
	return []string{
		"EHLO " + helo, "MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA",
		"From: <" + from + ">\r\nTo: <" + to + ">\r\nSubject: " + subject + "\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <" + subject + "@elsewhere.test>\r\n\r\ntext\r\n.",
	}
}

func last(replies []string) string { return replies[len(replies)-1] }

// TestProxyProtocol: every port takes the header of a proxy, and nothing else from there.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	m := newMailer(t, setup{rest: "[proxy]\nnetworks = [\"127.0.0.0/8\"]"})
	for name, c := range map[string]struct{ header, from string }{
		"v1":    {header1, "[192.0.2.77]"},
		"v2":    {header2, "[IPv6:2001:db8::77]"},
		"local": {headerLocal, "[0.0.0.0]"},
	} {
		replies := talk(t, through(t, m, smtpPort, c.header), message("client.test", "carol@elsewhere.test", alice, "by-"+name)...)
		if !strings.HasPrefix(last(replies), "250 ") {
			t.Fatalf("%s: %q", name, replies)
		}
		contains(t, received(t, m, "by-"+name), "Received: from client.test ("+c.from+")")
	}
	// Below TLS, and below HTTP.
	for _, port := range []int{submissionsPort, imapsPort, pop3sPort} {
		conf := m.trust()
		conf.ServerName = "mail.local.test"
		tc := tls.Client(through(t, m, port, header2), conf)
		line, err := bufio.NewReader(tc).ReadString('\n')
		if err != nil || !strings.ContainsAny(line[:1], "2*+") {
			t.Errorf("TLS behind a header, port %d: %q, %v", port, line, err)
		}
	}
	for port, want := range map[int]string{submissionPort: "220 ", imapPort: "* OK", pop3Port: "+OK"} {
		line, err := bufio.NewReader(through(t, m, port, header1)).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("port %d: %q, %v", port, line, err)
		}
	}
	page, _ := io.ReadAll(through(t, m, httpPort, header1+"GET /healthz HTTP/1.0\r\n\r\n"))
	contains(t, string(page), "200 OK")
	// Without a header there is a word in the protocol where it may be spoken, and the end.
	for port, want := range map[int]string{
		smtpPort: "421 4.7.0 a proxy has to send", submissionPort: "421 4.7.0 ", imapPort: "* BYE ", pop3Port: "-ERR ", httpPort: "HTTP/1.1 400 ",
		submissionsPort: "", imapsPort: "", pop3sPort: "",
	} {
		got, _ := io.ReadAll(through(t, m, port, "EHLO client.test\r\n"))
		if !strings.HasPrefix(string(got), want) || want == "" && len(got) > 0 {
			t.Errorf("port %d without a header: %q", port, got)
		}
	}
	contains(t, m.run.out.String(), "refused a connection from a network of [proxy]", "remote=192.0.2.77:50000")
	m.kurir("", "health")
}

// received is the file of alice's message with a subject.
func received(t *testing.T, m *mailer, subject string) string {
	t.Helper()
	var found string
	ok(t, "message "+subject, eventually(patience, func() error {
		files, _ := filepath.Glob(filepath.Join(m.account(alice), "*", "*"))
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err == nil && strings.Contains(string(text), "Subject: "+subject+"\n") {
				found = string(text)
				return nil
			}
		}
		return fmt.Errorf("no message %s", subject)
	}))
	return found
}

// TestNoHeaderFromElsewhere: whoever is no proxy says what he likes, and is not believed.
func TestNoHeaderFromElsewhere(t *testing.T) {
	t.Parallel()
	m := newMailer(t, setup{rest: "[proxy]\nnetworks = [\"10.0.0.0/8\"]"})
	c := through(t, m, smtpPort, header1)
	if got := talk(t, c, "EHLO client.test"); !strings.HasPrefix(got[1], "500 ") {
		t.Errorf("%q", got)
	}
	if strings.Contains(m.run.out.String(), "remote=192.0.2.77") {
		t.Error("the header was believed")
	}
}

const gateZone = `
66.2.0.192.bl.test. A 127.0.0.2
66.2.0.192.bl.test. TXT "sends spam"
2.0.0.127.bl.test.  A 127.0.0.2
`

const gateSettings = `
[proxy]
networks = ["127.0.0.0/8"]
[inbound]
dnsbl = ["bl.test=127.0.0.2-11"]
block = ["bad.test", "203.0.113.0/24"]
allow = ["203.0.113.9"]
greylist = true
greylist_delay = "2s"
connections_minute = 5
`

// TestGate: what strangers meet, by the addresses that a proxy tells.
func TestGate(t *testing.T) {
	t.Parallel()
	m := newMailer(t, setup{zone: gateZone, rest: gateSettings})
	as := func(ip string, lines ...string) []string {
		t.Helper()
		return talk(t, through(t, m, smtpPort, "PROXY TCP4 "+ip+" 198.51.100.5 50000 25\r\n"), lines...)
	}
	for _, c := range []struct{ ip, helo, from, to, want string }{
		{"192.0.2.66", "client.test", "carol@elsewhere.test", alice, "550 5.7.1 [192.0.2.66] is listed by bl.test (sends spam); have it removed there, or ask postmaster@local.test"},
		{"192.0.2.66", "client.test", "carol@elsewhere.test", "postmaster@local.test", "250 "}, // the one to ask
		{"198.51.100.1", "mail.local.test", "carol@elsewhere.test", alice, `550 5.7.1 your server calls itself "mail.local.test", which is this server's name`},
		{"198.51.100.1", "client.test", "carol@elsewhere.test", alice, "451 4.7.1 your server is not known here yet"},
		{"203.0.113.9", "client.test", "carol@elsewhere.test", alice, "250 "},
	} {
		got := as(c.ip, message(c.helo, c.from, c.to, "x")[:3]...)
		if !strings.HasPrefix(last(got), c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
	for ip, from := range map[string]string{"203.0.113.1": "carol@elsewhere.test", "198.51.100.1": "carol@bad.test"} {
		if got := as(ip, "EHLO client.test", "MAIL FROM:<"+from+">"); !strings.HasPrefix(last(got), "550 5.7.1 mail from ") {
			t.Errorf("%s from %s: %q", from, ip, got)
		}
	}
	ok(t, "greylisting", eventually(patience, func() error {
		if got := last(as("198.51.100.1", message("client.test", "carol@elsewhere.test", alice, "known")...)); !strings.HasPrefix(got, "250 ") {
			time.Sleep(time.Second)
			return fmt.Errorf("%s", got)
		}
		return nil
	}))
	received(t, m, "known")
	for range 10 {
		if got := as("198.51.100.200"); strings.HasPrefix(got[0], "421 4.7.0 too many connections from [198.51.100.200]") {
			return
		}
	}
	t.Error("ten connections in a row")
}

// TestSharedAddress: a proxy that hides who connects is noticed by the names that come
// through it, and is said at once, by check, and at the next start.
func TestSharedAddress(t *testing.T) {
	t.Parallel()
	m := newMailer(t, setup{rest: "[inbound]\nconnections_minute = 2\nrefusals_hour = 1"})
	const want = "connections from 127.0.0.1 (this machine itself: a proxy on it?) stand for everybody"
	for i := range 5 {
		if strings.Contains(m.run.out.String(), want) {
			t.Errorf("it is said after %d names", i)
		}
		got := talk(t, through(t, m, smtpPort, ""), fmt.Sprintf("EHLO mx%d.elsewhere.test", i), "MAIL FROM:<>", "RCPT TO:<nobody@local.test>")
		if !strings.HasPrefix(last(got), "550 5.1.1 ") {
			t.Errorf("everybody is kept out for one: %q", got)
		}
	}
	contains(t, m.run.out.String(), want)
	m.stop()
	m.start()
	contains(t, m.run.out.String(), want, "userland proxy")
	m.stop()
	contains(t, m.kurir("", "check"), want)
}

// TestProxyPrograms: the headers of other people's programs, in both versions.
func TestProxyPrograms(t *testing.T) {
	t.Parallel()
	c := newClient(t, "swaks")
	m := newMailer(t, setup{rest: "[proxy]\nnetworks = [\"127.0.0.0/8\"]"})
	for version, family := range map[string]string{"1": "TCP4", "2": "AF_INET"} {
		c.must("", "swaks", "--server", m.at(smtpPort), "--helo", "client.test", "-f", "carol@elsewhere.test", "-t", alice, "--tls",
			"--header", "Subject: swaks-"+version, "--proxy-version", version, "--proxy-family", family,
			"--proxy-source", "192.0.2.77", "--proxy-source-port", "50000", "--proxy-dest", "198.51.100.5", "--proxy-dest-port", "25")
		contains(t, received(t, m, "swaks-"+version), "Received: from client.test ([192.0.2.77])", "with ESMTPS")
	}
	c = newClient(t, "curl")
	contains(t, c.must("", "curl", "-sS", "--haproxy-protocol", "http://"+m.at(httpPort)+"/healthz"), "ok")
	contains(t, c.must("", "curl", "-sS", "--haproxy-protocol", "-k", "-u", alice+":"+password, "imaps://"+m.at(imapsPort)+"/"), "INBOX")
}
