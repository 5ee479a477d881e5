package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
)

func accountApp(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "app",
		Short: "App passwords: one for each phone and program of an account",
		Long: `App passwords: one for each phone and program of an account. When a phone is lost, its
password is revoked, and nothing else has to be set up again. They are made here, not
chosen, and typed in the mail app in place of the account's own password.`,
		Example: `  kurir account app add alice@example.org phone
  kurir account app list alice@example.org
  kurir account app revoke alice@example.org phone`,
	}, appAdd(e), appList(e), appRevoke(e))
}

func appAdd(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "add ADDRESS NAME",
		Short: "Make an app password and show it once",
		Long: `Make an app password and show it once, for the app or device called NAME. Blanks, dashes and
capital letters do not matter when it is typed.`,
		Example: `  kurir account app add alice@example.org "Alice's phone"
  kurir account app add alice@example.org scanner --protocols submission
  kurir account app add alice@example.org backup --protocols imap --json`,
		Args: exactly("ADDRESS", "NAME"),
	}
	protocols := c.Flags().StringSlice("protocols", nil, "what it is good for, of `imap,pop3,submission` (default: all)")
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			added, err := o.AddAppPassword(ctx, admin.NewAppPassword{Address: args[0], Name: args[1], Protocols: *protocols})
			if err != nil {
				return err
			}
			if *asJSON {
				return e.printJSON(added)
			}
			// The password alone on stdout, so that a script can take it.
			fmt.Fprintf(e.stderr, "App password %q added: user name %s, for %s. The password, shown this once:\n",
				plain(added.Name), plain(added.Address), strings.Join(added.Protocols, ", "))
			e.printf("%s\n", added.Password)
			return nil
		})
	}
	return c
}

func appList(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "list ADDRESS",
		Short: "List an account's app passwords, and when they were last used",
		Example: `  kurir account app list alice@example.org
  kurir account app list alice@example.org --json`,
		Args: exactly("ADDRESS"),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			rows, err := o.ListAppPasswords(ctx, args[0])
			if err != nil {
				return err
			}
			return list(e, *asJSON, rows, "NAME\tPROTOCOLS\tCREATED\tLAST USED\tFROM",
				"There is none; make one with: kurir account app add "+plain(args[0])+" phone", appRow)
		})
	}
	return c
}

// appRow is an app password's line.
func appRow(a admin.AppPassword) string {
	used, from := "never", "-"
	if !a.LastUsed.IsZero() {
		used = a.LastUsed.Local().Format("2006-01-02 15:04")
	}
	if a.LastFrom != "" {
		from = plain(a.LastFrom)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", plain(a.Name), plain(strings.Join(a.Protocols, ",")), a.Created.Local().Format(time.DateOnly), used, from)
}

func appRevoke(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ADDRESS NAME",
		Short: "Make an app password stop working",
		Long: `Make an app password stop working. Connections that were opened with it end at once;
those of the account's other devices go on.`,
		Example: `  kurir account app revoke alice@example.org phone`,
		Args:    exactly("ADDRESS", "NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
				if err := o.RevokeAppPassword(ctx, admin.RevokeAppPassword{Address: args[0], Name: args[1]}); err != nil {
					return err
				}
				e.printf("App password %q of %s is revoked.\n", plain(args[1]), plain(args[0]))
				return nil
			})
		},
	}
}
