package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/config"
	"kurir/internal/tlsconf"
)

// Levels of a finding.
const (
	levelOK      = "ok"
	levelWarning = "warning"
	levelError   = "error"
)

// finding is one thing that check looked at.
type finding struct {
	Level string `json:"level"`
	Area  string `json:"area"` // "config", "data", "disk", "clock", "tls", "network", "lists", "port"
	Text  string `json:"text"`
}

// report collects findings.
type report struct {
	Findings []finding `json:"findings"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
}

func (r *report) pass(area, format string, args ...any) { r.add(levelOK, area, format, args...) }

func (r *report) warn(area, format string, args ...any) {
	r.Warnings++
	r.add(levelWarning, area, format, args...)
}

func (r *report) fail(area, format string, args ...any) {
	r.Errors++
	r.add(levelError, area, format, args...)
}

func (r *report) add(level, area, format string, args ...any) {
	r.Findings = append(r.Findings, finding{level, area, fmt.Sprintf(format, args...)})
}

func checkCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Look for mistakes in the configuration and around it",
		Long: `Look for everything that would keep the server from working: mistakes in the
configuration (with file and line), permissions, ports, disk space, the certificate,
the clock, and data of a newer version. It tells all of them at once and changes
nothing. Exit code 1 if there is an error.`,
		Example: `  kurir check -c /etc/kurir/kurir.toml
  kurir check --json`,
		Args: exactly(),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		r := e.check(c.Context())
		if *asJSON {
			if err := e.printJSON(r); err != nil {
				return err
			}
		} else {
			for _, f := range r.Findings {
				e.printf("%-8s %s\n", f.Level, plain(f.Text))
			}
		}
		if r.Errors == 0 && !*asJSON {
			e.printf("no errors, %s\n", count(r.Warnings, "warning"))
		}
		if r.Errors > 0 {
			return errors.New(count(r.Errors, "error") + ", " + count(r.Warnings, "warning"))
		}
		return nil
	}
	return c
}

// check looks at everything. With a configuration that cannot be used the rest is
// checked as far as it is known.
func (e *env) check(ctx context.Context) *report {
	r := &report{}
	cfg, err := e.settings()
	if err != nil {
		for _, one := range split(err) {
			r.fail("config", "%v", one)
		}
		if e.data != "" {
			checkDataDir(r, e.files, e.data)
		}
		return r
	}
	if file := e.configFile(); file != "" {
		r.pass("config", "configuration %s", file)
	}
	for _, w := range cfg.Warnings() {
		r.warn("config", "%s", w)
	}
	checkOpenHTTP(r, cfg, inContainer())
	if cfg.Hostname == "" {
		r.fail("config", "%v", errNameless)
	}
	for _, one := range split(cfg.ReadPasswords()) {
		r.fail("config", "%v", one)
	}
	checkTLSPolicy(r, cfg)
	e.checkUnit(r, e.unitEnvironment)
	checkConfine(r, cfg)
	dir := cfg.Data
	if isLocal(e.files, dir) {
		r.fail("data", "%v", notForServe(dir))
	}
	checkDataDir(r, e.files, dir)
	checkReserve(r, dataOptions{cfg: cfg, files: e.files})
	checkClock(r, dir, time.Now())
	checkCertificate(r, cfg, time.Now())
	e.checkACME(ctx, r, cfg, time.Now())
	checkControl(r, cfg)
	e.checkShared(r, cfg, time.Now())
	checkLists(ctx, r, dataOptions{cfg: cfg})
	e.checkPorts(ctx, r, cfg)
	return r
}

// split takes joined errors apart.
func split(err error) []error {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, split(one)...)
		}
		return all
	}
	return []error{err}
}

// checkCertificate looks at the admin's certificate.
func checkCertificate(r *report, cfg *config.Config, now time.Time) {
	if cfg.TLS.Cert == "" {
		return // the configuration's warnings speak of it
	}
	c, err := tlsconf.Load(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		r.fail("tls", "%v", err)
		return
	}
	problems := tlsconf.Problems(c.Leaf, cfg.Hostname, now)
	for _, p := range problems {
		if now.After(c.Leaf.NotAfter) || now.Before(c.Leaf.NotBefore) {
			r.fail("tls", "%s: %v", cfg.TLS.Cert, p)
		} else {
			r.warn("tls", "%s: %v", cfg.TLS.Cert, p)
		}
	}
	if len(problems) == 0 {
		r.pass("tls", "certificate %s, valid until %s", cfg.TLS.Cert, c.Leaf.NotAfter.Format(time.DateOnly))
	}
}

// checkControl looks at the place of a control socket that is not in the data directory.
func checkControl(r *report, cfg *config.Config) {
	dir := filepath.Dir(cfg.Control)
	if dir == filepath.Clean(cfg.Data) {
		return
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		r.fail("config", "the control socket's directory: %v", err)
	case info.Mode().Perm()&0o022 != 0:
		r.warn("config", "other users may put another socket in the place of %s: chmod go-w %s", cfg.Control, dir)
	}
}

// checkPorts tries each port. If this configuration's server runs, its ports have to be
// taken; otherwise they have to be free.
func (e *env) checkPorts(ctx context.Context, r *report, cfg *config.Config) {
	running, unknown := e.running(ctx, cfg)
	for _, p := range allPorts(cfg) {
		for _, address := range p.addresses {
			if path, ok := config.UnixPath(address); ok {
				e.checkSocket(ctx, r, p.name, path, running, unknown)
				continue
			}
			l, err := e.listen(ctx, address)
			denied := running && errors.Is(err, fs.ErrPermission) // the server may open what this user may not
			switch {
			case denied && answers(ctx, address):
				r.pass("port", "%s (%s) is open", address, p.name)
			case err == nil && running, denied:
				r.fail("port", "%s (%s) is not served by the server that runs: kurir reload, if the configuration is new", address, p.name)
			case err == nil:
				r.pass("port", "%s (%s) is free", address, p.name)
			case (running || unknown) && errors.Is(err, syscall.EADDRINUSE):
				r.pass("port", "%s (%s) is open", address, p.name)
			default:
				r.fail("port", "%v", explainPort(p.name, address, false, err))
			}
			closeQuietly(l)
		}
	}
}

// answers tells whether somebody takes connections there.
func answers(ctx context.Context, address string) bool {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// running reports whether a server works with this configuration's data; it is unknown
// if this user may not ask.
func (e *env) running(ctx context.Context, cfg *config.Config) (running, unknown bool) {
	client := admin.NewClient(cfg.Control)
	defer client.Close()
	_, err := client.Version(ctx)
	return err == nil, errors.Is(err, fs.ErrPermission)
}

// closeQuietly closes a listener that was opened only to see whether that works.
func closeQuietly(l net.Listener) {
	if l != nil {
		l.Close()
	}
}

// checkOpenHTTP looks who can reach the pages for the admin. In a container its network is
// theirs, and what counts is that the port is not published.
func checkOpenHTTP(r *report, cfg *config.Config, container bool) {
	for _, addr := range cfg.OpenHTTP() {
		if container {
			r.pass("config", "http.address has %s, for the other containers: its port must not be published, /metrics and /healthz ask for no password", addr)
			continue
		}
		r.warn("config", "http.address has %s: anyone who can connect there can read /metrics and /healthz", addr)
	}
}
