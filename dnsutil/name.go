package dnsutil

import (
	"errors"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// maxName is how long a name may be, in octets without the dot at the end (RFC 1035
// section 2.3.4), and maxTyped how long it may be before it is in A-labels.
const (
	maxName  = 253
	maxTyped = 1000
)

// Name gives a domain name in the form that the DNS takes: lower case, U-labels as
// A-labels (RFC 5891 section 5, mapped as UTS 46 says), no dot at the end. Labels are of
// letters, digits, hyphens and underscores, and the last is not a number: addresses are no
// names. The error is [ErrName].
func Name(name string) (string, error) {
	ascii := name
	var cause error
	if !isASCII(name) && len(name) <= maxTyped {
		profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false))
		if ascii, cause = profile.ToASCII(strings.ToValidUTF8(name, "\ufffd")); cause == nil {
			_, cause = profile.ToASCII(ascii) // finds letters that the first pass lets through
		}
	}
	ascii = strings.ToLower(strings.TrimSuffix(ascii, "."))
	if cause == nil && !isHostname(ascii) {
		cause = errors.New("syntax")
	}
	if cause != nil {
		return "", &Error{Name: name, Err: ErrName, Cause: cause}
	}
	return ascii, nil
}

// isHostname tells whether a name in lower case, without the dot at the end, is one that
// Name gives.
func isHostname(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	label := ""
	for more := true; more; {
		label, name, more = strings.Cut(name, ".")
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return strings.Trim(label, "0123456789") != ""
}

// hostname is Name for what stands in a record.
func hostname(fqdn string) (string, bool) {
	name := bare(dns.CanonicalName(fqdn))
	return name, isHostname(name)
}

// bare takes the dot at the end away.
func bare(fqdn string) string { return strings.TrimSuffix(fqdn, ".") }

func isASCII(s string) bool {
	for _, c := range []byte(s) {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
