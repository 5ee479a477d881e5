package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kurir/dnsutil"
	"kurir/internal/config"
	"kurir/internal/mailauth"
)

// dnsCheckFlags are those of dns check alone.
type dnsCheckFlags struct {
	resolvers           []string
	strict, watch, json bool
}

func dnsCheck(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "check DOMAIN",
		Short: "Look what the world sees of a domain, and how to mend it",
		Long: `Ask the DNS for everything that other servers and mail apps look at, and compare it with
what this server needs: what is right, missing, wrong or dangerous, why that matters, and
the record that mends it. The levels:

  error    mail is lost, refused or mistrusted by most
  warning  some mail is, or will be
  note     could be better, or is worth knowing
  ok       as it should be

Exit code 1 if there is an error (with --strict: or a warning), 0 if not, 2 for a wrong
command line. With --watch it looks again and again until there is neither error nor
warning. What was changed may be seen late, as resolvers keep old answers for a while.`,
		Example: `  kurir dns check example.org
  kurir dns check example.org --watch
  kurir dns check example.org --json --strict
  kurir dns check example.org --resolver 9.9.9.9 --ipv4 192.0.2.25`,
		Args: exactly("DOMAIN"),
	}
	flags := addDNSFlags(c)
	var own dnsCheckFlags
	f := c.Flags()
	f.StringSliceVar(&own.resolvers, "resolver", nil, "ask the DNS server at `ADDRESS`, in place of the configuration's")
	f.BoolVar(&own.strict, "strict", false, "exit code 1 for warnings, too")
	f.BoolVar(&own.watch, "watch", false, "look again until all is right")
	f.BoolVar(&own.json, "json", false, "print JSON for other programs")
	c.RunE = func(c *cobra.Command, args []string) error {
		if own.watch && own.json {
			return usagef("--watch and --json exclude each other")
		}
		for _, s := range own.resolvers {
			if _, err := dnsutil.ParseServer(s); err != nil {
				return usagef("--resolver: %v", err)
			}
		}
		return e.checkDNS(c.Context(), args[0], flags, own)
	}
	return c
}

// checkDNS looks once, or until all is right.
func (e *env) checkDNS(ctx context.Context, domain string, flags *dnsFlags, own dnsCheckFlags) error {
	t, err := e.dnsSite(ctx, domain, flags)
	if err != nil {
		return err
	}
	cfg, err := e.settings()
	if err != nil {
		return err
	}
	check := func(ctx context.Context) dnsutil.Report { return newChecker(t, cfg, own.resolvers).Check(ctx) }
	var r dnsutil.Report
	if own.watch {
		if r, err = e.watchDNS(ctx, t, check); err == nil {
			e.printf("All is right.\n")
		}
	} else if r = check(ctx); ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	switch {
	case err != nil:
		return err
	case own.json:
		err = e.printJSON(checkJSON{r, append([]string{}, t.notes...)})
	case !own.watch:
		e.printReport(r, time.Now())
		e.printNotes(t, "")
	}
	if err == nil && (r.Errors > 0 || own.strict && r.Warnings > 0) {
		err = errors.New(reportSummary(r))
	}
	return err
}

// checkJSON is the answer for programs.
type checkJSON struct {
	dnsutil.Report
	Notes []string `json:"notes"`
}

// newChecker asks the DNS anew: nothing of an earlier check is remembered.
func newChecker(t dnsTarget, cfg *config.Config, resolvers []string) *dnsutil.Checker {
	if len(resolvers) == 0 {
		resolvers = cfg.DNS.Servers
	}
	r := &dnsutil.Resolver{Servers: resolvers, Log: slog.New(slog.DiscardHandler)}
	fetcher := &dnsutil.STSFetcher{Resolver: r, Timeout: 20 * time.Second}
	c := &dnsutil.Checker{
		Site: t.Site, Resolver: r, Policy: fetcher.Fetch,
		SPF: func(ctx context.Context, ip netip.Addr, helo, sender string) (string, string) {
			s := mailauth.CheckSPF(ctx, r, ip, helo, sender)
			return string(s.Result), s.Reason
		},
	}
	for _, text := range cfg.Inbound.DNSBL {
		list, err := config.ParseDNSList(text)
		if err != nil {
			continue // the configuration has been checked
		}
		one := dnsutil.List{Zone: list.Zone}
		if len(list.Answers) > 0 {
			one.Counts = func(a netip.Addr) bool {
				return slices.ContainsFunc(list.Answers, func(r config.AddrRange) bool { return !a.Less(r.First) && !r.Last.Less(a) })
			}
		}
		c.Lists = append(c.Lists, one)
	}
	return c
}

// dnsLevels are in the order of the report: what is to be mended comes first.
var dnsLevels = []dnsutil.Level{dnsutil.LevelError, dnsutil.LevelWarning, dnsutil.LevelNote, dnsutil.LevelOK}

// byLevel are the findings in the order of levels.
func byLevel(r dnsutil.Report) []dnsutil.Finding {
	all := slices.Clone(r.Findings)
	slices.SortStableFunc(all, func(a, b dnsutil.Finding) int {
		return slices.Index(dnsLevels, a.Level) - slices.Index(dnsLevels, b.Level)
	})
	return all
}

// printReport prints the findings for people.
func (e *env) printReport(r dnsutil.Report, now time.Time) {
	const indent = "         "
	e.prose("", "", fmt.Sprintf("What the DNS says of mail for %s, on the server %s:", r.Domain, r.Host))
	e.printf("\n")
	for _, f := range byLevel(r) {
		e.prose(fmt.Sprintf("%-8s ", f.Level), indent, f.What)
		if f.Level == dnsutil.LevelOK {
			continue
		}
		for _, text := range []string{f.Why, f.Mend} {
			if text != "" {
				e.prose(indent, indent, text)
			}
		}
		e.printToPublish(f)
		if text := rememberedText(f, now); text != "" {
			e.prose(indent, indent, text)
		}
		e.printf("\n")
	}
	e.printf("%s\n", reportSummary(r))
}

// printToPublish prints the records of a finding.
func (e *env) printToPublish(f dnsutil.Finding) {
	if len(f.Records) == 0 {
		return
	}
	if f.Replace {
		e.printf("         Publish, in place of what is there:\n")
	} else {
		e.printf("         Publish:\n")
	}
	for _, r := range f.Records {
		e.printf("           %s\n", recordLine(r))
	}
}

// recordLine is a record in a line, with a word about where it belongs if that is another
// domain's zone.
func recordLine(r dnsutil.Record) string {
	line := plain(r.Name + "  " + r.Type + "  " + r.Value)
	if r.Elsewhere && r.Type != "PTR" {
		line += "   (in the zone of that name)"
	}
	return line
}

// rememberedText says how long the old answer may still be seen; "" if it soon is gone.
func rememberedText(f dnsutil.Finding, now time.Time) string {
	left := f.OldUntil.Sub(now)
	if f.OldUntil.IsZero() || left < time.Minute {
		return ""
	}
	return fmt.Sprintf("Others may remember the present answer for %s more.", ageText(left+30*time.Second))
}

// reportSummary counts.
func reportSummary(r dnsutil.Report) string {
	notes := 0
	for _, f := range r.Findings {
		if f.Level == dnsutil.LevelNote {
			notes++
		}
	}
	return strings.Join([]string{count(r.Errors, "error"), count(r.Warnings, "warning"), count(notes, "note")}, ", ")
}
