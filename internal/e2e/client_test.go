package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// need skips the test if one of the programs is not installed, or fails it where they
// have to be.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("KURIR_REAL_CLIENTS") == "require" {
			t.Fatalf("%s is not installed, and KURIR_REAL_CLIENTS=require", p)
		}
		t.Skipf("%s is not installed", p)
	}
}

// client is where a program runs: a home of its own, and nothing of the tester's settings.
type client struct {
	t    *testing.T
	home string
}

func newClient(t *testing.T, programs ...string) *client {
	t.Helper()
	need(t, programs...)
	return &client{t: t, home: tempDir(t)}
}

// file writes a file into the home that only its owner may read, and returns its path.
func (c *client) file(name, text string) string {
	c.t.Helper()
	path := filepath.Join(c.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// try runs a program with stdin and returns all that it said and its exit code.
func (c *client) try(stdin, name string, args ...string) (out string, code int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.home
	cmd.Env = []string{
		"HOME=" + c.home, "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TERM=xterm", "USER=tester",
		"LOGNAME=tester", "FETCHMAILHOME=" + c.home, "PYTHONDONTWRITEBYTECODE=1",
	}
	cmd.Stdin = strings.NewReader(stdin)
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		c.t.Fatalf("%v: %v, %v\n%s", cmd, err, ctx.Err(), said)
	}
	return string(said), cmd.ProcessState.ExitCode()
}

// must is try for a program that has to succeed.
func (c *client) must(stdin, name string, args ...string) string {
	c.t.Helper()
	out, code := c.try(stdin, name, args...)
	if code != 0 {
		c.t.Fatalf("%s %q: exit code %d\n%s", name, args, code, out)
	}
	return out
}

// contains fails the test unless text has every one of the parts.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in:\n%s", p, clip(text))
		}
	}
}

// clip shortens what is too long to read in a log.
func clip(s string) string {
	const most = 8000
	if len(s) <= most {
		return s
	}
	return s[:most/2] + "\n[…]\n" + s[len(s)-most/2:]
}
