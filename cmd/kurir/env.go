package main

import (
	"context"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/term"

	"kurir/internal/confine"
	"kurir/internal/fsx"
)

// env is what the commands see of the world. Tests have their own.
type env struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string
	files   fsx.FS
	// terminal says whether a person can be asked on stdin.
	terminal func() bool
	// secret reads a line from the terminal without showing it.
	secret func() (string, error)
	// listen opens a port.
	listen func(ctx context.Context, address string) (net.Listener, error)
	// hangup returns a channel that has a value for each SIGHUP, until done is called.
	hangup func() (signals <-chan os.Signal, done func())
	// memory is how many bytes this process may use, by its cgroup; nil: nobody limits it.
	memory func() (uint64, error)
	// systemctl runs systemd's command and returns what it says, in one text; nil where
	// there is no systemd, or this user may not change anything.
	systemctl func(ctx context.Context, args ...string) (string, error)
	// confine binds this process to folders, for good; nil: it does not.
	confine func(confine.Paths) (version int, err error)
	// patience is how long a command waits for a server that has the data's lock but does
	// not answer yet, or for another command that has the lock for a moment; zero means 5 seconds.
	patience time.Duration
	// pause is the first pause between two looks of dns check --watch; zero means 5 seconds.
	pause time.Duration
	// started is set once the command line was right and the command began.
	started bool

	// systemConfig is the machine's own configuration, the last to be looked for; empty: none.
	systemConfig string

	unitEnvironment string // the systemd unit's file of variables; empty: none

	config string // --config
	data   string // --data
}

// systemEnv is the real world.
func systemEnv() *env {
	stdin := int(os.Stdin.Fd())
	return &env{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		environ:      os.Environ(),
		systemConfig: "/etc/kurir/kurir.toml", unitEnvironment: "/etc/default/kurir",
		files:     fsx.OS{},
		systemctl: systemctl(),
		terminal:  func() bool { return term.IsTerminal(stdin) },
		secret: func() (string, error) {
			b, err := term.ReadPassword(stdin)
			return string(b), err
		},
		memory: memlimit.FromCgroup,
		listen: func(ctx context.Context, address string) (net.Listener, error) {
			var lc net.ListenConfig
			return lc.Listen(ctx, "tcp", address)
		},
		hangup: func() (<-chan os.Signal, func()) {
			c := make(chan os.Signal, 1)
			signal.Notify(c, syscall.SIGHUP)
			return c, func() { signal.Stop(c) }
		},
		confine: confine.Files,
	}
}

// getenv returns a variable's value, empty if it is not set.
func (e *env) getenv(name string) string {
	for i := len(e.environ) - 1; i >= 0; i-- {
		if v := e.environ[i]; len(v) > len(name) && v[:len(name)] == name && v[len(name)] == '=' {
			return v[len(name)+1:]
		}
	}
	return ""
}
