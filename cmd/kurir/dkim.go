package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/signing"
)

func dkimCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "dkim",
		Short: "The keys that sign the mail of your domains",
		Long: `The keys that sign the mail of your domains (DKIM). Each domain gets two when it is added,
one of Ed25519 and one of RSA, which sign everything sent from its addresses. For others
to check the signatures, the keys' public halves have to be in the DNS: "kurir dkim list"
shows the records, and whether they are there.`,
		Example: `  kurir dkim list
  kurir dkim list example.org --json
  kurir dkim rotate example.org`,
	}, dkimList(e), dkimRotate(e))
}

// dkimHead is the head of the table of keys.
const dkimHead = "DOMAIN\tSELECTOR\tALGORITHM\tSTATE\tSINCE\tDNS\tNEXT"

func dkimList(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "list [DOMAIN]",
		Short: "List keys, whether the DNS has their records, and what is to be done",
		Long: `List keys, whether the DNS has their records, and what is to be done. The states:
pending waits for its record to appear in the DNS; active signs; retiring signs no more, and
its record stays for mail on its way; retired is over, and its record may be removed. With a
domain, records that are not there as they should be are printed, to be published; as lines
of a zone file: kurir dns records DOMAIN.`,
		Example: `  kurir dkim list
  kurir dkim list example.org
  kurir dkim list --json`,
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("%s: %q is one argument too many", c.CommandPath(), args[1])
		}
		domain := ""
		if len(args) == 1 {
			domain = args[0]
		}
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			keys, err := o.ListDKIM(ctx, domain)
			if err != nil {
				return err
			}
			err = list(e, *asJSON, keys, dkimHead, "There are no keys yet. Each domain gets its own with: kurir domain add; those of an earlier version, when the server starts", dkimRow)
			if err == nil && !*asJSON && domain != "" {
				e.printDKIMRecords(keys)
			}
			return err
		})
	}
	return c
}

// dkimRow is a key's line.
func dkimRow(k admin.DKIMKey) string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s", showDomain(k.Domain), k.Selector, k.Algorithm, k.State,
		k.Since.Local().Format(time.DateOnly), cmp.Or(k.DNS, "-"), cmp.Or(plain(k.Next), "-"))
}

// printDKIMRecords prints the records that are to be published and are not.
func (e *env) printDKIMRecords(keys []admin.DKIMKey) {
	begun := false
	for _, k := range keys {
		if k.DNS == signing.Published || k.State == signing.Retired {
			continue
		}
		if !begun {
			begun = true
			e.printf("\nTo be published:\n")
		}
		e.printDKIMRecord(k)
	}
}

func dkimRotate(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate DOMAIN",
		Short: "Make new keys for a domain, and let the old ones go in time",
		Long: `Make new keys for a domain and print the records to publish. The old keys sign on until
the DNS shows the new ones: the running server looks by itself, every minute at first, and
switches. A week later, when no mail signed with the old keys is on its way any more, they
are deleted, and "kurir dkim list" says that their records may be removed.

With --now the new keys sign at once: when an old one has come into wrong hands (remove its
record then), or where this server sees another DNS than the rest of the world.`,
		Example: `  kurir dkim rotate example.org
  kurir dkim rotate example.org --now
  kurir dkim list example.org              # how far it is`,
		Args: exactly("DOMAIN"),
	}
	now := c.Flags().Bool("now", false, "sign with the new keys at once, without waiting for the DNS")
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			r, err := o.RotateDKIM(ctx, admin.RotateDKIM{Domain: args[0], Now: *now})
			if err != nil {
				return err
			}
			if *asJSON {
				return e.printJSON(r)
			}
			e.printRotation(r)
			return nil
		})
	}
	return c
}

// printDKIMRecord prints a record as the forms of DNS hosters ask for it.
func (e *env) printDKIMRecord(k admin.DKIMKey) {
	e.printf("\n  name   %s\n  type   TXT\n  value  %s\n", k.Name, k.Value)
}

// printRotation says what was done, and what there is to do.
func (e *env) printRotation(r admin.RotatedDKIM) {
	waits := false
	for _, k := range r.Keys {
		waits = waits || k.State == signing.Pending
	}
	switch {
	case r.Made:
		e.printf("New keys were made. Publish these records:\n")
	case waits:
		e.printf("New keys were made before and wait for their records:\n")
	default:
		e.printf("The keys that were waiting sign now. Their records:\n")
	}
	for _, k := range r.Keys {
		e.printDKIMRecord(k)
	}
	if waits {
		e.printf("\nThe old keys sign until the DNS shows the new ones. To see how far it is: kurir dkim list %s\n", r.Keys[0].Domain)
		return
	}
	e.printf("\nThey sign from now on: until the records are published, nobody can check the signatures.\n")
}
