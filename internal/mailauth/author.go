package mailauth

import (
	"errors"
	"fmt"
	"strings"

	"kurir/dnsutil"
	"kurir/internal/mailauth/sig"
	"kurir/internal/message"
)

// AuthorDomain gives the one domain of the From field of a raw header, in A-labels and
// lower case (RFC 9989 section 4.3.1, RFC 5322 section 3.6.2). Errors say in words why
// there is none: the field is missing or there twice, it has no address, an address has no
// domain or one that is none, or there are several domains.
func AuthorDomain(header []byte) (string, error) {
	var from []message.Field
	for f := range message.Fields(header) {
		if strings.EqualFold(f.Name, "From") {
			from = append(from, f)
		}
	}
	switch len(from) {
	case 0:
		return "", errors.New("there is no From field")
	case 1:
		return fromDomain(from[0].Value())
	}
	return "", fmt.Errorf("there are %d From fields", len(from))
}

// fromDomain gives the one domain of the value of a From field. Mail programs do not agree
// on what a field means that is not well-formed: whatever follows an "@" in it has to be
// of that domain, too, unless it is quoted or a comment.
func fromDomain(value string) (string, error) {
	domain := ""
	hosts := atHosts(value)
	for _, a := range message.ParseAddressList(value) {
		if a.Host != "" { // not the beginning or end of a group
			hosts = append(hosts, a.Host)
		}
	}
	for _, host := range hosts {
		ascii, err := dnsutil.Name(host)
		if err != nil || host == "MISSING_DOMAIN" || host == "SYNTAX_ERROR" { // see message.Address
			return "", fmt.Errorf("the From field has an address without a domain: %s", sig.Shown(value))
		}
		if domain != "" && ascii != domain {
			return "", fmt.Errorf("the From field has addresses of several domains: %s and %s", domain, ascii)
		}
		domain = ascii
	}
	if domain == "" {
		return "", fmt.Errorf("the From field has no address: %s", sig.Shown(value))
	}
	return domain, nil
}

// atHosts gives what follows each "@" outside of quotes and comments, behind blanks and
// comments. Quotes and comments count as such if they have an end, quotes only before an
// address: behind one there may be none, and programs differ about what they are then.
func atHosts(value string) []string {
	var hosts []string
	address, awaited := false, false // behind an "@"; right behind it
	open, unquoted := false, false   // a comment without an end was found, or a quote
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == '(' && !open {
			end, ok := message.CommentEnd(value, i)
			if open = !ok; ok {
				i = end
				continue
			}
		}
		if awaited && c != ' ' && c != '\t' {
			hosts, awaited = append(hosts, hostAt(value[i:])), false
		}
		switch {
		case c == ',' || c == ';':
			address = false
		case c == '"' && !address && !unquoted:
			end, ok := message.QuotedEnd(value, i)
			if unquoted = !ok; ok {
				i = end
			}
		case c == '@':
			address, awaited = true, true
		}
	}
	if awaited {
		hosts = append(hosts, "")
	}
	return hosts
}

// hostAt is the host at the beginning of s.
func hostAt(s string) string {
	if end := strings.IndexAny(s, " \t,;:<>()[]\"@\\"); end >= 0 {
		return s[:end]
	}
	return s
}
