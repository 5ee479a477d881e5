package directory

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Address is a mail address in canonical form: two spellings of one mailbox are equal.
type Address struct {
	// Local is the local part in lower case and NFC, without quotes: at most 64 bytes,
	// RFC 5321 section 4.5.3.1.1; UTF-8 as RFC 6531 has it.
	Local string
	// Domain is in lower case and ASCII, international labels as A-labels (RFC 5890).
	Domain string
}

// ParseAddress reads "local@domain" as an admin or a config writes it: the local part
// a dot-atom or a quoted string, the domain in Unicode or A-labels, any case. The error
// is ErrInvalidAddress.
func ParseAddress(s string) (Address, error) {
	a, _, err := parse(s, false)
	if err != nil {
		return Address{}, err
	}
	return a, nil
}

// String is the address with the local part quoted where RFC 5321 asks for it.
// ParseAddress reads it back to the same Address.
func (a Address) String() string {
	if isDotAtom(a.Local) || a.Local == "" {
		return a.Local + "@" + a.Domain
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.Local) + `"@` + a.Domain
}

// parse also returns the local part's detail ("tag" in user+tag) in the sender's case.
// After an error in the local part, a.Domain is set and a.Local is not.
// When lenient, a local part that would have needed quotes is taken without (the SMTP
// library hands it over so).
func parse(s string, lenient bool) (a Address, detail string, err error) {
	a, local, err := parseKeepingCase(s, lenient)
	_, detail = splitDetail(local)
	return a, detail, err
}

// parseKeepingCase also returns the local part in the case in which it was written.
func parseKeepingCase(s string, lenient bool) (a Address, local string, err error) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return a, "", fmt.Errorf("%w: %q has no @; write user@domain", ErrInvalidAddress, bounded(s))
	}
	if a.Domain, err = ParseDomain(s[at+1:]); err != nil {
		return a, "", err
	}
	local = s[:at]
	switch {
	case len(local) >= 2 && local[0] == '"' && local[len(local)-1] == '"':
		var ok bool
		if local, ok = unquote(local[1 : len(local)-1]); !ok {
			return a, "", fmt.Errorf("%w: quotes in %q are not closed", ErrInvalidAddress, bounded(s))
		}
	case !isDotAtom(local) && !lenient:
		return a, "", fmt.Errorf("%w: %q needs quotes around what is before the @, or has a character too many", ErrInvalidAddress, bounded(s))
	}
	if !norm.NFC.IsNormalString(local) {
		local = norm.NFC.String(local)
	}
	lower := strings.ToLower(local)
	if !isASCII(lower) {
		lower = norm.NFC.String(lower)
	}
	if !validLocal(lower) {
		return a, "", fmt.Errorf("%w: what is before the @ of %q must be 1 to 64 bytes of text", ErrInvalidAddress, bounded(s))
	}
	a.Local = lower
	return a, local, nil
}

// ParseDomain returns the canonical form of a domain name: lower case, A-labels, no
// final dot. The error is ErrInvalidAddress; IP addresses and address literals are
// no domains.
func ParseDomain(s string) (string, error) {
	name := strings.TrimSuffix(s, ".")
	if len(name) > 0 && len(name) <= 253 && isASCII(name) {
		name = strings.ToLower(name)
		if !strings.Contains(name, "xn--") && plainDomain(name) {
			return name, nil
		}
	}
	if len(name) > 1000 || !utf8.ValidString(name) {
		return "", fmt.Errorf("%w: %q is no domain name", ErrInvalidAddress, bounded(s))
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.VerifyDNSLength(true))
	name, err := profile.ToASCII(name)
	if err != nil || !plainDomain(name) {
		return "", fmt.Errorf("%w: %q is no domain name", ErrInvalidAddress, bounded(s))
	}
	return name, nil
}

// DisplayDomain is a canonical domain name in Unicode, for a person to read.
func DisplayDomain(name string) string {
	if u, err := idna.Display.ToUnicode(name); err == nil {
		return u
	}
	return name
}

// plainDomain reports whether name is letters, digits and hyphens (RFC 1035 section
// 2.3.1, digits first allowed by RFC 1123) in labels of 1 to 63 bytes, and no IP address.
func plainDomain(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	if last := name[len(name)-1]; last >= '0' && last <= '9' {
		_, err := netip.ParseAddr(name)
		return err != nil && len(name) <= 253
	}
	return len(name) <= 253
}

// splitDetail cuts user+tag at the first plus; a local part that begins with one has no detail.
func splitDetail(local string) (base, detail string) {
	if i := strings.IndexByte(local, '+'); i > 0 {
		return local[:i], local[i+1:]
	}
	return local, ""
}

// isDotAtom is RFC 5321's Dot-string, with the non-ASCII characters of RFC 6531 section 3.3.
func isDotAtom(s string) bool {
	last := byte('.')
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= utf8.RuneSelf:
		case c == '.' && last != '.':
		case strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0:
		default:
			return false
		}
		last = c
	}
	return last != '.'
}

// unquote removes the backslashes of a quoted string's content, RFC 5321 section 4.1.2.
func unquote(s string) (string, bool) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, strings.IndexByte(s, '"') < 0
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return "", false
		case '\\':
			if i++; i == len(s) {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}

// validLocal bounds a local part and refuses what would fool a reader or break a line:
// control characters, line separators, marks that turn the direction of text.
func validLocal(s string) bool {
	if len(s) == 0 || len(s) > 64 || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		switch {
		case r < 0x20, r >= 0x7f && r < 0xa0, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfeff, r == utf8.RuneError:
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// bounded cuts what a stranger sent to a length fit for a message.
func bounded(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
