package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"kurir/dnsutil"
	"kurir/internal/admin"
	"kurir/internal/auth"
	"kurir/internal/config"
	"kurir/internal/directory"
	"kurir/internal/logins"
	"kurir/internal/web"
	"kurir/smtpd"
)

// pages are the public pages of this server.
func (s *site) pages() web.Pages {
	proxied := s.local || slices.ContainsFunc(s.cfg.Proxy.Networks, func(p netip.Prefix) bool { return p.Addr().IsLoopback() })
	services := offeredServices(s.cfg, proxied)
	if !slices.ContainsFunc(services, func(v dnsutil.Service) bool { return v.Port != 0 }) {
		services = offeredServices(s.cfg, true) // a server for this machine alone
	}
	return web.Pages{
		Services: services,
		Ours:     s.data.directory.IsLocalDomain,
		Policy: func(domain string) string {
			return dnsutil.Site{Domain: domain, Host: s.cfg.Hostname, PolicyMode: s.cfg.Web.MTASTS}.Policy()
		},
		Certificate: s.serverCertificate,
		HTTPS:       s.httpsPort(),
		Proxies:     s.cfg.Web.Proxies,
		Sessions:    &s.keeps.web,
		OnlyDevices: !slices.Contains(s.cfg.Login.OwnPassword, "imap") && !slices.Contains(s.cfg.Login.OwnPassword, "pop3"),
		SignIn:      s.signIn,
		Invites:     s.data.invites,
		Devices:     webDevices{s.data.service},
		Recent:      s.recentLogins,
		Trouble:     &s.keeps.trouble,
	}
}

// signIn checks the password of somebody at a browser. App passwords are none for it.
func (s *site) signIn(ctx context.Context, in web.SignIn) (string, error) {
	login, err := s.auth.Authenticate(ctx, auth.Attempt{
		Protocol: "web", Mechanism: "FORM", Remote: in.Remote, TLS: in.TLS, Username: in.Username, Password: in.Password,
	})
	return login.Address, err
}

// webDevices are app passwords as the pages have them.
type webDevices struct{ service *admin.Service }

func (d webDevices) List(ctx context.Context, address string) ([]web.Device, error) {
	rows, err := d.service.ListAppPasswords(ctx, address)
	all := make([]web.Device, len(rows))
	for i, r := range rows {
		all[i] = web.Device{Name: r.Name, Created: r.Created, Used: r.LastUsed}
	}
	return all, err
}

func (d webDevices) Add(ctx context.Context, address, name string) (string, error) {
	added, err := d.service.AddAppPassword(ctx, admin.NewAppPassword{Address: address, Name: name})
	switch {
	case errors.Is(err, directory.ErrExists):
		err = web.Refusal{Text: "There is a device of the name “" + name + "” already. Give this one another name, or end the password of the other first."}
	case errors.Is(err, directory.ErrInUse):
		err = web.Refusal{Text: "You have as many devices as an account can have. End the password of one that you no longer use first."}
	}
	return added.Password, err
}

func (d webDevices) Revoke(ctx context.Context, address, name string) error {
	return d.service.RevokeAppPassword(ctx, admin.RevokeAppPassword{Address: address, Name: name})
}

// httpsPort is where browsers reach the public pages with TLS; "": nowhere.
func (s *site) httpsPort() string {
	if len(s.cfg.Web.HTTPS) == 0 {
		return ""
	}
	_, port, err := net.SplitHostPort(s.cfg.Web.HTTPS[0])
	if err != nil || port == "0" {
		_, port, _ = s.hostPort("webs")
	}
	return port
}

// serverCertificate is the one that clients of this server's name are shown.
func (s *site) serverCertificate() (*tls.Certificate, error) {
	switch {
	case s.tls.GetCertificate != nil:
		return s.tls.GetCertificate(&tls.ClientHelloInfo{
			ServerName: s.cfg.Hostname, SupportedVersions: []uint16{tls.VersionTLS13},
			SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256},
		})
	case len(s.tls.Certificates) > 0:
		return &s.tls.Certificates[0], nil
	}
	return nil, errors.New("there is no certificate")
}

// offeredServices are the protocols that mail apps can use, with their ports: the SRV
// records and the settings that apps fetch come from it. loopback tells that what is
// served on loopback alone counts.
func offeredServices(cfg *config.Config, loopback bool) []dnsutil.Service {
	var all []dnsutil.Service
	for _, p := range []struct {
		name   string
		listen []string
	}{
		{"submissions", cfg.Submissions.Address}, {"submission", cfg.Submission.Address},
		{"imaps", cfg.IMAPS.Address}, {"imap", cfg.IMAP.Address},
		{"pop3s", cfg.POP3S.Address}, {"pop3", cfg.POP3.Address},
	} {
		all = append(all, dnsutil.Service{Name: p.name, Port: offeredPort(p.listen, loopback)})
	}
	return all
}

// findPages tells what the public pages of this server are for: with [web] https, mail apps
// find their settings and other servers the policy of MTA-STS here.
func (t *dnsTarget) findPages(cfg *config.Config) {
	t.PolicyMode = cfg.Web.MTASTS
	if len(cfg.Web.HTTPS) > 0 {
		t.PolicyHost, t.AutoconfigHost = t.Host, t.Host
	}
}

// protocolWords is a protocol for people who have set up few mail apps; "" of those that
// mail apps do not use.
func protocolWords(protocol string) string {
	return map[string]string{"imap": "IMAP (reading mail)", "pop3": "POP3 (reading mail)", "submission": "SMTP (sending mail)"}[protocol]
}

// submissionOnly is "submission" where users send mail, else "".
func submissionOnly(m smtpd.Mode) string {
	if m == smtpd.Submission || m == smtpd.SubmissionTLS {
		return "submission"
	}
	return ""
}

// tlsFailed has the setup pages tell of handshakes that failed: not those at addresses that
// stand for everybody, which whoever looks at the pages has as well.
func (s *site) tlsFailed(protocol string) func(netip.Addr, error) {
	return func(remote netip.Addr, err error) {
		if words := protocolWords(protocol); words != "" && (s.local || !s.shared.Is(remote)) {
			s.keeps.trouble.Note(remote, words, err)
		}
	}
}

// recentLogins are the last attempts of mail apps to log in to an account.
func (s *site) recentLogins(ctx context.Context, address string, most int) ([]web.Attempt, error) {
	rows, err := s.data.logins.List(ctx, logins.Query{Account: address, Since: time.Now().Add(-time.Hour)})
	var all []web.Attempt
	for _, r := range rows {
		protocol := protocolWords(r.Protocol)
		if protocol == "" || len(all) == most {
			continue
		}
		a := web.Attempt{Time: r.Last, Count: r.Count, Remote: r.Remote, Protocol: protocol, TLS: r.TLS, Device: r.Credential}
		if r.Result != auth.ResultOK {
			a.Problem = r.Reason
		}
		all = append(all, a)
	}
	return all, err
}
