package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// setupPlace is a folder in which the built program sets a server up, without the network.
type setupPlace struct {
	t   *testing.T
	dir string
}

func newSetupPlace(t *testing.T) *setupPlace { return &setupPlace{t, tempDir(t)} }

// args are those of a run; more comes at the end.
func (s *setupPlace) args(more ...string) []string {
	all := []string{
		"setup", "example.test", "--config", filepath.Join(s.dir, "kurir.toml"), "--data", filepath.Join(s.dir, "data"),
		"--ipv4", "192.0.2.25", "--no-acme", "--resolver", "127.0.0.1:1", "--no-start",
		"--skip", "ports,rights,memory,ptr,port25-out,port25-in,dns,test,certificate",
	}
	return append(all, more...)
}

// command is the program in this folder, with nothing of this user's environment.
func (s *setupPlace) command(args ...string) *exec.Cmd {
	c := exec.Command(binary, args...)
	c.Dir, c.Env = s.dir, []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH")}
	return c
}

// kurir runs a command on what was set up, and returns what it printed.
func (s *setupPlace) kurir(args ...string) string {
	s.t.Helper()
	out, err := s.command(append(args, "--config", filepath.Join(s.dir, "kurir.toml"))...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("kurir %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// state is what a finished setup has made, as far as two of them agree in it.
func (s *setupPlace) state() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "kurir.toml"))
	if err != nil {
		s.t.Fatal(err)
	}
	var accounts []struct{ Address string }
	if err := json.Unmarshal([]byte(s.kurir("account", "list", "--json")), &accounts); err != nil {
		s.t.Fatal(err)
	}
	var records struct{ Records []struct{ Name, Type string } }
	if err := json.Unmarshal([]byte(s.kurir("dns", "records", "example.test", "--json")), &records); err != nil {
		s.t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.ReplaceAll(fmt.Sprint(string(text), accounts, records, names), s.dir, "DIR")
}

// Setup that is killed, again and again, at any moment, ends where one ends that was not.
func TestSetupKilled(t *testing.T) {
	whole := newSetupPlace(t)
	began := time.Now()
	if out, err := whole.command(whole.args("--yes")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took := time.Since(began)
	want := whole.state()
	for round := range 8 {
		s := newSetupPlace(t)
		for range 6 {
			c := s.command(s.args("--yes")...)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rand.N(took))
			c.Process.Kill()
			c.Wait() // killed, or it was quicker
		}
		if out, err := s.command(s.args("--yes")...).CombinedOutput(); err != nil {
			t.Fatalf("round %d: %v\n%s", round, err, out)
		}
		if got := s.state(); got != want {
			t.Errorf("round %d: it ended as\n%s\nnot as\n%s", round, got, want)
		}
	}
}

// As root, the data are made by their owner, so that the server can work with them.
func TestSetupAsRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	s := newSetupPlace(t)
	const nobody = 65534
	data := filepath.Join(s.dir, "data")
	if err := os.Chmod(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(data, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"done     Account admin@example.test made.", "kept     Account admin@example.test as it was"} {
		out, err := s.command(s.args("--yes")...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), "v=DKIM1; k=ed25519") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != nobody {
			t.Errorf("%s is root's", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(data, "control.sock")); err == nil {
		t.Error("the helper has left its socket")
	}
}

// terminal is a pseudo-terminal: the side of the person, and that of the program.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 80})
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return person, program
}

// The conversation at a real terminal: what is typed as a password is not shown, lines fit
// the width, and Ctrl-C while the DNS is watched leaves all that was made.
func TestSetupAtTerminal(t *testing.T) {
	s := newSetupPlace(t)
	person, program := terminal(t)
	args := s.args()
	for i := range args {
		args[i] = strings.Replace(args[i], ",dns", "", 1)
	}
	c := s.command(args...)
	c.Stdin, c.Stdout, c.Stderr = program, program, program
	c.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	program.Close()
	shown := &output{}
	go io.Copy(shown, person) // ends with the terminal
	const secret = "a long secret word"
	for _, turn := range []struct{ seen, typed string }{
		{"Name of this server [mail.example.test]: ", "\n"},
		{"Your mail address in example.test [admin@example.test]: ", "anna\n"},
		{"Password for anna@example.test", secret + "\n"},
		{"The same once more: ", secret + "\n"},
		{"for a test message (empty: none): ", "\n"},
		{"Looking again in", "\x03"},
	} {
		waitOutput(t, shown, turn.seen)
		time.Sleep(100 * time.Millisecond) // a person is slower than the echo is switched off
		if _, err := person.WriteString(turn.typed); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != 1 {
		t.Errorf("%v", err)
	}
	waitOutput(t, shown, "interrupted; what is made stays")
	if strings.Contains(shown.String(), secret) {
		t.Error("the password was shown")
	}
	for line := range strings.Lines(shown.String()) {
		if line = strings.TrimRight(line, "\r\n"); len([]rune(line)) > 80 && !strings.Contains(line, "v=DKIM1") && strings.HasPrefix(line, "ok") {
			t.Errorf("a line of more than 80 characters: %q", line)
		}
	}
	if list := s.kurir("account", "list"); !strings.Contains(list, "anna@example.test") {
		t.Errorf("no account:\n%s", list)
	}
}

// waitOutput waits until words were shown.
func waitOutput(t *testing.T, o *output, words string) {
	t.Helper()
	for began := time.Now(); !strings.Contains(o.String(), words); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("no %q in:\n%s", words, o.String())
		}
	}
}
