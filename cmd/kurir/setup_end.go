package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kurir/dnsutil"
	"kurir/internal/admin"
	"kurir/internal/setup"
	"kurir/internal/tlsconf"
)

// finish starts the server, prints what to publish, sees the world come to agree, and says
// what remains.
func (r *setupRun) finish(ctx context.Context) error {
	running, err := r.start(ctx)
	if err != nil {
		return err
	}
	if !running {
		if err := r.openAsOwner(ctx); err != nil {
			return err
		}
	}
	t, err := r.printDNS(ctx)
	if err != nil {
		return err
	}
	right, err := r.checkDNSOf(ctx, t)
	if err == nil && running {
		err = r.tryServer(ctx, right)
	}
	r.printEnd(context.WithoutCancel(ctx))
	return err
}

// printDNS prints what to publish.
func (r *setupRun) printDNS(ctx context.Context) (dnsTarget, error) {
	var v4, v6 []string
	for _, a := range r.addresses {
		if a.Is4() {
			v4 = append(v4, a.String())
		} else {
			v6 = append(v6, a.String())
		}
	}
	if len(r.addresses) == 0 {
		v4, v6 = r.flags.ipv4, r.flags.ipv6
	}
	t, err := r.dnsSite(ctx, r.result.Domain, &dnsFlags{ipv4: v4, ipv6: v6, dmarc: "quarantine"})
	if err != nil {
		return t, err
	}
	records := newRecordsJSON(t)
	r.result.Records = &records
	r.heading("What the DNS has to say: publish this where " + showDomain(r.result.Domain) + " is registered")
	r.printRecords(t)
	r.printNotes(t, "")
	r.prose("\n", "", "As a piece of a zone file, to be loaded at once: kurir dns records --zone "+r.result.Domain)
	return t, nil
}

// published are the areas that are in the hands of who keeps the domain's zone. Others wait
// for a provider (PTR), or for the certificate.
var published = []string{"zone", "mx", "address", "spf", "dkim", "dmarc"}

// fewFindings are told in the step about the DNS.
const fewFindings = 3

// checkDNSOf looks at the DNS, until it is right if somebody waits for that.
func (r *setupRun) checkDNSOf(ctx context.Context, t dnsTarget) (right bool, err error) {
	if r.skips("dns") {
		return false, nil
	}
	check := func(ctx context.Context, areas []string) dnsutil.Report {
		c := newChecker(t, r.cfg, r.flags.resolvers)
		c.Areas = areas
		if areas == nil && r.policyLater(ctx, t) {
			c.Policy = nil
		}
		return c.Check(ctx)
	}
	if r.waits() {
		r.heading("The DNS, as the world sees it now. Ctrl-C leaves off; kurir setup " + r.result.Domain + " goes on later")
		// Warnings are told below; somebody who waits is not kept by them.
		errorsOnly := func(ctx context.Context) dnsutil.Report {
			report := check(ctx, published)
			if report.Errors == 0 {
				report.Warnings = 0
			}
			return report
		}
		if _, err := r.watchDNS(ctx, t, errorsOnly); err != nil {
			return false, err
		}
		r.printf("What mail cannot do without is there.\n\n")
	} else {
		r.heading("The DNS, as the world sees it now")
	}
	report := check(ctx, nil)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	s := setup.Step{Name: "dns", Outcome: setup.OK, Text: "The DNS says all that it has to."}
	if left := report.Errors + report.Warnings; left > 0 {
		s = setup.Step{Name: "dns", Outcome: setup.Todo, Text: "The DNS does not say all of that yet: " + reportSummary(report) + ".",
			Do: "Publish the records above. Each finding, and when all is right: kurir dns check " + r.result.Domain + " --watch"}
		for _, f := range byLevel(report)[:min(left, fewFindings)] {
			s.Text += " " + f.What
		}
		if left > fewFindings {
			s.Text += " And more."
		}
	}
	r.report(s)
	// The name of the server has to lead here before it can have a certificate.
	return !slices.ContainsFunc(report.Findings, func(f dnsutil.Finding) bool {
		return f.Level == dnsutil.LevelError && (f.Area == "address" || f.Area == "zone")
	}), nil
}

// policyLater tells that the policy of MTA-STS cannot be had yet because its name has no
// certificate. That comes by itself, and the step about certificates tells of it.
func (r *setupRun) policyLater(ctx context.Context, t dnsTarget) bool {
	if t.PolicyHost != r.cfg.Hostname || !r.cfg.ACME.Enabled || r.cfg.TLS.Cert != "" {
		return false
	}
	later := true
	_ = r.with(ctx, func(ctx context.Context, o admin.Operations) error { // who cannot be asked has none
		all, err := o.ListCertificates(ctx)
		later = !slices.ContainsFunc(all, func(c admin.Certificate) bool {
			return slices.Contains(c.Names, "mta-sts."+t.Domain) && !c.NotAfter.IsZero()
		})
		return err
	})
	return later
}

// waits tells whether somebody waits until the DNS is right.
func (r *setupRun) waits() bool { return !r.flags.noWait && (r.typing != nil || r.flags.wait) }

// tryServer looks at the running server from this machine, and sends the test message.
func (r *setupRun) tryServer(ctx context.Context, named bool) error {
	r.heading("The way of a message")
	if at := localAddressOf(r.cfg.SMTP.Address); at != "" && !r.skips("port25-in") {
		_, port, _ := net.SplitHostPort(at)
		r.report(setup.Port25In(ctx, r.resolver(r.cfg), (&net.Dialer{}).DialContext, r.addresses, port))
	}
	if !r.skips("certificate") {
		if err := r.tryCertificate(ctx, named); err != nil {
			return err
		}
	}
	if r.skips("test") {
		return nil
	}
	r.testLocally(ctx)
	return r.testElsewhere(ctx)
}

// Bounds of the wait for a certificate.
const (
	certificateTime = 2 * time.Minute
	certificateLook = 2 * time.Second
	tlsTime         = 10 * time.Second
)

// tryCertificate looks at the certificate that mail apps are shown, and waits for that of
// the CA if it can come.
func (r *setupRun) tryCertificate(ctx context.Context, named bool) error {
	at := localAddressOf(slices.Concat(r.cfg.IMAPS.Address, r.cfg.Submissions.Address, r.cfg.Web.HTTPS))
	if at == "" {
		r.report(setup.Step{Name: "certificate", Outcome: setup.Skipped, Text: "No port has TLS from the start, so no certificate was looked at."})
		return nil
	}
	wanted := r.cfg.ACME.Enabled && r.cfg.TLS.Cert == ""
	deadline := time.Now()
	if wanted && named {
		deadline = deadline.Add(certificateTime)
		r.prose("", "", "Waiting for the certificate …")
	}
	for {
		s, ours, err := r.lookAtCertificate(ctx, at)
		if err == nil && !ours || time.Now().After(deadline) {
			switch {
			case err != nil:
				s = setup.Step{Name: "certificate", Outcome: setup.Problem, Text: fmt.Sprintf("The server does not speak TLS at %s: %v", at, err), Do: "See why: kurir health"}
			case ours && wanted:
				s = r.certificateMissing(ctx, named)
			}
			r.report(s)
			if wanted && s.Outcome == setup.OK {
				r.tellOtherNames(ctx)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(certificateLook):
		}
	}
}

// lookAtCertificate connects as a mail app does; ours says that the certificate comes from
// kurir's own CA.
func (r *setupRun) lookAtCertificate(ctx context.Context, at string) (s setup.Step, ours bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, tlsTime)
	defer cancel()
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: r.cfg.Hostname, InsecureSkipVerify: true}} // only looked at
	conn, err := dialer.DialContext(ctx, "tcp", at)
	if err != nil {
		return s, false, err
	}
	defer conn.Close()
	chain := conn.(*tls.Conn).ConnectionState().PeerCertificates
	leaf := chain[0]
	issuer := cmp.Or(strings.Join(leaf.Issuer.Organization, " "), leaf.Issuer.CommonName)
	s = setup.Step{Name: "certificate", Outcome: setup.OK, Text: fmt.Sprintf("The certificate for %s is from %s and holds until %s.",
		strings.Join(leaf.DNSNames, ", "), plain(issuer), leaf.NotAfter.Format(time.DateOnly))}
	if problems := tlsconf.Problems(leaf, r.cfg.Hostname, time.Now()); len(problems) > 0 {
		s.Outcome, s.Why = setup.Todo, fmt.Sprint(problems[0])
	}
	if tlsconf.IsLocal(leaf) {
		s.Outcome, s.Text = setup.Todo, "The certificate is from kurir's own CA, which no device trusts unless told to."
		s.Do = "Have one fetched ([acme] in " + r.result.Config + "), or name your own (tls.cert): docs/certificates.md"
		return s, true, nil
	}
	return s, false, nil
}

// tellOtherNames says which names beside the host's have no certificate yet, and why.
func (r *setupRun) tellOtherNames(ctx context.Context) {
	var missing []string
	_ = r.with(ctx, func(ctx context.Context, o admin.Operations) error { // the host's own is there, which is what counts
		all, err := o.ListCertificates(ctx)
		for _, c := range all {
			if !c.Host && c.Problem != "" {
				missing = append(missing, plain(strings.Join(c.Names, " ")+" ("+c.Problem+")"))
			}
		}
		return err
	})
	if len(missing) > 0 {
		r.report(setup.Step{Name: "certificate", Outcome: setup.Todo, Text: "No certificates yet for " + strings.Join(missing, ", ") + ".",
			Do: "Publish their records too, for apps that look for settings and for MTA-STS; the certificates come by themselves then."})
	}
}

// certificateMissing says why there is no certificate of the CA yet.
func (r *setupRun) certificateMissing(ctx context.Context, named bool) setup.Step {
	s := setup.Step{Name: "certificate", Outcome: setup.Todo, Text: "There is no certificate of the CA yet."}
	if !named {
		s.Why = r.cfg.Hostname + " has to lead to this server in the DNS first."
		s.Do = "The server fetches it by itself then."
		return s
	}
	_ = r.with(ctx, func(ctx context.Context, o admin.Operations) error { // without its reason the step is still true
		all, err := o.ListCertificates(ctx)
		for _, c := range all {
			if c.Host {
				s.Why = plain(c.Problem)
			}
		}
		return err
	})
	s.Do = "The port 80 of this server has to be reached from outside: look at firewalls and the router. It is tried again by itself: kurir certificate list"
	return s
}

// printInvite prints where a phone finds all that, if the pages are served.
func (r *setupRun) printInvite(ctx context.Context) {
	if len(r.cfg.Web.HTTPS) == 0 {
		return
	}
	r.printf("All apps      %s/setup\n", pagesURL(r.cfg, false))
	err := r.with(ctx, func(ctx context.Context, o admin.Operations) error {
		i, err := o.InviteAccount(ctx, r.result.Account)
		r.result.Invite = i.URL
		if err == nil && !r.flags.js {
			r.prose("\n", "", fmt.Sprintf("On the phone, open this link. It signs you in once, until %s, and shows step by step what to type:", i.Expires.Local().Format("2 January 15:04")))
			r.printf("%s\n", i.URL)
			if r.width() > 0 {
				r.printf("\n%s", blocks(i.URL))
			}
		}
		return err
	})
	if err != nil {
		r.prose("", "", "A link that signs in: kurir account invite "+r.result.Account)
	}
}

// printEnd says how to go on.
func (r *setupRun) printEnd(ctx context.Context) {
	p := &r.result
	r.heading("Mail apps")
	r.printf("User name     %s\n", p.Account)
	password := cmp.Or(p.Password, "the one that you have chosen")
	if p.accountThere {
		password = "as before (another one: kurir account passwd " + p.Account + ")"
	}
	r.printf("Password      %s\n", password)
	for _, row := range []struct {
		name, security string
		addresses      []string
	}{
		{"Incoming", "IMAP, SSL/TLS", r.cfg.IMAPS.Address},
		{"Outgoing", "SMTP, SSL/TLS", r.cfg.Submissions.Address},
	} {
		if len(row.addresses) > 0 {
			_, port, _ := net.SplitHostPort(row.addresses[0])
			r.printf("%-13s %s, port %s (%s)\n", row.name, r.cfg.Hostname, port, row.security)
		}
	}
	r.printInvite(ctx)
	r.heading("What remains")
	if p.Todos+p.Problems == 0 {
		r.printf("Nothing: mail works. What comes up later: kurir check, kurir health.\n")
		return
	}
	for _, s := range p.Steps {
		if s.Outcome == setup.Todo || s.Outcome == setup.Problem {
			r.prose(fmt.Sprintf("%-8s ", s.Outcome), "         ", s.Text)
		}
	}
	r.prose("\n", "", "Run kurir setup "+p.Domain+" again at any time: it goes on from here. Of this server: kurir check -c "+quote(filepath.Clean(p.Config)))
}
