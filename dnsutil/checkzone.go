package dnsutil

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// checkZone looks whether the domain is there at all, and how its zone is kept; false: the
// rest need not be looked at.
func (f *finder) checkZone() bool {
	domain := f.Site.Domain
	answer, err := f.Resolver.Lookup(f.ctx, domain, dns.TypeNS)
	f.old = answer.Expires
	switch {
	case errors.Is(err, ErrTemporary):
		f.bad(LevelError, trouble{
			name: domain, what: fmt.Sprintf("The DNS gives no answer about %s: %v.", domain, err),
			why:  "Nobody can send mail to a domain whose DNS does not answer, and nothing else can be checked.",
			mend: "See whether the resolver works (--resolver takes another one), whether the domain's name servers run, and whether its registration or DNSSEC has expired.",
		})
		return false
	case errors.Is(err, ErrNotFound):
		f.bad(LevelError, trouble{
			name: domain, what: fmt.Sprintf("%s does not exist in the DNS.", domain),
			why:  "Nobody can send mail to it.",
			mend: "Register the domain, or enter its name servers at the registrar; for a new one this may take a day.",
		})
		return false
	}
	if answer.Name != domain && answer.Name != "" {
		f.bad(LevelError, trouble{
			name: domain, what: fmt.Sprintf("%s is an alias (CNAME) of %s.", domain, answer.Name),
			why:  "An alias has no records of its own: all mail records of the domain are those of the other name.",
			mend: "Replace the CNAME record by the A and AAAA records of the website.",
		})
	}
	apex := domain
	for err != nil && strings.Contains(apex, ".") {
		_, apex, _ = strings.Cut(apex, ".")
		var ok bool
		if answer, ok = f.look(apex, dns.TypeNS); !ok {
			return true
		}
		if len(answer.Records) > 0 {
			break
		}
	}
	f.checkServers(apex, answer)
	f.checkSigned(apex, answer.Authentic)
	return true
}

// checkServers looks for the name servers' addresses.
func (f *finder) checkServers(apex string, answer Answer) {
	var good []string
	for _, rr := range answer.Records[:min(len(answer.Records), maxHosts)] {
		ns, ok := rr.(*dns.NS)
		if !ok {
			continue
		}
		host := bare(dns.CanonicalName(ns.Ns))
		all, ok := f.addresses(host)
		if ok && len(all) == 0 {
			f.bad(LevelWarning, trouble{
				name: host, what: fmt.Sprintf("The name server %s of %s has no address.", host, apex),
				why: "Who asks it waits in vain, and may give up.", mend: "Correct the NS record, at the registrar as well.",
			})
		}
		if ok && len(all) > 0 {
			good = append(good, host)
		}
	}
	switch len(good) {
	case 0:
	case 1:
		f.bad(LevelNote, trouble{
			name: apex, what: fmt.Sprintf("%s has one name server: %s.", apex, good[0]),
			why: "While it is down, nobody finds the domain.", mend: "Have a second name server serve the zone.",
		})
	default:
		f.ok(apex, "The zone %s has %d name servers.", apex, len(good))
	}
}

// checkSigned says whether the zone is signed with DNSSEC.
func (f *finder) checkSigned(apex string, authentic bool) {
	ds, ok := f.look(apex, dns.TypeDS)
	switch {
	case !ok:
	case authentic:
		f.ok(apex, "The zone %s is signed with DNSSEC.", apex)
	case len(ds.Records) > 0:
		f.bad(LevelNote, trouble{
			name: apex, what: fmt.Sprintf("The zone %s is signed with DNSSEC, but the resolver that was asked does not verify it.", apex),
			why: "Whether the signatures are right was not seen.", mend: "Ask a resolver that validates: --resolver.",
		})
	default:
		f.bad(LevelNote, trouble{
			name: apex, what: fmt.Sprintf("The zone %s is not signed with DNSSEC.", apex),
			why: "Answers about it can be forged on the way, and DANE cannot be used.", mend: "Switch DNSSEC on at your DNS provider, if it has it.",
		})
	}
}

// checkWildcard asks for a name that nobody has made.
func (f *finder) checkWildcard() {
	var b [6]byte
	rand.Read(b[:])
	name := "kurir-" + hex.EncodeToString(b[:]) + "." + f.Site.Domain
	for _, w := range []struct {
		qtype uint16
		why   string
	}{
		{dns.TypeTXT, "Whoever looks for _dmarc, a DKIM key or another text under a name that has none gets this one."},
		{dns.TypeMX, "Mail to names that do not exist goes there, and comes back late or never."},
	} {
		answer, ok := f.look(name, w.qtype)
		if !ok || len(answer.Records) == 0 {
			continue
		}
		f.bad(LevelNote, trouble{
			name: "*." + f.Site.Domain,
			what: fmt.Sprintf("Every name below %s that does not exist has a %s record: %s.", f.Site.Domain, dns.Type(w.qtype), shown(data(answer.Records[0]))),
			why:  w.why, mend: "Remove the record of *." + f.Site.Domain + ", unless it is meant so.",
		})
	}
}

// data is what a record says, without its name.
func data(rr dns.RR) string {
	if text := textOf(rr); text != "" {
		return text
	}
	return strings.TrimPrefix(rr.String(), rr.Header().String())
}
