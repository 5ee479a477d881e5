package dnsutil

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

const whyMX = "Other servers look there for who takes the domain's mail."

// checkMX looks where the domain's mail goes (RFC 5321 section 5.1).
func (f *finder) checkMX() {
	domain := f.Site.Domain
	answer, ok := f.look(domain, dns.TypeMX)
	if !ok {
		return
	}
	want := f.want("mx", domain)
	var all []*dns.MX
	for _, rr := range answer.Records {
		if mx, ok := rr.(*dns.MX); ok {
			all = append(all, mx)
		}
	}
	slices.SortStableFunc(all, func(a, b *dns.MX) int { return cmp.Compare(a.Preference, b.Preference) })
	if len(all) == 0 {
		f.bad(LevelError, trouble{name: domain, what: domain + " has no MX record.", why: whyMX, records: want})
		return
	}
	if len(all) == 1 && all[0].Mx == "." {
		f.bad(LevelError, trouble{name: domain, what: domain + " says that it takes no mail (null MX).", why: "Other servers return all mail for it at once.", records: want, replace: true})
		return
	}
	old := f.old
	ours := -1 // preference of the first that is this server
	for _, mx := range all[:min(len(all), maxHosts)] {
		f.old = old
		if is := f.checkMailHost(mx); is && ours < 0 {
			ours = int(mx.Preference)
		}
	}
	f.old = old
	if ours < 0 {
		f.bad(LevelError, trouble{
			name: domain, what: fmt.Sprintf("No MX record of %s leads to this server, %s.", domain, f.Site.Host),
			why: "The domain's mail goes elsewhere.", records: want, replace: true,
		})
		return
	}
	f.checkOtherHosts(all, ours)
}

// checkMailHost looks at what one MX record names, and tells whether it is this server.
func (f *finder) checkMailHost(mx *dns.MX) (ours bool) {
	domain := f.Site.Domain
	host, named := hostname(mx.Mx)
	fix := "Name a host that has an address."
	if _, err := netip.ParseAddr(bare(mx.Mx)); err == nil || !named {
		f.bad(LevelError, trouble{
			name: domain, what: fmt.Sprintf("The MX record of %s names %s, which is no host's name.", domain, shown(bare(mx.Mx))),
			why: "Other servers cannot use it; an address is not allowed there.", mend: fix, records: f.want("mx", domain), replace: true,
		})
		return false
	}
	if _, err := f.Resolver.lookupAny(f.ctx, host, dns.TypeCNAME); err == nil {
		f.bad(LevelWarning, trouble{
			name: host, what: fmt.Sprintf("The MX record of %s names %s, which is an alias (CNAME).", domain, host),
			why: "That is not allowed (RFC 2181 section 10.3): some servers refuse to send there.", mend: "Name the host itself, or give it A and AAAA records of its own.",
			records: f.want("mx", domain), replace: true,
		})
	} else if errors.Is(err, ErrTemporary) {
		f.look(host, dns.TypeCNAME) // which notes it
		return host == f.Site.Host
	}
	all, ok := f.addresses(host)
	switch {
	case ok && len(all) == 0:
		f.bad(LevelError, trouble{
			name: host, what: fmt.Sprintf("The MX record of %s names %s, which has no address.", domain, host),
			why: "Other servers cannot reach it.", mend: fix, records: slices.Concat(f.want("address", host), f.want("mx", domain)),
		})
		return host == f.Site.Host
	case host == f.Site.Host:
		return true
	case ok && len(f.Site.Addresses) > 0 && slices.ContainsFunc(all, f.isOurs):
		f.bad(LevelNote, trouble{
			name: host, what: fmt.Sprintf("Mail for %s comes here under the name %s, while this server calls itself %s.", domain, host, f.Site.Host),
			why: "Servers that verify certificates want one for " + host + ".", mend: "Name this server by one name everywhere, or have both in its certificate.",
			records: f.want("mx", domain), replace: true,
		})
		return true
	}
	return false
}

// checkOtherHosts looks who else takes the domain's mail.
func (f *finder) checkOtherHosts(all []*dns.MX, ours int) {
	domain := f.Site.Domain
	others := false
	for _, mx := range all[:min(len(all), maxHosts)] {
		host, named := hostname(mx.Mx)
		if !named || host == f.Site.Host {
			continue
		}
		if addresses, _ := f.addresses(host); len(addresses) == 0 || len(f.Site.Addresses) > 0 && slices.ContainsFunc(addresses, f.isOurs) {
			continue
		}
		others = true
		if int(mx.Preference) <= ours {
			when := "first"
			if int(mx.Preference) == ours {
				when = "as often as here"
			}
			f.bad(LevelWarning, trouble{
				name: domain, what: fmt.Sprintf("Mail for %s goes to %s %s (preference %d, this server has %d).", domain, host, when, mx.Preference, ours),
				why:  "What arrives there does not come here unless that server hands it on.",
				mend: fmt.Sprintf("Remove the MX record of %s, unless it is a filter of yours that stands before this server.", host),
			})
			continue
		}
		f.bad(LevelNote, trouble{
			name: domain, what: fmt.Sprintf("%s takes mail for %s when this server cannot be reached (preference %d).", host, domain, mx.Preference),
			why:  "Spam likes such servers: it has to know the domain's recipients and hand all mail on.",
			mend: "Remove its MX record if you do not know it: other servers try again for days by themselves.",
		})
	}
	if !others {
		f.ok(domain, "Mail for %s comes to this server (MX %d %s).", domain, ours, f.Site.Host)
	}
}

// checkAddress looks whether the server's name leads to it.
func (f *finder) checkAddress() {
	host := f.Site.Host
	all, ok := f.addresses(host)
	if !ok {
		return
	}
	want := f.want("address", host)
	if len(all) == 0 {
		mend := ""
		if len(want) == 0 {
			mend = "Give it an A record with this server's public address, and an AAAA record if it has one of IPv6."
		}
		f.bad(LevelError, trouble{name: host, what: host + " has no address.", why: "Nobody finds this server.", mend: mend, records: want})
		return
	}
	if len(f.Site.Addresses) == 0 {
		f.ok(host, "%s has the addresses %s; whether they are this server's is not known here (--ipv4 and --ipv6 say it).", host, joined(all))
		f.checkUnroutable(all)
		return
	}
	good := true
	for _, a := range f.Site.Addresses {
		if slices.Contains(all, a) {
			continue
		}
		good = false
		level := LevelWarning
		if a.Is4() {
			level = LevelError
		}
		f.bad(level, trouble{
			name: host, what: fmt.Sprintf("%s does not lead to %s.", host, a),
			why:     "Mail that leaves from this address is refused by many, as its name does not lead back to it, and mail apps do not reach it there.",
			records: slices.DeleteFunc(slices.Clone(want), func(r Record) bool { return r.Value != a.String() }),
		})
	}
	for _, a := range all {
		if f.isOurs(a) {
			continue
		}
		good = false
		f.bad(LevelWarning, trouble{
			name: host, what: fmt.Sprintf("%s leads to %s as well, which is not known as this server's.", host, a),
			why: "Part of the mail and of the mail apps goes there.", mend: "Remove the record; or say that the address is this server's, with --ipv4 or --ipv6.",
		})
	}
	if good {
		f.ok(host, "%s leads to this server (%s).", host, joined(all))
	}
	f.checkUnroutable(all)
}

// checkUnroutable looks for addresses that the world cannot reach.
func (f *finder) checkUnroutable(all []netip.Addr) {
	for _, a := range all {
		if !Routable(a) || a.IsPrivate() {
			f.bad(LevelError, trouble{
				name: f.Site.Host, what: fmt.Sprintf("%s leads to %s, a private address.", f.Site.Host, a),
				why: "Nobody outside can reach it.", mend: "Publish the address that the world sees.",
			})
		}
	}
}

// checkPTR looks whether the server's addresses lead back to its name (RFC 1912 section
// 2.1).
func (f *finder) checkPTR() {
	ours := f.Site.Addresses
	if len(ours) == 0 {
		ours, _ = f.addresses(f.Site.Host)
	}
	for _, a := range ours[:min(len(ours), maxAddresses)] {
		if Routable(a) && !a.IsPrivate() {
			f.checkReverse(a)
		}
	}
}

func (f *finder) checkReverse(a netip.Addr) {
	const why = "Gmail, Outlook and many others refuse mail from an address without a name that leads back to it."
	const mend = "Set it where the address comes from: in the panel of your hosting provider, or by a request to it."
	answer, ok := f.look(reverseName(a), dns.TypePTR)
	if !ok {
		return
	}
	old := f.old
	want := []Record{f.Site.ptrRecord(a)}
	var names []string
	for _, rr := range answer.Records {
		if ptr, ok := rr.(*dns.PTR); ok && len(names) < maxHosts {
			names = append(names, bare(dns.CanonicalName(ptr.Ptr)))
		}
	}
	confirmed := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		back, _ := f.addresses(name)
		return !slices.Contains(back, a)
	})
	f.old = old
	switch {
	case len(names) == 0:
		f.bad(LevelError, trouble{name: a.String(), what: fmt.Sprintf("%s has no name (PTR).", a), why: why, mend: mend, records: want})
	case slices.Contains(confirmed, f.Site.Host):
		f.ok(a.String(), "%s has the name %s, which leads back to it.", a, f.Site.Host)
	case len(confirmed) > 0:
		f.bad(LevelWarning, trouble{
			name: a.String(), what: fmt.Sprintf("%s has the name %s, not %s.", a, few(confirmed), f.Site.Host),
			why: "This server greets as " + f.Site.Host + "; some servers mistrust one that has another name.", mend: mend, records: want, replace: true,
		})
	case slices.Contains(names, f.Site.Host):
		f.bad(LevelError, trouble{
			name: a.String(), what: fmt.Sprintf("%s has the name %s, which does not lead back to it.", a, f.Site.Host),
			why: why, records: slices.DeleteFunc(f.want("address", f.Site.Host), func(r Record) bool { return r.Value != a.String() }),
			mend: "Publish the record that leads from " + f.Site.Host + " to this address.",
		})
	default:
		f.bad(LevelError, trouble{
			name: a.String(), what: fmt.Sprintf("%s has the name %s, which does not lead back to it.", a, few(names)), why: why, mend: mend, records: want, replace: true,
		})
	}
}
