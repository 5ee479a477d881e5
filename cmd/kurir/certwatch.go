package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kurir/internal/certs"
	"kurir/internal/config"
	"kurir/internal/tlsconf"
)

// probeCertificates turns health red for a host without the certificate that is wanted, or
// with one that ends soon, and tells the administrator of each that does.
func (s *site) probeCertificates(ctx context.Context) {
	if s.local {
		return
	}
	now := time.Now()
	for _, c := range s.certs.Certificates() {
		if c.Local {
			continue // it is renewed at each start, and nobody relies on it
		}
		if c.Host {
			s.certificateHealth(c, now)
		}
		s.tellOfCertificate(ctx, c, now)
	}
}

// certificatesHealth looks at the host's certificate as soon as an order has ended, so that a
// server that has just got it is not called ill until the next look.
func (s *site) certificatesHealth() {
	now := time.Now()
	for _, c := range s.certs.Certificates() {
		if c.Host && !c.Local {
			s.certificateHealth(c, now)
		}
	}
}

// checkAgain brings up to date what a configuration that takes the place of another one says
// of certificates and keys: what was wrong with those of before is wrong no more.
func (s *site) checkAgain(changed []string) {
	if touches(changed, "dkim.sign") && !s.cfg.DKIM.Sign {
		s.metrics.Health.Set("dkim", nil)
	}
	if !touches(changed, "tls.", "acme.") {
		return
	}
	if !asksCA(s.cfg) {
		s.metrics.Health.Set("certificate", nil) // its files, if it has any, were read a moment ago
	}
	if s.cfg.TLS.Cert == "" && !asksCA(s.cfg) {
		s.metrics.Health.Set("certificate_end", nil)
	}
	s.certificatesHealth()
}

// certificateHealth is that of the host's certificate. Of own files tlsconf tells the rest.
func (s *site) certificateHealth(c certs.Status, now time.Time) {
	var ending, problem error
	if c.Ending(now) {
		ending = errors.New(endingText(c, now))
	}
	s.metrics.Health.Set("certificate_end", ending)
	if !asksCA(s.cfg) {
		return
	}
	if c.NotAfter.IsZero() && c.Problem != "" && !c.Ordering {
		problem = fmt.Errorf("there is no certificate for %s, clients are shown one that they do not trust: %s", c.Names[0], c.Problem)
	}
	s.metrics.Health.Set("certificate", problem)
}

// tellOfCertificate mails the administrator at each step towards the end of a certificate.
func (s *site) tellOfCertificate(ctx context.Context, c certs.Status, now time.Time) {
	if c.NotAfter.IsZero() || len(c.Names) == 0 {
		return
	}
	name := c.Names[0]
	step := c.Step(now)
	if !s.certSteps.moved(name, step) {
		return
	}
	if step == 0 {
		return
	}
	key := fmt.Sprintf("certificate %.150s %d", name, step)
	if err := s.data.notice.Tell(ctx, key, fmt.Sprintf("the certificate for %.150s ends in %s", name, timeLeft(c.NotAfter.Sub(now))), certificateLetter(c, now)); err != nil {
		s.log.Warn("certificate", "error", err)
		s.certSteps.forget(name)
	}
}

// endingText says that a certificate ends.
func endingText(c certs.Status, now time.Time) string {
	text := fmt.Sprintf("the certificate for %s ends in %s, on %s", strings.Join(c.Names, ", "), timeLeft(c.NotAfter.Sub(now)), c.NotAfter.UTC().Format("2 January 2006 15:04 UTC"))
	if now.After(c.NotAfter) {
		text = fmt.Sprintf("the certificate for %s ended on %s: clients refuse it", strings.Join(c.Names, ", "), c.NotAfter.UTC().Format("2 January 2006 15:04 UTC"))
	}
	if c.Problem != "" {
		text += "; " + c.Problem
	}
	return text
}

// certificateLetter is what the administrator reads.
func certificateLetter(c certs.Status, now time.Time) string {
	what := "It is from files that you keep up to date: renew it, and put the new one in their place\n(tls.cert and tls.key of the configuration). It is noticed by itself."
	if c.Managed {
		what = "It should have been renewed by itself by now. To see what is in the way, and to try again:\n\n    kurir certificate list\n    kurir certificate renew " + c.Names[0]
		if !c.Host {
			what += "\n\nIf the name is not needed any more, nothing has to be done."
		}
	}
	return endingText(c, now) + ".\n\nWhen it has ended, mail apps and other servers refuse to connect, or warn.\n\n" + what + "\n\nThis is told 14, 7, 3 and 1 days before the end (sooner for certificates that live shortly).\n"
}

// certSteps remembers which step each certificate was at, so that each is told of once.
type certSteps struct{ at map[string]int }

// moved tells whether a name is at another step than before.
func (c *certSteps) moved(name string, step int) bool {
	if c.at == nil {
		c.at = map[string]int{}
	}
	was := c.at[name]
	c.at[name] = step
	return was != step
}

// forget has the step be told of again.
func (c *certSteps) forget(name string) { delete(c.at, name) }

// checkACME looks at the certificates of a CA: those that the running server has, else
// those that were kept.
func (e *env) checkACME(ctx context.Context, r *report, cfg *config.Config, now time.Time) {
	for key, file := range map[string]string{"tls.client_ca": cfg.TLS.ClientCA, "acme.ca_file": cfg.ACME.CAFile} {
		if _, err := pool(key, file); err != nil {
			r.fail("tls", "%v", err)
		}
	}
	if !asksCA(cfg) {
		return
	}
	all, err := e.askCertificates(ctx, cfg)
	if err != nil {
		chain, err := certs.Stored(e.files, acmeDir(cfg), cfg.ACME.Directory, cfg.Hostname)
		switch {
		case err != nil:
			r.warn("tls", "the certificate of the CA: %v", err)
		case chain == nil:
			r.pass("tls", "no certificate was fetched yet for %s; the server asks %s for one when it runs", cfg.Hostname, cfg.ACME.Directory)
		default:
			checkStored(r, cfg, tlsconf.Problems(chain[0], cfg.Hostname, now), chain[0].NotAfter)
		}
		return
	}
	for _, c := range all {
		names := strings.Join(c.Names, ", ")
		switch {
		case c.State == "valid":
			r.pass("tls", "certificate for %s, valid until %s, renewed by itself", names, c.NotAfter.Format(time.DateOnly))
		case c.State == "waiting" && !c.Host:
			r.pass("tls", "no certificate is asked for %s: %s", names, c.Problem)
		case c.Host && c.State != "late":
			r.fail("tls", "certificate for %s, %s: %s", names, c.State, c.Problem)
		default:
			r.warn("tls", "certificate for %s, %s: %s", names, c.State, c.Problem)
		}
	}
}

// checkStored tells of a certificate that the server would begin with.
func checkStored(r *report, cfg *config.Config, problems []error, ends time.Time) {
	for _, p := range problems {
		r.warn("tls", "%s: %v", cfg.Hostname, p)
	}
	if len(problems) == 0 {
		r.pass("tls", "certificate for %s, valid until %s, renewed by itself while the server runs", cfg.Hostname, ends.Format(time.DateOnly))
	}
}
