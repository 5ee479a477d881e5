package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
)

func certificateCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "certificate",
		Short: "The server's certificates",
		Long: `The server's certificates. With [acme] enabled in the configuration they are fetched from
a CA and renewed by the server itself; docs/certificates.md explains all ways.`,
		Example: `  kurir certificate list
  kurir certificate renew`,
	}, certificateList(e), certificateRenew(e))
}

func certificateList(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the certificates, with the days left and what is wrong",
		Long: `List the certificates that the running server shows, and the names that it wants some for.
The first is that of the mail host, which clients are shown wherever no other fits. STATE
is "valid"; "late" if it should have been renewed for a while; "ending" or "ended" if you
have to act; "waiting" if the DNS does not lead the name here, so that none is asked for;
"missing" if there is none yet.`,
		Example: `  kurir certificate list
  kurir certificate list --json`,
		Args: exactly(),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			all, err := o.ListCertificates(ctx)
			if err != nil {
				return err
			}
			return e.printCertificates(all, *asJSON)
		})
	}
	return c
}

func certificateRenew(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "renew [NAME...]",
		Short: "Fetch new certificates from the CA now",
		Long: `Fetch new certificates from the CA now, without waiting until they are due: for the names
given, or for all that the DNS leads here. The server does it by itself in time; this is for
a certificate that is lost or was revoked. Mind the limits of the CA. No connection is
dropped. The keys stay the same, and with them TLSA records, unless --new-key is given.`,
		Example: `  kurir certificate renew
  kurir certificate renew mail.example.org --new-key`,
	}
	newKey := c.Flags().Bool("new-key", false, "make new keys: TLSA records have to change")
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		for i, a := range args {
			args[i] = strings.ToLower(strings.TrimSuffix(a, "."))
		}
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			all, err := o.RenewCertificates(ctx, admin.RenewCertificates{Names: args, NewKey: *newKey})
			if err != nil {
				return err
			}
			return e.printCertificates(all, *asJSON)
		})
	}
	return c
}

// printCertificates prints what a server has said of its certificates.
func (e *env) printCertificates(all []admin.Certificate, asJSON bool) error {
	return e.wide(func(e *env) error {
		return list(e, asJSON, all, "NAMES\tSTATE\tENDS\tISSUER", "There are none.", func(c admin.Certificate) string {
			return certificateRow(c, time.Now())
		})
	})
}

// certificateRow is a certificate's line. A problem is told in place of an issuer that
// there is not.
func certificateRow(c admin.Certificate, now time.Time) string {
	ends, last := "-", c.Issuer
	if !c.NotAfter.IsZero() {
		ends = fmt.Sprintf("%s (%s)", c.NotAfter.Local().Format(time.DateOnly), timeLeft(c.NotAfter.Sub(now)))
	}
	switch {
	case c.Source == admin.SourceLocal:
		last = "a CA of kurir's own, which nobody trusts"
	case c.Problem != "" && last != "":
		last += ": " + c.Problem
	case c.Problem != "":
		last = c.Problem
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s", plain(strings.Join(c.Names, " ")), c.State, ends, plain(last))
}

// timeLeft is a time in days, or in hours or minutes if it is short.
func timeLeft(d time.Duration) string {
	switch {
	case d < 0:
		return "over"
	case d < 2*time.Hour:
		return count(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return count(int(d/time.Hour), "hour")
	}
	return count(int(d/(24*time.Hour)), "day")
}
