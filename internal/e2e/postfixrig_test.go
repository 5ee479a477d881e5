package e2e

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A postfix is a Postfix of its own, with its own configuration and queue, on port 25 of
// an address that no other server has.
type postfix struct {
	t       *testing.T
	dir     string
	address string // without port
	ca      string // PEM file of the certificate's issuer
	resolv  string // a resolv.conf in place of the system's, for it alone; "" is the system's
}

// postfixMaster are Postfix's own services, as Debian has them, without chroot.
const postfixMaster = `smtp inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// postfixUID owns the mail that Postfix delivers.
const postfixUID = 65534

// newPostfix makes and starts a Postfix.
func newPostfix(t *testing.T, address, name, next string, settings ...string) *postfix {
	t.Helper()
	p := makePostfix(t, address, name, next, settings...)
	p.start()
	return p
}

// makePostfix makes a Postfix at an address of ownAddress, for the domain
// postfix.test with the mailboxes carol, dave and grün, and slow, which never takes
// anything; settings come on top. Mail for local.test goes to next, host and port. Its
// certificate is for its name.
func makePostfix(t *testing.T, address, name, next string, settings ...string) *postfix {
	t.Helper()
	dir := tempDir(t)
	p := &postfix{t: t, dir: dir, address: address, ca: filepath.Join(dir, "ca.pem")}
	for _, d := range []string{"etc", "spool", "data", "mail", "log"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := os.Chmod(dir, 0o755) // Postfix's programs go through it as other users
	if err == nil {
		err = os.Chown(filepath.Join(dir, "mail"), postfixUID, postfixUID)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chown", "postfix", filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, cert, key := certificate(t, time.Now().Add(24*time.Hour), name)
	p.file("ca.pem", string(cert))
	p.file("etc/cert.pem", string(key)+string(cert))
	p.file("etc/master.cf", postfixMaster)
	p.file("etc/main.cf", override(p.settings(name, next), settings))
	return p
}

// start starts it, until the end of the test.
func (p *postfix) start() {
	p.t.Helper()
	p.postfix("check")
	p.postfix("start")
	t := p.t
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Postfix logged:\n%s", clip(p.log()))
		}
		p.stop()
	})
	if err := eventually(patience, p.serves); err != nil {
		t.Fatal(err)
	}
}

// override gives a main.cf in which settings stand in place of those of the same name. Twice
// in the file, each program would warn of them: Postfix's own log daemon too, to itself, before
// it reads what is said to it, which blocks it for good once ten others have spoken.
func override(main string, settings []string) string {
	lines := strings.Split(strings.TrimSpace(main), "\n")
	for _, s := range settings {
		name, _, _ := strings.Cut(s, "=")
		lines = slices.DeleteFunc(lines, func(l string) bool {
			old, _, _ := strings.Cut(l, "=")
			return strings.TrimSpace(old) == strings.TrimSpace(name)
		})
	}
	return strings.Join(append(lines, settings...), "\n") + "\n"
}

func (p *postfix) settings(name, next string) string {
	return fmt.Sprintf(`compatibility_level = 3.6
myhostname = %[1]s
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
inet_interfaces = %[2]s
inet_protocols = ipv4
mynetworks = %[2]s/32
queue_directory = %[3]s/spool
data_directory = %[3]s/data
smtpd_peername_lookup = no
maillog_file = %[3]s/log/maillog
maillog_file_prefixes = /var, /dev/stdout, %[3]s
smtpd_tls_security_level = may
smtpd_tls_chain_files = %[3]s/etc/cert.pem
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtp_tls_security_level = may
smtp_tls_loglevel = 1
smtputf8_enable = yes
virtual_mailbox_domains = postfix.test
virtual_mailbox_base = %[3]s/mail
virtual_mailbox_maps = inline:{ { carol@postfix.test = carol/ }, { dave@postfix.test = dave/ }, { grün@postfix.test = green/ }, { slow@postfix.test = slow/ } }
virtual_uid_maps = static:%[4]d
virtual_gid_maps = static:%[4]d
virtual_mailbox_limit = 0
transport_maps = inline:{ { local.test = smtp:[%[5]s]:%[6]s } }
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{ { slow@postfix.test = 450 4.7.1 come back later } }
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
`, name, p.address, p.dir, postfixUID, host(next), port(next))
}

func host(hostPort string) string { h, _, _ := net.SplitHostPort(hostPort); return h }
func port(hostPort string) string { _, p, _ := net.SplitHostPort(hostPort); return p }

// file writes a file below the directory.
func (p *postfix) file(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// postfix runs the command of that name.
func (p *postfix) postfix(what string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args := []string{"postfix", "-c", filepath.Join(p.dir, "etc"), what}
	if p.resolv != "" {
		// Only root may do that, as only root may have an address for it.
		args = append([]string{"unshare", "-m", "sh", "-c", `mount --make-rprivate / && mount --bind "$0" /etc/resolv.conf && exec "$@"`, p.resolv}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second // its daemons keep its standard error
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Errorf("%v: %v\n%s\n%s", cmd, err, out, p.log())
	}
}

// stop ends all of its processes, which are one group, at once: nothing it has is needed again.
func (p *postfix) stop() {
	b, err := os.ReadFile(filepath.Join(p.dir, "spool", "pid", "master.pid"))
	if err != nil {
		return // it did not start
	}
	master, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err == nil {
		err = syscall.Kill(-master, syscall.SIGKILL)
	}
	if err != nil {
		p.t.Errorf("Postfix was not stopped: %v", err)
	}
}

func (p *postfix) serves() error {
	c, err := net.Dial("tcp", p.address+":25")
	if err != nil {
		return err
	}
	return c.Close()
}

// log is Postfix's log so far.
func (p *postfix) log() string {
	text, _ := os.ReadFile(filepath.Join(p.dir, "log", "maillog"))
	return string(text)
}

// logs waits until the log has a text.
func (p *postfix) logs(text string) {
	p.t.Helper()
	err := eventually(patience, func() error {
		if !strings.Contains(p.log(), text) {
			return fmt.Errorf("Postfix has not logged %q", text)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// arrived waits for a message with all the parts in one of Postfix's mailboxes.
func (p *postfix) arrived(mailbox string, parts ...string) string {
	p.t.Helper()
	var found string
	err := eventually(patience, func() error {
		files, _ := filepath.Glob(filepath.Join(p.dir, "mail", mailbox, "new", "*"))
		for _, f := range files {
			text, err := os.ReadFile(f)
			has := err == nil
			for _, part := range parts {
				has = has && strings.Contains(string(text), part)
			}
			if has {
				found = string(text)
				return nil
			}
		}
		return fmt.Errorf("no message with %q among %d of %s", parts, len(files), mailbox)
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

// sendmail has Postfix send a message, as a program on its machine does.
func (p *postfix) sendmail(text string, args ...string) {
	p.t.Helper()
	cmd := exec.Command("sendmail", append([]string{"-C", filepath.Join(p.dir, "etc")}, args...)...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// startSASL lets a Postfix ask us about passwords, as it asks Dovecot: only PLAIN, one
// user. It returns the settings that make it do so.
func startSASL(t *testing.T, user, secret string) []string {
	t.Helper()
	dir := tempDir(t)
	path := filepath.Join(dir, "auth")
	l, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		err = os.Chmod(path, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	good := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + secret))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveSASL(c, user, good)
		}
	}()
	return []string{"smtpd_sasl_auth_enable = yes", "smtpd_sasl_type = dovecot", "smtpd_sasl_path = " + path, "smtpd_tls_auth_only = yes"}
}

func serveSASL(c net.Conn, user, good string) {
	defer c.Close()
	fmt.Fprintf(c, "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00112233445566778899aabbccddeeff\nDONE\n")
	for r := bufio.NewScanner(c); r.Scan(); {
		fields := strings.Split(r.Text(), "\t")
		if fields[0] != "AUTH" || len(fields) < 2 {
			continue
		}
		if fields[len(fields)-1] == "resp="+good {
			fmt.Fprintf(c, "OK\t%s\tuser=%s\n", fields[1], user)
		} else {
			fmt.Fprintf(c, "FAIL\t%s\tuser=%s\n", fields[1], user)
		}
	}
}

// within has failures of a subtest be its own.
func (p *postfix) within(t *testing.T) {
	outer := p.t
	p.t = t
	t.Cleanup(func() { p.t = outer })
}
