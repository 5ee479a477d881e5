package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"kurir/internal/admin"
	"kurir/internal/setup"
)

const (
	// unitName is the server's unit of systemd.
	unitName = "kurir.service"
	// startTime is how long the server may take until it answers.
	startTime = time.Minute
	// saidBytes bounds what is kept of what systemctl says.
	saidBytes = 4096
)

// systemctl is systemd's command, nil where there is none or this user is not root.
func systemctl() func(ctx context.Context, args ...string) (string, error) {
	if info, err := os.Stat("/run/systemd/system"); err != nil || !info.IsDir() || !isRoot() {
		return nil
	}
	return func(ctx context.Context, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 3*startTime)
		defer cancel()
		out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
		return oneLine(string(out[:min(len(out), saidBytes)])), err
	}
}

// hasService tells whether systemd knows the server's unit, which serves the configuration
// of the machine.
func (r *setupRun) hasService(ctx context.Context) bool {
	if r.systemctl == nil || r.result.Config != r.systemConfig {
		return false
	}
	_, err := r.systemctl(ctx, "cat", unitName)
	return err == nil
}

// start sees that the server runs, where that is in our hands, and tells whether it does.
func (r *setupRun) start(ctx context.Context) (running bool, err error) {
	if r.stop != nil { // it has the data open, and would be in the server's way
		if err := r.stop(); err != nil {
			return false, err
		}
	}
	r.heading("The server")
	if pid := r.serverPID(ctx, r.cfg); pid != 0 {
		r.report(setup.Step{Name: "start", Outcome: setup.OK, Text: fmt.Sprintf("The server runs (pid %d).", pid)})
		return true, nil
	}
	switch {
	case r.flags.noStart || r.skips("start"):
		r.report(setup.Step{Name: "start", Outcome: setup.Skipped, Text: "The server is not started, as you wish."})
		return false, nil
	case r.result.Problems > 0:
		r.report(setup.Step{Name: "start", Outcome: setup.Skipped, Text: "The server is not started before the problems above are solved."})
		return false, nil
	case !r.hasService(ctx):
		r.report(setup.Step{Name: "start", Outcome: setup.Todo, Text: "The server does not run yet.",
			Do: "Start it: kurir serve -c " + quote(r.result.Config) + ", by whatever starts programs on this machine (docs/systemd.md). Then run this again, for the rest."})
		return false, nil
	}
	if said, err := r.systemctl(ctx, "enable", "--now", unitName); err != nil {
		r.report(setup.Step{Name: "start", Outcome: setup.Problem, Text: "systemd could not start the server: " + plain(said),
			Do: "See why: journalctl -u kurir -n 30"})
		return false, nil
	}
	return r.waitForServer(ctx)
}

// waitForServer waits until the server answers.
func (r *setupRun) waitForServer(ctx context.Context) (bool, error) {
	client := admin.NewClient(r.cfg.Control)
	defer client.Close()
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); {
		if _, err := client.Version(ctx); err == nil {
			r.report(setup.Step{Name: "start", Outcome: setup.Done, Text: "The server runs, and will after each restart of the machine."})
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(connectRetry):
		}
	}
	r.report(setup.Step{Name: "start", Outcome: setup.Problem, Text: "The server was started, but does not answer on " + r.cfg.Control + ".",
		Do: "See why: journalctl -u kurir -n 30"})
	return false, nil
}

// localAddressOf is where this machine reaches a protocol that is served on addresses, by
// the first of them; "" if nowhere.
func localAddressOf(addresses []string) string {
	if len(addresses) == 0 {
		return ""
	}
	host, port, err := net.SplitHostPort(addresses[0])
	switch {
	case err != nil:
		return ""
	case host == "" || host == "0.0.0.0":
		host = localAddress
	case host == "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
