package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kurir/dnsutil"
)

// Bounds of the pause between two looks of dns check --watch.
const (
	firstPause = 5 * time.Second
	mostPause  = 2 * time.Minute
	// maxChanges is how many changes are listed below the report on a terminal.
	maxChanges = 5
)

// watchDNS looks until there is neither error nor warning, and shows what has changed. A
// pause is longer than the one before, until something changes. When ctx ends first, the
// error says what is left.
func (e *env) watchDNS(ctx context.Context, t dnsTarget, check func(context.Context) dnsutil.Report) (dnsutil.Report, error) {
	first := cmp.Or(e.pause, firstPause)
	pause := first
	var last dnsutil.Report
	for round := 0; ; round++ {
		r := check(ctx)
		if ctx.Err() != nil {
			return last, fmt.Errorf("interrupted: %s when last looked", reportSummary(last))
		}
		done := r.Errors+r.Warnings == 0
		changes := reportChanges(last, r)
		switch {
		case round == 0:
			changes = nil // all is new
		case len(changes) > 0:
			pause = first
		}
		now := time.Now()
		if round == 0 {
			e.printf("%s", e.scrolled())
		}
		switch width := e.width(); {
		case width > 0:
			e.printf("%s", screen(r, t.notes, changes, now, pause, width))
		case round == 0:
			e.printReport(r, now)
			e.printNotes(t, "")
		default:
			for _, c := range changes {
				e.printf("%s %s\n", now.Format(time.TimeOnly), plain(c))
			}
		}
		if done {
			return r, nil
		}
		last = r
		select {
		case <-ctx.Done():
			return last, errors.New("interrupted: " + reportSummary(last))
		case <-time.After(pause):
		}
		pause = min(pause*3/2, mostPause)
	}
}

// reportChanges says what is other than before, in lines.
func reportChanges(before, after dnsutil.Report) []string {
	lines := func(r dnsutil.Report) (all []string, known map[string]bool) {
		known = map[string]bool{}
		for _, f := range byLevel(r) {
			line := fmt.Sprintf("%-8s %s", f.Level, f.What)
			all, known[line] = append(all, line), true
		}
		return all, known
	}
	old, had := lines(before)
	now, has := lines(after)
	var changes []string
	for _, line := range old {
		if !has[line] && !strings.HasPrefix(line, string(dnsutil.LevelOK)) {
			changes = append(changes, "gone:    "+line)
		}
	}
	for _, line := range now {
		if !had[line] {
			changes = append(changes, "now:     "+line)
		}
	}
	return changes
}

// screen is a report that replaces what is on a terminal: a line for each finding, cut to
// its width, and the records that are to be published whole, so that they can be copied.
func screen(r dnsutil.Report, notes, changes []string, now time.Time, pause time.Duration, width int) string {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(cut(plain(fmt.Sprintf(format, args...)), width) + "\n")
	}
	b.WriteString("\x1b[H\x1b[2J")
	line("%s  What the DNS says of mail for %s, on the server %s", now.Format(time.TimeOnly), r.Domain, r.Host)
	b.WriteString("\n")
	for _, f := range byLevel(r) {
		line("%-8s %s", f.Level, f.What)
		if f.Level == dnsutil.LevelOK || f.Level == dnsutil.LevelNote {
			continue
		}
		for _, rec := range f.Records {
			b.WriteString("           " + recordLine(rec) + "\n")
		}
		if text := rememberedText(f, now); text != "" {
			line("         %s", text)
		}
	}
	for _, n := range notes {
		line("Note: %s", n)
	}
	b.WriteString("\n")
	for _, c := range changes[:min(len(changes), maxChanges)] {
		line("%s", c)
	}
	line("%s. With reasons: kurir dns check %s", reportSummary(r), r.Domain)
	if r.Errors+r.Warnings > 0 {
		line("Looking again in %v. Ctrl-C ends it.", pause.Round(time.Second))
	}
	return b.String()
}
