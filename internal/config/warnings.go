package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// OpenHTTP are those of http.address that are not for this machine alone: anyone who can
// connect there can read /metrics and /healthz.
func (c *Config) OpenHTTP() (open []string) {
	for _, addr := range c.HTTP.Address {
		host, _, err := splitAddress(addr)
		if ip, ipErr := netip.ParseAddr(host); err == nil && host != "localhost" && (ipErr != nil || !ip.IsLoopback()) {
			open = append(open, addr)
		}
	}
	return open
}

// Warnings are the things that are allowed but unwise, one line each.
func (c *Config) Warnings() []string {
	all := append([]string{}, c.warnings...)
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if c.TLS.Cert == "" && !c.ACME.Enabled {
		add("tls.cert is not set: the certificate is from kurir's own CA, which no device trusts unless told to")
	}
	for _, p := range c.TLS.PlaintextLoginNetworks {
		if !p.Addr().IsLoopback() {
			add("tls.plaintext_login_networks has %v: passwords from there can be read on the way", p)
		}
	}
	if len(c.SMTP.Address) == 0 {
		add("smtp.address is empty: no mail comes in from other servers")
	}
	if len(c.Submission.Address)+len(c.Submissions.Address) == 0 {
		add("submission.address and submissions.address are empty: users cannot send mail")
	}
	if len(c.IMAP.Address)+len(c.IMAPS.Address)+len(c.POP3.Address)+len(c.POP3S.Address) == 0 {
		add("imap, imaps, pop3 and pop3s have no address: users cannot read their mail")
	}
	for _, t := range []struct {
		key   string
		is    time.Duration
		least time.Duration
		rfc   string
	}{
		{"limits.smtp_timeout", c.Limits.SMTPTimeout, 5 * time.Minute, "RFC 5321 section 4.5.3.2.7"},
		{"limits.imap_timeout", c.Limits.IMAPTimeout, 30 * time.Minute, "RFC 9051 section 5.4"},
		{"limits.pop3_timeout", c.Limits.POP3Timeout, 10 * time.Minute, "RFC 1939 section 3"},
	} {
		if t.is < t.least {
			add("%s is %s: clients may count on %s (%s)", t.key, formatDuration(t.is), formatDuration(t.least), t.rfc)
		}
	}
	if c.Limits.Recipients < 100 {
		add("limits.recipients is %d: other servers may count on 100 (RFC 5321 section 4.5.3.1.8)", c.Limits.Recipients)
	}
	if c.Log.Level == "debug" {
		add("log.level is debug: the log tells who writes to whom, and grows fast")
	}
	if strings.HasPrefix(c.Hostname, "localhost.") || strings.HasSuffix(c.Hostname, ".local") {
		add("hostname is %s: other servers refuse mail from a name that is not in the DNS", c.Hostname)
	}
	c.inboundWarnings(add)
	c.loginWarnings(add)
	c.trustWarnings(add)
	c.acmeWarnings(add)
	c.outboundWarnings(add)
	return all
}
