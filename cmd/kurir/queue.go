package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/config"
)

func queueCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "queue",
		Short: "Mail that waits to be delivered",
		Example: `  kurir queue list
  kurir queue show 4x7k2m9qh3ta-1
  kurir queue retry --domain example.net`,
	}, queueList(e), queueShow(e),
		queueChange(e, admin.QueueRetry), queueChange(e, admin.QueueHold), queueChange(e, admin.QueueRelease),
		queueChange(e, admin.QueueDrop), queueChange(e, admin.QueueBounce))
}

// queueFlags are the ways to say which messages are meant.
type queueFlags struct {
	f     admin.QueueFilter
	older string
}

func addQueueFlags(c *cobra.Command) *queueFlags {
	var q queueFlags
	f := c.Flags()
	f.StringVar(&q.f.Domain, "domain", "", "recipients at `DOMAIN`")
	f.StringVar(&q.f.Sender, "sender", "", "messages from `ADDRESS`, or a domain: @example.org")
	f.StringVar(&q.f.Recipient, "recipient", "", "messages to `ADDRESS`")
	f.StringVar(&q.f.Account, "account", "", "messages that `ACCOUNT` has submitted")
	f.StringVar(&q.older, "older", "", "messages older than `AGE`, such as 90m, 2h or 3d")
	f.StringVar(&q.f.Error, "error", "", "recipients whose last reply has `TEXT` in it")
	f.BoolVar(&q.f.Held, "held", false, "what is held for you to look at")
	return &q
}

// filter is what the flags say, and the messages' ids.
func (q *queueFlags) filter(ids []string) (admin.QueueFilter, error) {
	f := q.f
	f.IDs = ids
	if q.older != "" {
		age, err := config.ParseDuration(q.older)
		if err != nil || age <= 0 {
			return f, usagef(`--older %q is not an age, such as "90m", "2h" or "3d"`, q.older)
		}
		f.MinAge = age
	}
	if f.Limit < 0 {
		return f, usagef("--limit has to be 0, for all, or more")
	}
	return f, nil
}

// queueHead is the head of the table of what waits.
const queueHead = "ID\tAGE\tSIZE\tSENDER\tRECIPIENT\tSTATE\tTRIES\tLAST REPLY"

func queueList(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "list [ID...]",
		Short: "List what waits, a line for each recipient",
		Long: `List what waits, a line for each recipient, the oldest first. STATE tells when the next
try is; "held" waits for you: kurir queue release. On a terminal lines are cut to its
width; --json has everything.`,
		Example: `  kurir queue list
  kurir queue list --domain example.net --older 2h
  kurir queue list --error "mailbox full" --json
  kurir queue list --held`,
	}
	flags := addQueueFlags(c)
	c.Flags().IntVar(&flags.f.Limit, "limit", 0, "`N` lines at most (0: all)")
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := flags.filter(args)
		if err != nil {
			return err
		}
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			return e.listQueue(ctx, o, f, *asJSON)
		})
	}
	return c
}

// listQueue prints what fits f, and a line that counts it.
func (e *env) listQueue(ctx context.Context, o admin.Operations, f admin.QueueFilter, asJSON bool) error {
	limit := f.Limit
	if limit > 0 {
		f.Limit++ // one more tells that there are more
	}
	rows, err := o.ListQueue(ctx, f)
	if err != nil {
		return err
	}
	more := limit > 0 && len(rows) > limit
	if more {
		rows = rows[:limit]
		fmt.Fprintf(e.stderr, "Only the first %s shown; there are more.\n", plural(limit, "line is", "lines are"))
	}
	empty := "Nothing waits."
	if some := queueFlagsGiven(f); some {
		empty = "Nothing that waits fits."
	}
	now := time.Now()
	return e.wide(func(e *env) error {
		err := list(e, asJSON, rows, queueHead, empty, func(r admin.QueueEntry) string { return queueRow(r, now) })
		if err == nil && !asJSON && len(rows) > 0 && !more {
			e.printf("%s\n", queueSummary(rows))
		}
		return err
	})
}

// queueFlagsGiven tells whether f leaves anything out.
func queueFlagsGiven(f admin.QueueFilter) bool {
	return len(f.IDs) > 0 || f.Domain+f.Sender+f.Recipient+f.Account+f.Error != "" || f.Held || f.MinAge > 0
}

func queueShow(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Tell all about one message: every try, with time, host, TLS and reply",
		Long: `Tell all about one message: where it came from, who waits for it, and every try with its
time, host, address, TLS and reply. Messages that have left are known for as long as
relay.history in the configuration says.`,
		Example: `  kurir queue show 4x7k2m9qh3ta-1
  kurir queue show 4x7k2m9qh3ta-1 --json`,
		Args: exactly("ID"),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			d, err := o.ShowQueue(ctx, args[0])
			if err != nil {
				return err
			}
			if *asJSON {
				return e.printJSON(d)
			}
			e.printQueueDetail(d, time.Now())
			return nil
		})
	}
	return c
}
