package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/directory"
)

func domainCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "domain",
		Short: "The domains that kurir takes mail for",
		Example: `  kurir domain add example.org
  kurir domain alias add example.net example.org
  kurir domain list`,
	}, domainAdd(e), domainList(e), domainDisable(e), domainEnable(e), domainRemove(e), group(&cobra.Command{
		Use:   "alias",
		Short: "Further names of a domain",
		Long:  "A domain alias makes every address of a domain valid under another name too.",
		Example: `  kurir domain alias add example.net example.org
  kurir domain alias remove example.net`,
	}, domainAliasAdd(e), domainAliasRemove(e)))
}

func domainAdd(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "add DOMAIN",
		Short:   "Take mail for a domain",
		Example: `  kurir domain add example.org`,
		Args:    exactly("DOMAIN"),
		RunE: func(c *cobra.Command, args []string) error {
			return e.create(c.Context(), func(ctx context.Context, o admin.Operations) error {
				if err := o.AddDomain(ctx, args[0]); err != nil {
					return err
				}
				e.printf("Domain %s added. What its DNS should say: kurir dns records %s\n", plain(args[0]), plain(args[0]))
				if !strings.Contains(strings.TrimSuffix(args[0], "."), ".") {
					fmt.Fprintf(e.stderr, "Note: %s has no dot; other servers know domains such as example.org only.\n", plain(args[0]))
				}
				return nil
			})
		},
	}
}

func domainList(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List domains and their aliases",
		Example: `  kurir domain list
  kurir domain list --json`,
		Args: exactly(),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			rows, err := o.ListDomains(ctx)
			if err != nil {
				return err
			}
			return list(e, *asJSON, rows, "DOMAIN\tALIAS OF\tACCOUNTS\tSTATE", "There is no domain yet; add one with: kurir domain add example.org",
				func(d admin.Domain) string {
					return fmt.Sprintf("%s\t%s\t%d\t%s", showDomain(d.Name), showDomain(d.AliasOf), d.Accounts, closedState(d.Disabled, "disabled", d.Message))
				})
		})
	}
	return c
}

// showDomain is a domain's name, with what it reads like behind it if that differs.
func showDomain(name string) string {
	if reads := directory.DisplayDomain(name); reads != name {
		return name + " (" + plain(reads) + ")"
	}
	return name
}

func domainRemove(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "remove DOMAIN",
		Short:   "Take no more mail for a domain",
		Long:    "Take no more mail for a domain. Its accounts and aliases have to be removed first.",
		Example: `  kurir domain remove example.org`,
		Args:    exactly("DOMAIN"),
		RunE:    func(c *cobra.Command, args []string) error { return e.removeDomain(c.Context(), args[0]) },
	}
}

func domainAliasAdd(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "add ALIAS DOMAIN",
		Short:   "Give a domain another name",
		Example: `  kurir domain alias add example.net example.org`,
		Args:    exactly("ALIAS", "DOMAIN"),
		RunE: func(c *cobra.Command, args []string) error {
			return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
				if err := o.AddDomainAlias(ctx, admin.Domain{Name: args[0], AliasOf: args[1]}); err != nil {
					return err
				}
				e.printf("Every address at %s is valid at %s too. What its DNS should say: kurir dns records %s\n", plain(args[1]), plain(args[0]), plain(args[0]))
				return nil
			})
		},
	}
}

func domainAliasRemove(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "remove ALIAS",
		Short:   "Take a domain's other name away",
		Example: `  kurir domain alias remove example.net`,
		Args:    exactly("ALIAS"),
		RunE: func(c *cobra.Command, args []string) error {
			return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
				if err := o.RemoveDomainAlias(ctx, args[0]); err != nil {
					return err
				}
				e.printf("Domain alias %s removed.\n", plain(args[0]))
				return nil
			})
		},
	}
}

func (e *env) removeDomain(ctx context.Context, name string) error {
	return e.with(ctx, func(ctx context.Context, o admin.Operations) error {
		if err := o.RemoveDomain(ctx, name); err != nil {
			return err
		}
		e.printf("Domain %s removed.\n", plain(name))
		return nil
	})
}
