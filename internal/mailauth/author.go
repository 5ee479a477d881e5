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

// atHosts gives what follows each "@" outside of quotes and comments.
func atHosts(value string) []string {
	var hosts []string
	quoted, depth := false, 0
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\':
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth = max(depth-1, 0)
		case c == '@' && depth == 0:
			rest := strings.TrimLeft(value[i+1:], " \t")
			if strings.HasPrefix(rest, "(") {
				continue // as odd as it is right: the parser knows what follows
			}
			end := strings.IndexAny(rest, " \t,;:<>()[]\"@\\")
			if end < 0 {
				end = len(rest)
			}
			hosts = append(hosts, rest[:end])
		}
	}
	return hosts
}
