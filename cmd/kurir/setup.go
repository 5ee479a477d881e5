package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"kurir/internal/config"
	"kurir/internal/setup"
)

// setupFlags are the answers and limits given on the command line.
type setupFlags struct {
	hostname, account, passwordFile                string
	acmeEmail, acmeDirectory, acmeCA               string
	testTo                                         string
	ipv4, ipv6, resolvers, probe                   []string
	skip, set                                      []string
	yes, noACME, wait, noWait, noStart, js, detect bool
}

func setupCommand(e *env) *cobra.Command {
	var s setupFlags
	c := &cobra.Command{
		Use:   "setup DOMAIN",
		Short: "Make this machine the mail server of a domain, step by step",
		Long: `Make this machine the mail server of a domain. It asks five questions at most, looks at
the machine and its network, writes a configuration with comments, makes the keys and the
first account, starts the server where systemd can, prints what to publish in the DNS and
watches it become right, and sends a test message. Each step says how it went, and what
to do if it did not go well.

Run it again at any point: what is there is kept. A configuration that you have changed
is never overwritten; what it lacks is said. For another domain, name that one.

Results: ok, done, kept, skipped, todo (yours to do; the rest goes on), problem (it stands
in the way of the server). Exit code 1 if there is a problem. With --yes nothing is asked
and nothing is waited for. Steps that can be skipped:
` + skippable() + `.`,
		Example: `  sudo kurir setup example.org
  kurir setup example.org --yes --account alice --password-file secret --json
  kurir setup example.org --yes --no-acme --set smtp.address=127.0.0.1:2525 --data /srv/mail
  kurir setup example.org --ipv4 192.0.2.25          # behind a router`,
		Args: exactly("DOMAIN"),
	}
	s.add(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := s.check(e); err != nil {
			return err
		}
		return e.setup(c.Context(), args[0], s)
	}
	return c
}

// add gives the command its flags.
func (s *setupFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.BoolVarP(&s.yes, "yes", "y", false, "ask nothing: take the flags and the defaults")
	f.StringVar(&s.hostname, "hostname", "", "`NAME` of this server (default: mail.DOMAIN)")
	f.StringVar(&s.account, "account", "", "first account, as `ADDRESS` or its part before the @ (default: admin)")
	f.StringVar(&s.passwordFile, "password-file", "", "`FILE` with its password on the first line, - for standard input (default: one is made)")
	f.StringArrayVar(&s.ipv4, "ipv4", nil, "public IPv4 `ADDRESS` of the server, if this machine does not have it itself")
	f.StringArrayVar(&s.ipv6, "ipv6", nil, "public IPv6 `ADDRESS`, likewise")
	f.BoolVar(&s.detect, "detect", false, "behind a router: ask a server of OpenDNS for the public address, which it sees then")
	f.BoolVar(&s.noACME, "no-acme", false, "get no certificates: you have your own, or try without")
	f.StringVar(&s.acmeEmail, "acme-email", "", "mail `ADDRESS` that the CA may write to (default: that of --test-to, else the first account)")
	f.StringVar(&s.acmeDirectory, "acme-directory", "", "`URL` of another CA than Let's Encrypt")
	f.StringVar(&s.acmeCA, "acme-ca", "", "PEM `FILE` with the root by which that URL itself is trusted")
	f.StringVar(&s.testTo, "test-to", "", "send a test message to an `ADDRESS` of yours elsewhere")
	f.StringArrayVar(&s.set, "set", nil, "further setting for kurir.toml, as `KEY=VALUE`, also more than once")
	f.StringArrayVar(&s.probe, "probe", nil, "`HOST:PORT` to try in place of large providers, whether mail can leave")
	f.StringSliceVar(&s.resolvers, "resolver", nil, "ask the DNS server at `ADDRESS`, in place of the configuration's")
	f.StringSliceVar(&s.skip, "skip", nil, "leave out the step `NAME`, also more than once")
	f.BoolVar(&s.wait, "wait", false, "with --yes: watch the DNS until it is right")
	f.BoolVar(&s.noWait, "no-wait", false, "look at the DNS once only")
	f.BoolVar(&s.noStart, "no-start", false, "do not start the server")
	f.BoolVar(&s.js, "json", false, "print the result as JSON for other programs; needs --yes")
	c.MarkFlagFilename("password-file")
	c.MarkFlagFilename("acme-ca")
}

// setupSteps are the steps that --skip can name.
var setupSteps = []string{"ports", "rights", "disk", "clock", "memory", "addresses", "ptr", "port25-out", "port25-in", "start", "certificate", "dns", "test"}

func skippable() string {
	text := ""
	for i, s := range setupSteps {
		switch {
		case i == 0:
		case i%5 == 0:
			text += ",\n"
		default:
			text += ", "
		}
		text += s
	}
	return text
}

// check refuses what can be known to be wrong before anything is looked at.
func (s *setupFlags) check(e *env) error {
	switch {
	case s.js && !s.yes:
		return usagef("--json needs --yes: nothing can be asked then")
	case s.wait && (s.noWait || s.js):
		return usagef("--wait excludes --no-wait and --json")
	case s.noACME && (s.acmeEmail != "" || s.acmeDirectory != "" || s.acmeCA != ""):
		return usagef("--no-acme excludes the other --acme flags")
	case !s.yes && !e.terminal():
		return usagef("there is no terminal to ask at: add --yes, and say by flags what the defaults do not fit")
	case !s.yes && s.passwordFile == "-":
		return usagef("--password-file - needs --yes: standard input has to answer the questions")
	}
	for _, name := range s.skip {
		if !slices.Contains(setupSteps, name) {
			return usagef("--skip %s: the steps are %s", name, skippable())
		}
	}
	if _, err := (&dnsFlags{ipv4: s.ipv4, ipv6: s.ipv6}).addresses(); err != nil {
		return err
	}
	return nil
}

// setupRun is one run of the command.
type setupRun struct {
	*env
	flags  setupFlags
	typing *typist         // the person at the terminal; nil with --yes
	cfg    *config.Config  // once there is one
	isSet  map[string]bool // keys that the configuration which was there before sets
	result setupResult
	// addresses are where the world reaches the server; tellAddresses says that the machine
	// does not know them by itself, so that the configuration has to.
	addresses     []netip.Addr
	tellAddresses bool
	stop          func() error // ends the helper that has the data open; nil: there is none
}

// setupResult is what setup prints for other programs.
type setupResult struct {
	Domain   string `json:"domain"`
	Hostname string `json:"hostname"`
	Account  string `json:"account"`
	// Password is there if it was made here, for this is the only time that it is shown.
	Password string       `json:"password,omitempty"`
	Config   string       `json:"config"`
	Data     string       `json:"data"`
	Steps    []setup.Step `json:"steps"`
	Records  *recordsJSON `json:"records,omitempty"`
	Invite   string       `json:"invite,omitempty"` // the link by which the account's owner sets up a phone
	Problems int          `json:"problems"`
	Todos    int          `json:"todos"`

	acme                                    bool
	acmeEmail, acmeDirectory, acmeCA        string
	configThere, accountThere, passwordMade bool
}

// setup carries out the command.
func (e *env) setup(ctx context.Context, typed string, flags setupFlags) (err error) {
	inner := *e
	r := &setupRun{env: &inner, flags: flags}
	if r.flags.js {
		inner.stdout = discard{}
	}
	if !r.flags.yes {
		r.typing = newTypist(&inner)
	}
	if r.result.Domain, err = setup.ParseDomain(typed); err != nil {
		return usagef("%v", err)
	}
	err = r.all(ctx)
	if r.stop != nil {
		err = errors.Join(err, r.stop())
	}
	if r.flags.js {
		if perr := e.printJSON(r.result); perr != nil {
			return perr
		}
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted; what is made stays: run kurir setup %s again to go on", r.result.Domain)
	case err != nil:
		return err
	case r.result.Problems > 0:
		return fmt.Errorf("%s: mend it and run kurir setup %s again", count(r.result.Problems, "problem"), r.result.Domain)
	}
	return nil
}

// all is the order of the steps. An error is one that the rest cannot go on from.
func (r *setupRun) all(ctx context.Context) error {
	if err := r.findConfig(); err != nil {
		return err
	}
	if err := r.ask(ctx); err != nil {
		return err
	}
	cfg, err := r.planned()
	if err != nil {
		return err
	}
	r.lookAtMachine(ctx, cfg)
	r.lookAtNetwork(ctx, cfg)
	if err := r.make(ctx); err != nil {
		return err
	}
	return r.finish(ctx)
}

// report prints and keeps a step.
func (r *setupRun) report(s setup.Step) {
	r.result.Steps = append(r.result.Steps, s)
	switch s.Outcome {
	case setup.Problem:
		r.result.Problems++
	case setup.Todo:
		r.result.Todos++
	}
	const indent = "         "
	r.prose(fmt.Sprintf("%-8s ", s.Outcome), indent, s.Text)
	for _, text := range []string{s.Why, s.Do} {
		if text != "" {
			r.prose(indent, indent, text)
		}
	}
}

// skips tells whether a step is not wanted, and says so.
func (r *setupRun) skips(name string) bool {
	if !slices.Contains(r.flags.skip, name) {
		return false
	}
	r.report(setup.Step{Name: name, Outcome: setup.Skipped, Text: name + ", as you wish."})
	return true
}

// heading begins a part.
func (r *setupRun) heading(text string) { r.printf("\n%s\n\n", text) }

// discard takes everything.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
