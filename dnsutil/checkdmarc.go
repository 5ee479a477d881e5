package dnsutil

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// maxDMARCParents is how many names above the domain are looked at for a policy.
const maxDMARCParents = 7

// checkDMARC looks what others are to do with mail that fails (RFC 9989).
func (f *finder) checkDMARC() {
	domain := f.Site.Domain
	name := "_dmarc." + domain
	answer, ok := f.look(name, dns.TypeTXT)
	if !ok {
		return
	}
	old := f.old
	texts := versioned(textsOf(answer.Records), "v=DMARC1")
	want := f.want("dmarc", name)
	switch len(texts) {
	case 0:
		if above, policy := f.dmarcAbove(domain); policy != "" && policy != "none" {
			f.ok(name, "The DMARC policy of %s holds for %s, too: %s.", above, domain, policy)
			return
		} else if above != "" {
			f.bad(LevelNote, trouble{name: name, what: fmt.Sprintf("The DMARC policy of %s holds for %s, too, and asks for nothing there.", above, domain),
				why: "Forged mail in the domain's name is delivered.", records: want})
			return
		}
		f.old = old
		what := domain + " has no DMARC record."
		if all := textsOf(answer.Records); len(all) > 0 {
			what = fmt.Sprintf("%s has a text that is no DMARC record: %s.", name, shown(all[0]))
		}
		f.bad(LevelError, trouble{name: name, what: what,
			why: "Forged mail in the domain's name goes through, and Gmail and Yahoo want a record of who sends much.", records: want})
	case 1:
		f.checkPolicy(name, texts[0], want)
	default:
		f.bad(LevelError, trouble{name: name, what: fmt.Sprintf("%s has %d DMARC records.", name, len(texts)), why: "With several none counts.", mend: "Leave one, such as this.", records: want, replace: true})
	}
}

// dmarcAbove is the domain above whose record holds for a domain without one, that of its
// organization or else of the registry (RFC 9989 section 4.10), and its policy for names
// below; "" if there is none.
func (f *finder) dmarcAbove(domain string) (above, policy string) {
	for range maxDMARCParents {
		_, parent, ok := strings.Cut(domain, ".")
		if !ok || !strings.Contains(parent, ".") {
			break
		}
		answer, ok := f.look("_dmarc."+parent, dns.TypeTXT)
		texts := versioned(textsOf(answer.Records), "v=DMARC1")
		if !ok || len(texts) != 1 {
			domain = parent
			continue
		}
		tags, _ := tagList(texts[0])
		psd := strings.ToLower(valueOf(tags, "psd"))
		if psd == "y" && above == domain {
			break // above is the organization: this is the registry's
		}
		above, policy = parent, policyBelow(tags)
		if psd == "y" || psd == "n" {
			break
		}
		domain = parent
	}
	return above, policy
}

// policyBelow is what a record asks for about names below it that exist.
func policyBelow(tags []tag) string {
	policy := strings.ToLower(cmp.Or(valueOf(tags, "sp"), valueOf(tags, "p")))
	for _, name := range []string{"p", "sp", "np"} {
		if value := valueOf(tags, name); value != "" && !slices.Contains(dmarcPolicies, strings.ToLower(value)) {
			return "none" // section 4.10.1
		}
	}
	if strings.EqualFold(valueOf(tags, "t"), "y") && policy != "reject" {
		return "none"
	}
	return policy
}

// dmarcPolicies are the values of p=, sp= and np=.
var dmarcPolicies = []string{"none", "quarantine", "reject"}

// checkPolicy looks at the tags of a record (RFC 9989 section 4.7).
func (f *finder) checkPolicy(name, text string, want []Record) {
	tags, odd := tagList(text)
	policy := strings.ToLower(valueOf(tags, "p"))
	before := len(f.found)
	mended := []Record{f.Site.text("dmarc", name, f.mendedPolicy(tags), Required, "What others do with forged mail.")}
	broken := func(what string) {
		f.bad(LevelError, trouble{name: name, what: "The DMARC record is broken: " + what + ".", why: "It counts as if there were none.", records: want, replace: true})
	}
	switch {
	case tags[0].value != "DMARC1":
		broken("it has to begin with v=DMARC1, in these letters")
		return
	case len(odd) > 0:
		broken(shown(odd[0]) + " has no \"=\"")
	case policy == "":
		broken("it has no policy (p=)")
	case !slices.Contains(dmarcPolicies, policy):
		broken(fmt.Sprintf("p=%s is none of none, quarantine and reject", shortened(policy)))
	case policy == "none":
		f.bad(LevelNote, trouble{name: name, what: "The DMARC policy is p=none: others only report forged mail.",
			why:     "Forged mail in the domain's name is delivered.",
			mend:    "Once the reports show that all your own mail passes, publish p=quarantine, and later p=reject.",
			records: mended, replace: true})
	}
	for _, tag := range []string{"sp", "np"} {
		if value := strings.ToLower(valueOf(tags, tag)); value != "" && !slices.Contains(dmarcPolicies, value) {
			broken(fmt.Sprintf("%s=%s is none of none, quarantine and reject", tag, shortened(value)))
		}
	}
	if strings.ToLower(valueOf(tags, "t")) == "y" {
		f.bad(LevelNote, trouble{name: name, what: "The DMARC policy is marked as a test (t=y).", why: "Others do one step less than it says.", mend: "Remove t=y once all your own mail passes."})
	}
	if pct := valueOf(tags, "pct"); pct != "" && pct != "100" {
		f.bad(LevelNote, trouble{name: name, what: fmt.Sprintf("The DMARC record has pct=%s.", shortened(pct)), why: "RFC 9989 has it no more: some take the policy for all mail, others for none.", mend: "Remove it; t=y is the way to try a policy."})
	}
	f.checkReports(name, valueOf(tags, "rua"), mended)
	if !slices.ContainsFunc(f.found[before:], func(one Finding) bool { return one.Level == LevelError || one.Level == LevelWarning }) && policy != "none" {
		f.ok(name, "The DMARC policy is %s: %s", policy, shortened(text))
	}
}

// mendedPolicy is a record with a policy that does something, and reports that come here if
// nobody gets them.
func (f *finder) mendedPolicy(tags []tag) string {
	var parts []string
	for _, t := range tags {
		if t.name == "p" && strings.EqualFold(t.value, "none") {
			t.value = "quarantine"
		}
		parts = append(parts, t.name+"="+t.value)
	}
	if valueOf(tags, "rua") == "" && f.Site.Reports != "" {
		parts = append(parts, "rua=mailto:"+f.Site.Reports)
	}
	return strings.Join(parts, "; ")
}

// checkReports looks whether the reports can arrive.
func (f *finder) checkReports(name, rua string, mended []Record) {
	if rua == "" {
		f.bad(LevelNote, trouble{name: name, what: "Nobody gets reports about the domain's mail (no rua=).", why: "They show who sends in the domain's name, and what of your own mail fails.", records: mended, replace: true})
		return
	}
	for i, uri := range strings.Split(rua, ",") {
		uri, _, _ = strings.Cut(strings.TrimSpace(uri), "!")
		scheme, address, _ := strings.Cut(uri, ":")
		_, domain, mail := strings.Cut(address, "@")
		ascii, err := Name(domain)
		if !strings.EqualFold(scheme, "mailto") || !mail || err != nil {
			f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("%s is no address for reports: it has to be mailto:someone@example.org.", shown(uri)), why: "The reports do not arrive.", records: f.want("dmarc", name), replace: true})
			continue
		}
		if below(ascii, f.Site.Domain) || below(f.Site.Domain, ascii) || i >= 5 {
			continue
		}
		if above, _ := f.dmarcAbove(f.Site.Domain); above != "" && below(ascii, above) {
			continue // of the same organization
		}
		// RFC 9990 section 4: the other domain has to say that it wants them.
		consent := f.Site.Domain + "._report._dmarc." + ascii
		answer, ok := f.look(consent, dns.TypeTXT)
		if ok && len(versioned(textsOf(answer.Records), "v=DMARC1")) == 0 {
			f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("The reports are to go to %s, which does not say that it wants them.", ascii),
				why: "Others do not send them then.", mend: "Publish this in the zone of " + ascii + ", or name an address in your own domain.",
				records: []Record{f.Site.text("dmarc", consent, "v=DMARC1", Recommended, "Reports about "+f.Site.Domain+" may come here.")}})
		}
	}
}

// checkTLSRPT looks who is told of failures of TLS (RFC 8460).
func (f *finder) checkTLSRPT() {
	name := "_smtp._tls." + f.Site.Domain
	answer, ok := f.look(name, dns.TypeTXT)
	if !ok {
		return
	}
	want := f.want("tls-rpt", name)
	texts := versioned(textsOf(answer.Records), "v=TLSRPTv1")
	if len(texts) == 0 {
		f.bad(LevelNote, trouble{name: name, what: "Nobody is told when TLS on the way here fails (no TLS-RPT record).", why: "Without reports such failures stay unseen.", records: want})
		return
	}
	if len(texts) > 1 {
		f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("%s has %d TLS-RPT records.", name, len(texts)), why: "With several none counts.", mend: "Leave one, such as this.", records: want, replace: true})
		return
	}
	tags, _ := tagList(texts[0])
	for uri := range strings.SplitSeq(valueOf(tags, "rua"), ",") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(uri), ":")
		if !strings.EqualFold(scheme, "mailto") && !strings.EqualFold(scheme, "https") {
			f.bad(LevelWarning, trouble{name: name, what: "The TLS-RPT record names nobody who gets the reports (rua=mailto:… or https:…).", why: "The reports do not arrive.", records: want, replace: true})
			return
		}
	}
	f.ok(name, "Failures of TLS are reported: %s", shortened(texts[0]))
}
