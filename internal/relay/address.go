package relay

import (
	"net/netip"
	"strconv"
	"strings"

	"kurir/dnsutil"
)

// split takes an address apart at its last "@". Without one, all is the local part.
func split(address string) (local, domain string) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address, ""
	}
	return address[:at], address[at+1:]
}

// domainOf is the domain of an address in A-labels and lower case, a literal as literal
// prints it; what is neither is in lower case. "" if there is none.
func domainOf(address string) string {
	_, domain := split(address)
	if a, ok := parseLiteral(domain); ok {
		return literal(a)
	}
	lower := strings.ToLower(domain)
	for _, d := range []string{domain, lower} { // some capitals have no place in a name, their small letters have
		if name, err := dnsutil.Name(d); err == nil {
			return name
		}
	}
	return lower
}

// literal prints an address as a domain (RFC 5321 section 4.1.3).
func literal(a netip.Addr) string {
	if a.Is4() {
		return "[" + a.String() + "]"
	}
	return "[IPv6:" + a.String() + "]"
}

// parseLiteral reads "[192.0.2.1]" or "[IPv6:2001:db8::1]".
func parseLiteral(domain string) (netip.Addr, bool) {
	if !isLiteral(domain) {
		return netip.Addr{}, false
	}
	text, tag := domain[1:len(domain)-1], "ipv6:"
	six := len(text) > len(tag) && strings.EqualFold(text[:len(tag)], tag)
	if six {
		text = text[len(tag):]
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is4() == six {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

func isLiteral(domain string) bool {
	return len(domain) > 2 && domain[0] == '[' && domain[len(domain)-1] == ']'
}

// asciiAddress is an address with its domain in A-labels. ok is false if the local part is
// not ASCII, or the domain no domain: it can be sent with SMTPUTF8 only.
func asciiAddress(address string) (ascii string, ok bool) {
	if isASCII(address) {
		return address, true
	}
	local, domain := split(address)
	name, err := dnsutil.Name(domain)
	if err != nil || !isASCII(local) {
		return address, false
	}
	return local + "@" + name, true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// asciiORCPT is the parameter ORCPT without UTF-8: an address of the type utf-8 is
// encoded (RFC 6533 section 3), another is left out.
func asciiORCPT(orcpt string) string {
	if isASCII(orcpt) {
		return orcpt
	}
	kind, address, _ := strings.Cut(orcpt, ";")
	if !strings.EqualFold(kind, "utf-8") || !isASCII(kind) {
		return ""
	}
	var b strings.Builder
	b.WriteString(kind + ";")
	for _, c := range address {
		if c < 0x80 {
			b.WriteRune(c)
			continue
		}
		b.WriteString(`\x{` + strings.ToUpper(strconv.FormatInt(int64(c), 16)) + `}`)
	}
	return b.String()
}
