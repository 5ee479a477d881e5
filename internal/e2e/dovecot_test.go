package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// dovecotIMAP is where Debian has the program that speaks IMAP on its standard input.
const dovecotIMAP = "/usr/lib/dovecot/imap"

// beside is kurir and a Dovecot with the same messages in INBOX, which is selected
// read-only: messages[i] has the sequence number and UID i+1 in both.
type beside struct {
	t              *testing.T
	messages       []string
	kurir, dovecot *rawIMAP
	child          *dovecot
}

// besideDovecot puts the messages, byte by byte, into the Maildirs of both servers.
// Dovecot runs as a child of its own, without a port.
func besideDovecot(t *testing.T, messages []string) *beside {
	t.Helper()
	need(t, dovecotIMAP)
	s := newServer(t)
	b := &beside{t: t, messages: messages, child: newDovecot(t, messages)}
	fillMaildir(t, s.account(alice), messages)
	b.kurir = s.rawIMAP(alice)
	b.examine(b.kurir)
	b.reopen()
	return b
}

// reopen starts Dovecot again: there are messages that it ends a session for.
func (b *beside) reopen() {
	b.t.Helper()
	b.dovecot = b.child.start()
	b.examine(b.dovecot)
}

// examine selects INBOX, which must have all messages.
func (b *beside) examine(c *rawIMAP) {
	b.t.Helper()
	r := c.must("EXAMINE INBOX")
	if n := r.all("EXISTS"); len(n) != 1 || n[0][0].text != fmt.Sprint(len(b.messages)) {
		b.t.Fatalf("%s has %v messages of %d", c.name, n, len(b.messages))
	}
}

// rawIMAP logs in without TLS.
func (s *server) rawIMAP(address string) *rawIMAP {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.at(imapPort))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	c := &rawIMAP{t: s.t, name: "kurir", r: bufio.NewReaderSize(conn, 64<<10), w: conn}
	c.greeting()
	c.must("LOGIN %s %s", address, password)
	return c
}

// greeting reads the first line.
func (c *rawIMAP) greeting() {
	c.t.Helper()
	line, err := c.line()
	if err != nil || !strings.HasPrefix(line, "* OK") && !strings.HasPrefix(line, "* PREAUTH") {
		c.t.Fatalf("the greeting of %s: %q, %v", c.name, line, err)
	}
}

// fillMaildir puts messages into new/. The times in their names give them their order,
// and their files' times are a second apart.
func fillMaildir(t *testing.T, dir string, messages []string) {
	t.Helper()
	for i, text := range messages {
		path := filepath.Join(dir, "new", fmt.Sprintf("%d.M1P1.elsewhere", 1_700_000_000+i))
		err := os.WriteFile(path, []byte(text), 0o600)
		at := time.Unix(1_600_000_000+int64(i), 0)
		if err == nil {
			err = os.Chtimes(path, at, at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// dovecotConfig is all that Dovecot's imap needs: no user database, no other process.
const dovecotConfig = `
base_dir = %[1]s/run
mail_location = maildir:%[1]s/mail
mail_home = %[1]s
first_valid_uid = 1
log_path = /dev/stderr
stats_writer_socket_path =
ssl = no
imap_max_line_length = 1M
`

// dovecotUID is who Dovecot runs as if the test is run by root, whose mail it refuses.
const dovecotUID = "65534"

// dovecot is a Maildir and Dovecot's imap, which speaks for it on its standard input.
type dovecot struct {
	*client
	args []string
}

// newDovecot makes the Maildir and its configuration.
func newDovecot(t *testing.T, messages []string) *dovecot {
	t.Helper()
	d := &dovecot{client: newClient(t, dovecotIMAP)}
	for _, dir := range []string{"run", "mail/cur", "mail/new", "mail/tmp"} {
		if err := os.MkdirAll(filepath.Join(d.home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	fillMaildir(t, filepath.Join(d.home, "mail"), messages)
	d.args = []string{dovecotIMAP, "-c", d.file("dovecot.conf", fmt.Sprintf(dovecotConfig, d.home))}
	if os.Getuid() == 0 {
		need(t, "setpriv")
		d.must("", "chown", "-R", dovecotUID+":"+dovecotUID, d.home)
		d.args = append([]string{"setpriv", "--reuid", dovecotUID, "--regid", dovecotUID, "--clear-groups"}, d.args...)
	}
	return d
}

// start runs it. It goes at the end of the test.
func (d *dovecot) start() *rawIMAP {
	t := d.t
	t.Helper()
	cmd := exec.Command(d.args[0], d.args[1:]...)
	cmd.Dir = d.home
	cmd.Env = []string{"HOME=" + d.home, "USER=tester", "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	said := &output{}
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // it goes when its client does
		late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("Dovecot ended, %v:\n%s", err, clip(said.String()))
		}
	})
	c := &rawIMAP{t: t, name: "Dovecot", r: bufio.NewReaderSize(out, 64<<10), w: in}
	c.greeting()
	return c
}
