package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"
)

// app makes an app password of alice's.
func (m *mailer) app(name string, more ...string) string {
	m.t.Helper()
	var added struct{ Password string }
	ok(m.t, "app password", json.Unmarshal([]byte(m.kurir("", append([]string{"account", "app", "add", alice, name, "--json"}, more...)...)), &added))
	if len(added.Password) != 23 {
		m.t.Fatalf("the app password is %q", added.Password)
	}
	return added.Password
}

// dialTLS is dialLine over TLS, on the ports that begin with it.
func (m *mailer) dialTLS(port int, conf *tls.Config) (*line, *tls.Conn) {
	m.t.Helper()
	conf.InsecureSkipVerify = true // the test's address is not in the certificate
	c, err := tls.Dial("tcp", m.at(port), conf)
	ok(m.t, "dial", err)
	m.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * patience))
	l := &line{m.t, c, bufio.NewReader(c)}
	l.until("")
	if port == submissionsPort {
		l.say("EHLO client.test", "250 ")
	}
	return l, c
}

// ways are the three protocols' words for a SASL exchange.
var ways = []struct {
	port                      int
	begin, more, done, failed string
}{
	{imapsPort, "a AUTHENTICATE ", "+ ", "a OK", "a NO [AUTHENTICATIONFAILED]"},
	{pop3sPort, "AUTH ", "+ ", "+OK", "-ERR [AUTH]"},
	{submissionsPort, "AUTH ", "334 ", "235", "535"},
}

// scramBy logs in by SCRAM and returns the last line.
func (l *line) scramBy(way int, mechanism string, c *scram.ClientConversation, initial bool) string {
	l.t.Helper()
	w := ways[way]
	step := func(challenge string) string {
		text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.TrimPrefix(challenge, w.more)))
		ok(l.t, "challenge "+challenge, err)
		m, err := c.Step(string(text))
		ok(l.t, mechanism, err)
		return base64.StdEncoding.EncodeToString([]byte(m))
	}
	var said string
	if initial {
		said = l.say(w.begin+mechanism+" "+step(""), "")
	} else {
		said = l.say(w.begin+mechanism, w.more)
		said = l.say(step(said), "")
	}
	for strings.HasPrefix(said, w.more) {
		said = l.say(step(said), "")
	}
	return said
}

// TestScramOnTheWire: SCRAM with and without channel binding in all three protocols, with TLS
// 1.2 and 1.3; the account's own password does not fit, and who is told that there is no
// channel binding is not let in.
func TestScramOnTheWire(t *testing.T) {
	t.Parallel()
	m := newMailer(t, setup{rest: "[login]\nmechanisms = [\"scram-sha-256\", \"scram-sha-256-plus\"]\n"})
	phone := m.app("phone")
	client := func(name, password string) *scram.Client {
		c, err := scram.SHA256.NewClient(name, password, "")
		ok(t, "client", err)
		return c
	}
	for way, w := range ways {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, initial := range []bool{true, false} {
				name := fmt.Sprintf("%q, %s, initial response %v", w.begin, tls.VersionName(version), initial)
				l, c := m.dialTLS(w.port, &tls.Config{MaxVersion: version})
				state := c.ConnectionState()
				binding, err := scram.NewTLSExporterBinding(&state)
				ok(t, "binding", err)
				conversation := client(alice, phone).NewConversationWithChannelBinding(binding)
				if got := l.scramBy(way, "SCRAM-SHA-256-PLUS", conversation, initial); !strings.HasPrefix(got, w.done) || !conversation.Valid() {
					t.Errorf("%s, PLUS: %s", name, got)
				}
				l, _ = m.dialTLS(w.port, &tls.Config{MaxVersion: version})
				if got := l.scramBy(way, "SCRAM-SHA-256", client(alice, phone).NewConversation(), initial); !strings.HasPrefix(got, w.done) {
					t.Errorf("%s: %s", name, got)
				}
			}
		}
		l, _ := m.dialTLS(w.port, &tls.Config{})
		if got := l.scramBy(way, "SCRAM-SHA-256", client(bob, password).NewConversation(), true); !strings.HasPrefix(got, w.failed) {
			t.Errorf("%q, own password: %s", w.begin, got)
		}
		if got := l.scramBy(way, "SCRAM-SHA-256", client(alice, phone).NewConversationAdvertisingChannelBinding(), true); !strings.HasPrefix(got, w.failed) {
			t.Errorf("%q, downgraded: %s", w.begin, got)
		}
		l.say(w.begin+"PLAIN", map[int]string{0: "a NO [CANNOT]", 1: "-ERR", 2: "504"}[way])
	}
	contains(t, m.kurir("", "account", "logins", alice), `SCRAM-SHA-256-PLUS (app "phone")`, "TLS 1.2", "TLS 1.3",
		"was not told that SCRAM-SHA-256-PLUS is offered here")
	contains(t, m.kurir("", "account", "logins", bob), "app passwords alone work")
}

// TestRevokeEndsItsSessions: a revoked app password's connections end, others' go on.
func TestRevokeEndsItsSessions(t *testing.T) {
	t.Parallel()
	m := newMailer(t, setup{})
	phone, tablet := m.app("phone"), m.app("tablet", "--protocols", "imap")
	login := func(password, want string) *line {
		l, _ := m.dialTLS(imapsPort, &tls.Config{})
		l.say("a LOGIN "+alice+" \""+password+"\"", want)
		return l
	}
	lost := login(strings.ToUpper(strings.ReplaceAll(phone, "-", " ")), "a OK") // as a phone's keyboard may have it
	other, own := login(tablet, "a OK"), login(password, "a OK")
	sender, _ := m.dialTLS(submissionsPort, &tls.Config{})
	sender.say("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+alice+"\x00"+phone)), "235")
	pop, _ := m.dialTLS(pop3sPort, &tls.Config{})
	pop.say("USER "+alice, "+OK")
	pop.say("PASS "+tablet, "-ERR [AUTH]")

	contains(t, m.kurir("", "account", "app", "revoke", alice, "phone"), `App password "phone" of alice@local.test is revoked.`)
	lost.until("* BYE")
	sender.say("MAIL FROM:<"+alice+">", "530 5.7.0")
	other.say("b NOOP", "b OK")
	own.say("b NOOP", "b OK")
	login(phone, "a NO [AUTHENTICATIONFAILED]")
	if list := m.kurir("", "account", "app", "list", alice); strings.Contains(list, "phone") || !strings.Contains(list, "tablet") {
		t.Error(list)
	}
	contains(t, m.kurir("", "account", "logins", alice), `LOGIN (app "phone")`, `this is the app password "tablet", which is not for pop3`, "127.0.0.1")
	contains(t, m.kurir("", "account", "logins", alice, "--failed", "--limit", "1", "--json"), `"result": "invalid"`, `"reason": "the password is wrong"`)

	// With the server stopped the same commands work, and all is still there.
	m.stop()
	contains(t, m.kurir("", "account", "logins", alice), `LOGIN (app "phone")`, "logged in")
	contains(t, m.kurir("", "account", "app", "list", alice), "tablet", "127.0.0.1")
	again := m.app("phone")
	m.start()
	login(again, "a OK")
	login(phone, "a NO [AUTHENTICATIONFAILED]")
}

// clientCA makes an authority and a certificate by it for an address, as files and for use.
func clientCA(t *testing.T, dir, address string) (caFile string, client tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, "key", err)
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "people"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	ok(t, "CA", err)
	caFile = filepath.Join(dir, address+".pem")
	ok(t, "CA", os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), EmailAddresses: []string{address}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, key)
	ok(t, "certificate", err)
	return caFile, tls.Certificate{Certificate: [][]byte{cert}, PrivateKey: key}
}

// TestExternal: a client's certificate is the login, in all three protocols; without one
// EXTERNAL is not there (RFC 4422 appendix A).
func TestExternal(t *testing.T) {
	t.Parallel()
	caFile, cert := clientCA(t, tempDir(t), alice)
	m := newMailer(t, setup{rest: "[login]\nmechanisms = []\n"})
	m.change("[tls]\n", fmt.Sprintf("[tls]\nclient_ca = %q\n", caFile))
	m.kurir("", "reload")
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, w := range ways {
		l, _ := m.dialTLS(w.port, &tls.Config{})
		l.say(w.begin+"EXTERNAL "+b64(alice), map[int]string{imapsPort: "a NO [CANNOT]", pop3sPort: "-ERR", submissionsPort: "504"}[w.port])
		with := &tls.Config{Certificates: []tls.Certificate{cert}}
		l, _ = m.dialTLS(w.port, with)
		l.say(w.begin+"EXTERNAL "+b64(bob), w.failed)
		l.say(w.begin+"EXTERNAL =", w.done)
		l, _ = m.dialTLS(w.port, with)
		l.say(w.begin+"EXTERNAL", w.more)
		l.say(b64(alice), w.done)
	}
	contains(t, m.kurir("", "account", "logins", alice), "EXTERNAL")
}

// TestScramPrograms: programs that choose SCRAM by themselves get in with an app password
// where the account's own is not for mail apps; and GNU SASL binds it to its TLS.
func TestScramPrograms(t *testing.T) {
	t.Parallel()
	c := newClient(t, "mbsync", "mutt", "msmtp", "gsasl", "openssl")
	m := newMailer(t, setup{rest: "[login]\nown_password = [\"web\"]\n"})
	phone := m.app("phone")
	cert := c.file("server.crt", c.must("", "sh", "-c", "openssl s_client -connect "+m.at(imapsPort)+" </dev/null 2>/dev/null | openssl x509"))
	mbsync := func(password string) (string, int) {
		config := c.file("mbsyncrc", fmt.Sprintf("IMAPAccount a\nHost 127.0.0.1\nPort %s\nUser %s\nPass \"%s\"\nSSLType IMAPS\nCertificateFile %s\n\n"+
			"IMAPStore far\nAccount a\n\nMaildirStore near\nPath %s/mail/\nInbox %[5]s/mail/INBOX\n\nChannel c\nFar :far:\nNear :near:\nCreate Near\n",
			m.port(imapsPort), alice, password, cert, c.home))
		c.must("", "mkdir", "-p", c.home+"/mail")
		return c.try("", "mbsync", "-DN", "-c", config, "-a")
	}
	if out, code := mbsync(phone); code != 0 || !strings.Contains(out, "SASL mechanism SCRAM-SHA-256") {
		t.Errorf("mbsync: code %d, %s", code, out)
	}
	// Why SCRAM is not on offer where own passwords are good: it would be taken, and fail.
	if out, code := mbsync(password); code == 0 || !strings.Contains(out, "SASL mechanism SCRAM-SHA-256") {
		t.Errorf("mbsync with the own password: code %d, %s", code, out)
	}
	c.must("Hello\n", "mutt", "-F", "/dev/null", "-e", fmt.Sprintf("set smtp_url='smtps://%s@127.0.0.1:%s/' smtp_pass='%s' from=%[1]s certificate_file=%[4]s "+
		"ssl_verify_host=no use_from=yes copy=no", alice, m.port(submissionsPort), phone, cert), "-s", "by mutt", bob)
	c.must("Subject: by msmtp\n\nHello\n", "msmtp", "-C", c.file("msmtprc", fmt.Sprintf("account default\nhost 127.0.0.1\nport %s\ntls on\ntls_starttls off\n"+
		"tls_certcheck off\nauth scram-sha-256\nuser %s\npassword %s\nfrom %[2]s\n", m.port(submissionsPort), alice, phone)), bob)
	contains(t, m.kurir("", "account", "logins", alice), `SCRAM-SHA-256 (app "phone")`)

	m.change("own_password", "mechanisms = [\"scram-sha-256\", \"scram-sha-256-plus\"]\nown_password")
	m.kurir("", "reload")
	for _, way := range []string{"--imap " + m.at(imapPort), "--smtp " + m.at(submissionPort)} {
		protocol, at, _ := strings.Cut(way, " ")
		for _, priority := range []string{"NORMAL", "NORMAL:-VERS-TLS1.3"} {
			gsasl := []string{"--client", protocol, "--connect", at, "--x509-ca-file=", "--hostname", "mail.local.test", "--priority", priority,
				"-m", "SCRAM-SHA-256-PLUS", "-a", alice, "-p"}
			if out, code := c.try("", "gsasl", append(gsasl, phone)...); code != 0 {
				t.Errorf("gsasl %s %s: code %d, %s", protocol, priority, code, out)
			}
			if out, code := c.try("", "gsasl", append(gsasl, "wrong")...); code == 0 {
				t.Errorf("gsasl %s %s with a wrong password: %s", protocol, priority, out)
			}
		}
	}
}
