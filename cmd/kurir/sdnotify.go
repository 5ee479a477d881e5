package main

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"kurir/internal/config"
)

// supervisor is systemd, where it has started this process and wants to be told of it
// (sd_notify(3)): elsewhere it is told nothing.
type supervisor struct {
	send func(state string) error // nil: nobody listens
	log  *slog.Logger
	wait time.Duration // after which it takes a silent process for hung; zero: it does not watch
}

// newSupervisor looks at the environment that systemd gives.
func (e *env) newSupervisor(log *slog.Logger) *supervisor {
	v := &supervisor{log: log}
	if e.getenv("NOTIFY_SOCKET") == "" {
		return v
	}
	v.send = func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}
	wait, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("what systemd says of its watchdog cannot be read", "error", err)
	}
	v.wait = wait
	return v
}

// tell sends assignments, one a line.
func (v *supervisor) tell(lines ...string) {
	if v.send == nil {
		return
	}
	if err := v.send(strings.Join(lines, "\n")); err != nil {
		v.log.Warn("systemd could not be told", "state", strings.Join(lines, " "), "error", err)
	}
}

// ready says that all ports are open.
func (v *supervisor) ready(c *config.Config) { v.tell(daemon.SdNotifyReady, status(c, "serving")) }

// stopping says that the end has begun.
func (v *supervisor) stopping() { v.tell(daemon.SdNotifyStopping, "STATUS=stopping") }

// alive is to be called at least as often as pace says.
func (v *supervisor) alive() {
	if v.wait > 0 {
		v.tell(daemon.SdNotifyWatchdog)
	}
}

// pace is how often the server looks at itself: every, or more often where systemd wants
// to hear of it.
func (v *supervisor) pace(every time.Duration) time.Duration {
	if v.wait > 0 {
		return min(every, v.wait/2)
	}
	return every
}

// reloading says how far a reload is.
func (v *supervisor) reloading(state reloadState, c *config.Config) {
	switch state {
	case reloadBegins:
		v.tell(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
	case reloadDone:
		v.ready(c)
	case reloadFailed:
		v.tell(daemon.SdNotifyReady, status(c, "serving with the configuration of before: the new one has mistakes, see the log"))
	}
}

// status is the line that "systemctl status" shows.
func status(c *config.Config, text string) string {
	return fmt.Sprintf("STATUS=%s: %s", c.Hostname, text)
}
