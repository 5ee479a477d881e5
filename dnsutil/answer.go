package dnsutil

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// result is what one question has brought, in the form that is kept.
type result struct {
	kind  error // nil, ErrNotFound, ErrNoData or ErrTemporary
	cause error // of ErrTemporary

	name      string   // end of the chain of aliases, as far as the answer goes
	links     int      // aliases on the way there
	records   []dns.RR // of the type asked for, at name
	more      bool     // the answer ends at an alias: name is to be asked for
	authentic bool
	server    string // that said so

	ttl     time.Duration // zero: not to be kept
	expires time.Time
}

// digest reads the answer to q. Only the chain that begins at q's name counts; other
// records, and all of the additional section, might be anybody's. An error wraps one of
// the causes of ErrTemporary: another server may know better.
func digest(m *dns.Msg, q question) (result, error) {
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
	case dns.RcodeServerFailure:
		return result{}, errServFail
	case dns.RcodeRefused:
		return result{}, errRefused
	default:
		return result{}, fmt.Errorf("%w: response code %d", errBroken, m.Rcode)
	}
	res := result{name: q.name, authentic: m.AuthenticatedData}
	ttl := uint32(1<<31 - 1)
	for seen := []string{q.name}; ; {
		at, err := pick(m.Answer, res.name, q.qtype, &ttl)
		if err != nil {
			return result{}, err
		}
		if at.alias == "" {
			res.records = at.records
			break
		}
		if slices.Contains(seen, at.alias) {
			return result{}, errCircle
		}
		if res.links++; res.links > maxChain {
			return result{}, errLongChain
		}
		res.name = at.alias
		seen = append(seen, at.alias)
	}
	if len(res.records) > 0 {
		if m.Rcode != dns.RcodeSuccess {
			return result{}, fmt.Errorf("%w: records of a name that does not exist", errBroken)
		}
		res.ttl = seconds(ttl)
		return res, nil
	}
	return negative(m, res, ttl)
}

// place is what an answer says about one name.
type place struct {
	records []dns.RR // of the type asked for
	alias   string   // "" if there are records, or neither
}

// pick takes from an answer what it says about name, and lowers ttl to that of the records
// (RFC 2181 section 5.2).
func pick(answer []dns.RR, name string, qtype uint16, ttl *uint32) (place, error) {
	var at place
	var cname *dns.CNAME
	for _, rr := range answer {
		h := rr.Header()
		alias, isAlias := rr.(*dns.CNAME)
		if h.Class != dns.ClassINET || h.Rrtype != qtype && !isAlias || !strings.EqualFold(h.Name, name) {
			continue
		}
		if h.Rdlength == 0 {
			return place{}, fmt.Errorf("%w: empty %s record", errBroken, dns.Type(h.Rrtype))
		}
		if h.Rrtype == qtype {
			at.records = append(at.records, rr)
			*ttl = min(*ttl, lifetime(h.Ttl))
		} else if cname == nil {
			cname = alias
		}
	}
	if cname != nil && len(at.records) == 0 {
		at.alias = dns.CanonicalName(cname.Target)
		*ttl = min(*ttl, lifetime(cname.Hdr.Ttl))
	}
	return at, nil
}

// negative is an answer without the records that were asked for. It is kept for as long
// as the zone's SOA record says (RFC 2308 section 5), and not at all without one.
func negative(m *dns.Msg, res result, ttl uint32) (result, error) {
	var soa *dns.SOA
	referral := false
	for _, rr := range m.Ns {
		switch rr := rr.(type) {
		case *dns.SOA:
			if rr.Hdr.Class == dns.ClassINET && rr.Hdr.Rdlength > 0 && dns.IsSubDomain(rr.Hdr.Name, res.name) {
				soa = rr
			}
		case *dns.NS:
			referral = true
		}
	}
	switch {
	case m.Rcode == dns.RcodeNameError:
		res.kind = ErrNotFound // of the last name in the chain, RFC 6604 section 2
	case soa == nil && res.links > 0:
		res.more, res.ttl = true, seconds(ttl)
		return res, nil
	case soa == nil && referral:
		// RFC 2308 section 2.2: that is a referral, which says nothing about the name.
		return result{}, fmt.Errorf("%w: the server refers to others", errBroken)
	default:
		res.kind = ErrNoData
	}
	if soa != nil {
		res.ttl = seconds(min(ttl, lifetime(soa.Hdr.Ttl), lifetime(soa.Minttl)))
	}
	return res, nil
}

// lifetime is a TTL as RFC 2181 section 8 reads it: with the highest bit set it is zero.
func lifetime(ttl uint32) uint32 {
	if ttl > 1<<31-1 {
		return 0
	}
	return ttl
}

func seconds(ttl uint32) time.Duration { return time.Duration(ttl) * time.Second }
