package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"kurir/internal/admin"
)

// wide runs f with output whose lines are cut to the width of the terminal, if stdout
// is one.
func (e *env) wide(f func(*env) error) error {
	width := e.width()
	if width <= 0 {
		return f(e)
	}
	var b bytes.Buffer
	inner := *e
	inner.stdout = &b
	err := f(&inner)
	for line := range strings.Lines(b.String()) {
		e.printf("%s", cut(line, width))
	}
	return err
}

// width is the width of the terminal in characters; 0: it is none, so that nothing is cut.
func (e *env) width() int {
	f, ok := e.stdout.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if n, err := strconv.Atoi(e.getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// scrolled are as many empty lines as the terminal shows: what was on it is kept above,
// for who scrolls back, before the screen is cleared. "" if stdout is none.
func (e *env) scrolled() string {
	f, ok := e.stdout.(*os.File)
	if !ok {
		return ""
	}
	_, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return ""
	}
	return strings.Repeat("\n", height)
}

// cut shortens a line to width characters; the last is "…" then.
func cut(line string, width int) string {
	body, end := strings.CutSuffix(line, "\n")
	if utf8.RuneCountInString(body) > width {
		body = string([]rune(body)[:width-1]) + "…"
	}
	if end {
		body += "\n"
	}
	return body
}

// queueRow is one recipient under queueHead.
func queueRow(r admin.QueueEntry, now time.Time) string {
	state, reply := r.State, lastReply(r)
	switch reason, held := heldReason(r.State); {
	case held:
		state = "held"
		if reason != "" {
			reply = strings.TrimSuffix(reason+"; "+reply, "; ")
		}
	case r.State == "waiting":
		state = untilText(r.Due.Sub(now))
	}
	return strings.Join([]string{
		plain(r.ID), ageText(now.Sub(r.Created)), showSize(r.Size), senderText(r.Sender), plain(r.Recipient),
		plain(state), strconv.Itoa(r.Attempts), plain(reply),
	}, "\t")
}

// heldReason takes a state such as "held (reason)" apart.
func heldReason(state string) (reason string, held bool) {
	rest, held := strings.CutPrefix(state, "held")
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(rest), "("), ")"), held
}

// lastReply is the last reply to a recipient, with its status, in one line.
func lastReply(r admin.QueueEntry) string {
	return strings.TrimSpace(r.Status + " " + oneLine(r.Reply))
}

// oneLine joins lines.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// senderText is a reverse-path; the null one is <>.
func senderText(sender string) string {
	if sender == "" {
		return "<>"
	}
	return plain(sender)
}

// ageText is a time for people, in its largest unit: "42s", "12m", "5h", "3d".
func ageText(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// untilText says when the next try is.
func untilText(d time.Duration) string {
	if d < time.Second {
		return "due now"
	}
	return "in " + ageText(d)
}

// plural is n, and the word for one or for several.
func plural(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// queueSummary counts what is listed.
func queueSummary(rows []admin.QueueEntry) string {
	held := 0
	for _, r := range rows {
		if _, is := heldReason(r.State); is {
			held++
		}
	}
	text := count(messages(rows), "message") + ", " + count(len(rows), "recipient")
	if held > 0 {
		text += fmt.Sprintf("; %d held", held)
	}
	return text
}

// timeText is a time as logs and other commands have it, in the local zone.
func timeText(t time.Time) string { return t.Local().Format(time.DateTime) }

// printQueueDetail prints all about one message.
func (e *env) printQueueDetail(d admin.QueueDetail, now time.Time) {
	e.printf("Message %s\n", plain(d.ID))
	line := func(name, value string) {
		if value != "" {
			e.printf("  %-9s %s\n", name, plain(value))
		}
	}
	line("from", senderText(d.Sender))
	line("account", d.Account)
	line("client", d.Client)
	line("envid", d.EnvID)
	if !d.Created.IsZero() {
		line("accepted", timeText(d.Created)+", "+ageText(now.Sub(d.Created))+" ago")
	}
	if d.Size > 0 {
		line("size", showSize(d.Size))
	}
	switch {
	case d.RequireTLS:
		line("tls", "required all the way (REQUIRETLS)")
	case d.TLSOptional:
		line("tls", "what the recipient's domain asks for does not count (TLS-Required: No)")
	}
	if d.Priority != 0 {
		line("priority", fmt.Sprintf("%+d", d.Priority))
	}
	if !d.DeliverBy.IsZero() {
		then := ", then the sender is told"
		if d.DeliverByReturn {
			then = ", then it is returned"
		}
		line("until", timeText(d.DeliverBy)+then)
	}
	if len(d.Recipients) == 0 {
		e.printf("\nNobody waits for it any more.\n")
	} else {
		e.printf("\nWaiting:\n")
	}
	for _, r := range d.Recipients {
		e.printf("  %s: %s\n", plain(r.Recipient), plain(stateText(r, now)))
		if r.Reply != "" {
			e.printf("    %s\n", plain(lastReply(r)))
		}
	}
	if len(d.Events) > 0 {
		e.printf("\nHistory:\n")
	}
	for _, ev := range d.Events {
		e.printEvent(ev)
	}
}

// stateText is what happens next to a recipient.
func stateText(r admin.QueueEntry, now time.Time) string {
	text := r.State
	if r.State == "waiting" {
		text = fmt.Sprintf("next try %s (%s)", timeText(r.Due), untilText(r.Due.Sub(now)))
		if !r.Deadline.IsZero() {
			text += ", last try " + timeText(r.Deadline)
		}
	}
	if r.Attempts > 0 {
		text += ", " + plural(r.Attempts, "try", "tries") + " so far"
	}
	return text
}

// printEvent prints one thing that happened: what, then where, then what was said.
func (e *env) printEvent(ev admin.QueueEvent) {
	head := timeText(ev.At) + "  " + ev.Kind
	if ev.Recipient != "" {
		head += "  " + ev.Recipient
	}
	e.printf("  %s\n", plain(head))
	where := ev.Host
	if ev.Address != "" {
		where = strings.TrimSpace(where + " " + ev.Address)
	}
	if where != "" {
		switch {
		case ev.TLS != "":
			where += ", " + ev.TLS
		case ev.Code > 0: // else nobody may have been there
			where += ", without TLS"
		}
		e.printf("    %s\n", plain(where))
	}
	if ev.Policy != "" {
		e.printf("    TLS policy: %s\n", plain(ev.Policy))
	}
	said := ev.Status + " " + oneLine(ev.Reply)
	if ev.Code > 0 {
		said = strconv.Itoa(ev.Code) + " " + said
	}
	if said = oneLine(said); said != "" {
		e.printf("    %s\n", plain(said))
	}
}
