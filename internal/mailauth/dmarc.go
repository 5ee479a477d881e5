package mailauth

import (
	"context"
	"fmt"
	"strings"
)

// DMARC is the outcome of [EvaluateDMARC].
type DMARC struct {
	Result  Result // None, Pass, Fail or TempError
	From    string // the domain that was judged
	Domain  string // whose record it was judged by: From, its organizational domain or the registry's; "" without one
	Policy  string // what that record asks for this message if it fails: "none", "quarantine", "reject"; "" without one
	Reason  string // in words for the admin, without a full stop
	Testing bool   // t=y: the domain is only testing, and Policy is one step less than it says
}

// EvaluateDMARC tells whether the domain in From stands behind a message (RFC 9989), given
// what SPF said of the sender, or of HELO where there is none, and what became of the DKIM
// signatures. from is what [AuthorDomain] gives.
//
// The result is TempError if the record cannot be asked for, with no Policy; or if nothing
// holds, but something might that could not be found out, with the Policy that would be
// due.
func EvaluateDMARC(ctx context.Context, r Resolver, from string, spf SPF, dkim []DKIM) DMARC {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	e := &evaluation{
		DMARC: DMARC{Result: None, From: from},
		tree:  tree{ctx: ctx, r: r, known: map[string]leaf{}},
		spf:   spf, dkim: dkim,
	}
	found, ok := e.discover()
	if !ok {
		return e.DMARC
	}
	e.judge(found)
	return e.DMARC
}

// evaluation is the way to one result.
type evaluation struct {
	DMARC
	tree
	spf  SPF
	dkim []DKIM
	org  string // the organizational domain of From; "" until it is needed
}

// discover finds the record that counts for From (RFC 9989 section 4.10.1): its own, that
// of its organizational domain, or that of the registry above it.
func (e *evaluation) discover() (*dmarcRecord, bool) {
	l := e.at(e.From)
	if l.err == nil && l.record == nil {
		var found []leaf
		if found, l.err = e.walk(e.From); l.err == nil {
			e.org = organization(e.From, found)
			l = e.inherited(found)
		}
	}
	switch {
	case l.err != nil:
		e.Result = TempError
		e.Reason = fmt.Sprintf("the DMARC record of %s cannot be asked for: %v", e.From, l.err)
		return nil, false
	case l.record == nil:
		e.Reason = fmt.Sprintf("%s has no DMARC record", e.From)
		return nil, false
	case l.record.unusable:
		e.Reason = fmt.Sprintf("the DMARC record of %s has a policy that is none", l.name)
		return nil, false
	}
	record := *l.record
	below := l.name != e.From
	record.nonexistent = below && record.np != "" && !e.exists()
	e.Domain, e.Testing, e.Policy = l.name, record.testing, record.policy(below)
	return &record, true
}

// inherited is the record of the organizational domain or else of the registry.
func (e *evaluation) inherited(found []leaf) leaf {
	for _, l := range found {
		if l.name == e.org {
			return l
		}
	}
	for _, l := range found {
		if isPSD(l) {
			return l
		}
	}
	return leaf{}
}

// exists tells whether From is a name that has mail servers or addresses (RFC 9989 section
// 3.2.10). In doubt it is.
func (e *evaluation) exists() bool {
	if _, err := e.r.LookupMX(e.ctx, e.From); err == nil || !notFound(err) {
		return true
	}
	_, err := e.r.LookupIPAddr(e.ctx, e.From)
	return err == nil || !notFound(err)
}

// judge looks for an identifier that is aligned with From (RFC 9989 section 4.4).
func (e *evaluation) judge(record *dmarcRecord) {
	var unknown error
	// Names that are the same need no walk: they come first.
	for _, relaxed := range []bool{false, true} {
		for _, id := range e.identifiers(record) {
			if relaxed && id.strict || id.result != Pass && id.result != TempError {
				continue
			}
			aligned, err := e.aligned(id.domain, relaxed)
			if id.domain == "" { // a check that was given up: it might have been any name
				aligned, err = true, nil
			}
			switch {
			case err != nil && unknown == nil:
				unknown = fmt.Errorf("the organization of %s cannot be asked for: %w", id.domain, err)
			case aligned && id.result == Pass:
				e.Result, e.Reason = Pass, id.words
				return
			case aligned && unknown == nil:
				unknown = fmt.Errorf("%s", id.words)
			}
		}
	}
	if unknown != nil {
		e.Result = TempError
		e.Reason = fmt.Sprintf("it is not known now whether %s sent this: %v", e.From, unknown)
		return
	}
	e.Result = Fail
	e.Reason = fmt.Sprintf("nothing shows that %s sent this: %s", e.From, e.why())
}

// identifier is a name that SPF or DKIM vouches for, or might.
type identifier struct {
	domain string
	result Result
	strict bool
	words  string
}

func (e *evaluation) identifiers(record *dmarcRecord) []identifier {
	var all []identifier
	for _, d := range e.dkim {
		words := fmt.Sprintf("it is signed by %s", d.Domain)
		if d.Result == TempError {
			words = d.Reason
		}
		if d.Domain != "" || d.Result == TempError {
			all = append(all, identifier{d.Domain, d.Result, record.strictDKIM, words})
		}
	}
	if e.spf.Domain != "" || e.spf.Result == TempError {
		all = append(all, identifier{e.spf.Domain, e.spf.Result, record.strictSPF, e.spf.Reason})
	}
	return all
}

// aligned tells whether a name is that of From, or with relaxed of the same organization.
func (e *evaluation) aligned(domain string, relaxed bool) (bool, error) {
	if !relaxed || domain == e.From {
		return domain == e.From, nil
	}
	if e.org == "" {
		found, err := e.walk(e.From)
		if err != nil {
			return false, err
		}
		e.org = organization(e.From, found)
	}
	if !inDomain(domain, e.org) { // so is all of an organization
		return false, nil
	}
	found, err := e.walk(domain)
	return err == nil && organization(domain, found) == e.org, err
}

// why tells what SPF and DKIM said.
func (e *evaluation) why() string {
	spf := fmt.Sprintf("SPF is %s", e.spf.Result)
	if e.spf.Result == "" {
		spf = "SPF was not asked"
	}
	if e.spf.Domain != "" {
		spf += " for " + e.spf.Domain
	}
	if len(e.dkim) == 0 {
		return spf + ", and there is no DKIM signature"
	}
	var signed []string
	for i, d := range e.dkim {
		if i == 3 {
			signed = append(signed, "...")
			break
		}
		signed = append(signed, strings.TrimSuffix(fmt.Sprintf("%s for %s", d.Result, d.Domain), " for "))
	}
	return fmt.Sprintf("%s, and DKIM is %s", spf, strings.Join(signed, ", "))
}
