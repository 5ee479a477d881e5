package config

// Values of Trust.DMARC and Trust.OwnDomains.
const (
	TrustEnforce = "enforce" // refuse it, or put it among junk
	TrustMark    = "mark"    // deliver it, and say in its header what would have been done
	TrustOff     = "off"     // do not look
)

// Trust says what becomes of strangers' messages that do not prove who sent them.
type Trust struct {
	DMARC      string   // one of the Trust… values
	OwnDomains string   // the same, for messages that claim to come from a domain of this server
	SPFReject  bool     // SPF alone may refuse
	ARCSealers []string // domains as A-labels in lower case
}

func defaultTrust() Trust {
	return Trust{DMARC: TrustEnforce, OwnDomains: TrustEnforce, ARCSealers: []string{}}
}

// trustFields are the keys of [trust].
func trustFields(c *Config) []field {
	return []field{
		{key: "trust.dmarc", target: &c.Trust.DMARC,
			doc: "Whether what a domain asks for by DMARC is done with mail that does not prove to come from\nit: refuse it, or put it into Junk. \"enforce\", \"mark\" (only say so in the header) or \"off\"."},
		{key: "trust.own_domains", target: &c.Trust.OwnDomains,
			doc: "Whether mail from outside that claims to come from a domain of this server goes to Junk,\nunless SPF or DKIM prove it: \"enforce\", \"mark\" or \"off\"."},
		{key: "trust.spf_reject", target: &c.Trust.SPFReject,
			doc: "Whether SPF alone refuses mail. Forwarded mail fails SPF too: leave it to DMARC, which knows."},
		{key: "trust.arc_sealers", target: &c.Trust.ARCSealers,
			doc: "Forwarders and mailing lists, by the domain (d=) of their ARC seals, that are believed when\nthey say that a message was genuine before they changed it."},
	}
}

// checkTrust looks at [trust], and writes its domains as A-labels.
func (l *loader) checkTrust() {
	t := &l.c.Trust
	l.oneOf("trust.dmarc", t.DMARC, TrustEnforce, TrustMark, TrustOff)
	l.oneOf("trust.own_domains", t.OwnDomains, TrustEnforce, TrustMark, TrustOff)
	for i, d := range t.ARCSealers {
		name, err := domainName(d)
		if err != nil {
			l.wrong("trust.arc_sealers", "%q is not a domain, such as \"lists.example.net\"", d)
			continue
		}
		t.ARCSealers[i] = name
	}
}

// trustWarnings are about mail that is believed, or refused, without need.
func (c *Config) trustWarnings(add func(format string, args ...any)) {
	if c.Trust.DMARC != TrustEnforce {
		add("trust.dmarc is %s: mail that imitates other domains is delivered as if it were theirs", c.Trust.DMARC)
	}
	if c.Trust.OwnDomains != TrustEnforce {
		add("trust.own_domains is %s: anybody can write in the name of your users, where DMARC does not forbid it", c.Trust.OwnDomains)
	}
	if c.Trust.SPFReject {
		add("trust.spf_reject is true: mail that people have forwarded to them from elsewhere is refused")
	}
}
