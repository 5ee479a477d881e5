package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// line is a conversation in lines.
type line struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dialLine(t *testing.T, address string) *line {
	t.Helper()
	c, err := net.Dial("tcp", address)
	ok(t, "dial", err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * patience))
	l := &line{t, c, bufio.NewReader(c)}
	l.until("")
	return l
}

// until reads lines up to the one that begins with what is wanted.
func (l *line) until(want string) string {
	l.t.Helper()
	for {
		got, err := l.r.ReadString('\n')
		if err != nil {
			l.t.Fatalf("waiting for %q: %q, %v", want, got, err)
		}
		if strings.HasPrefix(got, want) {
			return got
		}
	}
}

func (l *line) say(text, want string) string {
	l.t.Helper()
	_, err := io.WriteString(l, text+"\r\n")
	ok(l.t, text, err)
	return l.until(want)
}

// change replaces text of the configuration.
func (m *mailer) change(pairs ...string) {
	m.t.Helper()
	text, err := os.ReadFile(m.config)
	ok(m.t, "configuration", err)
	next := m.config + ".new" // renamed over the old one, as editors do
	ok(m.t, "configuration", os.WriteFile(next, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600))
	ok(m.t, "configuration", os.Rename(next, m.config))
}

// strangers come all the time, to every port, and count those who are not served.
type strangers struct {
	stop             chan struct{}
	all              sync.WaitGroup
	served, unserved atomic.Int32
	first            sync.Map // of each port, the first complaint
}

func (m *mailer) strangers(ports ...int) *strangers {
	s := &strangers{stop: make(chan struct{})}
	for _, port := range ports {
		s.all.Go(func() {
			for {
				select {
				case <-s.stop:
					return
				case <-time.After(3 * time.Millisecond):
				}
				if err := greeted(m.at(port), port == imapsPort, port == httpPort); err != nil {
					s.unserved.Add(1)
					s.first.LoadOrStore(port, err)
					continue
				}
				s.served.Add(1)
			}
		})
	}
	return s
}

// greeted is nil if a server answers at the address.
func greeted(address string, withTLS, web bool) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if withTLS {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	if web {
		resp, err := http.Get("http://" + address + "/healthz")
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	_, err = bufio.NewReader(c).ReadString('\n')
	return err
}

func (s *strangers) end(t *testing.T) {
	t.Helper()
	close(s.stop)
	s.all.Wait()
	s.first.Range(func(port, err any) bool {
		t.Errorf("port %v: %v", port, err)
		return true
	})
	t.Logf("%d connections were served, %d were not", s.served.Load(), s.unserved.Load())
	if s.unserved.Load() > 0 || s.served.Load() < 100 {
		t.Error("too few")
	}
}

// certificateFor writes a certificate with its key for a name, and returns the path.
func certificateFor(t *testing.T, dir, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, "key", err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	ok(t, "certificate", err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ok(t, "key", err)
	path := filepath.Join(dir, name+".pem")
	ok(t, "file", os.WriteFile(path, append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), 0o600))
	return path
}

// commonName is the name in the certificate that a new connection is shown.
func commonName(t *testing.T, address string) string {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	ok(t, "handshake", err)
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// hangUp has the configuration read again by a signal, and waits until that is done.
func (m *mailer) hangUp() {
	m.t.Helper()
	const done = "configuration in force"
	before := strings.Count(m.run.out.String(), done)
	ok(m.t, "SIGHUP", m.run.cmd.Process.Signal(syscall.SIGHUP))
	m.t.Helper()
	ok(m.t, "reload", eventually(patience, func() error {
		if strings.Count(m.run.out.String(), done) > before {
			return nil
		}
		return fmt.Errorf("no reload: %s", clip(m.run.out.String()))
	}))
}

// TestReloadUnderLoad: fifty times the configuration becomes another, by signal and by
// command, while clients come to all ports and others are in the middle of something.
// Nobody is refused or dropped, and whoever comes after a reload meets what it brought.
func TestReloadUnderLoad(t *testing.T) {
	m := newMailer(t, setup{rest: "[limits]\nmessage_size = \"1MiB\"\nconnections_per_address = 500\n"})
	idle := dialLine(t, m.at(imapPort))
	idle.say("a LOGIN "+alice+" "+password, "a OK")
	idle.say("b SELECT INBOX", "b OK")
	idle.say("c IDLE", "+")
	mail := dialLine(t, m.at(smtpPort))
	mail.say("EHLO elsewhere.test", "250 ")
	mail.say("MAIL FROM:<someone@elsewhere.test>", "250")
	mail.say("RCPT TO:<"+alice+">", "250")
	mail.say("DATA", "354")
	pop := dialLine(t, m.at(pop3Port))
	pop.say("USER "+alice, "+OK")
	first := certificateFor(t, filepath.Dir(m.config), "first.test")
	certificateFor(t, filepath.Dir(m.config), "second.test")
	m.change("[tls]\n", "[tls]\ncert = "+strconv.Quote(first)+"\nkey = "+strconv.Quote(first)+"\n")

	load := m.strangers(smtpPort, imapPort, imapsPort, pop3Port, httpPort)
	size, cert, port := 1, "first.test", m.port(pop3sPort)
	for i := range 50 {
		if i%5 == 1 {
			m.change("first.test.pem", "second.test.pem")
			cert = "second.test"
		}
		if i%5 == 3 {
			m.change("second.test.pem", "first.test.pem")
			cert = "first.test"
		}
		m.change(fmt.Sprintf(`"%dMiB"`, size), fmt.Sprintf(`"%dMiB"`, size+1))
		size++
		if i%2 == 0 {
			m.hangUp()
		} else if out := m.kurir("", "reload"); !strings.Contains(out, "limits.message_size") {
			t.Fatalf("kurir reload: %s", out)
		}
		if i%10 == 1 || i%10 == 3 {
			if got := commonName(t, m.at(imapsPort)); got != cert {
				t.Errorf("reload %d: the certificate of %s, want %s", i, got, cert)
			}
			want := fmt.Sprintf("250-SIZE %d", size<<20)
			fresh := dialLine(t, m.at(smtpPort))
			fresh.say("EHLO x.test", want)
			fresh.Close()
		}
	}
	load.end(t)

	mail.say("From: <someone@elsewhere.test>\r\nSubject: begun before\r\n\r\ntext\r\n.", "250")
	mail.say("QUIT", "221")
	idle.until("* 1 EXISTS")
	idle.say("DONE", "c OK")
	idle.say("d FETCH 1 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])", "Subject: begun before")
	idle.until("d OK")
	pop.say("PASS "+password, "+OK")

	other := strconv.Itoa(mustAtoi(t, port) + 1_000)
	m.change("127.0.0.1:"+port, "127.0.0.1:"+other)
	m.kurir("", "reload")
	ok(t, "the new port", greetedTLS("127.0.0.1:"+other))
	if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		c.Close()
		t.Error("the port that was taken out still answers")
	}
	ok(t, "SIGHUP", m.run.cmd.Process.Signal(syscall.SIGHUP))
	m.kill() // in the middle of it
	m.start()
	again := dialLine(t, m.at(imapPort))
	again.say("a LOGIN "+alice+" "+password, "a OK")
	if got := again.say("b STATUS INBOX (MESSAGES)", "* STATUS"); !strings.Contains(got, "MESSAGES 1") {
		t.Errorf("after a kill: %s", got)
	}
}

func mustAtoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	ok(t, "number", err)
	return n
}

func greetedTLS(address string) error { return greeted(address, true, false) }

// TestReloadMistakes: a configuration that cannot be used is told in the exit code and the
// log, and the server goes on.
func TestReloadMistakes(t *testing.T) {
	m := newMailer(t, setup{})
	m.change("[relay]\n", "[relay]\nretry_first = \"never\"\nconnections = 0\n")
	out, code := newClient(t).try("", binary, "reload", "-c", m.config)
	if code != 1 || !strings.Contains(out, "relay.retry_first") || !strings.Contains(out, "relay.connections") {
		t.Errorf("exit %d: %s", code, out)
	}
	ok(t, "SIGHUP", m.run.cmd.Process.Signal(syscall.SIGHUP))
	m.says("the configuration is not taken")
	m.run.except = `level=ERROR msg="the configuration is not taken"`
	ok(t, "IMAP", greeted(m.at(imapPort), false, false))
}
