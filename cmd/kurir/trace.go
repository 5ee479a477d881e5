package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/config"
	"kurir/internal/queue"
	"kurir/internal/trace"
)

// newTrace makes the memory of messages' ways, which is written until the data are closed.
func (d *data) newTrace(o dataOptions) *trace.Trace {
	t := trace.Options{DB: d.db, Keep: o.cfg.Trace.Keep, Log: o.log}
	if o.metrics != nil {
		t.Dropped = o.metrics.TraceDropped
	}
	made := trace.New(t)
	d.closers = append(d.closers, func() error { return made.Flush(context.Background()) })
	return made
}

// notePosted notes a report or a notice that the queue has written.
func (d *data) notePosted(p queue.Posting) {
	r := trace.Record{ID: p.ID, To: p.To, Size: p.Size, Steps: []trace.Step{{Kind: trace.Posted, Text: p.About}}}
	r.Names = p.Accounts // so that it is found by them
	d.trace.Note(r)
}

// tracedMany is from how many messages on each has one line.
const tracedMany = 4

func traceCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "trace ID|ADDRESS|MESSAGE-ID|IP",
		Short: "Where is my mail? What became of a message, step by step",
		Long: `Tell what became of messages, step by step: who handed them in, what was thought of them,
where they went or why they were refused. Name a message by its id (it stands in the log, in
the line Received of the mail and in reports) or its Message-ID; or an address, an account or
a client's IP address, for the last messages from and to it. What was refused is there too, so
that "but I have sent it" has an answer. It is kept as long as trace.keep in the configuration
says. Times are those of this machine.`,
		Example: `  kurir trace anna@example.org
  kurir trace 4x7k2m9qh3ta-1
  kurir trace '<20261122.7@mail.example.net>' --json
  kurir trace 192.0.2.25 --since 3h`,
		Args: exactly("ID|ADDRESS|MESSAGE-ID|IP"),
	}
	asJSON := addJSON(c)
	since := c.Flags().String("since", "", "only messages not older than `AGE`, such as 90m, 2h or 3d")
	limit := c.Flags().Int("limit", 20, "the last `N` messages")
	full := c.Flags().Bool("full", false, "every step of each message, however many there are")
	c.RunE = func(c *cobra.Command, args []string) error {
		q := admin.TraceQuery{What: args[0], Limit: *limit}
		if *limit < 1 {
			return usagef("--limit has to be 1 or more")
		}
		if *since != "" {
			age, err := config.ParseDuration(*since)
			if err != nil || age <= 0 {
				return usagef(`--since %q is not an age, such as "90m", "2h" or "3d"`, *since)
			}
			q.Since = time.Now().Add(-age)
		}
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			all, err := o.Trace(ctx, q)
			if err != nil {
				return err
			}
			if *asJSON {
				return e.printJSON(all)
			}
			return e.printTrace(args[0], all, *full)
		})
	}
	return c
}

// printTrace prints stories, or for many messages a line each.
func (e *env) printTrace(what string, all []admin.TracedMessage, full bool) error {
	if len(all) == 0 {
		return fmt.Errorf("nothing is known of %s: no such message has reached this server, or not within the time that trace.keep keeps (a client that never connected leaves no trace)", plain(what))
	}
	if len(all) < tracedMany || full {
		for i, m := range all {
			if i > 0 {
				e.printf("\n")
			}
			e.printStory(m)
		}
		return nil
	}
	err := e.wide(func(e *env) error {
		return list(e, false, all, "TIME\tID\tFROM\tTO\tOUTCOME\tLAST", "", func(m admin.TracedMessage) string {
			last := m.Steps[len(m.Steps)-1].Text
			return strings.Join([]string{m.At.Local().Format(time.DateTime), plain(m.ID), sender(m.Sender), plain(strings.Join(m.To, " ")), m.Outcome, plain(last)}, "\t")
		})
	})
	fmt.Fprintln(e.stderr, "All steps of one: kurir trace ID; of all of them: --full")
	return err
}

// sender is a reverse-path for people.
func sender(s string) string {
	if s == "" {
		return "<>"
	}
	return plain(s)
}

// printStory prints all steps of a message, a line each.
func (e *env) printStory(m admin.TracedMessage) {
	to := " to " + plain(strings.Join(m.To, ", "))
	if len(m.To) == 0 { // it did not come to that
		to = ""
	}
	e.printf("%s  from %s%s: %s\n", plain(m.ID), sender(m.Sender), to, m.Outcome)
	if m.MessageID != "" {
		e.printf("  Message-ID %s", plain(m.MessageID))
		if m.Size > 0 {
			e.printf(", %s", showSize(m.Size))
		}
		e.printf("\n")
	}
	for _, s := range m.Steps {
		at := s.At.Local().Format(time.DateTime)
		if s.Kind == "waits" {
			at = "now                "
		}
		e.printf("  %s  %s\n", at, plain(s.Text))
	}
}
