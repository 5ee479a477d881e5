package mailauth

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// maxSPFRecord is how long a record may be in octets. RFC 7208 section 3.4 advises 450.
const maxSPFRecord = 8 << 10

// The grammar of RFC 7208 section 12.
const (
	spfMacro    = `%(?:\{[slodiphv](?:0*[1-9][0-9]*)?r?[-.+,/_=]*\}|[-%_])`
	spfAnyMacro = `%(?:\{[slodiphvcrt](?:0*[1-9][0-9]*)?r?[-.+,/_=]*\}|[-%_])`
	spfLiteral  = `[\x21-\x24\x26-\x7e]`
	spfTop      = `(?:[0-9a-z]*[a-z][0-9a-z]*|[0-9a-z]+-[0-9a-z-]*[0-9a-z])`
	spfDomain   = `(?:` + spfMacro + `|` + spfLiteral + `)*(?:\.` + spfTop + `\.?|` + spfMacro + `)`
	spfLength   = `(?:0|[1-9][0-9]{0,2})`
)

var (
	spfDirective = regexp.MustCompile(`^(?i:[-+?~]?(?:all|(?:include|exists):` + spfDomain + `|ptr(?::` + spfDomain + `)?` +
		`|(?:a|mx)(?::` + spfDomain + `)?(?:/(` + spfLength + `))?(?://(` + spfLength + `))?` +
		`|(ip4:[0-9.]+|ip6:[0-9a-f:.]+)(?:/(` + spfLength + `))?))$`)
	spfModifier = regexp.MustCompile(`^(?i:(redirect|exp)=` + spfDomain + `)$`)
	spfUnknown  = regexp.MustCompile(`^(?i:([a-z][a-z0-9._-]*)=(?:` + spfAnyMacro + `|` + spfLiteral + `)*)$`)
)

// spfRecord is a record as the spf package should see it: itself, or one with an error in
// its first term if there is an error anywhere, which has to be found before the first term
// that matches (RFC 7208 section 4.6). Records of other kinds stay.
func spfRecord(txt string) string {
	version, terms, _ := strings.Cut(txt, " ")
	if !strings.EqualFold(version, "v=spf1") {
		return txt
	}
	if len(txt) > maxSPFRecord {
		return version + " ="
	}
	seen := map[string]bool{}
	for term := range strings.SplitSeq(terms, " ") {
		if term != "" && !isSPFTerm(term, seen) {
			return version + " ="
		}
	}
	return txt
}

// isSPFTerm tells whether a term is one. Modifiers that must not come twice are noted in
// seen.
func isSPFTerm(term string, seen map[string]bool) bool {
	if m := spfDirective.FindStringSubmatch(term); m != nil {
		return isLength(m[1], 32) && isLength(m[2], 128) && isNetwork(m[3], m[4])
	}
	if m := spfModifier.FindStringSubmatch(term); m != nil {
		name := strings.ToLower(m[1])
		twice := seen[name]
		seen[name] = true
		return !twice
	}
	m := spfUnknown.FindStringSubmatch(term)
	return m != nil && !strings.EqualFold(m[1], "redirect") && !strings.EqualFold(m[1], "exp")
}

// isLength tells whether s is "" or a prefix length up to most.
func isLength(s string, most int) bool {
	n, err := strconv.Atoi(s)
	return s == "" || err == nil && n <= most
}

// isNetwork tells whether s is "", or an address behind "ip4:" or "ip6:" with a length that
// it can have.
func isNetwork(s, length string) bool {
	if s == "" {
		return true
	}
	a, err := netip.ParseAddr(s[len("ip4:"):])
	is4 := s[2] == '4'
	return err == nil && a.Is4() == is4 && isLength(length, a.BitLen())
}
