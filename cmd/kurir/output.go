package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
)

// addJSON gives a command the flag --json.
func addJSON(c *cobra.Command) *bool {
	return c.Flags().Bool("json", false, "print JSON for other programs")
}

// printJSON prints v, indented. A nil slice is printed as an empty list.
func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// list prints rows as JSON or as a table under head. With no rows the table is the
// line empty, on stderr.
func list[T any](e *env, asJSON bool, rows []T, head, empty string, row func(T) string) error {
	if asJSON {
		if rows == nil {
			rows = []T{}
		}
		return e.printJSON(rows)
	}
	if len(rows) == 0 {
		fmt.Fprintln(e.stderr, empty)
		return nil
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, r := range rows {
		fmt.Fprintln(w, row(r))
	}
	return w.Flush()
}

// plain makes a name safe for a terminal and a table: control characters become '?'.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// printf writes to stdout.
func (e *env) printf(format string, args ...any) {
	fmt.Fprintf(e.stdout, format, args...)
}

// count is n things, with an s unless there is one.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// sortedKeys returns a map's keys in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
