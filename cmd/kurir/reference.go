package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"kurir/internal/config"
	"kurir/internal/fsx"
)

// referenceCommand writes the pages that are made from the commands themselves. It is for
// those who make packages, and hidden from everybody else.
func referenceCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:     "reference",
		Short:   "Write the man pages into a folder",
		Example: `  kurir reference --man dist/man`,
		Hidden:  true,
		Args:    exactly(),
	}
	dir := c.Flags().String("man", "", "the `DIR` to write to; it is made if it is not there")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *dir == "" {
			return usagef("%s: --man DIR is missing", c.CommandPath())
		}
		return e.writeManPages(c.Root(), *dir)
	}
	return c
}

// writeManPages writes one page of section 1 for each command and kurir.toml(5) into dir.
func (e *env) writeManPages(root *cobra.Command, dir string) error {
	if err := fsx.MkdirAll(e.files, dir, 0o755); err != nil {
		return err
	}
	pages := map[string][]byte{"kurir.toml.5": configurationManPage()}
	for _, c := range documented(root) {
		page, err := manPage(c)
		if err != nil {
			return err
		}
		pages[strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"] = page
	}
	for _, name := range sortedKeys(pages) {
		if err := fsx.WriteFile(e.files, filepath.Join(dir, name), pages[name], 0o644); err != nil {
			return err
		}
	}
	e.printf("%d man pages in %s\n", len(pages), dir)
	return nil
}

// pageDate stands on the man pages, the same for the same program however often they are
// made.
var pageDate = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

func manPage(c *cobra.Command) ([]byte, error) {
	c.DisableAutoGenTag = true
	var b bytes.Buffer
	date := pageDate
	err := doc.GenMan(c, &doc.GenManHeader{
		Title: strings.ToUpper(strings.ReplaceAll(c.CommandPath(), " ", "-")), Section: "1",
		Source: "kurir", Manual: "kurir mail server", Date: &date,
	}, &b)
	return b.Bytes(), err
}

// configurationManPage is kurir.toml(5), whose body is the example configuration.
func configurationManPage() []byte {
	text := "% \"KURIR.TOML\" \"5\" \"" + pageDate.Format("Jan 2006") + "\" \"kurir\" \"kurir mail server\"\n" +
		"# NAME\nkurir.toml - configuration of the mail server kurir\n\n" +
		"# DESCRIPTION\nkurir reads one TOML file: that of --config, else of $KURIR_CONFIG, else ./kurir.toml, else /etc/kurir/kurir.toml. " +
		"Only hostname must be set. **kurir check** finds all mistakes at once, and **kurir reload** puts a changed file into service. " +
		"Below is every key with its default and the environment variable that overrides it.\n\n" +
		"# KEYS\n\n```\n" + strings.TrimRight(config.Example(), "\n") + "\n```\n\n# SEE ALSO\n**kurir(1)**, **kurir-check(1)**\n"
	return md2man.Render([]byte(text))
}

// documented is every command that a person should know, root first, each group before
// its parts.
func documented(root *cobra.Command) []*cobra.Command {
	root.InitDefaultCompletionCmd()
	return withParts(root)
}

func withParts(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			all = append(all, withParts(sub)...)
		}
	}
	return all
}

// commandReference is docs/commands.md: every command with its flags and examples, as
// --help shows them.
func commandReference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Commands\n\nEvery command, as its `--help` tells it. This page is made from the program.\n\n")
	all := documented(root)
	for _, c := range all {
		if c.Runnable() && !c.HasAvailableSubCommands() {
			fmt.Fprintf(&b, "- [`%s`](#%s): %s\n", c.CommandPath(), strings.ReplaceAll(c.CommandPath(), " ", "-"), c.Short)
		}
	}
	for _, c := range all {
		fmt.Fprintf(&b, "\n## %s\n\n", c.CommandPath())
		text := c.Long
		if text == "" {
			text = c.Short
		}
		b.WriteString("```text\n" + strings.TrimSpace(text) + "\n\n" + strings.TrimRight(c.UsageString(), "\n") + "\n```\n")
	}
	return b.String()
}
