package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"kurir/internal/admin"
	"kurir/internal/auth"
	"kurir/internal/directory"
	"kurir/internal/setup"
)

// firstStart is what the environment asks of a server that begins with no data: in a
// container, where nobody runs the command setup.
type firstStart struct {
	domain, account, passwordFile string
}

// firstStart reads KURIR_SETUP_…; nil if they are not set.
func (e *env) firstStart() (*firstStart, error) {
	typed := e.getenv("KURIR_SETUP_DOMAIN")
	f := &firstStart{passwordFile: e.getenv("KURIR_SETUP_PASSWORD_FILE")}
	account := e.getenv("KURIR_SETUP_ACCOUNT")
	if typed == "" {
		if account != "" || f.passwordFile != "" {
			return nil, errors.New("KURIR_SETUP_ACCOUNT and KURIR_SETUP_PASSWORD_FILE need KURIR_SETUP_DOMAIN, the domain that mail is wanted for")
		}
		return nil, nil
	}
	var err error
	if f.domain, err = setup.ParseDomain(typed); err != nil {
		return nil, fmt.Errorf("KURIR_SETUP_DOMAIN: %w", err)
	}
	if f.account, err = setup.ParseAccount(account, f.domain); err != nil {
		return nil, fmt.Errorf("KURIR_SETUP_ACCOUNT: %w", err)
	}
	return f, nil
}

// setupEnviron is the environment for the configuration: without a file and without
// KURIR_HOSTNAME, KURIR_SETUP_DOMAIN gives the host its name.
func (e *env) setupEnviron(file string) ([]string, error) {
	environ := slices.DeleteFunc(slices.Clone(e.environ), func(v string) bool {
		return strings.HasPrefix(v, "KURIR_CONFIG=") || v == "KURIR_HOSTNAME="
	})
	if file != "" || e.getenv("KURIR_HOSTNAME") != "" {
		return environ, nil
	}
	f, err := e.firstStart()
	if err == nil && f != nil {
		environ = append(environ, "KURIR_HOSTNAME=mail."+f.domain)
	}
	return environ, err
}

// begin makes the domain and, as long as that has no account, the first one. It changes
// nothing that is there.
func (f *firstStart) begin(ctx context.Context, s *site, d *data) error {
	err := d.service.AddDomain(ctx, f.domain)
	switch {
	case errors.Is(err, directory.ErrExists):
	case err != nil:
		return fmt.Errorf("KURIR_SETUP_DOMAIN: %w", err)
	default:
		s.log.Info("set up: domain added; what its DNS should say: kurir dns records", "domain", f.domain)
	}
	domains, err := d.service.ListDomains(ctx)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(domains, func(one admin.Domain) bool { return one.Name == f.domain }); i >= 0 && (domains[i].Accounts > 0 || domains[i].AliasOf != "") {
		return nil
	}
	password := auth.GeneratePassword()
	if f.passwordFile != "" {
		if password, err = f.password(); err != nil {
			return err
		}
	}
	if _, err := d.service.AddAccount(ctx, admin.NewAccount{Address: f.account, Password: password}); err != nil && !errors.Is(err, directory.ErrExists) {
		return fmt.Errorf("KURIR_SETUP_ACCOUNT: %w", err)
	}
	s.log.Info("set up: first account added", "account", f.account)
	if f.passwordFile != "" {
		return nil
	}
	s.log.Info("set up: nobody knows the account's password; set one: kurir account passwd "+f.account, "account", f.account)
	return f.invite(ctx, s, d)
}

// invite logs a link by which the account's owner signs in. It works once, so that whoever
// reads the log later has nothing of it.
func (f *firstStart) invite(ctx context.Context, s *site, d *data) error {
	if len(s.cfg.Web.HTTPS) == 0 {
		return nil
	}
	i, err := d.service.InviteAccount(ctx, f.account)
	if err != nil {
		return fmt.Errorf("the invitation of %s: %w", f.account, err)
	}
	s.log.Info("set up: a link to set up phone and mail apps, which works once", "account", f.account, "link", i.URL, "until", i.Expires)
	return nil
}

// password reads the first account's password from its file.
func (f *firstStart) password() (string, error) {
	file, err := os.Open(f.passwordFile)
	if err != nil {
		return "", fmt.Errorf("KURIR_SETUP_PASSWORD_FILE: %w", err)
	}
	defer file.Close()
	password, err := firstLine(file)
	if err == nil {
		err = tooWeak(password, f.account)
	}
	if err != nil {
		return "", fmt.Errorf("KURIR_SETUP_PASSWORD_FILE: %w", err)
	}
	return password, nil
}
