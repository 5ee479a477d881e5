package dnsutil

import (
	"strings"

	"github.com/miekg/dns"
)

// textOf is the text of a TXT record, its strings put together without anything between
// (RFC 7208 section 3.3, RFC 6376 section 3.6.2.2); "" of another record.
func textOf(rr dns.RR) string {
	txt, ok := rr.(*dns.TXT)
	if !ok {
		return ""
	}
	return plain(strings.Join(txt.Txt, ""))
}

// textsOf are the texts of records.
func textsOf(records []dns.RR) []string {
	var all []string
	for _, rr := range records {
		all = append(all, textOf(rr))
	}
	return all
}

// tag is a part of a record such as "v=DMARC1; p=none".
type tag struct{ name, value string }

// tagList reads name=value pairs between semicolons, as DKIM, DMARC and TLS-RPT have them
// (RFC 6376 section 3.2), names in lower case. odd are the parts that are none.
func tagList(text string) (tags []tag, odd []string) {
	for part := range strings.SplitSeq(text, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			odd = append(odd, part)
			continue
		}
		tags = append(tags, tag{strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)})
	}
	return tags, odd
}

// valueOf is the value of the first tag of a name; "" if there is none.
func valueOf(tags []tag, name string) string {
	for _, t := range tags {
		if t.name == name {
			return t.value
		}
	}
	return ""
}

// versioned are the texts that begin as records of a kind do, and others of the same name
// do not. A space in front makes another text of it (RFC 7208 section 4.5, RFC 9989 section
// 4.8).
func versioned(texts []string, version string) []string {
	var all []string
	for _, t := range texts {
		rest, ok := strings.CutPrefix(strings.ToLower(t), strings.ToLower(version))
		if ok && (rest == "" || strings.ContainsAny(rest[:1], "; \t")) {
			all = append(all, t)
		}
	}
	return all
}
