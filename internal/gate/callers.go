package gate

import (
	"fmt"
	"net/netip"
	"strings"

	"kurir/dnsutil"
)

// standing is the administrator's word on a client or a sender.
type standing int

const (
	unknown standing = iota
	allowed
	blocked
)

// callers are the allow and block lists.
type callers struct {
	addresses map[string]standing       // of senders, in lower case
	domains   map[string]standing       // of senders
	below     map[string]standing       // ".example.com" without its dot: the domain and all below it
	networks  map[netip.Prefix]standing // of clients
}

func newCallers(allow, block []string) (callers, error) {
	c := callers{
		addresses: map[string]standing{}, domains: map[string]standing{}, below: map[string]standing{},
		networks: map[netip.Prefix]standing{},
	}
	for _, text := range allow {
		if err := c.add(text, allowed); err != nil {
			return c, err
		}
	}
	for _, text := range block {
		if err := c.add(text, blocked); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *callers) add(text string, as standing) error {
	if local, domain := cutAddress(text); local != "" && domain != "" && strings.Contains(text, "@") {
		c.addresses[strings.ToLower(local)+"@"+plainName(domain)] = as
		return nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		c.networks[p.Masked()] = as
		return nil
	}
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		c.networks[netip.PrefixFrom(ip, ip.BitLen())] = as
		return nil
	}
	name, below := strings.CutPrefix(text, ".")
	if name == "" || strings.ContainsAny(name, "/: @") {
		return fmt.Errorf("%q is neither a network nor a domain nor a mail address", text)
	}
	if name = plainName(name); below {
		c.below[name] = as
	} else {
		c.domains[name] = as
	}
	return nil
}

// plainName is a domain in lower case and A-labels.
func plainName(domain string) string {
	if name, err := dnsutil.Name(domain); err == nil {
		return name
	}
	return strings.ToLower(strings.TrimSuffix(domain, "."))
}

// network is the word on a client, that of the narrowest network that has it.
func (c *callers) network(ip netip.Addr) standing {
	if !ip.IsValid() || len(c.networks) == 0 {
		return unknown
	}
	for bits := ip.BitLen(); bits >= 0; bits-- {
		p, err := ip.Prefix(bits)
		if err != nil {
			return unknown
		}
		if s := c.networks[p]; s != unknown {
			return s
		}
	}
	return unknown
}

// sender is the word on a sender: that on the address, else on the domain, else on the
// nearest above it.
func (c *callers) sender(from string) standing {
	local, domain := cutAddress(from)
	if domain == "" || len(c.addresses)+len(c.domains)+len(c.below) == 0 {
		return unknown
	}
	domain = plainName(domain)
	if s := c.addresses[strings.ToLower(local)+"@"+domain]; s != unknown {
		return s
	}
	if s := c.domains[domain]; s != unknown {
		return s
	}
	for name := domain; name != ""; _, name, _ = strings.Cut(name, ".") {
		if s := c.below[name]; s != unknown {
			return s
		}
	}
	return unknown
}
