package gate

import (
	"net/netip"
	"strings"
)

// fault is what is odd about the name in EHLO; no text: nothing.
type fault struct {
	text    string
	refused bool
}

// helloFault looks at the name in EHLO. Only our own name and address are sure signs of a
// liar; of all others RFC 5321 section 4.1.4 says that mail is not to be refused for it.
func (v *Visit) helloFault() fault {
	strict := v.g.o.StrictHELO
	name := strings.ToLower(strings.TrimSuffix(v.helo, "."))
	if ip, isLiteral := heloAddr(name); ip.IsValid() {
		switch {
		case v.g.o.Shared.own(ip):
			return fault{"which is this server's address", true}
		case !isLiteral:
			return fault{"an address without brackets and no host name", strict}
		case ip != v.ip:
			return fault{"which is not its address", strict}
		}
		return fault{}
	}
	switch {
	case name == strings.ToLower(v.g.o.Hostname):
		return fault{"which is this server's name", true}
	case name == "localhost" || strings.HasPrefix(name, "localhost."):
		return fault{"which is no name that others know it by", strict}
	case !isFullName(name):
		return fault{"which is no full host name", strict}
	}
	return fault{}
}

// heloAddr reads an address, in the brackets of a literal (RFC 5321 section 4.1.3) or
// without; the zero Addr: it is none.
func heloAddr(name string) (ip netip.Addr, isLiteral bool) {
	inner, isLiteral := strings.CutPrefix(name, "[")
	if isLiteral {
		inner = strings.TrimPrefix(strings.TrimSuffix(inner, "]"), "ipv6:")
	}
	ip, err := netip.ParseAddr(inner)
	if err != nil {
		return netip.Addr{}, isLiteral
	}
	return ip.Unmap(), isLiteral
}

// isFullName tells whether a name has two labels at least, of letters, digits, hyphens
// and, as they are found, underscores; letters beyond ASCII are those of SMTPUTF8.
func isFullName(name string) bool {
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(l, func(r rune) bool {
			return r < 0x80 && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return false
		}
	}
	return len(labels) > 1 && strings.Trim(labels[len(labels)-1], "0123456789") != ""
}
