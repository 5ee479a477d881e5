package main

import (
	"context"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
)

func accountDisable(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "disable ADDRESS",
		Short: "Refuse an account's logins and end its sessions; with --mail defer put its mail off",
		Long: `Refuse an account's logins and end its sessions. With --message, who logs in with the
right password is told why.

Its mail goes on arriving. With --mail defer it is put off instead (450 4.2.1, and the
message): other servers keep it and try again for some days, and so does this one with
what it has taken before. After "enable" it arrives.`,
		Example: `  kurir account disable alice@example.org
  kurir account disable alice@example.org --message "Call the help desk: 555 0123"
  kurir account disable alice@example.org --mail defer --message "Moved, back on Monday"`,
		Args: exactly("ADDRESS"),
	}
	mail := c.Flags().String("mail", "keep", "what becomes of its mail: `keep|defer`")
	message := c.Flags().String("message", "", "`text` for who logs in, and for senders who are put off")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *mail != "keep" && *mail != "defer" {
			return usagef("--mail: %q is neither keep nor defer", *mail)
		}
		d := admin.Disable{Address: args[0], Disabled: true, Defer: *mail == "defer", Message: *message}
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			if err := o.DisableAccount(ctx, d); err != nil {
				return err
			}
			then := "its mail goes on arriving"
			if d.Defer {
				then = "its mail is put off"
			}
			e.printf("Account %s is disabled: it cannot log in, %s.\n", plain(args[0]), then)
			return nil
		})
	}
	return c
}

func accountEnable(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "enable ADDRESS",
		Short:   "Let a disabled account log in again, and take its mail",
		Example: `  kurir account enable alice@example.org`,
		Args:    exactly("ADDRESS"),
		RunE: func(c *cobra.Command, args []string) error {
			return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
				if err := o.DisableAccount(ctx, admin.Disable{Address: args[0]}); err != nil {
					return err
				}
				e.printf("Account %s can log in again.\n", plain(args[0]))
				return nil
			})
		},
	}
}

func domainDisable(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "disable DOMAIN",
		Short: "Put off all mail of a domain and refuse the logins of its accounts",
		Long: `Put off all mail for a domain's addresses (450 4.2.1), refuse the logins of its accounts
and end their sessions; nobody sends with an address of it. Nothing is deleted. Other
servers keep their mail and try again for some days, and so does this one with what it
has taken before. With --message, both are told why.`,
		Example: `  kurir domain disable example.org
  kurir domain disable example.org --message "Contract ended, call 555 0123"`,
		Args: exactly("DOMAIN"),
	}
	message := c.Flags().String("message", "", "`text` for who logs in, and for senders who are put off")
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			if err := o.DisableDomain(ctx, admin.Disable{Address: args[0], Disabled: true, Message: *message}); err != nil {
				return err
			}
			e.printf("Domain %s is disabled: nobody there can log in, its mail is put off.\n", plain(args[0]))
			return nil
		})
	}
	return c
}

func domainEnable(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "enable DOMAIN",
		Short:   "Take a disabled domain's mail and logins again",
		Example: `  kurir domain enable example.org`,
		Args:    exactly("DOMAIN"),
		RunE: func(c *cobra.Command, args []string) error {
			return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
				if err := o.DisableDomain(ctx, admin.Disable{Address: args[0]}); err != nil {
					return err
				}
				e.printf("Domain %s is in use again.\n", plain(args[0]))
				return nil
			})
		},
	}
}

// accountState is an account's state in a list.
func accountState(a admin.Account) string {
	word := "disabled"
	if a.Deferred {
		word = "disabled, mail deferred"
	}
	if a.Closed && !a.Disabled {
		return "domain disabled"
	}
	return closedState(a.Disabled, word, a.Message)
}

// closedState is word and the admin's message, or "active".
func closedState(closed bool, word, message string) string {
	switch {
	case !closed:
		return "active"
	case message != "":
		return word + " (" + plain(message) + ")"
	}
	return word
}
