package config

import (
	"errors"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Web is where browsers and mail apps find the public pages, and a CA what it asks for.
type Web struct {
	HTTP  []string // each host:port or :port; empty means off
	HTTPS []string // the same, with TLS from the start
	// MTASTS is what the policy of MTA-STS asks of other servers: "enforce", "testing" or "none".
	MTASTS string
	// Proxies are the networks of HTTP proxies in front of HTTP.Address, loopback aside.
	Proxies []netip.Prefix
}

// Ways by which a CA is shown that a name is ours, values of ACME.Challenges.
const (
	ChallengeHTTP = "http-01"     // a page on port 80, RFC 8555 section 8.3
	ChallengeALPN = "tls-alpn-01" // a handshake on port 443, RFC 8737
	ChallengeDNS  = "dns-01"      // a TXT record, RFC 8555 section 8.4
)

// LetsEncrypt is the directory of the CA that is asked by default.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// ACME says whether a CA is asked for certificates (RFC 8555), and how.
type ACME struct {
	Enabled    bool
	Email      string   // contact at the CA; empty: Config.Admin
	Directory  string   // URL
	CAFile     string   // PEM; CAs that are trusted for Directory alone; empty: the system's
	Challenges []string // empty: see Config.Challenges
	Names      []string // further ones, as A-labels in lower case

	EABKeyID   string // of an account that the CA knows already; empty: none
	EABKey     Secret // in base64url
	EABKeyFile string

	DNS DNSProvider
}

// DNSProvider is who changes the DNS for ChallengeDNS. What the settings mean, and which
// are needed, differs from one to the next.
type DNSProvider struct {
	Name       string // empty: none
	Server     string
	User       string
	Subdomain  string
	Token      Secret
	TokenFile  string
	Secret     Secret
	SecretFile string
}

// providerNeeds are the keys, without acme.dns_, that each provider must and may have.
var providerNeeds = map[string]struct{ must, may []string }{
	"acmedns":      {must: []string{"server", "user", "token", "subdomain"}},
	"cloudflare":   {must: []string{"token"}, may: []string{"secret"}},
	"desec":        {must: []string{"token"}},
	"digitalocean": {must: []string{"token"}},
	"gandi":        {must: []string{"token"}},
	"hetzner":      {must: []string{"token"}},
	"ionos":        {must: []string{"token"}},
	"netcup":       {must: []string{"user", "token", "secret"}},
	"ovh":          {must: []string{"server", "user", "token", "secret"}},
	"porkbun":      {must: []string{"token", "secret"}},
	"rfc2136":      {must: []string{"server", "user", "token"}},
}

// DNSProviders are the names that acme.dns_provider may have, sorted.
func DNSProviders() []string { return slices.Sorted(maps.Keys(providerNeeds)) }

// webFields are the keys of [web].
func webFields(c *Config) []field {
	return []field{
		{key: "web.http", target: &c.Web.HTTP, listen: true,
			doc: "Addresses to listen on, such as [\":80\"]: certificates are asked for with it, and pages are\nsent on to HTTPS. [] turns it off."},
		{key: "web.https", target: &c.Web.HTTPS, listen: true,
			doc: "Addresses to listen on with TLS, such as [\":443\"]. [] turns it off."},
		{key: "web.mta_sts", target: &c.Web.MTASTS,
			doc: "What the policy for your domains asks of other servers (MTA-STS): \"enforce\", to send with verified\nTLS or not at all; \"testing\", to report only; \"none\", before you take it back."},
		{key: "web.proxies", target: &c.Web.Proxies,
			doc: "Networks of HTTP proxies that pass pages on to http.address: what they say in X-Forwarded-For\nand X-Forwarded-Proto is believed, as it is from this machine itself."},
	}
}

// acmeFields are the keys of [acme].
func acmeFields(c *Config) []field {
	a := &c.ACME
	return []field{
		{key: "acme.enabled", target: &a.Enabled,
			doc: "Whether certificates are fetched from a CA, for hostname and for the names under your domains\nthat lead here. Who sets it accepts the CA's terms of service. tls.cert goes before."},
		{key: "acme.email", target: &a.Email, doc: "Address that the CA may write to. \"\" is that of admin, if it is set."},
		{key: "acme.directory", target: &a.Directory, doc: "URL of the CA's directory."},
		{key: "acme.ca_file", target: &a.CAFile, path: true,
			doc: "PEM file with the CAs that are trusted for that URL, for a CA of your own. \"\" is those of\nthe system."},
		{key: "acme.challenges", target: &a.Challenges,
			doc: "How the CA sees that a name is yours: \"http-01\" (port 80), \"tls-alpn-01\" (port 443), \"dns-01\".\n[] is dns-01 with a dns_provider, else those that [web] has ports for."},
		{key: "acme.names", target: &a.Names, doc: "Further names to have certificates for."},
		{key: "acme.eab_key_id", target: &a.EABKeyID, doc: "Name of a key by which the CA knows you (external account binding). \"\" is none."},
		{key: "acme.eab_key", target: &a.EABKey, doc: "That key: here, or in a file, of which eab_key_file is the name."},
		{key: "acme.eab_key_file", target: &a.EABKeyFile, path: true, doc: "File that holds the key, on one line."},
		{key: "acme.dns_provider", target: &a.DNS.Name,
			doc: "Who changes the DNS for \"dns-01\": " + strings.Join(DNSProviders()[:6], ", ") + ",\n" + strings.Join(DNSProviders()[6:], ", ") + ". docs/certificates.md has the settings of each."},
		{key: "acme.dns_server", target: &a.DNS.Server, doc: "Its server: host:port for rfc2136, a URL for acmedns, the endpoint for ovh."},
		{key: "acme.dns_user", target: &a.DNS.User, doc: "Name of the user or key there."},
		{key: "acme.dns_subdomain", target: &a.DNS.Subdomain, doc: "Subdomain there, for acmedns."},
		{key: "acme.dns_token", target: &a.DNS.Token, doc: "Token or key: here, or in a file, of which dns_token_file is the name."},
		{key: "acme.dns_token_file", target: &a.DNS.TokenFile, path: true, doc: "File that holds it, on one line."},
		{key: "acme.dns_secret", target: &a.DNS.Secret, doc: "A second secret, where the provider has two."},
		{key: "acme.dns_secret_file", target: &a.DNS.SecretFile, path: true, doc: "File that holds it, on one line."},
	}
}

// checkACME looks at [acme], and writes its names as A-labels.
func (l *loader) checkACME() {
	a := &l.c.ACME
	l.checkMailAddress("acme.email", a.Email)
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		l.wrong("acme.directory", "%q is not the URL of a CA's directory, such as %q", a.Directory, LetsEncrypt)
	}
	for i, n := range a.Names {
		name, err := domainName(n)
		if err != nil || !strings.Contains(name, ".") {
			l.wrong("acme.names", "%q is not a host name, such as \"webmail.example.com\"", n)
			continue
		}
		a.Names[i] = name
	}
	switch hasKey := !a.EABKey.Empty() || a.EABKeyFile != ""; {
	case a.EABKeyID != "" && !hasKey:
		l.wrong("acme.eab_key_id", "needs acme.eab_key or acme.eab_key_file as well")
	case a.EABKeyID == "" && hasKey:
		l.wrong(l.first("acme.eab_key", "acme.eab_key_file"), "needs acme.eab_key_id as well")
	}
	l.oneSecret("acme.eab_key", a.EABKey, a.EABKeyFile)
	l.checkProvider(&a.DNS)
	l.checkChallenges()
}

// oneSecret wants a secret in one place, and no line breaks in it.
func (l *loader) oneSecret(key string, s Secret, file string) {
	switch {
	case !s.Empty() && file != "":
		l.wrong(key+"_file", "%s is set as well: one of the two is enough", key)
	case !s.Empty():
		if err := checkPassword(s.Reveal()); err != nil {
			l.wrong(key, "%v", err)
		}
	}
}

// checkProvider looks at the settings of the provider that changes the DNS.
func (l *loader) checkProvider(p *DNSProvider) {
	given := map[string]bool{
		"server": p.Server != "", "user": p.User != "", "subdomain": p.Subdomain != "",
		"token": !p.Token.Empty() || p.TokenFile != "", "secret": !p.Secret.Empty() || p.SecretFile != "",
	}
	l.oneSecret("acme.dns_token", p.Token, p.TokenFile)
	l.oneSecret("acme.dns_secret", p.Secret, p.SecretFile)
	needs, known := providerNeeds[p.Name]
	if p.Name != "" && !known {
		l.wrong("acme.dns_provider", "%q is none of %s", p.Name, strings.Join(DNSProviders(), ", "))
		return
	}
	for _, k := range slices.Sorted(maps.Keys(given)) {
		must, may := slices.Contains(needs.must, k), slices.Contains(needs.may, k)
		switch key := "acme.dns_" + k; {
		case must && !given[k]:
			l.wrong("acme.dns_provider", "%s needs %s as well", p.Name, key)
		case p.Name == "" && given[k]:
			l.wrong(l.first(key, key+"_file"), "means nothing without acme.dns_provider")
		case given[k] && !must && !may:
			l.wrong(l.first(key, key+"_file"), "%s has no such setting; it needs %s", p.Name, "acme.dns_"+strings.Join(needs.must, ", acme.dns_"))
		}
	}
}

// checkChallenges wants a way that can be gone.
func (l *loader) checkChallenges() {
	a, web := &l.c.ACME, l.c.Web
	for _, c := range a.Challenges {
		l.oneOf("acme.challenges", c, ChallengeHTTP, ChallengeALPN, ChallengeDNS)
	}
	named := slices.Contains(a.Challenges, ChallengeDNS)
	switch {
	case named && a.DNS.Name == "":
		l.wrong("acme.challenges", "\"dns-01\" needs acme.dns_provider, one of %s", strings.Join(DNSProviders(), ", "))
	case !named && len(a.Challenges) > 0 && a.DNS.Name != "":
		l.wrong("acme.dns_provider", "is for \"dns-01\", which acme.challenges does not name")
	case slices.Contains(a.Challenges, ChallengeALPN) && len(web.HTTPS) == 0:
		l.wrong("acme.challenges", "\"tls-alpn-01\" needs web.https = [\":443\"]")
	}
	if a.Enabled && len(l.c.Challenges()) == 0 {
		l.wrong("acme.enabled", "no way is left by which the CA sees that the names are yours: set web.http = [\":80\"] and web.https = [\":443\"], or a dns_provider; if a proxy passes /.well-known/acme-challenge/ on to http.address, set challenges = [\"http-01\"]")
	}
}

// Challenges are the ways by which a CA is shown that a name is ours: those that are
// named, else those that the other settings allow.
func (c *Config) Challenges() []string {
	var all []string
	switch {
	case len(c.ACME.Challenges) > 0:
		return c.ACME.Challenges
	case c.ACME.DNS.Name != "":
		return []string{ChallengeDNS}
	}
	if len(c.Web.HTTP) > 0 {
		all = append(all, ChallengeHTTP)
	}
	if len(c.Web.HTTPS) > 0 {
		all = append(all, ChallengeALPN)
	}
	return all
}

// readACMESecrets reads the files that [acme] names.
func (c *Config) readACMESecrets() []error {
	a := &c.ACME
	var errs []error
	for _, s := range []struct {
		key, file string
		to        *Secret
	}{
		{"acme.eab_key_file", a.EABKeyFile, &a.EABKey},
		{"acme.dns_token_file", a.DNS.TokenFile, &a.DNS.Token},
		{"acme.dns_secret_file", a.DNS.SecretFile, &a.DNS.Secret},
	} {
		if s.file == "" {
			continue
		}
		var err error
		if *s.to, err = readPassword(s.file); err != nil {
			var m Mistake
			if !errors.As(err, &m) {
				m = Mistake{Problem: err.Error()}
			}
			m.Source, m.Key = s.file, s.key
			errs = append(errs, m)
		}
	}
	return errs
}

// acmeWarnings are about what is allowed but unwise.
func (c *Config) acmeWarnings(add func(format string, args ...any)) {
	a := c.ACME
	switch {
	case a.Enabled && c.TLS.Cert != "":
		add("acme.enabled means nothing: tls.cert is set, which goes before")
	case a.Enabled && a.Email == "" && c.Admin == "":
		add("acme.email and admin are not set: the CA cannot write to anybody about the certificates")
	}
	if c.public && (!a.DNS.Token.Empty() && a.DNS.TokenFile == "" || !a.DNS.Secret.Empty() && a.DNS.SecretFile == "" || !a.EABKey.Empty() && a.EABKeyFile == "") {
		add("every user of this machine can read the configuration file with the secrets of [acme]: chmod o-r, or use files of their own (acme.dns_token_file, acme.dns_secret_file, acme.eab_key_file)")
	}
}
