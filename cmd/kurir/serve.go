package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"kurir/internal/config"
)

func serveCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server in the foreground until it gets SIGTERM or SIGINT. Its log goes to
stderr. A renewed certificate is noticed by itself. SIGHUP, or "kurir reload", has the
configuration read again and put into service without dropping a connection.

In a container, KURIR_SETUP_DOMAIN makes a server set itself up when it begins: the domain
with its keys and, as long as there is none, the first account, KURIR_SETUP_ACCOUNT (or
admin), with the password in KURIR_SETUP_PASSWORD_FILE. What is there stays as it is.`,
		Example: `  kurir serve -c /etc/kurir/kurir.toml
  KURIR_DATA=/data KURIR_HOSTNAME=mail.example.org kurir serve`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := e.serveSettings()
			if err != nil {
				return err
			}
			if isLocal(e.files, cfg.Data) {
				return notForServe(cfg.Data)
			}
			s := &site{env: e, cfg: cfg, again: e.serveSettings}
			first, err := e.firstStart()
			if err != nil {
				return err
			}
			if first != nil {
				s.prepare = func(ctx context.Context, d *data) error { return first.begin(ctx, s, d) }
			}
			return s.run(c.Context())
		},
	}
}

// serveSettings reads the configuration of a server, with its passwords.
func (e *env) serveSettings() (*config.Config, error) {
	cfg, err := e.settings()
	if err != nil {
		return nil, err
	}
	if cfg.Hostname == "" {
		return nil, errNameless
	}
	return cfg, cfg.ReadPasswords()
}

var errNameless = errors.New("the server needs its host name: name a configuration that has it with -c FILE, or set KURIR_HOSTNAME")

// notForServe refuses a data directory of local.
func notForServe(dir string) error {
	return fmt.Errorf("%s is a data directory of \"kurir local\", whose accounts have a password that everyone knows: choose another one", dir)
}

// configFile is the configuration file in use; empty if there is none.
func (e *env) configFile() string {
	if e.config != "" {
		return e.config
	}
	if v := e.getenv("KURIR_CONFIG"); v != "" {
		return v
	}
	for _, path := range []string{"kurir.toml", e.systemConfig} {
		if _, err := e.files.Stat(path); path != "" && err == nil {
			return path
		}
	}
	return ""
}

// settings reads the configuration. Without a file it may come without a host name, which
// only a server needs, but not without a data directory.
func (e *env) settings() (*config.Config, error) {
	file := e.configFile()
	environ, err := e.setupEnviron(file)
	if err != nil {
		return nil, err
	}
	nameless := file == "" && e.getenv("KURIR_HOSTNAME") == "" && e.getenv("KURIR_SETUP_DOMAIN") == ""
	if nameless {
		if e.data == "" && e.getenv("KURIR_DATA") == "" {
			return nil, errors.New("no configuration found (./kurir.toml, /etc/kurir/kurir.toml): \"kurir setup DOMAIN\" makes one, or write one, whose first line is hostname = \"mail.example.org\"; or name one with -c FILE or $KURIR_CONFIG, or a data directory with --data DIR; \"kurir local\" needs none")
		}
		environ = append(environ, "KURIR_HOSTNAME=unset.invalid")
	}
	cfg, err := config.Load(file, environ)
	if err != nil {
		return nil, err
	}
	if nameless {
		cfg.Hostname = ""
	}
	if e.data == "" {
		return cfg, nil
	}
	if cfg.Control != filepath.Join(cfg.Data, controlName) {
		return nil, usagef("--data cannot be used with a configuration that sets \"control\"")
	}
	return useData(cfg, e.data)
}

// controlName is the control socket's name in the data directory.
const controlName = "control.sock"

// useData makes dir the configuration's data directory.
func useData(cfg *config.Config, dir string) (_ *config.Config, err error) {
	cfg.Data, err = filepath.Abs(dir)
	cfg.Control = filepath.Join(cfg.Data, controlName)
	return cfg, err
}
