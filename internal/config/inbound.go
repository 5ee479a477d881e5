package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Proxy says which proxies this server is behind.
type Proxy struct {
	Networks []netip.Prefix // their connections begin with a header of the PROXY protocol
}

// Inbound is what strangers meet on port 25 before their messages.
type Inbound struct {
	Allow, Block []string // senders' addresses, domains ("example.com", ".example.com") and networks

	DNSBL, DNSWL []string // as ParseDNSList reads them
	DNSBLRefuse  int      // sum of weights that is refused; less goes to Junk; 0 refuses nothing

	Greylist      bool
	GreylistDelay time.Duration

	StrictHELO bool // a name that is no full host name is refused

	// From one address; a /24 may four times as much. 0 is no limit.
	ConnectionsMinute, MessagesHour, RefusalsHour int
}

// defaultInbound is the least that an empty file has.
func defaultInbound() Inbound {
	return Inbound{
		Allow: []string{}, Block: []string{}, DNSBL: []string{}, DNSWL: []string{}, DNSBLRefuse: 1,
		GreylistDelay: 5 * time.Minute, ConnectionsMinute: 300, MessagesHour: 10_000, RefusalsHour: 300,
	}
}

// inboundFields are the keys of [inbound] and [proxy].
func inboundFields(c *Config) []field {
	i := &c.Inbound
	return []field{
		{key: "inbound.allow", target: &i.Allow,
			doc: "Who is let in whatever the lists and limits of this section say: networks, domains of\nsenders (\".example.com\" is example.com and all below it) and their addresses. The most exact\nof the entries here and in block decides: an address, then a domain, then a network."},
		{key: "inbound.block", target: &i.Block, doc: "Who is refused, in the same form."},
		{key: "inbound.dnsbl", target: &i.DNSBL,
			doc: "Lists of spam sources in the DNS, such as \"zen.spamhaus.org=127.0.0.2-11\" (only these\nanswers count) or \"bl.example.net*2\" (which counts twice). Mind their terms of use; most\nanswer only resolvers of your own. For: kurir check."},
		{key: "inbound.dnsbl_refuse", target: &i.DNSBLRefuse, least: none,
			doc: "Clients whose lists count so much together are refused; others that are listed have their\nmail put into Junk. 0 refuses nobody."},
		{key: "inbound.dnswl", target: &i.DNSWL,
			doc: "Lists of good clients, such as \"list.dnswl.org=127.0.0.0-127.0.255.3\", which DNSBLs and greylisting let pass."},
		{key: "inbound.greylist", target: &i.Greylist,
			doc: "Whether unknown clients are told to come again later, as spammers do not. It delays the\nfirst mail of each correspondent."},
		{key: "inbound.greylist_delay", target: &i.GreylistDelay, least: int64(time.Second), doc: "How much later."},
		{key: "inbound.strict_helo", target: &i.StrictHELO,
			doc: "Whether clients that call themselves by no full host name are refused. Misconfigured\nservers are hit as well as spammers."},
		{key: "inbound.connections_minute", target: &i.ConnectionsMinute, least: none,
			doc: "Connections that one IPv4 address or IPv6 /64 may make within a minute. An IPv4 /24 may\nfour times as many, here and below. 0 is no limit."},
		{key: "inbound.messages_hour", target: &i.MessagesHour, least: none, doc: "Messages that it may send within an hour."},
		{key: "inbound.refusals_hour", target: &i.RefusalsHour, least: none,
			doc: "Refusals, such as recipients that do not exist, that it may get within an hour; each message\nthat is taken makes up for one. After them it is kept out for a while."},

		{key: "proxy.networks", target: &c.Proxy.Networks,
			doc: "Networks of proxies in front of this server that send a header of the PROXY protocol\n(version 1 or 2) on every port: HAProxy, Traefik, nginx. Connections from there without it\nare refused; from elsewhere it is never believed."},
	}
}

// checkInbound looks at what strangers meet, and at the proxies.
func (l *loader) checkInbound() {
	i := &l.c.Inbound
	for _, list := range []struct {
		key   string
		zones []string
	}{{"inbound.dnsbl", i.DNSBL}, {"inbound.dnswl", i.DNSWL}} {
		if len(list.zones) > maxDNSLists {
			l.wrong(list.key, "has %d lists: %d is the most", len(list.zones), maxDNSLists)
		}
		for _, text := range list.zones {
			if _, err := ParseDNSList(text); err != nil {
				l.wrong(list.key, "%v", err)
			}
		}
	}
	for _, text := range i.Allow {
		if err := checkCaller(text); err != nil {
			l.wrong("inbound.allow", "%v", err)
		}
	}
	for _, text := range i.Block {
		if err := checkCaller(text); err != nil {
			l.wrong("inbound.block", "%v", err)
		}
		if slices.ContainsFunc(i.Allow, func(a string) bool { return strings.EqualFold(a, text) }) {
			l.wrong("inbound.block", "%q is in inbound.allow as well", text)
		}
	}
	if i.GreylistDelay > 4*time.Hour {
		l.wrong("inbound.greylist_delay", "must be 4h or less: senders' servers wait longer and longer, and some give up")
	}
	for _, p := range l.c.Proxy.Networks {
		if p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 32 {
			l.wrong("proxy.networks", "%v is too wide: nobody but the proxies should be in it", p)
		}
	}
}

// inboundWarnings are about what is allowed but unwise.
func (c *Config) inboundWarnings(add func(string, ...any)) {
	for _, p := range c.Proxy.Networks {
		if !p.Addr().IsPrivate() && !p.Addr().IsLoopback() && !p.IsSingleIP() {
			add("proxy.networks has %v: whoever is in it can claim to be anybody, and those without a header are refused", p)
		}
	}
	for _, a := range c.Inbound.Allow {
		if p, err := parsePrefix(a); err == nil && (p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 16) {
			add("inbound.allow has %v: that is a large part of the world", p)
		}
	}
}

// maxDNSLists bounds the questions that one connection costs.
const maxDNSLists = 20

// DNSList is a list of addresses in the DNS.
type DNSList struct {
	Zone    string      // "bl.example.net"
	Answers []AddrRange // that are a listing; empty: all that can be
	Weight  int         // 1 or more
}

// AddrRange is the IPv4 addresses from the first to the last.
type AddrRange struct{ First, Last netip.Addr }

// ParseDNSList reads "zone[=answers][*weight]", where answers are addresses or ranges of
// them, parted by ";": "127.0.0.2", "127.0.0.2-11", "127.0.0.2-127.0.1.255".
func ParseDNSList(text string) (DNSList, error) {
	list := DNSList{Weight: 1}
	rest, weight, weighted := strings.Cut(text, "*")
	if weighted {
		n, err := strconv.ParseUint(weight, 10, 8)
		if err != nil || n == 0 {
			return list, fmt.Errorf("%q: the weight behind the * must be a number from 1 to 255", text)
		}
		list.Weight = int(n)
	}
	zone, answers, some := strings.Cut(rest, "=")
	list.Zone = strings.TrimSuffix(strings.ToLower(zone), ".")
	if len(list.Zone) > 180 || !strings.Contains(list.Zone, ".") || strings.ContainsFunc(list.Zone, notInZone) ||
		strings.Contains("."+list.Zone+".", "..") {
		return list, fmt.Errorf(`%q is not the name of a list, such as "zen.spamhaus.org"`, zone)
	}
	if !some {
		return list, nil
	}
	for part := range strings.SplitSeq(answers, ";") {
		r, err := parseRange(part)
		if err != nil {
			return list, fmt.Errorf("%q: %w", text, err)
		}
		list.Answers = append(list.Answers, r)
	}
	return list, nil
}

// notInZone tells of what no name of a list has. Some have a key of their user in it.
func notInZone(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
}

// parseRange reads an answer, or a range of them.
func parseRange(text string) (AddrRange, error) {
	first, last, isRange := strings.Cut(text, "-")
	bad := fmt.Errorf(`%q is not an answer of a list, such as "127.0.0.2", "127.0.0.2-11" or "127.0.0.2-127.0.1.255"`, text)
	a, err := netip.ParseAddr(first)
	if err != nil || !a.Is4() || !a.IsLoopback() {
		return AddrRange{}, bad
	}
	if !isRange {
		return AddrRange{a, a}, nil
	}
	if !strings.Contains(last, ".") {
		last = first[:strings.LastIndexByte(first, '.')+1] + last
	}
	b, err := netip.ParseAddr(last)
	if err != nil || !b.Is4() || !b.IsLoopback() || b.Less(a) {
		return AddrRange{}, bad
	}
	return AddrRange{a, b}, nil
}

// checkCaller says what is wrong with an entry of allow or block.
func checkCaller(text string) error {
	if strings.Contains(text, "@") {
		local, domain, _ := cutLastAt(text)
		quoted := strings.HasPrefix(local, `"`)
		if local == "" || !isHostname(domain) || !quoted && strings.Contains(local, "@") {
			return fmt.Errorf("%q is not a mail address, such as \"alice@example.com\"", text)
		}
		return nil
	}
	if _, err := parsePrefix(text); err == nil {
		return nil
	} else if strings.ContainsAny(text, "/:") || strings.Trim(text, "0123456789.") == "" {
		return err
	}
	if name := strings.TrimPrefix(text, "."); !isHostname(name) {
		return fmt.Errorf(`%q is neither a network, such as "192.0.2.0/24", nor a domain, such as "example.com" or ".example.com", nor a mail address`, text)
	}
	return nil
}

func cutLastAt(text string) (local, domain string, ok bool) {
	i := strings.LastIndexByte(text, '@')
	return text[:max(i, 0)], text[i+1:], i >= 0
}
