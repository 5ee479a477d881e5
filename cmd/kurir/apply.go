package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/roster"
)

// exitPending is the exit code of apply --dry-run when something would be changed: 1 is a
// failure and 2 a wrong command line, as with all commands.
const exitPending = 3

// pendingError says that there would be changes, which is no failure.
type pendingError struct{}

func (pendingError) Error() string { return "" }

func applyCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make domains, accounts and aliases what a file says",
		Long: `Make domains, accounts and aliases what a file says, for those who keep them in a
repository. It shows what would change, asks, and does it:

  + is added   ~ is changed   - is removed

What the file does not name stays, unless --prune is given: then accounts, aliases and
domain aliases of the domains in the file go, if the file does not name them. The mail of
removed accounts is kept, as by "kurir account remove". Domains are never removed, and
other domains are left alone.

A file to begin with: kurir export. "-" is standard input. If it is interrupted, repeat
it. Exit codes: 0 all is as the file says, 1 failed, 2 wrong usage, 3 with --dry-run:
something would change.`,
		Example: `  kurir export > accounts.toml
  kurir apply --dry-run accounts.toml
  kurir apply accounts.toml
  kurir apply --prune --yes accounts.toml     # for a CI job`,
		Args: exactly("FILE"),
	}
	var f applyFlags
	c.Flags().BoolVar(&f.dry, "dry-run", false, "only show what would change")
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask for confirmation")
	c.Flags().BoolVar(&f.prune, "prune", false, "remove what the file's domains have and the file does not name")
	f.json = addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		text, err := e.readInput(args[0])
		if err != nil {
			return err
		}
		if !f.dry && !f.yes && (args[0] == "-" || *f.json || !e.terminal()) {
			return usagef("nobody can be asked for confirmation: add --yes, or --dry-run")
		}
		want, mistakes := roster.Read(text, parseQuota)
		if len(mistakes) > 0 {
			return e.refuse(args[0], mistakes)
		}
		return e.create(c.Context(), func(ctx context.Context, o admin.Operations) error { return e.apply(ctx, o, args[0], want, f) })
	}
	return c
}

type applyFlags struct {
	dry, yes, prune bool
	json            *bool
}

// apply shows and carries out what a state asks for.
func (e *env) apply(ctx context.Context, o admin.Operations, path string, want roster.State, f applyFlags) error {
	hashes := slices.ContainsFunc(want.Accounts, func(a roster.Account) bool { return a.Verifier != "" })
	have, err := readState(ctx, o, hashes)
	if err != nil {
		return err
	}
	plan := roster.Make(have, want, roster.Options{Prune: f.prune, Size: showQuota})
	if len(plan.Mistakes) > 0 {
		return e.refuse(path, plan.Mistakes)
	}
	if *f.json {
		if err := e.printPlanJSON(plan); err != nil {
			return err
		}
	} else {
		e.printPlan(plan)
	}
	switch {
	case len(plan.Changes) == 0:
		return nil
	case f.dry:
		return pendingError{}
	case !f.yes:
		if err := e.confirm(fmt.Sprintf("Do this (%s)?", count(len(plan.Changes), "change"))); err != nil {
			return err
		}
	}
	p := e.progress(len(plan.Changes))
	d := doer{o: o, done: p.add}
	err = d.do(ctx, plan.Changes)
	p.end()
	if err != nil {
		return errors.Join(err, fmt.Errorf("%d of %s done; what is done stays: mend it and repeat the command", p.done, count(len(plan.Changes), "change")))
	}
	if !*f.json {
		e.printf("%s done.\n", count(len(plan.Changes), "change"))
	}
	return nil
}

// printPlan shows a plan to people.
func (e *env) printPlan(p roster.Plan) {
	sign := map[string]string{roster.Add: "+", roster.Modify: "~", roster.Remove: "-"}
	for _, c := range p.Changes {
		line := sign[c.Action] + " " + c.Kind + " " + c.Name
		if len(c.What) > 0 {
			line += ": " + strings.Join(c.What, "; ")
		}
		e.printf("%s\n", plain(line))
	}
	if len(p.Changes) == 0 {
		e.printf("Nothing to change: all is as the file says.\n")
	}
	if n := len(p.Left); n > 0 {
		fmt.Fprintf(e.stderr, "Not in the file, and left as they are (--prune removes them): %s", plain(strings.Join(p.Left[:min(n, 10)], ", ")))
		if n > 10 {
			fmt.Fprintf(e.stderr, " and %d more", n-10)
		}
		fmt.Fprintln(e.stderr)
	}
}

// printPlanJSON shows it to programs.
func (e *env) printPlanJSON(p roster.Plan) error {
	out := struct {
		Changes []roster.Change `json:"changes"`
		Left    []string        `json:"left"`
	}{p.Changes, p.Left}
	if out.Changes == nil {
		out.Changes = []roster.Change{}
	}
	if out.Left == nil {
		out.Left = []string{}
	}
	return e.printJSON(out)
}

func exportCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "Print domains, accounts and aliases as a file for kurir apply",
		Long: `Print domains, accounts and aliases as a file for kurir apply. Passwords are not in it,
unless --hashes is given: then their hashes are. Keep such a file as you keep the data.
App passwords, mail and keys are not in it.`,
		Example: `  kurir export > accounts.toml
  kurir export --hashes > accounts-with-hashes.toml`,
		Args: exactly(),
	}
	hashes := c.Flags().Bool("hashes", false, "with the hashes of the accounts' own passwords")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			s, err := readState(ctx, o, *hashes)
			if err == nil {
				_, err = e.stdout.Write(roster.Write(s, sizeText))
			}
			return err
		})
	}
	return c
}
