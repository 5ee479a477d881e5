package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/directory"
)

func accountCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "account",
		Short: "The people and programs that have a mailbox",
		Example: `  kurir account add alice@example.org
  kurir account passwd alice@example.org --generate
  kurir account list`,
	}, accountAdd(e), accountList(e), accountPasswd(e), accountQuota(e), accountRename(e),
		accountDisable(e), accountEnable(e), accountImport(e), accountRemove(e), accountApp(e), accountInvite(e), accountLogins(e))
}

func accountAdd(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "add ADDRESS",
		Short: "Add an account",
		Long: `Add an account with its mailboxes. Its domain has to be added first.

The password is asked for twice, or read from standard input, or made here; it is
never an argument, because every user of the machine can list those.`,
		Example: `  kurir account add alice@example.org
  kurir account add bob@example.org --generate --quota 2GiB
  openssl rand -base64 18 | tee carol.txt | kurir account add carol@example.org --password-stdin`,
		Args: exactly("ADDRESS"),
	}
	pw := addPasswordFlags(c)
	quota := c.Flags().String("quota", "", "how much mail it may keep, as `SIZE` such as 2GiB (default: no limit)")
	c.RunE = func(c *cobra.Command, args []string) error {
		limit, err := parseQuota(*quota)
		if err != nil {
			return err
		}
		err = e.setPassword(c.Context(), pw, args[0], addable, func(ctx context.Context, o admin.Operations, password string) (string, error) {
			added, err := o.AddAccount(ctx, admin.NewAccount{Address: args[0], Password: password, Quota: limit})
			if err != nil {
				return "", err
			}
			if added.MailKept {
				fmt.Fprintf(e.stderr, "A mail folder of %s was there already; the account has it now.\n", plain(added.Address))
			}
			return fmt.Sprintf("Account %s added.", plain(added.Address)), nil
		})
		if err == nil {
			fmt.Fprintln(e.stderr, inviteHint(args[0]))
		}
		return err
	}
	return c
}

// precheck is what can be known before a person is asked.
type precheck func(ctx context.Context, o admin.Operations, address string) error

// known is the error that changing the account at address would end with, if there is none.
func known(ctx context.Context, o admin.Operations, address string) error {
	_, err := o.ListMailboxes(ctx, address)
	if errors.Is(err, directory.ErrNoAccount) || errors.Is(err, directory.ErrNoDomain) || errors.Is(err, directory.ErrInvalidAddress) {
		return err
	}
	return nil // what is wrong with its mail is no matter here
}

// addable is the error that adding an account at address would end with.
func addable(ctx context.Context, o admin.Operations, address string) error {
	err := known(ctx, o, address)
	switch {
	case errors.Is(err, directory.ErrNoAccount):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("account %s: %w; for another password: kurir account passwd %s", plain(address), directory.ErrExists, plain(address))
}

// setPassword gets a password as the flags say and passes it to do, whose text it prints.
// A password made here is printed after do has succeeded. A person is asked only after
// first has returned nil.
func (e *env) setPassword(ctx context.Context, pw *passwordFlags, address string, first precheck,
	do func(context.Context, admin.Operations, string) (string, error)) error {
	if err := pw.check(e); err != nil {
		return err
	}
	if pw.asks() {
		if err := e.with(ctx, func(ctx context.Context, o admin.Operations) error { return first(ctx, o, address) }); err != nil {
			return err
		}
	}
	password, made, err := pw.get(e, address)
	if err != nil {
		return err
	}
	return e.with(ctx, func(ctx context.Context, o admin.Operations) error {
		text, err := do(ctx, o, password)
		if err != nil {
			return err
		}
		if !made {
			e.printf("%s\n", text)
			return nil
		}
		// The password alone on stdout, so that a script can take it.
		fmt.Fprintln(e.stderr, text, "Its password, shown this once:")
		e.printf("%s\n", password)
		return nil
	})
}

func accountList(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List accounts",
		Example: `  kurir account list
  kurir account list --json`,
		Args: exactly(),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			rows, err := o.ListAccounts(ctx)
			if err != nil {
				return err
			}
			return list(e, *asJSON, rows, "ACCOUNT\tSTATE\tQUOTA\tCREATED", "There is no account yet; add one with: kurir account add alice@example.org",
				func(a admin.Account) string {
					return a.Address + "\t" + accountState(a) + "\t" + showQuota(a.Quota) + "\t" + a.Created.Format(time.DateOnly)
				})
		})
	}
	return c
}

func accountPasswd(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "passwd ADDRESS",
		Short: "Change an account's password",
		Long: `Change an account's password. The old one stops working at once, and open sessions end.
App passwords go on working: who knew the old password may have made one on the setup
pages. After a theft look through them (kurir account app list) and revoke what nobody knows.`,
		Example: `  kurir account passwd alice@example.org
  kurir account passwd alice@example.org --generate`,
		Args: exactly("ADDRESS"),
	}
	pw := addPasswordFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.setPassword(c.Context(), pw, args[0], known, func(ctx context.Context, o admin.Operations, password string) (string, error) {
			err := o.SetPassword(ctx, admin.Password{Address: args[0], Password: password})
			if err != nil {
				return "", err
			}
			return appsLeft(ctx, o, args[0]) + fmt.Sprintf("Password of %s changed.", plain(args[0])), nil
		})
	}
	return c
}

// appsLeft says that an account's app passwords outlive its own password; "" if it has none.
func appsLeft(ctx context.Context, o admin.Operations, address string) string {
	all, err := o.ListAppPasswords(ctx, address)
	if err != nil || len(all) == 0 { // the password is changed, whatever can be said of others
		return ""
	}
	return fmt.Sprintf("App passwords of %[1]s that go on working: %[2]d; to look through them: kurir account app list %[1]s\n", plain(address), len(all))
}

func accountQuota(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "quota ADDRESS SIZE|none",
		Short: "Limit how much mail an account may keep",
		Example: `  kurir account quota alice@example.org 5GiB
  kurir account quota alice@example.org none`,
		Args: exactly("ADDRESS", "SIZE"),
		RunE: func(c *cobra.Command, args []string) error {
			limit, err := parseQuota(args[1])
			if err != nil {
				return err
			}
			return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
				if err := o.SetQuota(ctx, admin.Quota{Address: args[0], Bytes: limit}); err != nil {
					return err
				}
				e.printf("Quota of %s: %s.\n", plain(args[0]), showQuota(limit))
				return nil
			})
		},
	}
}

func accountRename(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "rename OLD NEW",
		Short: "Give an account another address",
		Long: `Give an account another address. Its mail, password and aliases go with it; mail
clients need the new address as user name. To keep mail for the old address coming
in, add an alias afterwards.`,
		Example: `  kurir account rename alice@example.org alice.smith@example.org
  kurir alias add alice@example.org alice.smith@example.org`,
		Args: exactly("OLD", "NEW"),
		RunE: func(c *cobra.Command, args []string) error {
			return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
				if err := o.RenameAccount(ctx, admin.Rename{Old: args[0], New: args[1]}); err != nil {
					return err
				}
				e.printf("Account %s is now %s.\n", plain(args[0]), plain(args[1]))
				return nil
			})
		},
	}
}

func accountRemove(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "remove ADDRESS",
		Short: "Remove an account",
		Long: `Remove an account. Its mail is moved to the folder "removed" in the data directory,
where nothing reads it any more, or deleted for good with --purge.`,
		Example: `  kurir account remove alice@example.org
  kurir account remove alice@example.org --purge --yes`,
		Args: exactly("ADDRESS"),
	}
	purge := c.Flags().Bool("purge", false, "delete the mail instead of keeping it")
	yes := c.Flags().BoolP("yes", "y", false, "do not ask for confirmation")
	c.RunE = func(c *cobra.Command, args []string) error {
		if !*yes && e.terminal() {
			if err := e.with(c.Context(), func(ctx context.Context, o admin.Operations) error { return known(ctx, o, args[0]) }); err != nil {
				return err
			}
		}
		if !*yes {
			question := "Remove the account " + plain(args[0]) + "?"
			if *purge {
				question = "Remove the account " + plain(args[0]) + " and delete all its mail for good?"
			}
			if err := e.confirm(question); err != nil {
				return err
			}
		}
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			removed, err := o.RemoveAccount(ctx, admin.Remove{Address: args[0], Purge: *purge})
			if err != nil {
				return err
			}
			e.printf("Account %s removed.\n", plain(removed.Address))
			switch {
			case removed.MovedTo != "":
				e.printf("Its mail is kept in %s\n", removed.MovedTo)
			case *purge:
				e.printf("Its mail is deleted.\n")
			}
			return nil
		})
	}
	return c
}
