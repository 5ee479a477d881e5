package main

import (
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"kurir/dnsutil"
)

func dnsRecords(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "records DOMAIN",
		Short: "Print the records to publish for a domain",
		Long: `Print every record to publish for a domain, with a sentence about each: as a table to type
into your DNS provider's form, as a zone file (--zone), or for programs (--json). They
follow the configuration: ports that are off, a certificate of kurir's own CA and private
addresses are not published. Nothing is looked up and nothing is changed.

Long texts such as DKIM keys are shown whole in the table: most forms split them
themselves. In the zone file they are split already.`,
		Example: `  kurir dns records example.org
  kurir dns records example.org --zone > example.org.mail
  kurir dns records example.org --ipv4 192.0.2.25 --ipv6 2001:db8::25
  kurir dns records example.org --include spf.smarthost.example --dmarc none`,
		Args: exactly("DOMAIN"),
	}
	flags := addDNSFlags(c)
	zone := c.Flags().Bool("zone", false, "print a piece of a zone file")
	all := c.Flags().Bool("all", false, "with --zone: optional records, too, are no comments")
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case *all && !*zone:
			return usagef("--all belongs to --zone")
		case *zone && *asJSON:
			return usagef("--zone and --json exclude each other")
		}
		t, err := e.dnsSite(c.Context(), args[0], flags)
		if err != nil {
			return err
		}
		switch {
		case *asJSON:
			return e.printJSON(newRecordsJSON(t))
		case *zone:
			e.printf("%s", t.Zone(*all))
			e.printNotes(t, "; ")
		default:
			e.printRecords(t)
			e.printNotes(t, "")
		}
		return nil
	}
	return c
}

// recordsJSON is the answer for programs.
type recordsJSON struct {
	Domain  string           `json:"domain"`
	Host    string           `json:"host"`
	Records []dnsutil.Record `json:"records"`
	Policy  *policyJSON      `json:"mta_sts_policy,omitempty"`
	Notes   []string         `json:"notes"`
}

// policyJSON is the policy for MTA-STS, which is no record.
type policyJSON struct {
	URL  string `json:"url"`
	Text string `json:"text"`
}

func newRecordsJSON(t dnsTarget) recordsJSON {
	all := recordsJSON{Domain: t.Domain, Host: t.Host, Records: t.Records(), Notes: t.notes}
	if t.PolicyHost != "" {
		all.Policy = &policyJSON{t.PolicyURL(), t.Policy()}
	}
	if all.Notes == nil {
		all.Notes = []string{}
	}
	return all
}

// needWords go before the sentence of a record that not everybody needs.
var needWords = map[dnsutil.Need]string{dnsutil.Optional: "Optional. "}

// printRecords prints the table: a line a record, and under it why it is there.
func (e *env) printRecords(t dnsTarget) {
	records := t.Records()
	name, rtype := len("NAME"), len("TYPE")
	for _, r := range records {
		if r.Type == "PTR" {
			continue // those of IPv6 are longer than all others
		}
		name, rtype = max(name, utf8.RuneCountInString(r.Name)), max(rtype, len(r.Type))
	}
	e.printf("%-*s  %-*s  VALUE\n", name, "NAME", rtype, "TYPE")
	for i, r := range records {
		e.printf("%-*s  %-*s  %s\n", name, r.Name, rtype, r.Type, r.Value)
		if i+1 < len(records) && records[i+1].Why == r.Why && records[i+1].Elsewhere == r.Elsewhere {
			continue // one sentence for both
		}
		e.prose("    ", "    ", needWords[r.Need]+r.Why)
		if r.Elsewhere && r.Type != "PTR" {
			e.prose("    ", "    ", "It belongs into the zone of "+t.Host+".")
		}
	}
	if t.PolicyHost != "" {
		e.printf("\nThe policy, for %s:\n\n", t.PolicyURL())
		for line := range strings.Lines(t.Policy()) {
			e.printf("    %s", line)
		}
	}
}

// printNotes prints what could not be found out, each line behind a prefix.
func (e *env) printNotes(t dnsTarget, prefix string) {
	for i, n := range t.notes {
		if i == 0 {
			e.printf("\n")
		}
		e.prose(prefix+"Note: ", prefix, strings.Join(strings.Fields(n), " "))
	}
}

// prose prints text behind first; on a terminal in lines that fit, the further ones behind
// indent.
func (e *env) prose(first, indent, text string) {
	e.printf("%s", wrapped(first, indent, plain(text), e.width()))
}

// wrapped is text in lines of at most width characters, longer words excepted; in one line
// if width is 0.
func wrapped(first, indent, text string, width int) string {
	if width == 0 {
		return first + text + "\n"
	}
	var b strings.Builder
	line, empty := first, true
	for word := range strings.FieldsSeq(text) {
		switch {
		case empty:
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			b.WriteString(line + "\n")
			line = indent + word
		}
		empty = false
	}
	return b.String() + line + "\n"
}
