package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/directory"
)

func aliasCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "alias",
		Short: "Addresses that lead to other addresses",
		Example: `  kurir alias add info@example.org alice@example.org bob@example.org
  kurir alias add @example.org alice@example.org
  kurir alias add board@example.org alice@example.org --to bob@example.com
  kurir alias list`,
	}, aliasAdd(e), aliasList(e), aliasRemove(e))
}

func aliasAdd(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "add ADDRESS [TARGET...] [--to ADDRESS]...",
		Short: "Lead an address to one or more others, here or on other servers",
		Long: `Lead an address to one or more addresses of this server. The address "@DOMAIN"
stands for every address of the domain that is neither an account nor an alias.

With --to, mail is passed on to an address of another server as well. It leaves
unchanged, with a sender address of the alias's domain (SRS), so that the other
server can tell that this one may send it; what comes back to that address goes to
the original sender. What looks like junk is not passed on. docs/sending.md says more.

An account may send under an alias that leads to it alone, or with --may-send under
any alias that leads to it.`,
		Example: `  kurir alias add info@example.org alice@example.org
  kurir alias add --may-send team@example.org alice@example.org bob@example.org
  kurir alias add @example.org alice@example.org
  kurir alias add friend@example.org --to friend@example.com
  kurir alias add board@example.org alice@example.org --to bob@example.com --to carol@example.net`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 && !(len(args) == 1 && c.Flags().Changed("to")) {
				return exactly("ADDRESS", "TARGET")(c, args)
			}
			return nil
		},
	}
	to := c.Flags().StringArray("to", nil, "pass mail on to this `address` of another server; can be given several times")
	maySend := c.Flags().Bool("may-send", false, "let all targets send under this address")
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			targets := slices.Concat(args[1:], *to)
			if err := o.AddAlias(ctx, admin.Alias{Address: args[0], Targets: targets, Remote: *to, MaySend: *maySend}); err != nil {
				return err
			}
			e.printf("Mail for %s goes to %s.\n", plain(args[0]), plain(strings.Join(targets, ", ")))
			return nil
		})
	}
	return c
}

func aliasList(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List aliases",
		Example: `  kurir alias list
  kurir alias list --json`,
		Args: exactly(),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			rows, err := o.ListAliases(ctx)
			if err != nil {
				return err
			}
			return list(e, *asJSON, rows, "ALIAS\tTARGETS\tWRITERS\tMAY SEND", "There are no aliases.", func(a admin.Alias) string {
				return a.Address + "\t" + strings.Join(a.Targets, ", ") + "\t" + directory.Post(a.Post).String() + "\t" + yesNo(maySend(rows, a))
			})
		})
	}
	return c
}

func aliasRemove(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "remove ADDRESS",
		Short:   "Remove an alias",
		Example: `  kurir alias remove info@example.org`,
		Args:    exactly("ADDRESS"),
		RunE: func(c *cobra.Command, args []string) error {
			return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
				if err := o.RemoveAlias(ctx, args[0]); err != nil {
					return err
				}
				e.printf("Alias %s removed.\n", plain(args[0]))
				return nil
			})
		},
	}
}

// maySend reports whether a's targets may send under it: if that was said, or if it leads
// to one account alone and is no catch-all.
func maySend(rows []admin.Alias, a admin.Alias) bool {
	if a.MaySend {
		return true
	}
	if strings.HasPrefix(a.Address, "@") {
		return false
	}
	targets, remote := map[string][]string{}, map[string]bool{}
	for _, r := range rows {
		targets[r.Address] = r.Targets
		for _, t := range r.Remote {
			remote[t] = true
		}
	}
	seen, accounts := map[string]bool{}, map[string]bool{}
	for next := slices.Clone(a.Targets); len(next) > 0; {
		one := next[0]
		next = next[1:]
		switch further, ok := targets[one]; {
		case remote[one]:
			return false // it leads to others than accounts, too
		case seen[one]:
		case ok:
			next = append(next, further...)
		default:
			local, domain, _ := strings.Cut(one, "@")
			local, _, _ = strings.Cut(local, "+")
			accounts[local+"@"+domain] = true
		}
		seen[one] = true
	}
	return len(accounts) == 1
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
