package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kurir/dnsutil"
	"kurir/internal/admin"
	"kurir/internal/config"
	"kurir/internal/setup"
)

// planned is the configuration that will be: the one that is there or, without one, what
// the answers make. It has to hold together before anything is written.
func (r *setupRun) planned() (*config.Config, error) {
	if r.configThere() {
		return r.cfg, nil
	}
	chosen, err := r.chosen()
	if err != nil {
		return nil, err
	}
	if _, err := config.Sample(chosen); err != nil {
		return nil, usagef("%v", err)
	}
	environ, err := r.setupEnviron(r.result.Config)
	if err != nil {
		return nil, err
	}
	for _, s := range chosen {
		name := "KURIR_" + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
		if r.getenv(name) == "" {
			environ = append(environ, name+"="+s.Value)
		}
	}
	cfg, err := config.Load("", environ)
	if err == nil {
		return cfg, nil
	}
	problems := []error{errors.New("the settings do not fit together; nothing was made")}
	for _, one := range split(err) {
		var m config.Mistake
		if errors.As(one, &m) && m.Key != "" {
			one = fmt.Errorf("%s: %s", m.Key, m.Problem)
		}
		problems = append(problems, one)
	}
	return nil, errors.Join(problems...)
}

// lookAtMachine does the steps that this machine alone is about.
func (r *setupRun) lookAtMachine(ctx context.Context, cfg *config.Config) {
	r.heading("This machine")
	wanted := wantedPorts(cfg)
	if !r.skips("ports") {
		for _, s := range setup.Ports(ctx, wanted, r.tryPort, os.DirFS("/proc"), r.serverPID(ctx, cfg)) {
			r.report(s)
		}
	}
	if !r.skips("rights") {
		r.report(setup.Rights(ctx, wanted, r.tryPort, r.hasService(ctx)))
	}
	if !r.skips("disk") {
		r.lookAtDisk(cfg.Data)
	}
	if !r.skips("clock") {
		var date func(context.Context) (time.Time, error)
		if cfg.ACME.Enabled {
			date = func(ctx context.Context) (time.Time, error) { return dateOf(ctx, cfg.ACME.Directory, cfg.ACME.CAFile) }
		}
		r.report(setup.Clock(ctx, time.Now, setup.ClockSynced(), date))
	}
	if !r.skips("memory") {
		var limit int64
		if r.memory != nil {
			if n, err := r.memory(); err == nil && n < unlimited {
				limit = int64(n)
			}
		}
		if s, err := setup.Memory(os.DirFS("/proc"), limit); err == nil {
			r.report(s)
		}
	}
}

// wantedPorts are the addresses of a configuration that are TCP ports.
func wantedPorts(cfg *config.Config) (all []setup.Port) {
	for _, p := range allPorts(cfg) {
		for _, address := range p.addresses {
			if _, ok := config.UnixPath(address); !ok {
				all = append(all, setup.Port{Name: p.name, Address: address})
			}
		}
	}
	return all
}

// tryPort opens a port and closes it again.
func (r *setupRun) tryPort(ctx context.Context, address string) error {
	l, err := r.listen(ctx, address)
	closeQuietly(l)
	return err
}

// serverPID is the process of the server that runs with this data; 0: none does, or this
// user may not ask.
func (r *setupRun) serverPID(ctx context.Context, cfg *config.Config) int {
	if r.stop != nil {
		return 0 // our own helper would answer
	}
	client := admin.NewClient(cfg.Control)
	defer client.Close()
	v, err := client.Version(ctx)
	if err != nil {
		return 0
	}
	return v.PID
}

// lookAtDisk looks at the data directory or, as long as there is none, above it.
func (r *setupRun) lookAtDisk(dir string) {
	at := dir
	for {
		use, err := setup.ReadDisk(at)
		up := filepath.Dir(at)
		switch {
		case err == nil:
			r.report(setup.Disk(dir, use))
			return
		case !errors.Is(err, os.ErrNotExist) || up == at:
			r.report(setup.Step{Name: "disk", Outcome: setup.Skipped, Text: fmt.Sprintf("The disk of %s cannot be looked at: %v", dir, err)})
			return
		}
		at = up
	}
}

// dateTime bounds the question for the time.
const dateTime = 5 * time.Second

// dateOf is the time that a web server has, by the Date of its answer (RFC 9110 section
// 6.6.1). The certificate is looked at without regard to its dates: the clock is in doubt.
func dateOf(ctx context.Context, url, caFile string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, dateTime)
	defer cancel()
	conf := &tls.Config{}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return time.Time{}, err
		}
		conf.RootCAs = x509.NewCertPool()
		conf.RootCAs.AppendCertsFromPEM(pem)
	}
	conf.InsecureSkipVerify = true // VerifyConnection does it, at a time when the certificate was valid
	conf.VerifyConnection = func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0]
		o := x509.VerifyOptions{Roots: conf.RootCAs, DNSName: s.ServerName, CurrentTime: leaf.NotBefore.Add(time.Second), Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := leaf.Verify(o)
		return err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return time.Time{}, err
	}
	answer, err := client.Do(req)
	if err != nil {
		return time.Time{}, err
	}
	answer.Body.Close()
	return http.ParseTime(answer.Header.Get("Date"))
}

// resolver asks the DNS as the server will.
func (r *setupRun) resolver(cfg *config.Config) *dnsutil.Resolver {
	servers := r.flags.resolvers
	if len(servers) == 0 {
		servers = cfg.DNS.Servers
	}
	return &dnsutil.Resolver{Servers: servers, Log: slog.New(slog.DiscardHandler)}
}

// lookAtNetwork does the steps that the way to the world is about.
func (r *setupRun) lookAtNetwork(ctx context.Context, cfg *config.Config) {
	r.heading("The network")
	resolver := r.resolver(cfg)
	dialer := &net.Dialer{}
	if !r.skips("addresses") {
		r.findAddresses(ctx, cfg, resolver)
	}
	if !r.skips("ptr") && len(r.addresses) > 0 {
		site := dnsutil.Site{Domain: r.result.Domain, Host: r.result.Hostname, Addresses: r.addresses}
		c := &dnsutil.Checker{Site: site, Resolver: resolver, Areas: []string{"ptr"}}
		for _, s := range setup.PTR(c.Check(ctx).Findings) {
			r.report(s)
		}
	}
	if r.skips("port25-out") {
		return
	}
	if host := cfg.Relay.Smarthost.Address; host != "" && len(r.flags.probe) == 0 {
		r.report(setup.Step{Name: "port25-out", Outcome: setup.Skipped, Text: "Mail leaves through the smarthost " + host + "; port 25 is not needed for that."})
		return
	}
	domains := setup.LargeProviders()
	if _, domain, ok := strings.Cut(r.flags.testTo, "@"); ok {
		domains = append([]string{domain}, domains...)
	}
	r.report(setup.Port25Out(ctx, resolver, dialer.DialContext, domains, r.flags.probe))
}

// findAddresses finds out by which addresses the world reaches this server.
func (r *setupRun) findAddresses(ctx context.Context, cfg *config.Config, resolver *dnsutil.Resolver) {
	given, err := (&dnsFlags{ipv4: r.flags.ipv4, ipv6: r.flags.ipv6}).addresses()
	if err != nil {
		return // check has looked at them
	}
	t := dnsTarget{}
	t.findAddresses(cfg, nil)
	own := t.Addresses
	if len(given)+len(own) == 0 && r.flags.detect {
		var ask []setup.Resolver
		for _, s := range setup.OutsideServers() {
			ask = append(ask, &dnsutil.Resolver{Servers: []string{s}, Tries: 1, Log: slog.New(slog.DiscardHandler)})
		}
		given = setup.Outside(ctx, ask)
	}
	var s setup.Step
	r.addresses, s = setup.Addresses(ctx, resolver, r.result.Hostname, given, own)
	r.report(s)
	r.tellAddresses = len(own) == 0 || len(given) > 0 && !slices.Equal(given, own)
}

// addressTexts are the public addresses as text.
func addressTexts(all []netip.Addr) (texts []string) {
	for _, a := range all {
		texts = append(texts, a.String())
	}
	return texts
}
