package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newRoot builds the whole command tree on e.
func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "kurir",
		Short: "A whole mail server in one program: SMTP, IMAP and POP3 over one Maildir",
		Long: `kurir is a whole mail server in one program: SMTP, IMAP and POP3 over one Maildir.

The commands below work while the server runs (they ask it, through the control
socket in its data directory) and while it is stopped (they open the data themselves).

The configuration is the first of: --config, $KURIR_CONFIG, ./kurir.toml,
/etc/kurir/kurir.toml. Variables named KURIR_... override single values of it.

Exit codes: 0 done, 1 failed or something is wrong, 2 wrong usage.`,
		Example: `  kurir local                              # try it out, on this machine alone
  kurir setup example.org                  # make this machine a mail server
  kurir check -c /etc/kurir/kurir.toml     # all mistakes at once
  kurir domain add example.org
  kurir account add alice@example.org
  kurir serve -c /etc/kurir/kurir.toml`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRun: func(*cobra.Command, []string) {
			e.started = true
		},
	}
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{plainFlag(err.Error())} })
	root.PersistentFlags().StringVarP(&e.config, "config", "c", "", "configuration `FILE`")
	root.PersistentFlags().StringVar(&e.data, "data", "", "data `DIR`, in place of the configuration's")
	root.MarkPersistentFlagDirname("data")
	root.MarkPersistentFlagFilename("config", "toml")
	root.Args = cobra.ArbitraryArgs // group says what is wrong with them
	group(root,
		setupCommand(e), setupDataCommand(e), serveCommand(e), reloadCommand(e), localCommand(e), checkCommand(e), healthCommand(e), versionCommand(e),
		domainCommand(e), accountCommand(e), aliasCommand(e), groupCommand(e), applyCommand(e), exportCommand(e), mailboxCommand(e), dkimCommand(e),
		queueCommand(e), suppressionCommand(e), traceCommand(e), sendCommand(e), dnsCommand(e), tlsCommand(e), certificateCommand(e),
		debugCommand(e), referenceCommand(e),
	)
	noFiles(root)
	return root
}

// plainFlag takes Go's own words out of a complaint about a flag's value.
func plainFlag(text string) string {
	at := strings.Index(text, ": strconv.")
	switch {
	case at < 0:
		return text
	case strings.HasPrefix(text[at:], ": strconv.ParseBool"):
		return text[:at] + ": it has to be true or false"
	}
	return text[:at] + ": it has to be a whole number"
}

// noFiles keeps a shell from completing arguments with file names where none is one.
func noFiles(c *cobra.Command) {
	if !strings.Contains(c.Use, "FILE") {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, sub := range c.Commands() {
		noFiles(sub)
	}
}

// usageError is a mistake in the command line.
type usageError struct{ text string }

func (u *usageError) Error() string { return u.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

func isUsage(err error) bool {
	var u *usageError
	return errors.As(err, &u)
}

// group is a command that only holds others. A word that is none of them is an error.
func group(c *cobra.Command, sub ...*cobra.Command) *cobra.Command {
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		text := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			text += "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return &usageError{text}
	}
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(sub...)
	return c
}

// exactly wants the named arguments and no others.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("%s: %s is missing", c.CommandPath(), names[len(args)])
		case len(args) > len(names):
			return usagef("%s: %q is one argument too many", c.CommandPath(), args[len(names)])
		}
		return nil
	}
}
