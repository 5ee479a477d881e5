package dnsutil

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// recordTTL is the TTL in seconds of what is to be published: short enough to mend a
// mistake within the hour.
const recordTTL = 3600

// Need says how much depends on a record.
type Need string

// The values of [Need].
const (
	Required    Need = "required"    // without it mail does not arrive
	Recommended Need = "recommended" // without it mail is trusted less, or something is less easy
	Optional    Need = "optional"    // good to have under conditions, which Why names
)

// Record is one to be published.
type Record struct {
	Area string `json:"area"` // what it is for: "mx", "address", "spf", …; the same words as in [Finding]
	Name string `json:"name"` // without the dot at the end
	Type string `json:"type"` // "MX", "TXT", …
	TTL  uint32 `json:"ttl"`  // seconds
	// Value is what a provider's form takes: for TXT the whole text, without quotes; for
	// others the data as zone files have it, names with the dot at the end.
	Value string `json:"value"`
	Need  Need   `json:"need"`
	// Elsewhere tells that it does not stand in the domain's own zone, but in that of the
	// server's name or of its address.
	Elsewhere bool   `json:"elsewhere"`
	Why       string `json:"why"` // a sentence or two

	rr dns.RR
}

// Records are all records that the world should find, those that matter most first.
func (s Site) Records() []Record {
	return slices.Concat(s.mxRecords(), s.addressRecords(), s.spfRecords(), s.dkimRecords(), s.dmarcRecords(),
		s.transportRecords(), s.serviceRecords(), s.caaRecords(), s.ptrRecords())
}

// record builds one from its data in the syntax of zone files.
func (s Site) record(area, name, rtype, data string, need Need, why string) Record {
	r := Record{Area: area, Name: name, Type: rtype, TTL: recordTTL, Value: data, Need: need, Elsewhere: !below(name, s.Domain), Why: why}
	if rr, err := dns.NewRR(dns.Fqdn(name) + " " + fmt.Sprint(recordTTL) + " IN " + rtype + " " + data); err == nil {
		r.rr = rr
	}
	return r
}

// text builds a TXT record, whatever its length.
func (s Site) text(area, name, text string, need Need, why string) Record {
	quoted := make([]string, 0, 2)
	for rest := text; rest != "" || len(quoted) == 0; {
		n := min(len(rest), 255) // RFC 1035 section 3.3
		quoted = append(quoted, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(rest[:n])+`"`)
		rest = rest[n:]
	}
	r := s.record(area, name, "TXT", strings.Join(quoted, " "), need, why)
	r.Value = text
	return r
}

// below tells whether name is the domain or lies below it.
func below(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}

func (s Site) mxRecords() []Record {
	return []Record{s.record("mx", s.Domain, "MX", "10 "+dns.Fqdn(s.Host), Required,
		"Mail for "+s.Domain+" comes to this server.")}
}

func (s Site) addressRecords() []Record {
	var all []Record
	for _, a := range s.Addresses {
		rtype := "A"
		if a.Is6() {
			rtype = "AAAA"
		}
		all = append(all, s.record("address", s.Host, rtype, a.String(), Required, s.Host+" is this machine."))
	}
	return all
}

func (s Site) spfRecords() []Record {
	why := "Only this server sends mail for " + s.Domain + "; others refuse what comes from elsewhere."
	end := "-all"
	terms := "v=spf1 mx"
	for _, d := range s.Include {
		terms += " include:" + d
	}
	if len(s.Smarthosts) > 0 && len(s.Include) == 0 {
		end = "~all"
		for _, h := range s.Smarthosts {
			terms += " a:" + h
		}
		why = "Mail leaves through " + strings.Join(s.Smarthosts, ", ") + ": ask its provider what to include here, and say it with --include."
	}
	all := []Record{s.text("spf", s.Domain, terms+" "+end, Required, why)}
	if s.Host != s.Domain {
		all = append(all, s.text("spf", s.Host, "v=spf1 a -all", Recommended,
			"The server's own reports, which have no sender, can be told from forged ones."))
	}
	return all
}

func (s Site) dkimRecords() []Record {
	var all []Record
	for _, k := range s.DKIM {
		need, why := Required, "With this key others verify the signature on the domain's mail."
		switch {
		case k.Next:
			why = "The next key: kurir signs with it once this record can be seen."
		case k.Retired:
			need, why = Recommended, "A former key: mail that is still on its way was signed with it. It can go when kurir no longer lists it."
		}
		all = append(all, s.text("dkim", k.Name, k.Value, need, why))
	}
	return all
}

func (s Site) dmarcRecords() []Record {
	policy := s.DMARC
	if policy == "" {
		policy = "quarantine"
	}
	why := map[string]string{
		"none":       "Others only report what they see of forged mail in the domain's name.",
		"quarantine": "Others put forged mail in the domain's name into the junk folder.",
		"reject":     "Others refuse forged mail in the domain's name.",
	}[policy]
	text := "v=DMARC1; p=" + policy
	if s.Reports != "" {
		text += "; rua=mailto:" + s.Reports
		why += " Their daily reports come to " + s.Reports + "."
	}
	return []Record{s.text("dmarc", "_dmarc."+s.Domain, text, Required, why)}
}

// transportRecords are those by which other servers know that TLS can be relied on.
func (s Site) transportRecords() []Record {
	var all []Record
	if s.PolicyHost != "" {
		all = append(all,
			s.text("mta-sts", "_mta-sts."+s.Domain, "v=STSv1; id="+s.PolicyID(), Recommended, s.policyWhy()+" The id changes with the policy."),
			s.record("mta-sts", "mta-sts."+s.Domain, "CNAME", dns.Fqdn(s.PolicyHost), Recommended,
				s.PolicyHost+" serves the policy, with a certificate for mta-sts."+s.Domain+"."))
	}
	if s.Reports != "" {
		all = append(all, s.text("tls-rpt", "_smtp._tls."+s.Domain, "v=TLSRPTv1; rua=mailto:"+s.Reports, Recommended,
			"Others report when TLS on the way here has failed."))
	}
	if len(s.Chain) > 0 {
		sum := sha256.Sum256(s.Chain[0].RawSubjectPublicKeyInfo)
		all = append(all, s.record("tlsa", "_25._tcp."+s.Host, "TLSA", "3 1 1 "+hex.EncodeToString(sum[:]), Optional,
			"Other servers know the certificate's key (DANE). Only in a zone signed with DNSSEC, and only if a renewed certificate keeps its key."))
	}
	return all
}

// serviceRecords are those by which mail apps find the server (RFC 6186, RFC 8314
// section 5.1): TLS from the start first, IMAP before POP3.
func (s Site) serviceRecords() []Record {
	var all []Record
	words := map[string]string{
		"submissions": "Mail apps send by this server, with TLS from the start.",
		"submission":  "Mail apps send by this server, with STARTTLS.",
		"imaps":       "Mail apps read mail by IMAP with TLS from the start.",
		"imap":        "Mail apps read mail by IMAP with STARTTLS.",
		"pop3s":       "Mail apps fetch mail by POP3 with TLS from the start.",
		"pop3":        "Mail apps fetch mail by POP3 with STLS.",
	}
	priority := map[string]int{"submissions": 0, "submission": 10, "imaps": 0, "imap": 10, "pop3s": 20, "pop3": 30}
	for _, v := range s.Services {
		name := "_" + v.Name + "._tcp." + s.Domain
		data, why := fmt.Sprintf("%d 1 %d %s", priority[v.Name], v.Port, dns.Fqdn(s.Host)), words[v.Name]
		if v.Port == 0 {
			data, why = "0 0 0 .", "Mail apps need not try this: it is not offered." // RFC 6186 section 3.4
		}
		all = append(all, s.record("srv", name, "SRV", data, Recommended, why))
	}
	if s.AutoconfigHost != "" {
		all = append(all,
			s.record("autoconfig", "autoconfig."+s.Domain, "CNAME", dns.Fqdn(s.AutoconfigHost), Recommended,
				"Thunderbird and others fetch their settings there."),
			s.record("autoconfig", "autodiscover."+s.Domain, "CNAME", dns.Fqdn(s.AutoconfigHost), Recommended,
				"Outlook fetches its settings there."),
			s.record("autoconfig", "_autodiscover._tcp."+s.Domain, "SRV", "0 1 443 "+dns.Fqdn(s.AutoconfigHost), Recommended,
				"Outlook fetches its settings there."))
	}
	return all
}

func (s Site) caaRecords() []Record {
	issuer := s.issuer()
	if issuer == "" {
		return nil
	}
	return []Record{s.record("caa", s.Host, "CAA", `0 issue "`+issuer+`"`, Optional,
		"No other CA than that of the present certificate may issue one for "+s.Host+".")}
}

// issuer is the CA of the certificate, as CAA records name it; "" if it is not known.
func (s Site) issuer() string {
	if len(s.Chain) == 0 {
		return ""
	}
	organisation := strings.Join(s.Chain[0].Issuer.Organization, " ")
	for _, i := range issuers {
		if strings.Contains(strings.ToLower(organisation), strings.ToLower(i.organisation)) {
			return i.name
		}
	}
	return ""
}

func (s Site) ptrRecords() []Record {
	var all []Record
	for _, a := range s.Addresses {
		all = append(all, s.ptrRecord(a))
	}
	return all
}

func (s Site) ptrRecord(a netip.Addr) Record {
	return s.record("ptr", reverseName(a), "PTR", dns.Fqdn(s.Host), Required,
		"The address leads back to the name; many servers refuse mail without it. It is set where the address comes from: at your hosting provider.")
}

// reverseName is where the PTR record of an address stands, without the dot at the end.
func reverseName(a netip.Addr) string {
	name, err := dns.ReverseAddr(a.Unmap().WithZone("").String())
	if err != nil {
		return ""
	}
	return bare(name)
}

// PolicyURL is where the policy for MTA-STS is looked for (RFC 8461 section 3.3).
func (s Site) PolicyURL() string { return "https://mta-sts." + s.Domain + "/.well-known/mta-sts.txt" }

// Policy is the text to be served there (RFC 8461 section 3.2), with lines ending in LF.
func (s Site) Policy() string {
	return "version: STSv1\nmode: " + cmp.Or(s.PolicyMode, "enforce") + "\nmx: " + s.Host + "\nmax_age: 604800\n"
}

// policyWhy says what others do who see that there is a policy (RFC 8461 section 5).
func (s Site) policyWhy() string {
	switch s.PolicyMode {
	case STSTesting:
		return "Others look at the policy, and report where TLS on the way here is not as it says; they send mail all the same."
	case STSNone:
		return "Others look at the policy, and forget the one before: it asks for nothing."
	}
	return "Others look at the policy, and then send mail here with verified TLS or not at all."
}

// PolicyID is the id of Policy for the DNS: another one for each text.
func (s Site) PolicyID() string {
	sum := sha256.Sum256([]byte(s.Policy()))
	return hex.EncodeToString(sum[:8])
}
