package policy

import (
	"slices"
	"strings"

	"kurir/internal/mailauth"
	"kurir/internal/mailauth/arc"
)

// facts are all that was found out about a message.
type facts struct {
	froms   int    // From fields
	from    string // domain of the author, in lower case, as A-labels; "" if there is no one domain
	address string // of the author; "" if there are several
	fromErr error  // why there is none, or why programs may see another
	err     error  // the message could not be read, which is our own fault
	own     bool   // mail for that domain is received here

	spf   mailauth.SPF // of the sender, or for a null sender of the HELO name; no Result: not checked
	helo  mailauth.SPF // of the HELO name beside a sender; no Result: not checked
	dkim  []mailauth.DKIM
	dmarc mailauth.DMARC // no Result: not evaluated
	chain arc.Chain
	iprev mailauth.IPRev // no Result: not checked
}

// related tells whether one domain is the other or lies below it.
func related(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	return a != "" && b != "" && (a == b || strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a))
}

// mayBeVouched tells whether the DNS has failed for a chain that might have proven the
// author: one whose last sealer is trusted.
func (f *facts) mayBeVouched(sealers []string) bool {
	sets := f.chain.Sets
	return f.chain.Result == mailauth.TempError && len(sets) > 0 &&
		slices.Contains(sealers, strings.ToLower(sets[len(sets)-1].Domain))
}

// proven tells whether SPF or DKIM prove the author's domain, whatever its owner
// publishes for DMARC.
func (f *facts) proven() bool {
	if f.dmarc.Result == mailauth.Pass {
		return true
	}
	if f.spf.Result == mailauth.Pass && related(f.spf.Domain, f.from) {
		return true
	}
	return slices.ContainsFunc(f.dkim, func(d mailauth.DKIM) bool {
		return d.Result == mailauth.Pass && related(d.Domain, f.from)
	})
}

// vouched is the domain of a trusted sealer that had found the author proven, "" if there
// is none (RFC 8617 section 7.2). All who sealed after it must be trusted as well: each of
// them could have changed the message.
func (f *facts) vouched(sealers []string) string {
	if f.chain.Result != mailauth.Pass || f.from == "" {
		return ""
	}
	for _, s := range slices.Backward(f.chain.Sets) {
		if !slices.Contains(sealers, strings.ToLower(s.Domain)) {
			return ""
		}
		r, err := mailauth.ParseResults(s.Results)
		if err == nil && reportsAuthor(r, f.from) {
			return s.Domain
		}
	}
	return ""
}

// reportsAuthor tells whether somebody's results say that DMARC has passed for the
// author's domain or, where they do not speak of DMARC, that a signature of it was good.
func reportsAuthor(r mailauth.Results, from string) bool {
	byDKIM := false
	for _, m := range r.Methods {
		switch {
		case strings.EqualFold(m.Name, "dmarc"):
			return m.Result == mailauth.Pass && strings.EqualFold(domainIn(property(m, "header", "from")), from)
		case strings.EqualFold(m.Name, "dkim") && m.Result == mailauth.Pass:
			// i= is all that some say of a signature; it is at d= or below.
			byDKIM = byDKIM || related(orElse(property(m, "header", "d"), domainIn(property(m, "header", "i"))), from)
		}
	}
	return byDKIM
}

// domainIn is the domain of what should be one, and is an address in the words of some.
func domainIn(value string) string {
	value = strings.Trim(value, "<>")
	return value[strings.LastIndexByte(value, '@')+1:]
}

// property is the value of a property, "" if the method has none of it.
func property(m mailauth.Method, kind, name string) string {
	for _, p := range m.Properties {
		if strings.EqualFold(p.Type, kind) && strings.EqualFold(p.Name, name) {
			return p.Value
		}
	}
	return ""
}
