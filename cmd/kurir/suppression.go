package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/queue"
	"kurir/internal/suppression"
)

func suppressionCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "suppression",
		Short: "Addresses of other servers that do not exist",
		Long: `Addresses of other servers that do not exist. When mail comes back on two days because
the other server says that there is no such mailbox, further mail to it is refused at once
while it is submitted, for 30 days (relay.suppress_for in the configuration). Mail that
arrives ends it.`,
		Example: `  kurir suppression list
  kurir suppression remove bob@example.net`,
	}, suppressionList(e), suppressionRemove(e))
}

func suppressionList(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List them, with what their servers have said",
		Long: `List addresses that do not exist, with what their servers have said. STATE tells until
when mail to them is refused; "returned once" is not refused yet.`,
		Example: `  kurir suppression list
  kurir suppression list --json`,
		Args: exactly(),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			rows, err := o.ListSuppressed(ctx)
			if err != nil {
				return err
			}
			return e.wide(func(e *env) error {
				return list(e, *asJSON, rows, "ADDRESS\tSTATE\tLAST\tREPLY", "There are none.", suppressionRow)
			})
		})
	}
	return c
}

// suppressionRow is an address's line.
func suppressionRow(s admin.Suppressed) string {
	state := "returned once"
	if s.Refused {
		state = "refused until " + s.Expires.Local().Format(time.DateOnly)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s", plain(s.Address), state, s.Last.Local().Format(time.DateOnly), plain(s.Reply))
}

func suppressionRemove(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "remove ADDRESS...",
		Short: "Let mail to addresses go out again",
		Example: `  kurir suppression remove bob@example.net
  kurir suppression remove --all --json`,
	}
	all := c.Flags().Bool("all", false, "all addresses on the list")
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if *all == (len(args) > 0) {
			return usagef("%s: give one address or more, or --all", c.CommandPath())
		}
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			done, err := o.Unsuppress(ctx, admin.Unsuppress{Addresses: args, All: *all})
			if err != nil {
				return err
			}
			if *asJSON {
				return e.printJSON(done)
			}
			e.printf("%s be written to again.\n", plural(len(done.Removed), "address may", "addresses may"))
			return nil
		})
	}
	return c
}

// openSuppression opens the list, and returns what tells it of mail that has gone out or come
// back.
func (d *data) openSuppression(ctx context.Context, o dataOptions) (ended func(context.Context, queue.Ending), err error) {
	d.suppression, err = suppression.Open(ctx, suppression.Options{DB: d.db, Keep: o.cfg.Relay.SuppressFor, Log: o.log})
	return func(ctx context.Context, e queue.Ending) {
		if e.Sent {
			d.suppression.Sent(ctx, e.Recipient)
			return
		}
		d.suppression.Returned(ctx, suppression.Returned{Address: e.Recipient, Host: e.Host, Code: e.Reply.Code,
			Status: e.Reply.Status, Text: e.Reply.Text, Message: e.ID})
	}, err
}

// suppressed says to who submits mail why an address is refused.
func (d *data) suppressed(address string) (why string, is bool) {
	e, is := d.suppression.Refuses(address)
	if !is {
		return "", false
	}
	return fmt.Sprintf("%s does not exist: so its server has said on %d days, last on %s (%s). "+
		"If it exists after all, the administrator can let mail to it out again: kurir suppression remove %s",
		e.Address, e.Days, e.Last.UTC().Format(time.DateOnly), cut(e.Reply, 120), e.Address), true
}
