package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"kurir/internal/fsx"
)

// buffer collects output that a server may write while the test reads it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// console is a person at a terminal, or a script without one.
type console struct {
	*env
	out, err buffer
	mu       sync.Mutex
	bound    map[string]string // address asked for to address opened
	hangups  chan os.Signal
}

// newConsole has no terminal, no input and no environment, and opens a free port for
// whatever port is asked for.
func newConsole(t *testing.T) *console {
	t.Helper()
	c := &console{bound: map[string]string{}, hangups: make(chan os.Signal)}
	c.env = &env{
		stdin: strings.NewReader(""), stdout: &c.out, stderr: &c.err,
		environ: []string{"HOME=" + t.TempDir()}, files: fsx.OS{},
		terminal: func() bool { return false },
		secret:   func() (string, error) { return "", errors.New("no terminal") },
		hangup:   func() (<-chan os.Signal, func()) { return c.hangups, func() {} },
		listen: func(ctx context.Context, address string) (net.Listener, error) {
			var lc net.ListenConfig
			l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
			if err == nil {
				c.mu.Lock()
				c.bound[address] = l.Addr().String()
				c.mu.Unlock()
			}
			return l, err
		},
	}
	return c
}

// typing gives the console a terminal at which secrets are typed, one a prompt.
func (c *console) typing(secrets ...string) {
	c.terminal = func() bool { return true }
	c.secret = func() (string, error) {
		if len(secrets) == 0 {
			return "", errors.New("nobody types any more")
		}
		s := secrets[0]
		secrets = secrets[1:]
		return s, nil
	}
}

// address is where the port asked for as address is open.
func (c *console) address(asked string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bound[asked]
}

// site is where a test's data lies, and the configuration that says so.
type testSite struct {
	t      *testing.T
	dir    string
	config string
}

// newTestSite writes a configuration with every port on the loopback address.
func newTestSite(t *testing.T, more ...string) *testSite {
	t.Helper()
	s := &testSite{t: t, dir: filepath.Join(t.TempDir(), "data")}
	s.config = filepath.Join(filepath.Dir(s.dir), "kurir.toml")
	lines := []string{`hostname = "mail.example.test"`, fmt.Sprintf("data = %q", s.dir)}
	for i, name := range []string{"smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "http"} {
		lines = append(lines, "["+name+"]", fmt.Sprintf("address = [\"127.0.0.1:%d\"]", 40001+i))
	}
	lines = append(lines, more...)
	if err := os.WriteFile(s.config, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// do runs one command line in a console of its own and returns its exit code and output.
func (s *testSite) do(stdin string, args ...string) (code int, out, err string) {
	s.t.Helper()
	c := newConsole(s.t)
	c.stdin = strings.NewReader(stdin)
	code = run(s.t.Context(), c.env, append([]string{"-c", s.config}, args...))
	return code, c.out.String(), c.err.String()
}

// must runs a command line that has to succeed and returns its output.
func (s *testSite) must(stdin string, args ...string) string {
	s.t.Helper()
	code, out, errs := s.do(stdin, args...)
	if code != exitOK {
		s.t.Fatalf("kurir %s: exit %d: %s", strings.Join(args, " "), code, errs)
	}
	return out
}

// serving is a server that runs in this process.
type serving struct {
	*console
	t    *testing.T
	stop func() // ends the server and wants exit code 0
}

// start runs a command that serves and waits until it does.
func start(t *testing.T, c *console, args ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() { done <- run(ctx, c.env, args) }()
	for !strings.Contains(c.err.String(), "kurir serves") {
		select {
		case code := <-done:
			cancel()
			t.Fatalf("kurir %s: exit %d: %s", strings.Join(args, " "), code, c.err.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	stop := sync.OnceFunc(func() {
		cancel()
		begin := time.Now()
		if code := <-done; code != exitOK {
			t.Errorf("kurir %s: exit %d: %s", strings.Join(args, " "), code, c.err.String())
		}
		if took := time.Since(begin); took > 8*time.Second {
			t.Errorf("the server took %v to stop", took)
		}
	})
	t.Cleanup(stop)
	return &serving{console: c, t: t, stop: stop}
}

func (s *testSite) serve() *serving {
	s.t.Helper()
	return start(s.t, newConsole(s.t), "serve", "-c", s.config)
}

// contains wants every word in text.
func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in:\n%s", w, text)
		}
	}
}

// TestHelp: each command says what it does, how it is used and gives an example.
func TestHelp(t *testing.T) {
	c := newConsole(t)
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s has no short text or no example", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(cmd.Example+"\n"+cmd.Long, "\n") {
			if len(line) > 100 {
				t.Errorf("%s: a line of %d characters: %s", cmd.CommandPath(), len(line), line)
			}
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	root := newRoot(c.env)
	visit(root)
	for _, path := range []string{"serve", "local", "check", "health", "version", "domain add", "domain alias add", "domain alias remove", "domain list", "domain remove", "domain disable", "domain enable",
		"account add", "account import", "account list", "apply", "export", "account passwd", "account rename", "account disable", "account enable", "account remove", "account quota",
		"alias add", "alias list", "alias remove", "group add", "group list", "group join", "group leave", "group post", "group remove", "mailbox list", "mailbox fsck", "send",
		"queue list", "queue show", "queue retry", "queue hold", "queue release", "queue drop", "queue bounce", "dns records", "dns check"} {
		found, rest, err := root.Find(strings.Fields(path))
		if err != nil || len(rest) > 0 || found.CommandPath() != "kurir "+path {
			t.Errorf("no command %q", path)
		}
	}
	if code := run(t.Context(), c.env, []string{"--help"}); code != exitOK {
		t.Errorf("--help: exit %d", code)
	}
	contains(t, c.out.String(), "Exit codes", "kurir domain add example.org")
}

// TestUsage: what is wrong with a command line is said, with exit code 2.
func TestUsage(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"frobnicate", `unknown command "frobnicate"`},
		{"acount list", "did you mean account?"},
		{"local --port-offset many", "it has to be a whole number"},
		{"check --json=perhaps", "it has to be true or false"},
		{"account quota a@x.test 5", "was a unit meant"},
		{"account lst", "did you mean list?"},
		{"account frobnicate", `unknown command "frobnicate" for "kurir account"`},
		{"account add", "ADDRESS is missing"},
		{"account rename a@x.test", "NEW is missing"},
		{"account list now", `"now" is one argument too many`},
		{"account list --frobnicate", "unknown flag: --frobnicate"},
		{"alias add info@x.test", "TARGET is missing"},
		{"domain alias add x.test", "DOMAIN is missing"},
		{"account add a@x.test --quota much", "is not a size"},
		{"account quota a@x.test much", "is not a size"},
		{"account add a@x.test", "--password-stdin or --generate"},
		{"account passwd a@x.test --password-stdin --generate", "exclude each other"},
		{"account remove a@x.test", "add --yes"},
		{"local --port-offset 70000", "between -1000 and 60000"},
		{"local -c kurir.toml", "local reads no configuration"},
	} {
		con := newConsole(t)
		if code := run(t.Context(), con.env, strings.Fields(c.line)); code != exitUsage {
			t.Errorf("kurir %s: exit %d", c.line, code)
		}
		contains(t, con.err.String(), c.want, "--help")
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		c := newConsole(t)
		if code := run(t.Context(), c.env, []string{"completion", shell}); code != exitOK || !strings.Contains(c.out.String(), "kurir") {
			t.Errorf("completion %s: exit %d: %s", shell, code, c.err.String())
		}
	}
}

func TestVersion(t *testing.T) {
	c := newConsole(t)
	run(t.Context(), c.env, []string{"version"})
	contains(t, c.out.String(), "kurir ", "go1.")
	c = newConsole(t)
	run(t.Context(), c.env, []string{"version", "--json"})
	contains(t, c.out.String(), `"version": `, `"os": `)
}
