package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kurir/internal/config"
)

// manager is a systemd that listens.
func manager(t *testing.T) (hear func() string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd") // a short path, as sockets want it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		t.Helper()
		b := make([]byte, 4096)
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

// TestSupervisor: systemd hears when all ports are open, of a reload that succeeds or does
// not, of the end, and in time that the server is alive.
func TestSupervisor(t *testing.T) {
	hear := manager(t)
	t.Setenv("WATCHDOG_USEC", "200000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	next := func() string { // but for signs of life
		for {
			if said := hear(); said != "WATCHDOG=1" {
				return said
			}
		}
	}
	s := newTestSite(t, "[limits]", "recipients = 100")
	con := newConsole(t)
	con.environ = append(con.environ, "NOTIFY_SOCKET="+os.Getenv("NOTIFY_SOCKET"))
	srv := start(t, con, "serve", "-c", s.config)
	contains(t, next(), "READY=1", "STATUS=mail.example.test: serving")
	for range 3 {
		for hear() != "WATCHDOG=1" {
		}
	}
	s.rewrite("recipients = 100", "recipients = none")
	srv.hangups <- syscall.SIGHUP
	contains(t, next(), "RELOADING=1", "MONOTONIC_USEC=")
	contains(t, next(), "READY=1", "STATUS=", "mistakes")
	s.rewrite("recipients = none", "recipients = 7")
	srv.hangups <- syscall.SIGHUP
	contains(t, next(), "RELOADING=1")
	if said := next(); !strings.HasPrefix(said, "READY=1") || strings.Contains(said, "mistakes") {
		t.Errorf("after a reload: %q", said)
	}
	go srv.stop()
	contains(t, next(), "STOPPING=1")
	srv.stop()
}

// TestNoSupervisor: nothing is said where nobody has asked for it.
func TestNoSupervisor(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	con := newConsole(t) // whose environment is its own
	log, _ := newLogger(&con.err, config.Default())
	v := con.newSupervisor(log)
	v.ready(config.Default())
	v.alive()
	if v.pace(time.Minute) != time.Minute || con.err.String() != "" {
		t.Errorf("pace %v, log %s", v.pace(time.Minute), con.err.String())
	}
	con.environ = append(con.environ, "NOTIFY_SOCKET=x") // nobody is there: that stops nothing
	v = con.newSupervisor(log)
	v.stopping()
	contains(t, con.err.String(), "systemd could not be told")
}

func TestPace(t *testing.T) {
	for _, tt := range []struct{ wait, want time.Duration }{
		{0, 30 * time.Second}, {time.Hour, 30 * time.Second}, {20 * time.Second, 10 * time.Second},
	} {
		if got := (&supervisor{wait: tt.wait}).pace(30 * time.Second); got != tt.want {
			t.Errorf("%v: %v", tt.wait, got)
		}
	}
}
