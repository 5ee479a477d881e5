package dnsutil

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// checkMTASTS looks whether the policy can be had and fits (RFC 8461).
func (f *finder) checkMTASTS() {
	domain := f.Site.Domain
	name := "_mta-sts." + domain
	answer, ok := f.look(name, dns.TypeTXT)
	if !ok {
		return
	}
	texts := versioned(textsOf(answer.Records), "v=STSv1")
	want := f.want("mta-sts", name)
	switch {
	case len(texts) == 0 && f.Site.PolicyHost == "":
		f.ok(domain, "There is no MTA-STS policy; none is needed.")
		return
	case len(texts) == 0:
		f.bad(LevelNote, trouble{name: name, what: domain + " has no record of MTA-STS.", why: "Nobody looks for the policy, so TLS on the way here can be switched off by an attacker.", records: want})
		return
	case len(texts) > 1:
		f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("%s has %d records of MTA-STS.", name, len(texts)), why: "With several none counts.", mend: "Leave one.", records: want, replace: true})
		return
	}
	if _, err := ParseSTSRecord(texts[0]); err != nil {
		f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("The record of MTA-STS is broken: %v.", err), why: "It counts as if there were none.",
			mend: "It has to be like this: v=STSv1; id=1", records: want, replace: true})
		return
	}
	f.checkPolicyText(name)
}

// checkPolicyText fetches the policy, and compares it with the domain's mail servers.
func (f *finder) checkPolicyText(name string) {
	if f.Policy == nil {
		return
	}
	url := f.Site.PolicyURL()
	policy, err := f.Policy(f.ctx, f.Site.Domain)
	if err != nil {
		f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("The MTA-STS policy at %s cannot be had: %v.", url, err),
			why:  "Servers that have it still keep to the old one; others do without.",
			mend: "Serve the policy there, with a valid certificate, or remove the record."})
		return
	}
	if policy.Mode == STSNone {
		f.bad(LevelNote, trouble{name: name, what: "The MTA-STS policy has the mode none.", why: "It asks for nothing.", mend: "Remove the record when the old policy's time is over, or change the mode."})
		return
	}
	hosts := f.mailHosts()
	outside := slices.DeleteFunc(slices.Clone(hosts), policy.Allows)
	level, why := LevelError, "Other servers do not deliver there (mode enforce)."
	if policy.Mode == STSTesting {
		level, why = LevelWarning, "With the mode enforce other servers would not deliver there."
	}
	if len(outside) > 0 {
		f.bad(level, trouble{name: name, what: fmt.Sprintf("The MTA-STS policy does not name the mail server %s, but %s.", few(outside), few(policy.MX)), why: why,
			mend: fmt.Sprintf("Add a line to the policy, and change the id in the record: mx: %s", outside[0])})
		return
	}
	before := len(f.found)
	if policy.Mode == STSTesting {
		f.bad(LevelNote, trouble{name: name, what: "The MTA-STS policy is in the mode testing.", why: "Failures are reported, but mail still goes without TLS.",
			mend: "Once the reports are clean, change the mode to enforce, and the id in the record."})
	}
	if policy.MaxAge < 24*time.Hour {
		f.bad(LevelNote, trouble{name: name, what: fmt.Sprintf("The MTA-STS policy is kept for %v only.", policy.MaxAge), why: "An attacker has to wait no longer than that.", mend: "Serve it with max_age: 604800 or more."})
	}
	if leaf := f.leaf(); leaf != nil && leaf.VerifyHostname(f.Site.Host) != nil {
		f.bad(level, trouble{name: name, what: fmt.Sprintf("The certificate in service is not for %s.", f.Site.Host), why: why, mend: "Get one that is; kurir check says more about it."})
	}
	if len(f.found) == before {
		f.ok(name, "The MTA-STS policy names this server (mode %s).", policy.Mode)
	}
}

// leaf is the server's own certificate; nil if it is not known.
func (f *finder) leaf() *x509.Certificate {
	if len(f.Site.Chain) == 0 {
		return nil
	}
	return f.Site.Chain[0]
}

// mailHosts are the hosts of the domain's MX records; the server itself if there are none.
func (f *finder) mailHosts() []string {
	answer, err := f.Resolver.Lookup(f.ctx, f.Site.Domain, dns.TypeMX)
	var all []string
	for _, rr := range answer.Records {
		if mx, ok := rr.(*dns.MX); ok && len(all) < maxHosts {
			if host, ok := hostname(mx.Mx); ok {
				all = append(all, host)
			}
		}
	}
	if err != nil || len(all) == 0 {
		return []string{f.Site.Host}
	}
	return all
}

// checkTLSA compares what is said of the certificate with the one in service (RFC 7672).
func (f *finder) checkTLSA() {
	name := "_25._tcp." + f.Site.Host
	answer, ok := f.look(name, dns.TypeTLSA)
	if !ok {
		return
	}
	all, _, err := f.Resolver.TLSA(f.ctx, f.Site.Host, 25)
	if len(all) == 0 {
		if err == nil || !errors.Is(err, ErrTemporary) {
			f.ok(name, "There are no TLSA records (DANE); none are needed.")
		}
		return
	}
	usable := slices.DeleteFunc(slices.Clone(all), func(t TLSA) bool { return !t.Usable() })
	want := f.want("tlsa", name)
	if len(usable) < len(all) {
		f.bad(LevelWarning, trouble{name: name, what: fmt.Sprintf("%d of %d TLSA records cannot be used for mail.", len(all)-len(usable), len(all)),
			why: "Only the usages 2 and 3 count for mail servers (RFC 7672 section 3.1).", mend: "Remove them; 3 1 1 is the usual kind.", records: want, replace: true})
	}
	if !answer.Authentic {
		f.bad(LevelNote, trouble{name: name, what: "The TLSA records were not verified by DNSSEC here.", why: "In a zone that is not signed nobody looks at them.",
			mend: "Sign the zone, or ask a resolver that validates."})
	}
	if len(usable) == 0 || len(f.Site.Chain) == 0 {
		f.bad(LevelNote, trouble{name: name, what: "Whether the TLSA records fit the certificate was not seen: it is not known here.",
			why: "If they do not, servers that look at them do not deliver here.", mend: "Run this where tls.cert of the configuration can be read."})
		return
	}
	if err := (DANE{Found: true, Base: f.Site.Host, Records: usable}).Verify(f.Site.Chain, nil, f.Resolver.now()); err != nil {
		level := LevelError
		if !answer.Authentic {
			level = LevelWarning
		}
		f.bad(level, trouble{name: name, what: fmt.Sprintf("The TLSA records (%s) do not fit the certificate in service.", tlsaTexts(usable)),
			why: "Servers that look at them, and find the zone signed, do not deliver here.", mend: "Publish the record of the present certificate, or remove them all.", records: want, replace: true})
		return
	}
	f.ok(name, "A TLSA record fits the certificate (DANE).")
}

// tlsaTexts are records in a row, short.
func tlsaTexts(all []TLSA) string {
	var texts []string
	for _, t := range all {
		text := t.String()
		if len(text) > 16 {
			text = text[:16] + "..."
		}
		texts = append(texts, text)
	}
	return strings.Join(texts[:min(len(texts), 4)], ", ")
}
