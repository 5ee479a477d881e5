package policy

import (
	"fmt"
	"strings"

	"kurir/internal/mailauth"
)

// maxReason bounds a reason, which is part of a reply, in octets: RFC 5321 section
// 4.5.3.1.5 allows a line of 512.
const maxReason = 450

// orElse is s, or other if s is empty.
func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// owner names the author's domain, and whose record of DMARC speaks for it.
func owner(f facts) string {
	if by := f.dmarc.Domain; by != "" && by != f.from {
		return fmt.Sprintf("%s (by the record of %s)", f.from, by)
	}
	return f.from
}

// proof says what proves the author's domain.
func proof(f facts) string {
	var by []string
	for _, d := range f.dkim {
		if d.Result == mailauth.Pass && related(d.Domain, f.from) {
			by = append(by, "DKIM signature of "+d.Domain)
			break
		}
	}
	if f.spf.Result == mailauth.Pass && related(f.spf.Domain, f.from) {
		by = append(by, "SPF of "+f.spf.Domain)
	}
	if len(by) == 0 {
		return "DMARC passed"
	}
	return strings.Join(by, ", ")
}

// maxSaid is how many signatures a reason speaks of.
const maxSaid = 2

// whyNot says why nothing proves the author's domain.
func whyNot(f facts) string {
	var why []string
	switch s := f.spf; s.Result {
	case "":
		why = append(why, "SPF was not checked, for the client's address stands for everybody")
	case mailauth.None:
		why = append(why, fmt.Sprintf("%s has no SPF", orElse(s.Domain, "the sender")))
	case mailauth.Pass:
		why = append(why, fmt.Sprintf("SPF passed, but for %s", s.Domain))
	default:
		why = append(why, fmt.Sprintf("SPF of %s: %s", orElse(s.Domain, "the sender"), result(s.Result, s.Reason)))
	}
	for i, d := range f.dkim {
		switch {
		case i == maxSaid:
			why = append(why, fmt.Sprintf("%d more DKIM signatures", len(f.dkim)-i))
			return strings.Join(why, "; ")
		case d.Result == mailauth.Pass:
			why = append(why, fmt.Sprintf("DKIM signature of %s is good, but for another domain", d.Domain))
		default:
			why = append(why, fmt.Sprintf("DKIM signature of %s: %s", orElse(d.Domain, "nobody"), result(d.Result, d.Reason)))
		}
	}
	if len(f.dkim) == 0 {
		why = append(why, "no DKIM signature")
	}
	return strings.Join(why, "; ")
}

// result is a word and what it is about.
func result(r mailauth.Result, reason string) string {
	if reason == "" {
		return string(r)
	}
	return fmt.Sprintf("%s (%s)", r, reason)
}

// plain makes text fit for a reply and for a header: printable ASCII, of bounded length.
func plain(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case b.Len() > maxReason-4:
			return strings.TrimSpace(b.String()) + " ..."
		case r == '\r' || r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r < ' ' || r > '~':
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
