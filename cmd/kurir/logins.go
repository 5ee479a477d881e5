package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/auth"
	"kurir/internal/config"
	"kurir/internal/logins"
)

func accountLogins(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "logins ADDRESS",
		Short: "Who has logged in to an account, or tried to, from where and when",
		Long: `Who has logged in to an account, or tried to, from where and when. Attempts that are alike
are one line with their number and the last time. They are kept for 90 days, up to 100
lines of good and 100 of failed ones.`,
		Example: `  kurir account logins alice@example.org
  kurir account logins alice@example.org --failed --limit 10
  kurir account logins alice@example.org --json`,
		Args: exactly("ADDRESS"),
	}
	q := admin.LoginQuery{}
	c.Flags().BoolVar(&q.Failed, "failed", false, "those that were not let in only")
	c.Flags().IntVar(&q.Limit, "limit", 0, "the latest `N` lines (default: all)")
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if q.Limit < 0 {
			return usagef("--limit: a number of lines, or 0 for all")
		}
		q.Address = args[0]
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			rows, err := o.ListLogins(ctx, q)
			if err != nil {
				return err
			}
			return e.wide(func(e *env) error {
				return list(e, *asJSON, rows, "LAST\tCOUNT\tFROM\tPROTOCOL\tWITH\tTLS\tRESULT", "There are none.", loginRow)
			})
		})
	}
	return c
}

// loginRow is the line of attempts that were alike.
func loginRow(l admin.LoginRecord) string {
	with := l.Mechanism
	if l.Credential != "" {
		with += fmt.Sprintf(" (app %q)", l.Credential)
	}
	return fmt.Sprintf("%s\t%d\t%s\t%s\t%s\t%s\t%s", l.Last.Local().Format(time.DateTime), l.Count, plain(cmp.Or(l.Remote, "-")),
		plain(l.Protocol), plain(with), plain(cmp.Or(l.TLS, "none")), plain(l.Reason))
}

// openLogins opens the history of logins and the secret beside it.
func (d *data) openLogins(ctx context.Context, o dataOptions) (err error) {
	d.logins = logins.New(logins.Options{DB: d.db, Log: o.log})
	d.loginSecret, err = logins.Secret(ctx, d.db)
	return err
}

// newAuth is what checks all logins.
func (s *site) newAuth() *auth.Authenticator {
	return auth.New(auth.Options{
		Directory: s.data.directory, Log: s.log, Shared: s.shared.Is, Secret: s.data.loginSecret, Observe: func(e auth.Event) {
			s.countLogin(e)
			s.data.logins.Observe(e)
		},
		Settings: loginSettings(s.cfg),
	})
}

// loginSettings are the configured ways to log in, in the terms of package auth.
func loginSettings(c *config.Config) auth.Settings {
	s := auth.Settings{Mechanisms: c.Login.Mechanisms, OwnPassword: c.Login.OwnPassword}
	if len(s.Mechanisms) == 0 {
		s.Mechanisms = nil
	}
	if s.OwnPassword == nil {
		s.OwnPassword = []string{}
	}
	return s
}
