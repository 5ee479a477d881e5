package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
)

// queueAction is one of the commands that change what waits.
type queueAction struct {
	short, long, example string
	done                 string // for people, behind the number of recipients
	none                 string // what was not there, if nothing was changed
	question             string // before the number of messages; empty: nothing is asked
}

func queueActions() map[string]queueAction {
	return map[string]queueAction{
		admin.QueueRetry: {
			short:   "Try again now",
			long:    "Try again now what waits for its next try. What is held stays held: kurir queue release.",
			example: "  kurir queue retry 4x7k2m9qh3ta-1\n  kurir queue retry --domain example.net\n  kurir queue retry --all",
			done:    "due now",
			none:    "Nothing fits that waits for its next try (what is held: kurir queue release)",
		},
		admin.QueueHold: {
			short:   "Let messages wait until they are released",
			long:    "Let messages wait, without tries, notices and an end, until they are released.",
			example: "  kurir queue hold 4x7k2m9qh3ta-1\n  kurir queue hold --account alice@example.org",
			done:    "held; to let them go on: kurir queue release",
			none:    "Nothing that waits fits and is not held yet",
		},
		admin.QueueRelease: {
			short:   "Let held messages go on",
			long:    "Let held messages go on, also those that are held because an account was over its limits.",
			example: "  kurir queue release 4x7k2m9qh3ta-1\n  kurir queue release --held --account alice@example.org",
			done:    "released",
			none:    "Nothing that is held fits",
		},
		admin.QueueDrop: {
			short:    "Delete messages, without telling their senders",
			long:     "Delete messages for good, without telling their senders. More than one is asked about.",
			example:  "  kurir queue drop 4x7k2m9qh3ta-1\n  kurir queue drop --sender newsletter@example.org --yes",
			done:     "dropped; their senders are not told",
			none:     "Nothing that waits fits",
			question: "Delete %s for good, without telling their senders?",
		},
		admin.QueueBounce: {
			short:    "Return messages to their senders now",
			long:     "Give messages up now: their senders get a report. More than one is asked about.",
			example:  "  kurir queue bounce 4x7k2m9qh3ta-1\n  kurir queue bounce --domain gone.example --yes",
			done:     "given up; their senders are told",
			none:     "Nothing that waits fits",
			question: "Return %s to their senders?",
		},
	}
}

// queueChange is one of those commands.
func queueChange(e *env, action string) *cobra.Command {
	a := queueActions()[action]
	c := &cobra.Command{
		Use: action + " [ID...]", Short: a.short,
		Long:    a.long + "\n\nSay which: by ids, by what they have in common, or all with --all.",
		Example: a.example,
	}
	flags := addQueueFlags(c)
	all := c.Flags().Bool("all", false, "everything that waits")
	yes := false
	if a.question != "" {
		c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask for confirmation")
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := flags.filter(args)
		if err != nil {
			return err
		}
		change := admin.QueueChange{Action: action, Filter: f, All: *all}
		switch some := queueFlagsGiven(f); {
		case !some && !*all:
			return usagef("%s: say which messages: ids, a filter such as --domain, or --all", c.CommandPath())
		case some && *all:
			return usagef("%s: --all is everything: leave out the rest, or --all", c.CommandPath())
		}
		if a.question != "" && !yes {
			if err := e.confirmChange(c.Context(), a.question, change); err != nil {
				return err
			}
		}
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			changed, err := o.ChangeQueue(ctx, change)
			switch {
			case err != nil:
				return err
			case *asJSON:
				err = e.printJSON(changed)
			case changed.Recipients == 0:
				fmt.Fprintln(e.stderr, a.none+"; nothing was changed.")
			default:
				e.printf("%s %s.\n", count(changed.Recipients, "recipient"), a.done)
			}
			if changed.Problem != "" {
				err = errors.Join(err, errors.New(strings.TrimPrefix(changed.Problem, "queue: ")))
			}
			return err
		})
	}
	return c
}

// confirmChange asks before more than one message goes for good.
func (e *env) confirmChange(ctx context.Context, question string, c admin.QueueChange) error {
	var rows []admin.QueueEntry
	err := e.with(ctx, func(ctx context.Context, o admin.Operations) (err error) {
		rows, err = o.ListQueue(ctx, c.Filter)
		return err
	})
	if err != nil {
		return err
	}
	if n := messages(rows); n > 1 {
		return e.confirm(fmt.Sprintf(question, count(n, "message")+" with "+count(len(rows), "recipient")))
	}
	return nil
}

// messages is how many messages rows are of.
func messages(rows []admin.QueueEntry) int {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	slices.SortFunc(ids, strings.Compare)
	return len(slices.Compact(ids))
}
