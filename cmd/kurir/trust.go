package main

import (
	"time"

	"kurir/internal/config"
	"kurir/internal/policy"
	"kurir/smtpd"
)

// policy judges strangers' mail as configured; nil for listeners that take none. The
// server of the command local asks no DNS.
func (s *site) policy(m smtpd.Mode) smtpd.Policy {
	if m != smtpd.Inbound || s.local {
		return nil
	}
	return &policy.Policy{
		Hostname: s.cfg.Hostname, Resolver: s.data.dns,
		Rules: rules(s.cfg.Trust), Own: s.data.directory.IsLocalDomain, Log: s.log,
		Observe: func(d policy.Decision, took time.Duration) { s.metrics.MessageJudged(d.String(), took) },
	}
}

// rules are what the configuration says about trust.
func rules(c config.Trust) policy.Rules {
	return policy.Rules{
		DMARC: policy.Mode(c.DMARC), Own: policy.Mode(c.OwnDomains), SPFReject: c.SPFReject, Sealers: c.ARCSealers,
	}
}
