package dnsutil

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// checkSRV looks what mail apps find (RFC 6186, RFC 8314).
func (f *finder) checkSRV() {
	var good, missing []string
	var want []Record
	for _, s := range f.Site.Services {
		name := "_" + s.Name + "._tcp." + f.Site.Domain
		answer, ok := f.look(name, dns.TypeSRV)
		if !ok {
			continue
		}
		var all []*dns.SRV
		for _, rr := range answer.Records {
			if srv, ok := rr.(*dns.SRV); ok {
				all = append(all, srv)
			}
		}
		switch {
		case len(all) == 0 && s.Port == 0:
		case len(all) == 0:
			missing, want = append(missing, s.Name), append(want, f.want("srv", name)...)
		case f.checkService(s, name, all):
			good = append(good, s.Name)
		}
	}
	f.old = f.Resolver.now() // several answers: not one time
	if len(missing) > 0 {
		f.bad(LevelNote, trouble{name: f.Site.Domain, what: fmt.Sprintf("Mail apps do not find %s by themselves (SRV).", strings.Join(missing, ", ")),
			why: "Some apps look there for their settings; people have to type them otherwise.", records: want})
	}
	if len(good) > 0 {
		f.ok(f.Site.Domain, "Mail apps find %s (SRV).", strings.Join(good, ", "))
	}
}

// checkService compares the records of a service with what is offered, and tells whether
// they lead here.
func (f *finder) checkService(s Service, name string, all []*dns.SRV) bool {
	host := dns.Fqdn(f.Site.Host)
	want := f.want("srv", name)
	none := len(all) == 1 && all[0].Target == "."
	here := slices.IndexFunc(all, func(srv *dns.SRV) bool { return strings.EqualFold(srv.Target, host) })
	why := "Mail apps that look there do not reach this server."
	switch {
	case none && s.Port == 0:
		return false
	case none:
		f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("%s says that there is no %s; this server offers it.", name, s.Name), why: why, records: want, replace: true})
	case here < 0 && s.Port == 0:
	case here < 0:
		f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("%s leads to %s, not to %s.", name, bare(all[0].Target), f.Site.Host), why: why, records: want, replace: true})
	case s.Port == 0:
		f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("%s leads here, but %s is not offered.", name, s.Name), why: "Mail apps try in vain.", records: want, replace: true})
	case all[here].Port != s.Port:
		f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("%s names port %d; it is %d.", name, all[here].Port, s.Port), why: why, records: want, replace: true})
	default:
		return true
	}
	return false
}

// checkAutoconfig looks for the hosts that tell mail apps their settings, if there are any.
func (f *finder) checkAutoconfig() {
	if f.Site.AutoconfigHost == "" {
		return
	}
	for _, app := range []struct{ label, who string }{{"autoconfig", "Thunderbird and others look"}, {"autodiscover", "Outlook looks"}} {
		name := app.label + "." + f.Site.Domain
		all, ok := f.addresses(name)
		switch {
		case ok && len(all) == 0:
			f.bad(LevelNote, trouble{name: name, what: name + " has no address.", why: app.who + " there for the settings.", records: f.want("autoconfig", name)})
		case ok:
			f.ok(name, "Mail apps look for their settings at %s.", name)
		}
	}
}

// checkCAA looks which CAs may issue certificates for the server (RFC 8659 section 3).
func (f *finder) checkCAA() {
	issuer := f.Site.issuer()
	for name := f.Site.Host; name != ""; {
		answer, ok := f.look(name, dns.TypeCAA)
		if !ok {
			return
		}
		if len(answer.Records) > 0 {
			f.compareCAA(name, issuer, answer.Records)
			return
		}
		_, name, _ = strings.Cut(name, ".")
	}
}

func (f *finder) compareCAA(name, issuer string, records []dns.RR) {
	var allowed []string
	restricted := false
	for _, rr := range records {
		caa, ok := rr.(*dns.CAA)
		if !ok || !strings.EqualFold(caa.Tag, "issue") {
			continue
		}
		restricted = true
		if ca, _, _ := strings.Cut(caa.Value, ";"); strings.TrimSpace(ca) != "" {
			allowed = append(allowed, strings.ToLower(strings.TrimSpace(ca)))
		}
	}
	switch {
	case !restricted:
	case len(allowed) == 0:
		f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("The CAA records of %s let no CA issue certificates.", name),
			why: "The certificate cannot be renewed.", records: f.want("caa", f.Site.Host), replace: name == f.Site.Host})
	case issuer == "":
		f.ok(name, "Certificates for %s may come from %s (CAA).", f.Site.Host, few(allowed))
	case slices.Contains(allowed, issuer):
		f.ok(name, "The CA of the certificate, %s, is allowed (CAA).", issuer)
	default:
		f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("The CAA records of %s allow %s, but the certificate is from %s.", name, few(allowed), issuer),
			why: "The certificate cannot be renewed there.", records: f.want("caa", f.Site.Host), replace: name == f.Site.Host})
	}
}

// checkLists looks whether the server's addresses are on blocklists (RFC 5782).
func (f *finder) checkLists() {
	for _, list := range f.Lists {
		for _, a := range f.Site.Addresses {
			f.checkList(list, a)
		}
	}
}

func (f *finder) checkList(list List, a netip.Addr) {
	zone := list.Zone
	reverse := strings.TrimSuffix(strings.TrimSuffix(reverseName(a), ".in-addr.arpa"), ".ip6.arpa")
	name := reverse + "." + zone
	answer, ok := f.look(name, dns.TypeA)
	if !ok {
		return
	}
	found := addressesOf(answer.Records)
	failed := func(a netip.Addr) bool { return a.As4()[0] != 127 || a.As4()[1] == 255 }
	counts := func(a netip.Addr) bool { return list.Counts == nil || list.Counts(a) }
	if len(found) == 0 || !slices.ContainsFunc(found, failed) && !slices.ContainsFunc(found, counts) {
		f.ok(a.String(), "%s is not on the list %s.", a, zone)
		return
	}
	if failed(found[0]) {
		f.bad(LevelNote, trouble{name: name, what: fmt.Sprintf("The list %s does not answer this resolver (%s).", zone, found[0]),
			why: "Whether the address is listed is not known.", mend: "Ask by a resolver of your own; such lists turn public ones away."})
		return
	}
	old := f.old
	reason := ""
	if text, ok := f.look(name, dns.TypeTXT); ok && len(text.Records) > 0 {
		reason = ": " + shortened(textOf(text.Records[0]))
	}
	f.old = old
	f.bad(LevelError, trouble{name: name, what: fmt.Sprintf("%s is on the list %s%s.", a, zone, reason),
		why: "Servers that use the list refuse mail from here.", mend: "Find out why, mend it, and ask the list to remove the address."})
}
