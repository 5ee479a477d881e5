package e2e

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// BenchmarkChecks takes signed mail from a stranger with SPF, DKIM and DMARC asked of a name
// server on loopback: kurir, and Postfix with policyd-spf, OpenDKIM and OpenDMARC as Debian
// has them. Every message passes all three. The clock runs until all messages are in their
// mailbox. Needs root and the packages knot postfix postfix-policyd-spf-python opendkim
// opendmarc; clients' addresses are said by PROXY headers.
func BenchmarkChecks(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("needs root")
	}
	r := newChecksRig(b)
	for _, peer := range []struct {
		name  string
		start func(testing.TB) *checked
	}{{"server=kurir", r.kurir}, {"server=postfix", r.postfix}, {"server=postfix-unchecked", r.postfixUnchecked}} {
		b.Run(peer.name, func(b *testing.B) {
			s := peer.start(b)
			for _, conns := range []int{1, 10, 50} {
				b.Run("conns="+strconv.Itoa(conns), func(b *testing.B) { r.run(b, s, conns) })
			}
		})
	}
}

// checked is a server under test.
type checked struct {
	smtp string
	mail string // where its messages come to lie, one file each
	seen int    // of them, so far
	sees bool   // it checks who has sent them
}

// checksRig is what the servers have in common.
type checksRig struct {
	dir      string
	dns      string // the name server's address, port 53
	resolv   string // a resolv.conf
	messages [][]byte
}

const (
	checksDomains = 50
	perConnection = 20
)

func newChecksRig(b *testing.B) *checksRig {
	r := &checksRig{dir: b.TempDir(), dns: fmt.Sprintf("127.%d.%d.153", os.Getpid()>>8&0x7f, os.Getpid()&0xff)}
	os.Chmod(r.dir, 0o755)
	os.Chmod(filepath.Dir(r.dir), 0o755)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	pub, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		b.Fatal(err)
	}
	p := base64.StdEncoding.EncodeToString(pub)
	var zone strings.Builder
	zone.WriteString("$TTL 3600\n. SOA ns. admin. 1 3600 600 86400 60\n. NS ns.\nns. A " + r.dns + "\n")
	for i := range checksDomains {
		d := fmt.Sprintf("d%d.checked.net.", i)
		fmt.Fprintf(&zone, "%[1]s MX 10 mx.%[1]s\nmx.%[1]s A 198.51.100.1\n%[1]s TXT \"v=spf1 include:spf.%[1]s -all\"\nspf.%[1]s TXT \"v=spf1 ip4:198.51.100.0/24 -all\"\n", d)
		fmt.Fprintf(&zone, "_dmarc.%[1]s TXT \"v=DMARC1; p=reject\"\ns._domainkey.%[1]s TXT \"v=DKIM1; k=rsa; p=%[2]s\" \"%[3]s\"\n", d, p[:200], p[200:])
	}
	for i := 1; i < 255; i++ {
		fmt.Fprintf(&zone, "%d.100.51.198.in-addr.arpa. PTR h%d.d0.checked.net.\nh%d.d0.checked.net. A 198.51.100.%d\n", i, i, i, i)
	}
	r.file(b, "zone", zone.String())
	r.file(b, "knot.conf", fmt.Sprintf("server:\n  rundir: %[1]s\n  listen: %[2]s@53\ndatabase:\n  storage: %[1]s\nzone:\n  - domain: .\n    file: %[1]s/zone\n", r.dir, r.dns))
	r.resolv = r.file(b, "resolv.conf", "nameserver "+r.dns+"\n")
	r.daemon(b, r.dns+":53", "knotd", "-c", filepath.Join(r.dir, "knot.conf"))
	for i := range 500 {
		r.messages = append(r.messages, signedMessage(b, key, i))
	}
	return r
}

// signedMessage is about 8 KB.
func signedMessage(b *testing.B, key crypto.Signer, i int) []byte {
	d := fmt.Sprintf("d%d.checked.net", i%checksDomains)
	m := fmt.Sprintf("From: Someone <someone@%s>\r\nTo: carol@bench.test\r\nSubject: message %d\r\nDate: %s\r\nMessage-ID: <%d.%d@%s>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
		d, i, time.Now().Format(time.RFC1123Z), i, time.Now().UnixNano(), d)
	m += strings.Repeat("It goes on like this for a while, line after line, as mail does.\r\n", 120)
	var out bytes.Buffer
	err := dkim.Sign(&out, strings.NewReader(m), &dkim.SignOptions{
		Domain: d, Selector: "s", Signer: key, HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"},
	})
	if err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

func (r *checksRig) file(t testing.TB, name, text string) string {
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// daemon runs a program until the end of the test, with the
// rig's resolv.conf in place of the system's, and waits until it answers at address. All
// that it starts ends with it.
func (r *checksRig) daemon(t testing.TB, address string, command ...string) {
	t.Helper()
	script := "mount --make-rprivate / && mount --bind \"$0\" /etc/resolv.conf && exec \"$@\""
	cmd := exec.Command("unshare", append([]string{"-m", "-p", "-f", "--kill-child", "sh", "-c", script, r.resolv}, command...)...)
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The first process of the namespace takes all others with it, unshare itself not always.
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", cmd.Process.Pid))
		for _, c := range strings.Fields(string(children)) {
			if pid, err := strconv.Atoi(c); err == nil {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		cmd.Wait()
	})
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	err := eventually(patience, func() error {
		c, err := net.Dial(network, address)
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out.String())
	}
}

// kurir starts one with its defaults, but for the bounds on what one network may send.
func (r *checksRig) kurir(t testing.TB) *checked {
	port := freePort(t)
	dir := t.TempDir()
	conf := fmt.Sprintf("hostname = \"mail.bench.test\"\ndata = %q\n[smtp]\naddress = [%q]\n", filepath.Join(dir, "data"), "127.0.0.1:"+port)
	for _, off := range []string{"submission", "submissions", "imap", "imaps", "pop3", "pop3s", "http"} {
		conf += fmt.Sprintf("[%s]\naddress = []\n", off)
	}
	conf += fmt.Sprintf("[dns]\nservers = [\"%s:53\"]\n[proxy]\nnetworks = [\"127.0.0.0/8\"]\n[limits]\nconnections_per_address = 1000\n[inbound]\nconnections_minute = 0\nmessages_hour = 0\n[log]\nlevel = \"warn\"\n", r.dns)
	path := filepath.Join(dir, "kurir.toml")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"domain", "add", "bench.test"}, {"account", "add", "carol@bench.test", "--password-stdin"}} {
		cmd := exec.Command(binary, append(args, "-c", path)...)
		cmd.Stdin = strings.NewReader("benchpass\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
	}
	r.daemon(t, "127.0.0.1:"+port, binary, "serve", "-c", path)
	return &checked{smtp: "127.0.0.1:" + port, mail: filepath.Join(dir, "data", "mail", "bench.test", "carol"), sees: true}
}

func freePort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return port(l.Addr().String())
}

func (r *checksRig) postfix(t testing.TB) *checked          { return r.startPostfix(t, true) }
func (r *checksRig) postfixUnchecked(t testing.TB) *checked { return r.startPostfix(t, false) }

// startPostfix starts Postfix and, for checks, its helpers.
func (r *checksRig) startPostfix(t testing.TB, checks bool) *checked {
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	smtp := freePort(t)
	for _, d := range []string{"etc", "spool", "data", "mail", "log"} {
		os.Mkdir(filepath.Join(dir, d), 0o755)
	}
	os.Chown(filepath.Join(dir, "mail"), postfixUID, postfixUID)
	if out, err := exec.Command("chown", "postfix", filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	master := strings.Replace(postfixMaster, "smtp inet", "127.0.0.1:"+smtp+" inet", 1)
	main := fmt.Sprintf(`compatibility_level = 3.6
myhostname = mail.bench.test
mydestination =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.1/32
queue_directory = %[1]s/spool
data_directory = %[1]s/data
maillog_file = %[1]s/log/maillog
maillog_file_prefixes = /var, /dev/stdout, %[1]s
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtpd_upstream_proxy_protocol = haproxy
smtpd_client_connection_count_limit = 0
virtual_mailbox_domains = bench.test
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = inline:{ { carol@bench.test = carol/ } }
virtual_uid_maps = static:%[2]d
virtual_gid_maps = static:%[2]d
virtual_mailbox_limit = 0
virtual_destination_recipient_limit = 1
`, dir, postfixUID)
	if checks {
		spf := filepath.Join(dir, "etc", "policyd-spf.conf")
		os.WriteFile(spf, []byte("debugLevel = 0\nHELO_reject = Fail\nMail_From_reject = Fail\nHeader_Type = AR\nAuthserv_Id = mail.bench.test\nskip_addresses = 127.0.0.0/8\n"), 0o644)
		master += "policyd-spf unix - n n - 0 spawn user=nobody argv=/usr/bin/policyd-spf " + spf + "\n"
		opendkim, opendmarc := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
		r.daemon(t, opendkim, "opendkim", "-f", "-x", r.file(t, "opendkim.conf", "Syslog no\nMode v\nSocket "+milter(opendkim)+"\nAuthservID mail.bench.test\nNameservers "+r.dns+"\nUserID nobody\n"))
		r.daemon(t, opendmarc, "opendmarc", "-f", "-c", r.file(t, "opendmarc.conf", "Syslog false\nSocket "+milter(opendmarc)+"\nAuthservID mail.bench.test\nTrustedAuthservIDs mail.bench.test\nRejectFailures true\nUserID nobody\n"))
		main += fmt.Sprintf("smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:private/policyd-spf\npolicyd-spf_time_limit = 3600\nsmtpd_milters = inet:%s, inet:%s\nmilter_default_action = tempfail\n", opendkim, opendmarc)
	}
	for name, text := range map[string]string{"main.cf": main, "master.cf": master} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.daemon(t, "127.0.0.1:"+smtp, "postfix", "-c", filepath.Join(dir, "etc"), "start-fg")
	t.Cleanup(func() {
		if text, err := os.ReadFile(filepath.Join(dir, "log", "maillog")); err == nil && t.Failed() {
			t.Logf("Postfix logged:\n%s", clip(string(text)))
		}
	})
	return &checked{smtp: "127.0.0.1:" + smtp, mail: filepath.Join(dir, "mail", "carol"), sees: checks}
}

func milter(address string) string { return "inet:" + port(address) + "@" + host(address) }

// run sends b.N messages over some connections at once.
func (r *checksRig) run(b *testing.B, s *checked, conns int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, conns)
	began := time.Now()
	for range conns {
		wg.Go(func() {
			for {
				if err := r.send(s.smtp, &next, int64(b.N)); err == errSent {
					return
				} else if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	accepted := time.Since(began)
	select {
	case err := <-failed:
		b.Fatal(err)
	default:
	}
	s.seen += b.N
	err := eventually(patience, func() error {
		if n := countMail(s.mail); n != s.seen {
			return fmt.Errorf("%d messages of %d are in the mailbox", n, s.seen)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	if text := anyMail(b, s.mail); s.sees != strings.Contains(text, "dmarc=pass") || s.sees != strings.Contains(text, "dkim=pass") || s.sees != strings.Contains(text, "spf=pass") {
		b.Fatalf("checks are to be done: %v, but the message has:\n%.2000s", s.sees, text)
	}
	b.ReportMetric(float64(b.N)/accepted.Seconds(), "250s/s")
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "delivered/s")
}

var errSent = errors.New("all is sent")

// send opens a connection and sends a few messages.
func (r *checksRig) send(address string, next *atomic.Int64, n int64) error {
	if next.Load() >= n {
		return errSent
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	ip := fmt.Sprintf("198.51.100.%d", 1+next.Load()%250)
	if _, err := fmt.Fprintf(conn, "PROXY TCP4 %s 192.0.2.1 40000 25\r\n", ip); err != nil {
		return err
	}
	c, err := smtp.NewClient(conn, "mail.bench.test")
	if err != nil {
		return err
	}
	if err := c.Hello("mx.d0.checked.net"); err != nil {
		return err
	}
	for range perConnection {
		i := next.Add(1) - 1
		if i >= n {
			c.Quit()
			return errSent
		}
		if err := r.sendOne(c, int(i)); err != nil {
			return err
		}
	}
	return c.Quit()
}

func (r *checksRig) sendOne(c *smtp.Client, i int) error {
	if err := c.Mail(fmt.Sprintf("someone@d%d.checked.net", i%checksDomains)); err != nil {
		return err
	}
	if err := c.Rcpt("carol@bench.test"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(r.messages[i%len(r.messages)]); err != nil {
		return err
	}
	return w.Close()
}

// anyMail is one of the messages in a Maildir.
func anyMail(b *testing.B, dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && bytes.Contains(text, []byte("DKIM-Signature:")) {
			return string(text)
		}
	}
	b.Fatal("there is no message in ", dir)
	return ""
}

// countMail counts the files in new and cur of a Maildir.
func countMail(dir string) (n int) {
	for _, sub := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return -1
		}
		n += len(entries)
	}
	return n
}
