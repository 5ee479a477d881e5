package dsn

import (
	"fmt"
	"strings"
	"time"
)

// maxDiagnostic bounds what a Diagnostic-Code field, and the words to the sender, quote
// of another server's reply.
const maxDiagnostic = 1 << 10

// maxAddress bounds an address in a report; longer ones are cut. RFC 5321 section
// 4.5.3.1 has 320 octets.
const maxAddress = 800

// deliveryStatus is the second part: what mail programs read (RFC 3464 section 2). It is
// global if it has to be in UTF-8 (RFC 6533 section 4).
func (r *Report) deliveryStatus() (text string, global bool) {
	for i := range r.Recipients {
		rc := &r.Recipients[i]
		_, orig, _ := decodeORCPT(rc.ORCPT)
		global = global || !isASCII(plain(rc.Address)) || !isASCII(orig)
	}
	var b strings.Builder
	if id, ok := Xtext(r.EnvID); ok && id != "" {
		if plain(id) != id || !isASCII(id) || len(id) > maxEnvID {
			id = shorten(r.EnvID, maxEnvID)
		}
		b.WriteString("Original-Envelope-Id: " + id + "\n")
	}
	b.WriteString("Reporting-MTA: dns; " + r.hostname() + "\n")
	if !r.Arrival.IsZero() {
		b.WriteString("Arrival-Date: " + date(r.Arrival) + "\n")
	}
	for i := range r.Recipients {
		b.WriteString("\n")
		r.Recipients[i].fields(&b, global)
	}
	return b.String(), global
}

// fields writes the group of one recipient (RFC 3464 section 2.3).
func (rc *Recipient) fields(b *strings.Builder, global bool) {
	if kind, addr, ok := decodeORCPT(rc.ORCPT); ok && addr != "" {
		// Runs of spaces; RFC 6533 section 3: what the type utf-8 is in a report in ASCII.
		if plain(addr) != addr || !global && strings.EqualFold(kind, "utf-8") {
			_, addr, _ = strings.Cut(rc.ORCPT, ";")
		}
		fmt.Fprintf(b, "Original-Recipient: %s; %s\n", shorten(kind, 64), shorten(addr, maxAddress))
	}
	addr := shorten(plain(rc.Address), maxAddress)
	kind := "rfc822"
	if !isASCII(addr) {
		kind = "utf-8"
	}
	fmt.Fprintf(b, "Final-Recipient: %s; %s\n", kind, addr)
	fmt.Fprintf(b, "Action: %s\nStatus: %s\n", rc.action(), rc.status())
	if h := host(rc.Host); h != "" {
		fmt.Fprintf(b, "Remote-MTA: dns; %s\n", h)
	}
	if text := rc.diagnostic(); text != "" {
		if !global {
			text = escape(text)
		}
		b.WriteString(fold("Diagnostic-Code", text))
	}
	if !rc.LastAttempt.IsZero() {
		b.WriteString("Last-Attempt-Date: " + date(rc.LastAttempt) + "\n")
	}
	if rc.action() == Delayed && !rc.Until.IsZero() {
		b.WriteString("Will-Retry-Until: " + date(rc.Until) + "\n")
	}
}

// diagnostic is the value of the Diagnostic-Code field: the reply of the other server, or
// our own words under a type of our own (RFC 3464 section 2.1.2); "" for none.
func (rc *Recipient) diagnostic() string {
	text := shorten(plain(rc.Text), maxDiagnostic)
	switch {
	case rc.Code != 0:
		return plain("smtp; " + rc.replied() + " " + text)
	case text != "":
		return "x-kurir; " + text
	}
	return ""
}

// action is the Action, or Failed for none that is known.
func (rc *Recipient) action() Action {
	switch rc.Action {
	case Delayed, Delivered, Expanded, Relayed:
		return rc.Action
	}
	return Failed
}

// status is the Status if it is one (RFC 3463 section 2), or what the Action implies.
func (rc *Recipient) status() string {
	if validStatus(rc.Status) {
		return rc.Status
	}
	switch rc.action() {
	case Delayed:
		return "4.0.0"
	case Delivered, Expanded, Relayed:
		return "2.0.0"
	}
	return "5.0.0"
}

// validStatus tells whether s is class "." subject "." detail.
func validStatus(s string) bool {
	class, rest, _ := strings.Cut(s, ".")
	subject, detail, _ := strings.Cut(rest, ".")
	return (class == "2" || class == "4" || class == "5") && upTo999(subject) && upTo999(detail)
}

func upTo999(s string) bool {
	return s != "" && len(s) <= 3 && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// replied is the code of the other server and, if it seems to be its own, the status.
// One that only repeats the class, or says that time is up, is left out: it may be ours.
func (rc *Recipient) replied() string {
	code := fmt.Sprintf("%03d", max(0, min(rc.Code, 999)))
	if s := rc.status(); s[0] == code[0] && !strings.HasSuffix(s, ".0.0") && !strings.HasSuffix(s, ".4.7") {
		return code + " " + s
	}
	return code
}

// hostname is the name of this server as fields have it.
func (r *Report) hostname() string {
	if h := host(r.Hostname); h != "" {
		return h
	}
	return "localhost"
}

// date is a date-time (RFC 5322 section 3.3).
func date(t time.Time) string { return t.Format(time.RFC1123Z) }
