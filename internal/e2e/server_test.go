package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What the command local serves.
const (
	alice    = "alice@local.test"
	bob      = "bob@local.test"
	password = "local-only"

	smtpPort        = 1025
	submissionPort  = 1587
	submissionsPort = 1465
	imapPort        = 1143
	imapsPort       = 1993
	pop3Port        = 1110
	pop3sPort       = 1995
	httpPort        = 1080
)

// patience is how long anything may take on a slow machine that is busy with other
// things. Where time is what is tested, the test says so.
const patience = time.Minute

// A server is one data directory and the process that serves it, if it runs.
type server struct {
	t      *testing.T
	dir    string
	offset int // of the ports
	run    *process
}

// process is one run of the binary.
type process struct {
	cmd    *exec.Cmd
	out    *output
	exited chan struct{} // closed once err is set
	err    error
	except string // a complaint that is to be there; "": none
}

// output is what a process has said so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// newServer starts a server on a data directory of its own. At the end of the test it is
// stopped, if it still runs, and has to go without a complaint.
func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, dir: filepath.Join(tempDir(t), "kurir"), offset: freeOffset(t)}
	t.Cleanup(func() {
		if s.run != nil && !t.Failed() {
			s.stop()
		} else if s.run != nil {
			t.Logf("the server said:\n%s", clip(s.run.out.String()))
			s.kill()
		}
	})
	for try := 1; ; try++ {
		err := s.launch()
		if err == nil {
			return s
		}
		if try == 5 || !strings.Contains(err.Error(), "is taken by another program") {
			t.Fatal(err)
		}
		s.offset = freeOffset(t)
	}
}

// tempDir is t.TempDir, but short enough for a socket in it, and kept if wanted.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("KURIR_KEEP") != "" {
			t.Log("kept:", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// freeOffset finds a number that makes all ports free ones, below those that the system
// gives to clients.
func freeOffset(t *testing.T) int {
	t.Helper()
	for range 100 {
		offset := 3000 + rand.IntN(27000)
		free := true
		for _, p := range []int{smtpPort, submissionPort, submissionsPort, imapPort, imapsPort, pop3Port, pop3sPort, httpPort} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p+offset))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return offset
		}
	}
	t.Fatal("no free ports")
	return 0
}

// begin runs the binary with local's arguments and does not wait for anything.
func (s *server) begin() *process {
	p := &process{out: &output{}, exited: make(chan struct{})}
	p.cmd = exec.Command(binary, "local", "--dir", s.dir, "--port-offset", strconv.Itoa(s.offset))
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p
}

// launch starts the server and waits until all its ports are open.
func (s *server) launch() error {
	p := s.begin()
	s.run = p
	const last = "curl --cacert" // begins the last line that local prints
	err := eventually(patience, func() error {
		select {
		case <-p.exited:
			return nil
		default:
		}
		if !strings.Contains(p.out.String(), last) {
			return errors.New("the server is not ready")
		}
		return nil
	})
	select {
	case <-p.exited:
		s.run = nil
		return fmt.Errorf("the server ended: %w\n%s", p.err, p.out)
	default:
	}
	return err
}

// start starts a server that was stopped or killed.
func (s *server) start() {
	s.t.Helper()
	if err := s.launch(); err != nil {
		s.t.Fatal(err)
	}
}

// stop ends the server as an init system does, waits for it, and fails the test if it
// was not content. It returns how long that took.
func (s *server) stop() time.Duration {
	s.t.Helper()
	p := s.run
	s.run = nil
	began := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Errorf("SIGTERM: %v\n%s", err, p.out)
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.cmd.Process.Signal(syscall.SIGQUIT) // shows where it hangs
		<-p.exited
		s.t.Errorf("the server did not stop:\n%s", p.out)
		return patience
	}
	took := time.Since(began)
	if p.err != nil {
		s.t.Errorf("the server's end: %v\n%s", p.err, p.out)
	}
	p.complaints(s.t)
	return took
}

// complaints fails the test for what must not be in a log.
func (p *process) complaints(t *testing.T) {
	t.Helper()
	all := p.out.String()
	if p.except != "" {
		if !strings.Contains(all, p.except) {
			t.Errorf("the server's log has no %q:\n%s", p.except, all)
		}
		all = strings.ReplaceAll(all, p.except, "")
	}
	for _, bad := range []string{"level=ERROR", "panic:", "DATA RACE", "fatal error:"} {
		if strings.Contains(all, bad) {
			t.Errorf("the server's log has %q:\n%s", bad, all)
			return
		}
	}
}

// kill ends the server as a crash does, and waits until it is gone.
func (s *server) kill() {
	p := s.run
	s.run = nil
	p.cmd.Process.Kill()
	<-p.exited
}

// restart stops and starts the server.
func (s *server) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

// restartWithoutIndex stops the server, removes what it may lose and starts it again.
func (s *server) restartWithoutIndex() {
	s.t.Helper()
	s.stop()
	s.dropIndex()
	s.start()
}

// dropIndex removes the index of every account, of a server that does not run.
func (s *server) dropIndex() {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, "mail", "*", "*", "index.db*"))
	for _, f := range found {
		err = errors.Join(err, os.Remove(f))
	}
	if err != nil || len(found) == 0 {
		s.t.Fatalf("removing the indexes %q: %v", found, err)
	}
}

// at is where a protocol is served.
func (s *server) at(port int) string { return net.JoinHostPort("127.0.0.1", s.port(port)) }

func (s *server) port(port int) string { return strconv.Itoa(port + s.offset) }

// ca is the certificate file that clients have to trust.
func (s *server) ca() string { return filepath.Join(s.dir, "tls", "ca.pem") }

// account is an account's folder of mail.
func (s *server) account(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	return filepath.Join(s.dir, "mail", domain, local)
}

// trust is a client's TLS configuration.
func (s *server) trust() *tls.Config {
	s.t.Helper()
	text, err := os.ReadFile(s.ca())
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		s.t.Fatalf("no CA in %s: %v", s.ca(), err)
	}
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

// eventually calls f until it returns nil or the time is up, and returns its last error.
func eventually(within time.Duration, f func() error) error {
	end := time.Now().Add(within)
	for {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}
