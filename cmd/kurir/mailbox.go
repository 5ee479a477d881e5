package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
)

func mailboxCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "mailbox",
		Short: "Look at and repair an account's mailboxes",
		Example: `  kurir mailbox list alice@example.org
  kurir mailbox fsck alice@example.org`,
	}, mailboxList(e), mailboxFsck(e))
}

func mailboxList(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "list ACCOUNT",
		Short: "List an account's mailboxes with their counts",
		Example: `  kurir mailbox list alice@example.org
  kurir mailbox list alice@example.org --json`,
		Args: exactly("ACCOUNT"),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			rows, err := o.ListMailboxes(ctx, args[0])
			if err != nil {
				return err
			}
			return list(e, *asJSON, rows, "MAILBOX\tMESSAGES\tUNSEEN\tSIZE\tUSE", "The account has no mailboxes.", func(m admin.Mailbox) string {
				return fmt.Sprintf("%s\t%d\t%d\t%s\t%s", plain(m.Name), m.Messages, m.Unseen, showSize(m.Bytes), m.SpecialUse)
			})
		})
	}
	return c
}

func mailboxFsck(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "fsck ACCOUNT",
		Short: "Compare an account's index with its files and repair it",
		Long: `Compare an account's index with its files, repair what differs and say what was done.
The files are the truth: nothing in them is thrown away.

After mail files were restored from a backup or a snapshot, use --restored: it gives
every mailbox a new UIDVALIDITY, so that mail clients drop what they remember and
download the mailboxes again, instead of showing wrong messages.`,
		Example: `  kurir mailbox fsck alice@example.org
  kurir mailbox fsck alice@example.org --restored`,
		Args: exactly("ACCOUNT"),
	}
	restored := c.Flags().Bool("restored", false, "the files come from a backup: make clients start afresh")
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			defer e.whileWaiting("checking " + plain(args[0]))()
			r, err := o.Fsck(ctx, admin.Fsck{Address: args[0], Restored: *restored})
			if err != nil {
				return err
			}
			if *asJSON {
				return e.printJSON(r)
			}
			return e.printFsck(r)
		})
	}
	return c
}

// mailboxes is a number of mailboxes.
func mailboxes(n int) string {
	if n == 1 {
		return "1 mailbox"
	}
	return fmt.Sprintf("%d mailboxes", n)
}

// printFsck prints a report and fails if something is left that was not repaired.
func (e *env) printFsck(r admin.FsckReport) error {
	left := 0
	for _, f := range r.Findings {
		state := "repaired"
		if !f.Repaired {
			state = "left as it is"
			left++
		}
		where := ""
		if f.Mailbox != "" {
			where = f.Mailbox + ": "
		}
		e.printf("%s (%s)\n", plain(where+f.What), state)
	}
	e.printf("%s: %s with %s checked, %s.\n", plain(r.Address), mailboxes(r.Mailboxes), count(r.Messages, "message"), count(len(r.Findings), "finding"))
	if left > 0 {
		return fmt.Errorf("%s could not be repaired", count(left, "finding"))
	}
	return nil
}
