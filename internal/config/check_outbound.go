package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// checkOutbound looks at what is about mail that leaves.
func (l *loader) checkOutbound() {
	c := l.c
	l.checkMailAddress("admin", c.Admin)
	l.checkServers()
	l.checkOwnAddresses()
	l.oneOf("dns.trusted", c.DNS.Trusted, "auto", "yes", "no")
	l.checkRelay()
	for i, r := range l.routes {
		l.checkRoute(fmt.Sprintf("route[%d]", i+1), r)
	}
	l.checkDestinations()
	l.checkDevices()
}

// checkMailAddress wants a whole address, or nothing.
func (l *loader) checkMailAddress(key, address string) {
	if address == "" {
		return
	}
	if a, err := mail.ParseAddress(address); err != nil || a.Name != "" || a.Address != address {
		l.wrong(key, "%q is not a mail address, such as \"alice@example.com\"", address)
	}
}

// checkOwnAddresses looks at what this server is said to be reached by.
func (l *loader) checkOwnAddresses() {
	for _, s := range l.c.DNS.Addresses {
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil || a.Zone() != "":
			l.wrong("dns.addresses", `%q is not an address, such as "192.0.2.25" or "2001:db8::25"`, s)
		case a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast():
			l.wrong("dns.addresses", "%s is an address that nobody outside can reach: give the one that the world sees", s)
		}
	}
}

// checkServers looks at the resolvers. They cannot be names, which nobody would look up.
func (l *loader) checkServers() {
	for _, s := range l.c.DNS.Servers {
		_, err := netip.ParseAddr(s)
		if err != nil {
			var ap netip.AddrPort
			if ap, err = netip.ParseAddrPort(s); err == nil && ap.Port() == 0 {
				err = fmt.Errorf("no port")
			}
		}
		if err != nil {
			l.wrong("dns.servers", `%q is not an address, such as "192.0.2.53", "192.0.2.53:5353" or "[2001:db8::53]:53"`, s)
		}
	}
}

func (l *loader) checkRelay() {
	r := &l.c.Relay
	if strings.EqualFold(r.Smarthost.Address, "mx") { // as a route would have it
		r.Smarthost.Address = ""
	}
	l.checkSmarthost(keysOfRelay, &r.Smarthost)
	if strings.EqualFold(r.Fallback.Address, "mx") {
		l.wrong("relay.fallback", "\"mx\" is what is tried before: name a smarthost")
	}
	l.checkSmarthost(keysOfFallback, &r.Fallback)
	if !r.IPv4 && !r.IPv6 {
		key := "relay.ipv4"
		if l.given("relay.ipv6") {
			key = "relay.ipv6"
		}
		l.wrong(key, "relay.ipv4 and relay.ipv6 are both false: no other server could be reached")
	}
	if a := r.SourceIPv4; a.IsValid() && !a.Is4() {
		l.wrong("relay.source_ipv4", "%s is not an IPv4 address", a)
	}
	if a := r.SourceIPv6; a.IsValid() && !a.Is6() {
		l.wrong("relay.source_ipv6", "%s is not an IPv6 address", a)
	}
	if r.RetryMost < r.RetryFirst {
		if l.given("relay.retry_most") {
			l.wrong("relay.retry_most", "must be relay.retry_first (%s) or more", formatDuration(r.RetryFirst))
		}
		r.RetryMost = r.RetryFirst
	}
}

// smarthostKeys are the keys by which a smarthost is set.
type smarthostKeys struct{ address, tls, username, password, file string }

var keysOfRelay = smarthostKeys{"relay.smarthost", "relay.smarthost_tls", "relay.smarthost_username", "relay.smarthost_password", "relay.smarthost_password_file"}

var keysOfFallback = smarthostKeys{"relay.fallback", "relay.fallback_tls", "relay.fallback_username", "relay.fallback_password", "relay.fallback_password_file"}

func keysOfRoute(name string) smarthostKeys {
	return smarthostKeys{name + ".smarthost", name + ".tls", name + ".username", name + ".password", name + ".password_file"}
}

// checkSmarthost looks at a smarthost, and gives it its port.
func (l *loader) checkSmarthost(k smarthostKeys, h *Smarthost) {
	l.oneOf(k.tls, h.TLS, TLSStartTLS, TLSImplicit, TLSOpportunistic, TLSNone)
	if h.Address != "" && h.Address != "mx" {
		address, err := smarthostAddress(h.Address, h.TLS)
		if err != nil {
			l.wrong(k.address, "%v", err)
		} else {
			h.Address = address
		}
	}
	l.checkLogin(k, h)
}

// checkLogin wants all of a login or nothing.
func (l *loader) checkLogin(k smarthostKeys, h *Smarthost) {
	_, user, _ := cutLast(k.username)
	_, password, _ := cutLast(k.password)
	_, file, _ := cutLast(k.file)
	set := h.Username != "" || !h.Password.Empty() || h.PasswordFile != ""
	switch {
	case set && h.Address == "mx":
		l.wrong(l.first(k.username, k.password, k.file), "means nothing with smarthost = \"mx\": no login is made at the mail servers of other domains")
	case set && h.Address == "":
		l.wrong(l.first(k.username, k.password, k.file), "means nothing without %s: whom is the login for?", k.address)
	case set && h.Username == "":
		l.wrong(l.first(k.password, k.file), "needs %s as well", user)
	case set && h.Password.Empty() && h.PasswordFile == "":
		l.wrong(k.username, "needs %s or %s as well", password, file)
	case !h.Password.Empty() && h.PasswordFile != "":
		l.wrong(k.file, "excludes %s: remove one of them", password)
	case !h.Password.Empty():
		if err := checkPassword(h.Password.Reveal()); err != nil {
			l.wrong(k.password, "%v", err)
		}
	}
}

// first is the first of keys that was set; the last if none was.
func (l *loader) first(keys ...string) string {
	for _, k := range keys {
		if l.given(k) {
			return k
		}
	}
	return keys[len(keys)-1]
}

// smarthostAddress completes "host" or "host:port" to host:port.
func smarthostAddress(text, tls string) (string, error) {
	port := "587" // RFC 6409 section 3.1
	if tls == TLSImplicit {
		port = "465" // RFC 8314 section 3.3
	}
	host := text
	if h, p, err := net.SplitHostPort(text); err == nil && !strings.ContainsAny(text, "/@") { // no URL, no login
		host, port = h, p
	} else if inner, ok := strings.CutPrefix(text, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q: the port must be a number from 1 to 65535", text)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return net.JoinHostPort(ip.String(), port), nil
	}
	name, err := domainName(host)
	if err != nil {
		return "", fmt.Errorf(`%q is neither a host nor host:port, such as "smtp.example.net" or "smtp.example.net:587"`, text)
	}
	return net.JoinHostPort(name, port), nil
}

// domainName is a domain or host as A-labels in lower case.
func domainName(text string) (string, error) {
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(text, "."))
	if err == nil && !isHostname(name) {
		err = fmt.Errorf("%q is not a name", text)
	}
	return strings.ToLower(name), err
}

// checkRoute looks at one [[route]], and fills in its TLS.
func (l *loader) checkRoute(name string, r *Route) {
	h := &r.Smarthost
	if strings.EqualFold(h.Address, "mx") {
		h.Address = "mx"
	}
	switch {
	case h.Address == "" && !l.bad(name+".smarthost"):
		l.wrong(l.first(name+".smarthost", name), "smarthost is missing: the server that takes this mail, or \"mx\"")
	case h.Address == "mx" && h.TLS == TLSImplicit:
		l.wrong(name+".tls", "mail servers of other domains have no port with TLS from the start: write \"starttls\"")
	}
	if h.TLS == "" {
		h.TLS = TLSStartTLS
		if h.Address == "mx" {
			h.TLS = TLSOpportunistic
		}
	}
	l.checkSmarthost(keysOfRoute(name), h)
	l.checkDomains(name+".recipients", r.Recipients)
	l.checkDomains(name+".senders", r.Senders)
}

// checkDomains looks at the domains of a route, and writes them as A-labels.
func (l *loader) checkDomains(key string, domains []string) {
	for i, d := range domains {
		rest, below := strings.CutPrefix(d, "*.")
		name, err := domainName(rest)
		switch {
		case strings.Contains(d, "@"):
			l.wrong(key, "%q is an address: write its domain alone, such as \"example.net\"", d)
		case err != nil:
			l.wrong(key, "%q is not a domain, such as \"example.net\" or \"*.example.net\"", d)
		case below:
			domains[i] = "*." + name
		default:
			domains[i] = name
		}
	}
}

// checkDevices looks at each [[device]]. A network as wide as the Internet would be an
// open relay, which is found and used by spammers within hours.
func (l *loader) checkDevices() {
	taken := map[netip.Prefix]string{}
	for i, d := range l.devices {
		name := fmt.Sprintf("device[%d]", i+1)
		if len(d.Networks) == 0 && !l.bad(name+".networks") {
			l.wrong(l.first(name+".networks", name), "networks is missing: where the devices are, such as [\"192.168.1.0/24\"]")
		}
		if d.Account == "" && !l.bad(name+".account") {
			l.wrong(l.first(name+".account", name), "account is missing: the account that the devices send as")
		}
		l.checkMailAddress(name+".account", d.Account)
		d.Account = strings.ToLower(d.Account)
		for _, p := range d.Networks {
			if tooWide(p) {
				l.wrong(name+".networks", "%s is a good part of the Internet: everyone there could send mail to anywhere through this server, an open relay. Name the networks of the devices alone, such as \"192.168.1.0/24\"", p)
			}
			if was := taken[p]; was != "" {
				l.wrong(name+".networks", "%s is there twice, first in %s", p, was)
			}
			taken[p] = name
		}
	}
}

// tooWide tells whether a network is more than one organisation may have.
func tooWide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < 8
	}
	// Addresses that stand for all of IPv4: RFC 4291 section 2.5.5, RFC 6052 section 2.1.
	for _, v4 := range []string{"::/96", "::ffff:0:0/96", "64:ff9b::/96"} {
		if all := netip.MustParsePrefix(v4); all.Overlaps(p) && p.Bits() < all.Bits()+8 {
			return true
		}
	}
	return p.Bits() < 32
}

// privateNet tells whether a network is of addresses that nobody has on the Internet.
func privateNet(p netip.Prefix) bool {
	a := p.Addr()
	shared := netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || shared.Contains(a) && p.Bits() >= shared.Bits()
}

// outboundWarnings are those about mail that leaves.
func (c *Config) outboundWarnings(add func(format string, args ...any)) {
	login := func(key string, h Smarthost) {
		if h.Username == "" {
			return
		}
		host, _, _ := net.SplitHostPort(h.Address)
		ip, _ := netip.ParseAddr(host)
		if !ip.IsLoopback() && host != "localhost" && (h.TLS == TLSNone || h.TLS == TLSOpportunistic) {
			add("%s is %q: the password for %s can be read on the way", key, h.TLS, host)
		}
		if c.public && !h.Password.Empty() {
			add("%s: every user of this machine can read the configuration file with the password for %s: chmod o-r, or use a password file", strings.TrimSuffix(key, "tls")+"password", host)
		}
	}
	port := func(key string, h Smarthost) {
		switch _, port, _ := net.SplitHostPort(h.Address); {
		case port == "465" && h.TLS != TLSImplicit:
			add("%s is %q, but on port 465 TLS is there from the start: write \"tls\", or take port 587", key, h.TLS)
		case (port == "25" || port == "587") && h.TLS == TLSImplicit:
			add("%s is \"tls\", but on port %s TLS begins with STARTTLS: write \"starttls\", or take port 465", key, port)
		}
	}
	for _, s := range c.DNS.Servers {
		ip, err := netip.ParseAddr(s)
		if ap, apErr := netip.ParseAddrPort(s); err != nil && apErr == nil {
			ip, err = ap.Addr(), nil
		}
		if c.DNS.Trusted == "yes" && err == nil && !privateNet(netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen())) {
			add("dns.trusted is \"yes\", but %s is on the Internet: whoever can change what comes from there on its way can forge what DNSSEC should prove", s)
		}
	}
	login("relay.smarthost_tls", c.Relay.Smarthost)
	port("relay.smarthost_tls", c.Relay.Smarthost)
	login("relay.fallback_tls", c.Relay.Fallback)
	port("relay.fallback_tls", c.Relay.Fallback)
	if c.Relay.Fallback.Address != "" && c.Relay.Smarthost.Address != "" && !slices.ContainsFunc(c.Routes, func(r Route) bool { return r.Smarthost.Address == "mx" }) {
		add("relay.fallback is never used: relay.smarthost takes all mail")
	}
	for i, r := range c.Routes {
		login(fmt.Sprintf("route[%d].tls", i+1), r.Smarthost)
		port(fmt.Sprintf("route[%d].tls", i+1), r.Smarthost)
		if len(r.Recipients)+len(r.Senders) == 0 && i+1 < len(c.Routes) {
			add("route[%d] takes all mail: those behind it are never used", i+1)
			break
		}
	}
	for i, d := range c.Devices {
		if at := slices.IndexFunc(d.Networks, func(p netip.Prefix) bool { return !privateNet(p) }); at >= 0 {
			add("device[%d].networks has %s, which is part of the Internet: whoever has an address there can send as %s", i+1, d.Networks[at], d.Account)
		}
	}
	if c.Relay.GiveUp < 4*day {
		add("relay.give_up is %s: other servers may be down for longer (RFC 5321 section 4.5.4.1 asks for 4 to 5 days)", formatDuration(c.Relay.GiveUp))
	}
}
