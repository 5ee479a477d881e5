package dnstest

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// maxChain bounds the aliases in one answer.
const maxChain = 20

// zone is a zone text, by name in lower case with the dot at the end.
type zone struct {
	names map[string]map[uint16][]dns.RR // empty non-terminals are there, without records
}

func parseZone(text string) (*zone, error) {
	z := &zone{names: map[string]map[uint16][]dns.RR{}}
	p := dns.NewZoneParser(strings.NewReader(text+"\n"), ".", "")
	p.SetDefaultTTL(3600)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		name := dns.CanonicalName(rr.Header().Name)
		z.add(name)
		qtype := rr.Header().Rrtype
		z.names[name][qtype] = append(z.names[name][qtype], rr)
	}
	return z, p.Err()
}

// add makes a name known, and all above it.
func (z *zone) add(name string) {
	for ; z.names[name] == nil; name = parent(name) {
		z.names[name] = map[uint16][]dns.RR{}
	}
}

// parent is the name one label up; the root is its own.
func parent(name string) string {
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

// at gives the records of a name, its own or those of a wildcard (RFC 4592 section 3.3),
// and whether it exists.
func (z *zone) at(name string) (records map[uint16][]dns.RR, exists bool) {
	if records, exists = z.names[name]; exists {
		return records, true
	}
	encloser := parent(name)
	for z.names[encloser] == nil && encloser != "." {
		encloser = parent(encloser)
	}
	records, exists = z.names["*."+strings.TrimPrefix(encloser, ".")]
	return records, exists
}

// answer fills in what a recursive server would say: with shallow, not beyond the first
// alias.
func (z *zone) answer(m *dns.Msg, shallow bool) {
	q := m.Question[0]
	name := dns.CanonicalName(q.Name)
	owner := q.Name // as it was asked for
	var seen []string
	for {
		records, exists := z.at(name)
		alias := records[dns.TypeCNAME]
		switch {
		case !exists:
			m.Rcode = dns.RcodeNameError
			m.Ns = append(m.Ns, z.soa(name))
			return
		case len(records[q.Qtype]) > 0:
			m.Answer = append(m.Answer, named(records[q.Qtype], owner)...)
			return
		case len(alias) == 0:
			m.Ns = append(m.Ns, z.soa(name))
			return
		}
		m.Answer = append(m.Answer, named(alias, owner)...)
		seen = append(seen, name)
		owner = alias[0].(*dns.CNAME).Target
		name = dns.CanonicalName(owner)
		if shallow || len(seen) == maxChain || slices.Contains(seen, name) {
			return
		}
	}
}

// named copies records, with a name in place of their own, which may be a wildcard.
func named(records []dns.RR, name string) []dns.RR {
	all := make([]dns.RR, 0, len(records))
	for _, rr := range records {
		if rr.Header().Name != name {
			rr = dns.Copy(rr)
			rr.Header().Name = name
		}
		all = append(all, rr)
	}
	return all
}

// soa is the record of the zone that a name is in.
func (z *zone) soa(name string) dns.RR {
	for ; ; name = parent(name) {
		if soa := z.names[name][dns.TypeSOA]; len(soa) > 0 {
			return soa[0]
		}
		if name == "." {
			return &dns.SOA{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60}, Ns: ".", Mbox: ".", Serial: 1, Refresh: 60, Retry: 60, Expire: 60, Minttl: 60}
		}
	}
}

// key is a name as methods and counts know it.
func key(name string) string { return strings.TrimSuffix(dns.CanonicalName(name), ".") }
