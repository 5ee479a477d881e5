package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/directory"
	"kurir/internal/fsx"
)

// What local serves. Its password is known to everyone, which is why it listens on the
// loopback interface alone.
const (
	localAddress  = "127.0.0.1"
	localDomain   = "local.test"
	localPassword = "local-only"
	// localMark is a file that marks a data directory as local's. Accounts with a known
	// password must never come into a real server's data, nor the other way round.
	localMark = "kurir-local"
)

// localAccounts are the accounts of local.
func localAccounts() []string {
	return []string{"alice@" + localDomain, "bob@" + localDomain}
}

func localCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "local",
		Short: "Run the whole server on this machine alone, ready to try",
		Long: `Run the whole server on 127.0.0.1, ready to try: with a certificate of its own, the
domain local.test and the accounts alice@local.test and bob@local.test. It prints the
settings that a mail app needs. Nothing is reachable from other machines, and nothing
goes to them: mail to other domains is taken and held, for "kurir queue list --data DIR"
to show. Mail is kept from run to run; Ctrl-C stops it.`,
		Example: `  kurir local
  kurir local --dir /tmp/kurir
  kurir local --port-offset 10000      # SMTP on 11025, IMAP on 11143 and so on`,
		Args: exactly(),
	}
	dir := c.Flags().String("dir", "", "where the mail is kept, as `DIR` (default: a folder kurir-local in your data directory)")
	offset := c.Flags().Int("port-offset", 0, "add `N` to every port")
	c.MarkFlagDirname("dir")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if e.config != "" || e.data != "" {
			return usagef("local reads no configuration: use --dir and --port-offset, or the command serve")
		}
		if *offset < -1000 || *offset > 60000 {
			return usagef("--port-offset has to be between -1000 and 60000")
		}
		return e.local(c.Context(), *dir, *offset)
	}
	return c
}

// local runs the server of the command local until ctx is done.
func (e *env) local(ctx context.Context, dir string, offset int) error {
	dir, err := e.localDir(dir)
	if err != nil {
		return err
	}
	if err := markLocal(e.files, dir); err != nil {
		return err
	}
	cfg, err := localConfig(dir, offset)
	if err != nil {
		return err
	}
	s := &site{env: e, cfg: cfg}
	s.local = true
	s.ready = s.printLocal
	s.prepare = addLocalAccounts
	return s.run(ctx)
}

// localDir is the absolute data directory of local: dir or, if that is empty, the
// system's place for a user's data.
func (e *env) localDir(dir string) (string, error) {
	if dir != "" {
		return filepath.Abs(dir)
	}
	const name = "kurir-local"
	home := e.getenv("HOME")
	switch {
	case runtime.GOOS == "windows" && filepath.IsAbs(e.getenv("LocalAppData")):
		return filepath.Join(e.getenv("LocalAppData"), name), nil
	case filepath.IsAbs(e.getenv("XDG_DATA_HOME")): // relative ones are to be ignored, says its specification
		return filepath.Join(e.getenv("XDG_DATA_HOME"), name), nil
	case !filepath.IsAbs(home):
		return "", errors.New("your home directory is unknown ($HOME): say with --dir where the mail is to be kept")
	case runtime.GOOS == "darwin":
		return filepath.Join(home, "Library", "Application Support", name), nil
	}
	return filepath.Join(home, ".local", "share", name), nil
}

// markLocal makes dir a data directory of local, or sees that it is one.
func markLocal(files fsx.FS, dir string) error {
	if err := fsx.MkdirAll(files, dir, 0o700); err != nil {
		return fmt.Errorf("making the folder for the mail: %w; choose another one with --dir", err)
	}
	mark := filepath.Join(dir, localMark)
	if isLocal(files, dir) {
		return nil
	}
	names, err := files.ReadNames(dir)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, fsx.IsTemp) // of an earlier try that was cut short
	if len(names) > 0 {
		return fmt.Errorf("%s is not empty and was not made by \"kurir local\", whose accounts have a password that everyone knows: choose another folder with --dir", dir)
	}
	return fsx.WriteFile(files, mark, []byte("Data of \"kurir local\". Its accounts have a password that everyone knows.\n"), 0o600)
}

// isLocal reports whether dir is a data directory of local.
func isLocal(files fsx.FS, dir string) bool {
	_, err := files.Stat(filepath.Join(dir, localMark))
	return err == nil
}

// addLocalAccounts makes the domain and the accounts of local, where they are missing,
// and gives the accounts their password back.
func addLocalAccounts(ctx context.Context, d *data) error {
	if err := d.service.AddDomain(ctx, localDomain); err != nil && !errors.Is(err, directory.ErrExists) {
		return err
	}
	for _, address := range localAccounts() {
		_, err := d.service.AddAccount(ctx, admin.NewAccount{Address: address, Password: localPassword})
		if errors.Is(err, directory.ErrExists) {
			err = d.service.SetPassword(ctx, admin.Password{Address: address, Password: localPassword})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
