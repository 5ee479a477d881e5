package dnsutil

import (
	"fmt"
	"strings"
)

// Zone is the records as a piece of a zone file (RFC 1035 section 5) that servers load as
// it stands, each with its sentence in a comment. Records that belong to another zone, and
// unless all is set those that are optional, are comments themselves.
func (s Site) Zone(all bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "; What the DNS should say of mail for %s, on the server %s.\n", s.Domain, s.Host)
	fmt.Fprintf(&b, "; These lines belong into the zone of %s.\n", s.Domain)
	why := ""
	for _, r := range s.Records() {
		if r.rr == nil {
			continue
		}
		if r.Why != why {
			fmt.Fprintf(&b, "\n; %s\n", r.Why)
			why = r.Why
		}
		line := r.ZoneLine()
		if r.Elsewhere && r.Type != "PTR" {
			line = "in the zone of " + s.Host + ":  " + line
		}
		if r.Elsewhere || r.Need == Optional && !all {
			line = "; " + line
		}
		b.WriteString(line + "\n")
	}
	if s.PolicyHost != "" {
		fmt.Fprintf(&b, "\n; The policy, for %s:\n", s.PolicyURL())
		for line := range strings.Lines(s.Policy()) {
			b.WriteString(";   " + line)
		}
	}
	return b.String()
}

// ZoneLine is the record as a line of a zone file, without an end of line; long texts are
// in several strings.
func (r Record) ZoneLine() string {
	if r.rr == nil {
		return ""
	}
	return strings.ReplaceAll(r.rr.String(), "\t", " ")
}
